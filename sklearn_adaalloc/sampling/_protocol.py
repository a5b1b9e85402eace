"""The sampler protocol: the arguments of a sampler, and what it returns.

A sampler is a function of prompts and budgets that returns lists of str, or an object
with such a method, ``sample``. Everything else is optional and used if it exists: the
parameters `first_sample` and `return_usage`, the method ``sample_each`` and the
attribute `settings`. :func:`as_sampler` gives all of them one interface.

Decoders that answer one query at a time, in an event loop, look for these:

==================  ================================================================
``asample``         as ``sample``, but a coroutine function. The function itself, or
                    ``sample``, may also be one
``asample_each``    as ``sample_each``, but an asynchronous generator
``connected``       returns an asynchronous context manager, in which connections
                    stay open between calls
`max_concurrency`   how many calls may run at a time in threads; 1 if there is no
                    such attribute. It matters for samplers that are not
                    asynchronous: these run in threads
==================  ================================================================

Cancelling a coroutine, or closing a generator, must close its requests.
"""

import warnings
from collections.abc import Mapping, Set
from contextlib import aclosing, closing, nullcontext
from functools import partial
from inspect import isasyncgenfunction, isawaitable
from reprlib import repr as short_repr
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.numbers import real_array
from sklearn_adaalloc.sampling._calls import (
    SampleCall,
    is_coroutine_function,
    missing_samples,
    option_names,
)

_METHODS = ("sample", "sample_each", "asample", "asample_each")


class TokenUsage(NamedTuple):
    """Tokens that a call paid for, and which answers the token limit cut off.

    An unknown count is NaN. It is never a guess.

    Parameters
    ----------
    prompt : ndarray of shape (n_prompts,), float64
        Prompt tokens that were run through the model. A prompt counts once if it was
        run once, however many samples it got. The count is 0 if it did not have to be
        run.
    answers : list of n_prompts ndarrays of shape (budget,), float64
        Tokens of each answer, including its end token. A server counts several answers
        of one reply together. Then each answer gets a share of the sum.
    cached : ndarray of shape (n_prompts,), float64, default=None
        The part of `prompt` that a server read from its cache, which costs less. None
        if nothing is known about a cache.
    cut_off : list of n_prompts ndarrays of shape (budget,), bool, default=None
        Whether the token limit cut the answer off before it ended. None if unknown.

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
        None if the sample failed for good. None without an error means that only the
        prompt was run.
    prompt_tokens : float
        Prompt tokens paid for; NaN if unknown. 0 if they are counted at another sample
        of the same request.
    answer_tokens : float
        Tokens of the answer; NaN if unknown.
    error : Exception or None
        Reason of the failure.
    cached_tokens : float
        The part of the prompt tokens that a server read from its cache; NaN if unknown.
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


def as_sampler(sampler, name=None):
    """Give any sampler the same interface.

    Parameters
    ----------
    sampler : callable or object
        Function of prompts and budgets, or an object with a method ``sample`` or
        ``sample_each``.
    name : str, default=None
        Name in messages; None for the name of the function or class.

    Returns
    -------
    sampler : CheckedSampler

    Raises
    ------
    ValueError
        If it is not a sampler.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._protocol import as_sampler
    >>> def echo(prompts, budgets):
    ...     return [[prompt] * n for prompt, n in zip(prompts, budgets)]
    >>> ((arrival,),) = as_sampler(echo).arrivals(["a"], [1], [0])
    >>> arrival.answer, arrival.answer_tokens
    ('a', nan)
    """
    has_method = any(hasattr(sampler, name) for name in _METHODS)
    if isinstance(sampler, type) or not (has_method or callable(sampler)):
        kind = (
            "a class: give an instance of it"
            if isinstance(sampler, type)
            else "not a sampler"
        )
        raise ValueError(
            f"sampler={short_repr(sampler)} is {kind}. Expected a function of prompts "
            "and budgets that returns a list of str per prompt, or an object with such "
            "a method, sample."
        )
    return CheckedSampler(sampler, f"sampler {name or _name(sampler)}")


class CheckedSampler:
    """Any sampler with one interface. Its answers are checked; see :func:`as_sampler`.

    Parameters
    ----------
    sampler : callable or object
        Function, or object with a method ``sample`` or ``sample_each``.
    name : str
        What messages call it.
    has_read : bool, default=False
        Whether the prompts were run already. Then it can report their tokens before it
        answers any.
    """

    def __init__(self, sampler, name, *, has_read=False):
        self.name = name
        self.has_read = has_read
        sample, self._each, asample, self._aeach = (
            getattr(sampler, method, None) for method in _METHODS
        )
        is_function = not any(hasattr(sampler, method) for method in _METHODS)
        self._sample = sampler if is_function else sample or asample
        if asample is None and is_coroutine_function(self._sample):
            asample = self._sample
        if self._aeach is None and isasyncgenfunction(self._each):
            self._aeach = self._each
        self._asample = asample
        # A function gets only the options that it names, and only prompts with a
        # budget.
        self._options = option_names(self._sample, expand=not is_function)
        self._aoptions = (
            option_names(asample, expand=not is_function) if asample else []
        )
        self._skips_idle = is_function

    @property
    def can_count_tokens(self):
        """Whether the sampler has a way to say how many tokens its answers have."""
        in_turn = self._each is not None or self._aeach is not None
        return in_turn or "return_usage" in {*self._options, *self._aoptions}

    @property
    def is_asynchronous(self):
        """Whether the sampler can only be awaited."""
        awaited = self._aeach is not None or self._asample is not None
        ordinary = self._sample is not None and not is_coroutine_function(self._sample)
        return awaited and not ordinary

    def arrivals(self, prompts, budgets, first_sample):
        """Yield checked answers as soon as the sampler returns them.

        Parameters
        ----------
        prompts : list of n_prompts str or lists of dict
            Checked prompts.
        budgets : list of n_prompts int
            Number of samples of each.
        first_sample : list of n_prompts int
            Index of the first of them.

        Yields
        ------
        arrivals : list of SampledAnswer
            In total one per sample, and one for each prompt that was only run.
        """
        if self._each is not None:
            yield from self._one_by_one(prompts, budgets, first_sample)
            return
        if self._sample is None:
            raise self._asynchronous()
        call = self._call(prompts, budgets, first_sample)
        if call.rows:
            returned = self._sample(*call.arguments, **call.options(self._options))
            yield self._arrived(returned, call, self._options)

    async def deliver(self, prompts, budgets, first_sample, give, in_thread):
        """Hand out checked answers as they arrive, in an event loop.

        Parameters
        ----------
        prompts, budgets, first_sample : list of n_prompts
            As for :meth:`arrivals`.
        give : callable
            Takes each SampledAnswer.
        in_thread : callable
            Coroutine function. It calls a function in a thread of this sampler, which
            is used only if the sampler is not asynchronous.
        """
        if self._aeach is not None:
            await self._deliver_one_by_one(prompts, budgets, first_sample, give)
            return
        if self._asample is None or self._each is not None:
            arrived = []
            try:
                await in_thread(
                    lambda: [
                        arrived.extend(arrivals)
                        for arrivals in self.arrivals(prompts, budgets, first_sample)
                    ]
                )
            finally:
                for each in arrived:
                    give(each)
            return
        call = self._call(prompts, budgets, first_sample)
        if call.rows:
            options = call.options(self._aoptions)
            returned = await self._asample(*call.arguments, **options)
            for each in self._arrived(returned, call, self._aoptions):
                give(each)

    def _one_by_one(self, prompts, budgets, first_sample):
        missing = missing_samples(budgets, first_sample)
        if not missing:
            return
        each = self._each(prompts, budgets, first_sample=first_sample)
        self._check_synchronous(each)
        with closing(each) if hasattr(each, "close") else nullcontext():
            for arrival in each:
                arrival = self._check_arrival(arrival, missing, prompts)
                missing.remove(arrival[:2])
                yield [arrival]
        yield self._never_came(missing)

    async def _deliver_one_by_one(self, prompts, budgets, first_sample, give):
        missing = missing_samples(budgets, first_sample)
        if not missing:
            return
        each = self._aeach(prompts, budgets, first_sample=first_sample)
        async with aclosing(each) if hasattr(each, "aclose") else nullcontext():
            async for arrival in each:
                arrival = self._check_arrival(arrival, missing, prompts)
                missing.remove(arrival[:2])
                give(arrival)
        for arrival in self._never_came(missing):
            give(arrival)

    def _never_came(self, missing):
        return [
            SampledAnswer(*pair, None, 0, 0, self._no_answer())
            for pair in sorted(missing)
        ]

    def _call(self, prompts, budgets, first_sample):
        """The arguments of one call for all samples."""
        rows = [
            row for row, budget in enumerate(budgets) if budget or not self._skips_idle
        ]
        asked = (
            [values[row] for row in rows] for values in (prompts, budgets, first_sample)
        )
        return SampleCall(rows, *asked)

    def _arrived(self, returned, call, options):
        """What a call returned, as a list of SampledAnswer."""
        answers, usage = self._read(returned, call.prompts, call.budgets, options)
        arrivals = []
        for i, (row, budget, first) in enumerate(
            zip(call.rows, call.budgets, call.first_sample, strict=True)
        ):
            # Prompt tokens are counted at the first of the samples that share them.
            prompt_tokens, cached = float(usage.prompt[i]), float(usage.cached[i])
            tokens = usage.answers[i].tolist()
            if not budget and prompt_tokens > 0:
                arrivals.append(
                    SampledAnswer(row, 0, None, prompt_tokens, 0, None, cached)
                )
            for j, answer in enumerate(answers[i]):
                arrivals.append(
                    SampledAnswer(
                        row,
                        first + j,
                        answer,
                        0.0 if j else prompt_tokens,
                        tokens[j],
                        self._no_answer() if answer is None else None,
                        0.0 if j else cached,
                        None if usage.cut_off is None else bool(usage.cut_off[i][j]),
                    )
                )
        return arrivals

    # Checks on what the sampler returned

    def _read(self, returned, prompts, budgets, options):
        """Answers and usage of all prompts, checked; unknown counts are NaN."""
        self._check_synchronous(returned)
        pair = isinstance(returned, tuple) and len(returned) == 2
        if "return_usage" in options and not pair:
            raise ValueError(
                f"{self.name} returned {short_repr(returned)}. Expected two things: "
                "lists of answers, and a TokenUsage. Nothing of it is kept."
            )
        if "return_usage" in options or (pair and hasattr(returned[1], "prompt")):
            answers = self._check_answers(returned[0], prompts, budgets)
            return answers, self._check_usage(returned[1], budgets)
        answers = self._check_answers(returned, prompts, budgets)
        unknown = np.full(len(budgets), np.nan)
        tokens = [np.full(budget, np.nan) for budget in budgets]
        return answers, TokenUsage(unknown, tokens, unknown)

    def _check_synchronous(self, returned):
        if isawaitable(returned) or hasattr(returned, "__aiter__"):
            if hasattr(returned, "close"):
                returned.close()
            raise self._asynchronous()

    def _asynchronous(self):
        return ValueError(
            f"{self.name} is asynchronous. Expected a function that returns the "
            "answers themselves: wrap it, as in lambda prompts, budgets: "
            "asyncio.run(sample(prompts, budgets)). Only the method answer of a "
            "decoder awaits samplers, those that are written with async def."
        )

    def _check_answers(self, answers, prompts, budgets):
        rows = _listed(answers)
        if rows is None or len(rows) != len(prompts):
            raise ValueError(
                f"{self.name} returned {short_repr(answers)} to {len(prompts)} "
                "queries. Expected one list of answers per query, the first of them to "
                f"{short_repr(prompts[0])}. Nothing of it is kept."
            )
        checked = []
        for prompt, budget, given in zip(prompts, budgets, rows, strict=True):
            row = _listed(given)
            if (
                row is None
                or len(row) != budget
                or not all(answer is None or isinstance(answer, str) for answer in row)
            ):
                raise ValueError(
                    f"{self.name} returned {short_repr(given)} to query "
                    f"{short_repr(prompt)}. Expected {budget} answers, each a str, or "
                    "None if there is no answer. Nothing of it is kept."
                )
            checked.append([None if each is None else str(each) for each in row])
        return checked

    def _check_usage(self, usage, budgets):
        try:
            return _read_usage(usage, budgets)
        except (AttributeError, TypeError, ValueError):
            raise ValueError(
                f"{self.name} returned usage={short_repr(usage)}. Expected a "
                "TokenUsage with the tokens of each prompt and of each answer, NaN "
                "where they are not known. Nothing of it is kept."
            ) from None

    def _check_arrival(self, arrival, missing, prompts):
        try:
            arrival = SampledAnswer(*arrival)
            expected = arrival[:2] in missing
            numbers = real_array([*arrival[3:5], arrival.cached_tokens])
        except (TypeError, ValueError):
            expected = False
        answered = expected and isinstance(arrival.answer, str)
        if not answered and not (expected and arrival.answer is None):
            raise ValueError(
                f"{self.name} handed out {short_repr(arrival)} for prompts that begin "
                f"with {short_repr(prompts[0])}. Expected one SampledAnswer for each "
                "sample asked for, with a str, or None and an error."
            )
        prompt_tokens, answer_tokens, cached = map(float, numbers)
        failed = isinstance(arrival.error, Exception)
        return arrival._replace(
            answer=str(arrival.answer) if answered else None,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
            error=None if answered else arrival.error if failed else self._no_answer(),
            cached_tokens=cached,
        )

    def _no_answer(self):
        return ValueError(f"{self.name} returned no answer.")


def warn_cut_off(n_cut_off, n_known, *, stacklevel):
    """Warn if at least one answer in a hundred was cut off.

    Parameters
    ----------
    n_cut_off : int
        Answers that the token limit cut off.
    n_known : int
        Answers for which this is known.
    stacklevel : int
        As for :func:`warnings.warn`, counted from the caller.
    """
    if n_cut_off and n_cut_off >= 0.01 * n_known:
        warnings.warn(
            f"{n_cut_off} of {n_known} answers ({n_cut_off / n_known:.0%}) were cut "
            "off at the token limit. Such answers usually count as wrong: raise the "
            "sampler's max_new_tokens.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def _read_usage(usage, budgets):
    """Usage as floats of the right shapes; raises if it is none."""
    prompt = _counts(usage.prompt, len(budgets))
    answers = [
        _counts(given, budget)
        for given, budget in zip(usage.answers, budgets, strict=True)
    ]
    cached, cut_off = (getattr(usage, name, None) for name in ("cached", "cut_off"))
    cached = np.full(len(budgets), np.nan) if cached is None else cached
    if cut_off is not None:
        flags = zip(cut_off, budgets, strict=True)
        cut_off = [_counts(given, budget) == 1 for given, budget in flags]
    return TokenUsage(prompt, answers, _counts(cached, len(budgets)), cut_off)


def _counts(values, n_values):
    counts = real_array(values).astype(np.float64)
    if counts.shape != (n_values,) or (counts < 0).any() or np.isinf(counts).any():
        raise ValueError("no counts")
    return counts


def _listed(values):
    """Convert a sequence to a list; None for a text and for unordered values."""
    if isinstance(values, str | bytes | Mapping | Set):
        return None
    try:
        iterator = iter(values)
    except TypeError:
        return None
    return list(iterator)  # a generator may raise errors of its own


def _name(sampler):
    while isinstance(sampler, partial):
        sampler = sampler.func
    return getattr(sampler, "__name__", type(sampler).__name__)
