"""What sampling costs, in tokens."""

from typing import NamedTuple

import numpy as np


class TokenUsage(NamedTuple):
    """Tokens that a call paid for.

    Parameters
    ----------
    prompt : ndarray of shape (n_prompts,), int64
        Prompt tokens put through the model. A prompt that was prefilled once counts
        once, however many samples it got; 0 where it did not have to be.
    answers : list of n_prompts ndarrays of shape (budget,), int64
        Tokens of each answer, the one that ended it included.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling import TransformersSampler
    >>> sampler = TransformersSampler("embedded", temperature=0, device="cpu")
    >>> _, usage = sampler.sample(["2+3="], budgets=2, return_usage=True)
    >>> usage  # a begin token, four characters; twice a digit and the end token
    TokenUsage(prompt=array([5]), answers=[array([2, 2])])
    """

    prompt: np.ndarray
    answers: list
