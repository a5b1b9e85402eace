"""Fill a reward table: sample, grade, store. Can be resumed at any time."""

import time
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import combinations, groupby, islice, zip_longest
from reprlib import repr as short_repr

import numpy as np
from tqdm.auto import tqdm

from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc._utils.queries import check_queries, query_keys
from sklearn_adaalloc.collect._claims import Collection
from sklearn_adaalloc.collect._grader import Grader
from sklearn_adaalloc.collect._settings import (
    keeping,
    reward_identity,
    sampler_identity,
    to_json,
)
from sklearn_adaalloc.collect._store import RewardStore
from sklearn_adaalloc.sampling._protocol import as_sampler, warn_cut_off

_POLL = 0.5  # seconds between checks for results of other processes


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
    """Sample answers, grade them, and store both on disk: a reward table for `fit`.

    You can call it again with the same store after any interruption, even ``kill -9``.
    Stored answers and grades are kept, and only unfinished work is repeated. With more
    queries or more samples, only the new ones are added. With another reward function,
    stored answers are graded again but not sampled again. Several processes on one
    machine may fill the same store and share the work. Answers are graded while the
    next ones are sampled.

    Parameters
    ----------
    queries : sequence of n_queries str or lists of dict
        Texts, or lists of messages. Equal queries are sampled only once.
    sampler : callable or object, or dict or list of them
        Either a function of prompts and budgets, or an object with such a method
        ``sample``, such as :class:`~sklearn_adaalloc.sampling.TransformersSampler`. It
        returns a list of str per prompt, with as many answers as the budget. None marks
        an answer that is not available. If the sampler has a parameter `first_sample`,
        it gets the index of each prompt's first sample. A function with a fixed seed
        needs this, or a later call returns the same answers. If it has a parameter
        `return_usage`, it is asked for token counts. If it has a method
        ``sample_each``, like :class:`~sklearn_adaalloc.sampling.OpenAISampler`, every
        answer is stored as it arrives. Otherwise answers are stored batch by batch. A
        dict of names and samplers, or a list of samplers, fills a table of several
        decoders.
    reward : callable
        Function of a list of queries and a list of lists of answers, called in a
        separate thread. It returns one array of rewards per query. NaN marks an answer
        that cannot be graded.
    n_samples : int, or dict or list of int
        Number of samples of each query. With several decoders, one number, or one for
        each of them.
    store : str or path
        SQLite file, created if it does not exist.
        :class:`~sklearn_adaalloc.collect.RewardStore` reads it.
    settings : dict, or dict or list of dict, default=None
        Everything that answers depend on, for several decoders by name or in their
        order. Another model or temperature gives another table in the same store. None
        uses the sampler's own ``settings``. If it has none, a function is identified by
        its source text, its defaults, its closure, and what it reads from its own
        module. Functions of other modules are identified by name.
    reward_settings : dict, default=None
        Everything that rewards depend on besides query and answer. None uses the reward
        function's own ``settings``, or identifies the function as above. If you edit
        it, answers are graded again.
    batch_size : int, default=512
        Number of samples that are claimed and requested at once.
    progress : bool, default=True
        Whether to show a progress bar of graded samples.

    Returns
    -------
    rewards : ndarray of shape (n_queries, n_samples) or \
            (n_queries, n_decoders, n_samples)
        NaN if a sample failed for good or could not be graded, after a warning. The
        next call tries such samples again. A dict or list of samplers gives an axis of
        decoders, and NaN pads those with fewer samples.

    Raises
    ------
    ValueError
        If a parameter is not accepted, if `store` is damaged or not a store, if the
        sampler returns too few answers, if a function cannot be identified, or if two
        decoders have equal settings. Also if
        the reward function raises or returns the wrong number of rewards; the message
        names the query. Everything else that was sampled and graded stays in the store,
        even if the sampler itself raises or the reward function exits.

    Warns
    -----
    UserWarning
        If samples failed or could not be graded, or if at least one answer in a hundred
        was cut off at the token limit. Also if stored answers or rewards were written
        by an earlier version with less complete settings. These are not used.

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
    batch_size = check_whole(batch_size, "batch_size", least=1)
    several = isinstance(sampler, Mapping | list | tuple)
    decoders = _decoders(sampler, n_samples, settings, several=several)
    samplers, counts, given = zip(*decoders, strict=True)
    settings = [sampler_identity(*pair) for pair in zip(samplers, given, strict=True)]
    _check_different(settings, list(sampler) if isinstance(sampler, Mapping) else None)
    reward_is_identified = reward_settings is None
    reward_settings = reward_identity(reward, reward_settings)
    keys = query_keys(queries)
    distinct = dict(zip(keys, queries, strict=True))
    asked = list(distinct.values())
    with RewardStore(store, create=True) as file, keeping(*samplers, reward):
        for own, each in zip(given, settings, strict=True):
            if own is None:
                _warn_less_telling(file, "sampler", each)
        if reward_is_identified:
            _warn_less_telling(file, "reward", reward_settings)
        with ExitStack() as stack:
            works = [
                stack.enter_context(
                    Collection(file, each, reward_settings, list(distinct), count)
                )
                for each, count in zip(settings, counts, strict=True)
            ]
            bar = stack.enter_context(
                tqdm(
                    initial=sum(int(np.isfinite(w.rewards()).sum()) for w in works),
                    total=len(distinct) * sum(counts),
                    unit="sample",
                    disable=not progress,
                )
            )
            lost = [
                _fill(work, asked, each, reward, batch_size, bar)
                for work, each in zip(works, samplers, strict=True)
            ]
            tables = [work.rewards() for work in works]
            cut_off = [work.cut_off() for work in works]
    for failures, ungradable in lost:
        warn_lost(asked, failures, ungradable)
    for flags in cut_off:
        warn_cut_off(
            int((flags == 1).sum()), int(np.isfinite(flags).sum()), stacklevel=2
        )
    rows = {key: row for row, key in enumerate(distinct)}
    rows = [rows[key] for key in keys]
    return _stack(tables)[rows] if several else tables[0][rows]


def _decoders(sampler, n_samples, settings, *, several):
    """Sampler, number of samples and given settings of each decoder."""
    if not several:
        return [(sampler, check_whole(n_samples, "n_samples", least=1), settings)]
    names = list(sampler) if isinstance(sampler, Mapping) else list(range(len(sampler)))
    if not names:
        raise ValueError(
            f"sampler={sampler!r} has no decoder. Expected a sampler, or a dict or a "
            "list of at least one."
        )
    per_decoder = isinstance(n_samples, Mapping | list | tuple)
    n_samples = n_samples if per_decoder else [n_samples] * len(names)
    settings = [None] * len(names) if settings is None else settings
    return [
        (sampler[name], check_whole(n, "n_samples", least=1), own)
        for name, n, own in zip(
            names,
            _of_each(n_samples, names, "n_samples"),
            _of_each(settings, names, "settings"),
            strict=True,
        )
    ]


def _of_each(values, names, parameter):
    """One value for each decoder, in their order."""
    if isinstance(values, Mapping) and set(values) == set(names):
        return [values[name] for name in names]
    if not isinstance(values, list | tuple) or len(values) != len(names):
        raise ValueError(
            f"{parameter}={short_repr(values)} does not fit the decoders {names}. "
            "Expected a dict or a list with one value for each of them."
        )
    return list(values)


def _check_different(settings, names):
    """Raise if two decoders could not be told apart in the store."""
    names = names or list(range(len(settings)))
    for i, j in combinations(range(len(settings)), 2):
        if to_json(settings[i]) == to_json(settings[j]):
            raise ValueError(
                f"samplers {names[i]!r} and {names[j]!r} have equal settings, "
                f"{short_repr(settings[i])}. Expected different decoders: give "
                "settings=, with what they differ in."
            )


def _stack(tables):
    """One table (n_queries, n_decoders, n_samples); NaN pads shorter ones."""
    shape = len(tables[0]), len(tables), max(table.shape[1] for table in tables)
    stacked = np.full(shape, np.nan)
    for decoder, table in enumerate(tables):
        stacked[:, decoder, : table.shape[1]] = table
    return stacked


def _fill(work, queries, sampler, reward, batch_size, bar):
    """Fill the table; returns the samples that were lost.

    These are samples that failed for good, as a dict (row, sample) -> exception, and a
    list of (row, sample) whose answers could not be graded.
    """
    failures, ungradable = {}, set()
    n_all = len(queries) * work.n_samples
    others = bar.n - int(np.isfinite(work.rewards()).sum())  # of other decoders

    def store_rewards(rewards):
        work.put_rewards(rewards)
        ungradable.update(each[:2] for each in rewards if np.isnan(each[2]))
        bar.update(len(rewards))

    with Grader(queries, reward, store_rewards, batch_size) as grader:
        while True:
            missing = [pair for pair in work.missing() if pair not in failures]
            ungraded = [pair for pair in work.ungraded() if pair not in ungradable]
            n_left = len(missing) + len(ungraded) + len(failures)
            bar.n = others + n_all - n_left
            bar.refresh()  # includes results of other processes
            if not missing and not ungraded:
                return failures, sorted(ungradable)
            waiting = True
            for to_ask, to_grade in zip_longest(
                batches_of(missing, batch_size),
                batches_of(ungraded, batch_size),
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
    """Sample claimed pairs, store the answers and pass them to the grader."""
    if not pairs:
        return {}
    runs = list(runs_of(pairs))
    prompts = [queries[row] for row, _, _ in runs]
    first_sample, budgets = ([run[i] for run in runs] for i in (1, 2))
    failures = {}
    try:
        for arrivals in as_sampler(sampler).arrivals(prompts, budgets, first_sample):
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


def runs_of(pairs):
    """Group consecutive samples of a row as (row, first sample, number of samples)."""
    numbered = enumerate(pairs)
    for _, run in groupby(numbered, lambda item: (item[1][0], item[1][1] - item[0])):
        run = [pair for _, pair in run]
        yield *run[0], len(run)


def batches_of(pairs, size):
    pairs = iter(pairs)
    while batch := list(islice(pairs, size)):
        yield batch


def warn_lost(queries, failures, ungradable):
    """Warn about samples that are NaN, with the reason."""
    if failures:
        (row, sample), error = next(iter(failures.items()))
        warnings.warn(
            f"{len(failures)} samples failed for good and are NaN, the first of them "
            f"sample {sample} of query {queries[row]!r}: {error} The next call asks "
            "for them again.",
            UserWarning,
            stacklevel=3,
        )
    if ungradable:
        row, sample = ungradable[0]
        warnings.warn(
            f"{len(ungradable)} answers could not be graded (the reward function "
            f"returned NaN) and are NaN, the first of them sample {sample} of query "
            f"{queries[row]!r}. The next call grades them again.",
            UserWarning,
            stacklevel=3,
        )


def _warn_less_telling(store, role, settings):
    """Warn once about results of an earlier version with less complete settings."""
    if store.less_telling_settings(role, settings):
        name = settings.get(role, settings.get("function"))
        kept, anew = {
            "sampler": ("answers", "They are not used, and are sampled again"),
            "reward": ("grades", "Stored answers are graded again"),
        }[role]
        warnings.warn(
            f"stored {kept} of {name} were written by an earlier version, whose "
            f"settings contain less of what {kept} depend on. {anew}. The old ones "
            "stay in the store.",
            UserWarning,
            stacklevel=3,
        )
