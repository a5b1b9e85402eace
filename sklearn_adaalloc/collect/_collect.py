"""Fill a reward table: sample, grade, store. Can be resumed at any time."""

import time
import warnings
from contextlib import contextmanager
from itertools import groupby, islice, zip_longest

import numpy as np
from tqdm.auto import tqdm

from sklearn_adaalloc._utils.identity import function_identity
from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc._utils.queries import check_queries, query_keys
from sklearn_adaalloc.collect._claims import Collection
from sklearn_adaalloc.collect._grader import Grader
from sklearn_adaalloc.collect._store import RewardStore, to_json
from sklearn_adaalloc.sampling._protocol import as_sampler, warn_cut_off

_POLL = 0.5  # seconds between checks for results of other processes
# Identity of a function after a call -> before it. A function may change with calls,
# for example if it counts them.
_BEFORE = {}


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
    sampler : callable or object
        Either a function of prompts and budgets, or an object with such a method
        ``sample``, such as :class:`~sklearn_adaalloc.sampling.TransformersSampler`. It
        returns a list of str per prompt, with as many answers as the budget. None marks
        an answer that is not available. If the sampler has a parameter `first_sample`,
        it gets the index of each prompt's first sample. A function with a fixed seed
        needs this, or a later call returns the same answers. If it has a parameter
        `return_usage`, it is asked for token counts. If it has a method
        ``sample_each``, like :class:`~sklearn_adaalloc.sampling.OpenAISampler`, every
        answer is stored as it arrives. Otherwise answers are stored batch by batch.
    reward : callable
        Function of a list of queries and a list of lists of answers, called in a
        separate thread. It returns one array of rewards per query. NaN marks an answer
        that cannot be graded.
    n_samples : int
        Number of samples of each query.
    store : str or path
        SQLite file, created if it does not exist.
        :class:`~sklearn_adaalloc.collect.RewardStore` reads it.
    settings : dict, default=None
        Everything that answers depend on. Another model or temperature gives another
        table in the same store. None uses the sampler's own ``settings``. If it has
        none, a function is identified by its source text, its defaults, its closure,
        and what it reads from its own module. Functions of other modules are identified
        by name.
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
    rewards : ndarray of shape (n_queries, n_samples)
        NaN if a sample failed for good or could not be graded, after a warning. The
        next call tries such samples again.

    Raises
    ------
    ValueError
        If a parameter is not accepted, if `store` is damaged or not a store, if the
        sampler returns too few answers, or if a function cannot be identified. Also if
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
    n_samples = check_whole(n_samples, "n_samples", least=1)
    batch_size = check_whole(batch_size, "batch_size", least=1)
    given = settings, reward_settings
    settings = _sampler_settings(sampler, settings)
    reward_settings = _reward_settings(reward, reward_settings)
    keys = query_keys(queries)
    distinct = dict(zip(keys, queries, strict=True))
    asked = list(distinct.values())
    with RewardStore(store, create=True) as file, _keeping(sampler, reward):
        for role, own, each in zip(
            ("sampler", "reward"), given, (settings, reward_settings), strict=True
        ):
            if own is None:
                _warn_less_telling(file, role, each)
        with (
            Collection(
                file, settings, reward_settings, list(distinct), n_samples
            ) as work,
            tqdm(
                initial=int(np.isfinite(work.rewards()).sum()),
                total=len(distinct) * n_samples,
                unit="sample",
                disable=not progress,
            ) as bar,
        ):
            lost = _fill(work, asked, sampler, reward, batch_size, bar)
            rewards, cut_off = work.rewards(), work.cut_off()
    _warn_lost(asked, *lost)
    warn_cut_off(
        int((cut_off == 1).sum()), int(np.isfinite(cut_off).sum()), stacklevel=2
    )
    rows = {key: row for row, key in enumerate(distinct)}
    return rewards[[rows[key] for key in keys]]


def _fill(work, queries, sampler, reward, batch_size, bar):
    """Fill the table; returns the samples that were lost.

    These are samples that failed for good, as a dict (row, sample) -> exception, and a
    list of (row, sample) whose answers could not be graded.
    """
    failures, ungradable = {}, set()

    def store_rewards(rewards):
        work.put_rewards(rewards)
        ungradable.update(each[:2] for each in rewards if np.isnan(each[2]))
        bar.update(len(rewards))

    with Grader(queries, reward, store_rewards, batch_size) as grader:
        while True:
            missing = [pair for pair in work.missing() if pair not in failures]
            ungraded = [pair for pair in work.ungraded() if pair not in ungradable]
            bar.n = bar.total - len(missing) - len(ungraded) - len(failures)
            bar.refresh()  # includes results of other processes
            if not missing and not ungraded:
                return failures, sorted(ungradable)
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
    """Sample claimed pairs, store the answers and pass them to the grader."""
    if not pairs:
        return {}
    runs = list(_runs(pairs))
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


def _runs(pairs):
    """Group consecutive samples of a row as (row, first sample, number of samples)."""
    numbered = enumerate(pairs)
    for _, run in groupby(numbered, lambda item: (item[1][0], item[1][1] - item[0])):
        run = [pair for _, pair in run]
        yield *run[0], len(run)


def _batches(pairs, size):
    pairs = iter(pairs)
    while batch := list(islice(pairs, size)):
        yield batch


def _warn_lost(queries, failures, ungradable):
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


@contextmanager
def _keeping(*functions):
    """Recognise functions whose own data changes with calls, such as a counter."""
    before = [_identity_or_none(function) for function in functions]
    try:
        yield
    finally:
        for function, identity in zip(functions, before, strict=True):
            after = _identity_or_none(function)
            if None not in (identity, after) and after != identity:
                _BEFORE[to_json(after)] = identity


def _identity_or_none(function):
    try:
        return _identity(function)
    except ValueError:
        return None


def _identity(function):
    """Identity of a function, as of its first call if it has changed since."""
    identity = function_identity(function)
    return _BEFORE.get(to_json(identity), identity)


def _sampler_settings(sampler, settings):
    if settings is None:
        as_sampler(sampler)  # raises if it is not a sampler
        settings = getattr(sampler, "settings", None)
    if settings is not None:
        return settings
    try:
        return _identity(sampler)
    except ValueError as error:
        raise ValueError(
            f"sampler {type(sampler).__name__} has no settings, and it cannot be "
            f"identified by its source text ({error}). Answers are stored together "
            "with everything they depend on: give settings=, a dict of it (model, "
            "temperature, seed, ...)."
        ) from None


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
        return _identity(reward)
    except ValueError as error:
        raise ValueError(
            f"reward {reward!r} has no settings, and it cannot be identified by its "
            f"source text ({error}). Rewards are stored together with everything they "
            "depend on: give reward_settings=, a dict of it."
        ) from None
