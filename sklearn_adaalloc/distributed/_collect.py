"""Filling a reward table with the samplers and graders of a Ray cluster."""

import math
from functools import partial
from itertools import groupby
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc._utils.queries import check_queries, query_keys
from sklearn_adaalloc.collect._collect import batches_of, runs_of, warn_lost
from sklearn_adaalloc.collect._grader import Grader
from sklearn_adaalloc.collect._parts import PartFolder, stored_answers, table_of
from sklearn_adaalloc.collect._settings import (
    keeping,
    reward_identity,
    sampler_identity,
)
from sklearn_adaalloc.distributed._pool import DEPTH, Pool, is_loss
from sklearn_adaalloc.sampling._protocol import as_sampler

_MOST_LOSSES = 5  # of one batch: then it may be what kills its actors


def collect_parts(
    queries,
    sampler,
    reward,
    n_samples,
    *,
    folder,
    settings=None,
    reward_settings=None,
    batch_size=512,
    n_samplers=1,
    n_graders=1,
    num_gpus=0,
    progress=True,
):
    """Sample and grade answers on a Ray cluster, and store both; needs ``ray``.

    The parallel of :func:`~sklearn_adaalloc.collect_rewards` for many machines. Each
    sampler and each grader is an actor, which Ray places where there is room, such as
    one sampler on each GPU. The calling process hands out batches, and writes each one
    that is graded to the folder, as a Parquet file that appears as a whole. You can
    call it again with the same folder after the calling process, a node or the whole
    cluster is gone: stored answers are not asked for again. A batch whose node is lost
    during the call goes to another actor, and is stored once.

    Parameters
    ----------
    queries : sequence of n_queries str or lists of dict
        Texts, or lists of messages. Equal queries are sampled only once.
    sampler : callable or object
        As of :func:`~sklearn_adaalloc.collect_rewards`, but only one. It is pickled and
        sent to the actors.
    reward : callable
        As of :func:`~sklearn_adaalloc.collect_rewards`. It is pickled, too.
    n_samples : int
        Number of samples of each query.
    folder : str or path
        Folder of the parts, created if it does not exist. Only the calling process uses
        it, and only one at a time: a second one is refused, until the first has ended
        or was killed. :meth:`RewardStore.add_parts
        <sklearn_adaalloc.collect.RewardStore.add_parts>` reads it, at any time.
    settings : dict, default=None
        Everything that answers depend on. None uses the sampler's own, as
        :func:`~sklearn_adaalloc.collect_rewards` does.
    reward_settings : dict, default=None
        The same for rewards.
    batch_size : int, default=512
        Number of samples of a batch, and so of a part.
    n_samplers : int, default=1
        Number of actors that sample. Those that find no room wait for it.
    n_graders : int, default=1
        Number of actors that grade.
    num_gpus : float, default=0
        GPUs that each sampler needs.
    progress : bool, default=True
        Whether to show a progress bar of graded samples.

    Returns
    -------
    rewards : ndarray of shape (n_queries, n_samples)
        NaN if a sample failed for good or could not be graded, after a warning. The
        next call tries such samples again.

    Raises
    ------
    ImportError
        If Ray is not installed.
    ValueError
        If a parameter is not accepted, another process fills the folder, a part is
        damaged, every single sample failed, or the reward function raises or returns
        the wrong number of rewards; the message names the query. All else that was
        sampled and graded stays in the folder.

    Warns
    -----
    UserWarning
        If samples failed or could not be graded.

    See Also
    --------
    collect_rewards : The same on one machine, in an SQLite file.

    Examples
    --------
    >>> from sklearn_adaalloc.distributed import collect_parts

    On a cluster with 16 GPUs:

    .. code-block:: python

        from sklearn_adaalloc.collect import RewardStore
        from sklearn_adaalloc.rewards import MathVerifier
        from sklearn_adaalloc.sampling import TransformersSampler

        rewards = collect_parts(
            queries,
            TransformersSampler("Qwen/Qwen2.5-7B-Instruct"),
            MathVerifier(references),
            64,
            folder="/shared/collection",
            n_samplers=16,
            n_graders=32,
            num_gpus=1,
        )
        with RewardStore("rewards.sqlite", create=True) as store:
            store.add_parts("/shared/collection")
    """
    ray = import_optional("ray", extra="ray")
    queries = check_queries(queries)
    n_samples = check_whole(n_samples, "n_samples", least=1)
    batch_size = check_whole(batch_size, "batch_size", least=1)
    n_samplers = check_whole(n_samplers, "n_samplers", least=1)
    n_graders = check_whole(n_graders, "n_graders", least=1)
    parts = PartFolder(folder, create=True)
    identity = {
        "settings": sampler_identity(sampler, settings),
        "reward_settings": reward_identity(reward, reward_settings),
    }
    keys = query_keys(queries)
    distinct = dict(zip(keys, queries, strict=True))
    asked, contents = list(distinct.values()), list(distinct)
    failures, ungradable, problem = {}, [], None
    with parts.filling():
        rewards, homes, files = table_of(parts, contents, n_samples, **identity)
        batches = _batches(rewards, homes, files, batch_size)
        with (
            _Crew(ray, asked, contents) as crew,
            keeping(sampler, reward),
            tqdm(
                initial=int(np.isfinite(rewards).sum()),
                total=rewards.size,
                unit="sample",
                disable=not progress,
            ) as bar,
        ):
            crew.hire_samplers(sampler, n_samplers * bool((homes < 0).any()), num_gpus)
            crew.hire_graders(reward, n_graders * bool(batches), batch_size)
            for batch, (answers, graded, error) in crew.results(batches):
                problem = problem or error
                failures |= {
                    (each.row, each.sample): each.error
                    for each in answers
                    if each.error
                }
                _write(parts, batch, answers, graded, contents, identity)
                ungradable += [
                    pair for pair, value in graded.items() if np.isnan(value)
                ]
                for pair, value in graded.items():
                    rewards[pair] = value
                bar.update(len(graded))
    if problem is not None:
        raise ValueError(problem)
    if len(failures) == homes.size:  # not a single answer, now or before
        raise ValueError(next(iter(failures.values())))
    warn_lost(asked, failures, sorted(ungradable))
    rows = {key: row for row, key in enumerate(distinct)}
    return rewards[[rows[key] for key in keys]]


class _Batch(NamedTuple):
    """Samples to ask for, or answers in a part that are to be graded."""

    pairs: list  # (row, sample)
    path: object = None  # of the part
    n_losses: int = 0


def _batches(rewards, homes, files, batch_size):
    """Samples that have no answer, and answers that have no reward, part by part."""
    missing = list(map(tuple, np.argwhere(homes < 0).tolist()))
    batches = [_Batch(pairs) for pairs in batches_of(missing, batch_size)]
    ungraded = np.isnan(rewards) & (homes >= 0)
    pairs, parts = np.argwhere(ungraded), homes[ungraded]
    order = np.argsort(parts, kind="stable")
    for index, own in groupby(order, key=parts.__getitem__):
        batches.append(
            _Batch(list(map(tuple, pairs[list(own)].tolist())), files[index])
        )
    return batches


def _write(parts, batch, answers, graded, contents, identity):
    """Store what is new in a batch."""
    answers = [each for each in answers if each.answer is not None]
    if batch.path is not None:  # the answers are stored already
        answers = [
            each._replace(answer=None)
            for each in answers
            if np.isfinite(graded.get((each.row, each.sample), np.nan))
        ]
    if answers:
        parts.write(answers, graded, queries=contents, **identity)


class _Crew:
    """Actors, and the batches on their way through them.

    Parameters
    ----------
    ray : module
    queries : list of n_queries str or lists of dict
    contents : list of n_queries str
        The same as JSON.
    """

    def __init__(self, ray, queries, contents):
        self._ray = ray
        self._queries = queries
        self._contents = contents
        # A sampler and a grader have room on a machine with one CPU, too.
        n_cpus = ray.cluster_resources().get("CPU", 2)
        self._options = {
            "num_cpus": min(n_cpus / 2, 1),
            "scheduling_strategy": "SPREAD",
        }
        self._pools = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for pool in self._pools:
            pool.close()

    def hire_samplers(self, sampler, n_actors, num_gpus):
        """Start the actors that sample."""
        self._n_samplers = n_actors
        make = self._ray.remote(_Sampling).options(num_gpus=num_gpus, **self._options)
        sampler = [self._ray.put(sampler)]
        self._samplers = Pool(self._ray, partial(make.remote, sampler), n_actors)
        self._pools.append(self._samplers)

    def hire_graders(self, reward, n_actors, batch_size):
        """Start the actors that grade, after those that sample.

        A batch has its grader before it is sampled. Graders take so many batches that
        no sampler waits for one, and grade what is there first.
        """
        options = {"allow_out_of_order_execution": True, **self._options}
        make = self._ray.remote(_Grading).options(**options)
        reward = [self._ray.put(reward)]
        make = partial(make.remote, reward, batch_size)
        depth = DEPTH * max(math.ceil(self._n_samplers / max(n_actors, 1)), 1)
        self._graders = Pool(self._ray, make, n_actors, depth=depth)
        self._pools.append(self._graders)

    def results(self, batches):
        """Yield each batch when it is graded, and what came of it.

        After an error, batches that are under way are finished before it is raised.
        """
        waiting, running, failed = list(reversed(batches)), {}, None
        while running or waiting:
            while waiting and self._has_room(waiting[-1]):
                batch = waiting.pop()
                reference, actors = self._call(batch)
                running[reference] = batch, actors
            starting = {each: pool for pool in self._pools for each in pool.starting}
            (done, *_), _ = self._ray.wait([*running, *starting])
            try:
                if done in starting:
                    starting[done].started(done)
                    continue
                result = self._ray.get(done)
            except Exception as error:
                batch, actors = running.pop(done, (None, []))
                lost = batch is not None and is_loss(self._ray, error)
                if not lost or batch.n_losses == _MOST_LOSSES:
                    failed = failed or error
                    waiting.clear()
                elif failed is None:
                    waiting.append(batch._replace(n_losses=batch.n_losses + 1))
                for pool, actor in actors:
                    (pool.suspect if lost else pool.give_back)(actor)
                continue
            batch, actors = running.pop(done)
            for pool, actor in actors:
                pool.give_back(actor)
            yield batch, result
        if failed is not None:
            raise failed

    def _has_room(self, batch):
        asks = batch.path is None
        return self._graders.has_room and (not asks or self._samplers.has_room)

    def _call(self, batch):
        """Send a batch on its way. Returns what to wait for, and the actors it uses."""
        actors = []
        if batch.path is None:
            rows, first, budgets = zip(*runs_of(batch.pairs), strict=True)
            prompts = [self._queries[row] for row in rows]
            sampler = self._samplers.take()
            actors.append((self._samplers, sampler))
            answers = sampler.sample.remote(prompts, budgets, first, rows)
        else:
            answers = stored_answers(batch.path, batch.pairs, self._contents)
        queries = {row: self._queries[row] for row, _ in batch.pairs}
        grader = self._graders.take()
        actors.append((self._graders, grader))
        return grader.grade.remote(queries, answers), actors


class _Actor:
    """Holds what a reference in a list stands for."""

    def __init__(self, reference):
        (self._reference,) = reference

    def ready(self):
        """Fetch it, so that it is there at the first call."""
        ray = import_optional("ray", extra="ray")
        self._held = ray.get(self._reference)


class _Sampling(_Actor):
    """Asks a sampler."""

    def sample(self, prompts, budgets, first, rows):
        """Answers to prompts, as SampledAnswers of the rows of the table."""
        sampler = as_sampler(self._held)
        return [
            each._replace(
                row=rows[each.row],
                # Not every exception can be sent to another process.
                error=None if each.error is None else str(each.error),
            )
            for arrivals in sampler.arrivals(list(prompts), list(budgets), list(first))
            for each in arrivals
        ]


class _Grading(_Actor):
    """Calls a reward function."""

    def __init__(self, reference, batch_size):
        super().__init__(reference)
        self._batch_size = batch_size

    def grade(self, queries, answers):
        """Answers, their rewards, and the error of the reward function, if any."""
        graded, problem = [], None
        try:
            with Grader(queries, self._held, graded.extend, self._batch_size) as grader:
                grader.give(
                    (each.row, each.sample, each.answer)
                    for each in answers
                    if each.answer is not None
                )
                grader.wait()
        except ValueError as error:
            problem = str(error)
        rewards = {(row, sample): float(value) for row, sample, value in graded}
        return answers, rewards, problem
