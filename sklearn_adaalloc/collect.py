"""Resumable filling of a reward table: sample, grade, store."""

import hashlib
import inspect
import time
import warnings
from contextlib import closing
from itertools import groupby, islice, zip_longest

import numpy as np
from tqdm.auto import tqdm

from sklearn_adaalloc._collection import Collection
from sklearn_adaalloc._grading import Grader, check_sampled
from sklearn_adaalloc._parameters import check_whole
from sklearn_adaalloc._queries import check_queries, query_keys
from sklearn_adaalloc._reward_store import RewardStore
from sklearn_adaalloc.sampling._protocol import SampledAnswer

__all__ = ["RewardStore", "collect_rewards"]

_POLL = 0.5  # seconds between looks at what other processes have done


def collect_rewards(
    queries,
    sampler,
    reward,
    n_samples,
    *,
    store,
    settings=None,
    reward_settings=None,
    batch_size=512,
    progress=True,
):
    """Sample answers, grade them, and keep both on disk: a reward table to fit on.

    Call it again with the same store after any interruption, even ``kill -9``: what is
    stored is neither asked for nor graded again, only what was under way. Call it with
    more queries or more samples, and only those are added. With another reward function
    stored answers are graded anew, not asked for anew. Several processes of one machine
    may fill the same store at once; they share the work. Answers are graded while the
    next ones are sampled.

    Parameters
    ----------
    queries : sequence of n_queries str or lists of dict
        Texts, or lists of messages. One that occurs twice is asked once.
    sampler : object
        Sampler, such as :class:`~sklearn_adaalloc.sampling.TransformersSampler`: with
        ``sample(prompts, budgets, first_sample=..., return_usage=True)``. If it also
        has ``sample_each``, as :class:`~sklearn_adaalloc.sampling.OpenAISampler` has,
        every answer is stored as it arrives, otherwise batch by batch.
    reward : callable
        Called, in a thread of its own, with a list of queries and a list of as many
        lists of answers; returns one array of rewards per query.
    n_samples : int
        Number of samples of each query.
    store : str or path
        SQLite file; made if there is none, and read by
        :class:`~sklearn_adaalloc.collect.RewardStore`.
    settings : dict, default=None
        Everything that the sampler's answers depend on: another model or temperature is
        another table in the same store. None for the sampler's own ``settings``.
    reward_settings : dict, default=None
        Everything that rewards depend on beside query and answer. None for the reward
        function's own ``settings``, or, for a function without any, its name and source
        text: one that is edited grades anew; what it calls is not seen.
    batch_size : int, default=512
        Number of samples that are claimed and asked for at once.
    progress : bool, default=True
        Whether to show a bar of graded samples with rate and time left.

    Returns
    -------
    rewards : ndarray of shape (n_queries, n_samples)
        NaN where a sample failed for good, after a warning; the next call asks again.

    Raises
    ------
    ValueError
        If a parameter is not accepted, `store` is damaged or another file, the sampler
        returns too few answers, or the reward function raises or returns the wrong
        number of rewards (the message names the query). All else that was sampled and
        graded stays in the store, also when the sampler itself raises.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_adaalloc import collect_rewards
    >>> from sklearn_adaalloc.datasets import grade_arithmetic
    >>> from sklearn_adaalloc.sampling import TransformersSampler
    >>> folder = tempfile.TemporaryDirectory()
    >>> sampler = TransformersSampler("embedded", max_new_tokens=16, device="cpu")
    >>> store = Path(folder.name) / "rewards.sqlite"
    >>> queries = ["max 3 41 7=", "1234*5678="]
    >>> collect_rewards(
    ...     queries, sampler, grade_arithmetic, 4, store=store, progress=False
    ... )
    array([[1., 1., 1., 1.],
           [0., 0., 0., 0.]])
    >>> folder.cleanup()
    """
    queries = check_queries(queries)
    n_samples = check_whole(n_samples, "n_samples", least=1)
    batch_size = check_whole(batch_size, "batch_size", least=1)
    settings = _sampler_settings(sampler, settings)
    reward_settings = _reward_settings(reward, reward_settings)
    keys = query_keys(queries)
    distinct = dict(zip(keys, queries, strict=True))
    with (
        RewardStore(store, create=True) as file,
        Collection(file, settings, reward_settings, list(distinct), n_samples) as work,
        tqdm(
            initial=int(np.isfinite(work.rewards()).sum()),
            total=len(distinct) * n_samples,
            unit="sample",
            disable=not progress,
        ) as bar,
    ):
        failures = _fill(
            work, list(distinct.values()), sampler, reward, batch_size, bar
        )
        rewards = work.rewards()
    if failures:
        (row, sample), error = next(iter(failures.items()))
        warnings.warn(
            f"{len(failures)} samples failed for good and are NaN, the first of them "
            f"sample {sample} of query {list(distinct.values())[row]!r}: {error} The "
            "next call asks for them again.",
            UserWarning,
            stacklevel=2,
        )
    rows = {key: row for row, key in enumerate(distinct)}
    return rewards[[rows[key] for key in keys]]


def _fill(work, queries, sampler, reward, batch_size, bar):
    """Fill the table; what fails for good is returned: (row, sample) -> exception."""
    failures = {}

    def store_rewards(rewards):
        work.put_rewards(rewards)
        bar.update(len(rewards))

    with Grader(queries, reward, store_rewards, batch_size) as grader:
        while True:
            missing = [pair for pair in work.missing() if pair not in failures]
            ungraded = work.ungraded()
            bar.n = bar.total - len(missing) - len(ungraded) - len(failures)
            bar.refresh()  # with what others have done
            if not missing and not ungraded:
                return failures
            waiting = True
            for to_ask, to_grade in zip_longest(
                _batches(missing, batch_size),
                _batches(ungraded, batch_size),
                fillvalue=(),
            ):
                to_grade = work.claim_ungraded(to_grade)
                to_ask = work.claim_missing(to_ask)
                waiting = waiting and not to_grade and not to_ask
                texts = work.answers(to_grade)
                grader.give(
                    (*pair, text) for pair, text in zip(to_grade, texts, strict=True)
                )
                failures |= _ask(work, queries, sampler, to_ask, grader)
                grader.check()
            grader.wait()
            if waiting:  # for what other processes have claimed
                time.sleep(_POLL)


def _ask(work, queries, sampler, pairs, grader):
    """Sample what was claimed; answers go to the store and on to the grader."""
    if not pairs:
        return {}
    runs = list(_runs(pairs))
    prompts = [queries[row] for row, _, _ in runs]
    first_sample, budgets = ([run[i] for run in runs] for i in (1, 2))
    failures = {}
    try:
        for arrivals in _arrivals(sampler, prompts, budgets, first_sample):
            # From rows of this request to rows of the table.
            arrivals = [each._replace(row=runs[each.row][0]) for each in arrivals]
            answers = [each for each in arrivals if each.error is None]
            work.put_answers(answers)
            grader.give((each.row, each.sample, each.answer) for each in answers)
            failures |= {
                (each.row, each.sample): each.error
                for each in arrivals
                if each.error is not None
            }
    finally:
        work.release_missing(pairs)
    if len(failures) == len(pairs) and not work.has_answers():
        raise next(iter(failures.values()))
    return failures


def _arrivals(sampler, prompts, budgets, first_sample):
    """Yield lists of SampledAnswer, as soon as the sampler hands them out."""
    if hasattr(sampler, "sample_each"):
        with closing(
            sampler.sample_each(prompts, budgets, first_sample=first_sample)
        ) as arrivals:
            for arrival in arrivals:
                yield [arrival]
        return
    returned = sampler.sample(
        prompts, budgets, first_sample=first_sample, return_usage=True
    )
    answers, usage = check_sampled(sampler, returned, prompts, budgets)
    # Prompt tokens stand at the first of the samples that share them.
    yield [
        SampledAnswer(row, first + j, answer, 0 if j else usage.prompt[row], tokens)
        for row, first in enumerate(first_sample)
        for j, (answer, tokens) in enumerate(
            zip(answers[row], usage.answers[row], strict=True)
        )
    ]


def _runs(pairs):
    """Join samples that follow each other: (row, first sample, number of samples)."""
    numbered = enumerate(pairs)
    for _, run in groupby(numbered, lambda item: (item[1][0], item[1][1] - item[0])):
        run = [pair for _, pair in run]
        yield *run[0], len(run)


def _batches(pairs, size):
    pairs = iter(pairs)
    while batch := list(islice(pairs, size)):
        yield batch


def _sampler_settings(sampler, settings):
    if settings is None:
        settings = getattr(sampler, "settings", None)
    if settings is None:
        raise ValueError(
            f"sampler {type(sampler).__name__} has no settings. Stored answers are "
            "kept under what they depend on: give settings=, a dict of it (model, "
            "temperature, seed, ...)."
        )
    return settings


def _reward_settings(reward, settings):
    if not callable(reward):
        raise ValueError(
            f"reward={reward!r} is not accepted. Expected a callable of queries and "
            "answers."
        )
    if settings is None:
        settings = getattr(reward, "settings", None)
    if settings is not None:
        return settings
    try:
        if not inspect.isfunction(reward) or reward.__closure__:
            raise TypeError("its source text does not tell all")
        source = inspect.getsource(reward)
    except (OSError, TypeError) as error:
        raise ValueError(
            f"reward {reward!r} has no settings, and it cannot be told from another by "
            f"name and source text ({error}). Stored rewards are kept under what they "
            "depend on: give reward_settings=, a dict of it."
        ) from None
    digest = hashlib.sha256(source.encode()).hexdigest()
    return {"function": f"{reward.__module__}.{reward.__qualname__}", "source": digest}
