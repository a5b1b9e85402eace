"""The sampler protocol: what a sampler takes, and what it hands out."""

from typing import NamedTuple

import numpy as np


class TokenUsage(NamedTuple):
    """Tokens that a call paid for, and which answers ran out of them.

    A count that is not known is NaN, never a guess.

    Parameters
    ----------
    prompt : ndarray of shape (n_prompts,), float64
        Prompt tokens put through the model. A prompt that was prefilled once counts
        once, however many samples it got; 0 where it did not have to be.
    answers : list of n_prompts ndarrays of shape (budget,), float64
        Tokens of each answer, the one that ended it included. Of several answers in one
        reply of a server, which counts them together, shares of their sum.
    cached : ndarray of shape (n_prompts,), float64, default=None
        Those of `prompt` that a server read from its cache, which cost less. None where
        nothing is known of a cache.
    cut_off : list of n_prompts ndarrays of shape (budget,), bool, default=None
        Whether each answer was cut off at the token limit before it ended. None where
        that is not known.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling import TransformersSampler
    >>> sampler = TransformersSampler("embedded", temperature=0, device="cpu")
    >>> _, usage = sampler.sample(["2+3="], budgets=2, return_usage=True)
    >>> usage.prompt  # a begin token, four characters
    array([5.])
    >>> usage.answers, usage.cut_off  # twice a digit and the end token
    ([array([2., 2.])], [array([False, False])])
    """

    prompt: np.ndarray
    answers: list
    cached: np.ndarray | None = None
    cut_off: list | None = None


class SampledAnswer(NamedTuple):
    """One sample as it arrives.

    Attributes
    ----------
    row : int
        Index of the prompt.
    sample : int
        Index of the sample among those of the prompt.
    answer : str or None
        None if it failed for good.
    prompt_tokens : float
        Prompt tokens paid for; 0 if another sample of the same request has them, NaN if
        unknown.
    answer_tokens : float
        Tokens of the answer; NaN if unknown.
    error : Exception or None
        Why it failed.
    cached_tokens : float
        Those of the prompt tokens that a server read from its cache; NaN if unknown.
    cut_off : bool or None
        Whether the token limit cut the answer off; None if unknown.
    """

    row: int
    sample: int
    answer: str | None
    prompt_tokens: float
    answer_tokens: float
    error: Exception | None = None
    cached_tokens: float = np.nan
    cut_off: bool | None = None
