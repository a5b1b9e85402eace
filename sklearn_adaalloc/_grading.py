"""Grading beside sampling: a thread, and what reward functions must return."""

import queue
import threading
from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._numbers import real_array

_END = object()


class RewardError(ValueError):
    """What a reward function did wrong."""


def check_graded(rewards, queries, answers):
    """Check what a reward function returned.

    Parameters
    ----------
    rewards : sequence of n_queries sequences of float
        Rewards of the answers to each query.
    queries : list of n_queries str or lists of dict
        Queries that were graded.
    answers : list of n_queries lists of str
        Their answers.

    Returns
    -------
    rewards : list of n_queries ndarrays of shape (n_answers,), float64

    Raises
    ------
    RewardError
        If there is not one finite number per answer. The message names the query.

    Examples
    --------
    >>> from sklearn_adaalloc._grading import check_graded
    >>> check_graded([[1, 0]], ["27+48="], [["75", "65"]])
    [array([1., 0.])]
    """
    try:
        n_rows = len(rewards)
    except TypeError:  # a number, or an array of none
        n_rows = None
    if n_rows != len(queries):
        raise RewardError(
            f"reward returned {short_repr(rewards)} for {len(queries)} queries, the "
            f"first of them {short_repr(queries[0])}. Expected a list with one array "
            "of rewards per query."
        )
    checked = []
    for query, row, given in zip(queries, answers, rewards, strict=True):
        try:
            values = real_array(given)
            valid = values.shape == (len(row),) and np.isfinite(values).all()
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise RewardError(
                f"reward returned {short_repr(given)} for the {len(row)} answers to "
                f"query {short_repr(query)}. Expected one finite number per answer."
            )
        checked.append(values)
    return checked


def check_sampled(sampler, returned, prompts, budgets):
    """Check what a sampler returned.

    Parameters
    ----------
    sampler : object
        The sampler, for the message.
    returned : tuple
        Answers, a list of str per prompt, and their usage in tokens.
    prompts : list of n_prompts str or lists of dict
        What was asked.
    budgets : sequence of n_prompts int
        How many answers to each.

    Returns
    -------
    answers : list of n_prompts lists of str
    usage : object
        As returned.

    Raises
    ------
    ValueError
        If there are not as many answers as asked for, or one is no str, or tokens are
        not counted for each. The message names the query.

    Examples
    --------
    >>> from sklearn_adaalloc._grading import check_sampled
    >>> from sklearn_adaalloc.sampling import TokenUsage
    >>> usage = TokenUsage([5], [[2, 2]])
    >>> check_sampled(None, ([["75", "65"]], usage), ["27+48="], [2])[0]
    [['75', '65']]
    """
    name = f"sampler {type(sampler).__name__} returned"
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise ValueError(
            f"{name} {short_repr(returned)}. Expected two things: lists of answers, "
            "and a TokenUsage. Nothing of it is kept."
        )
    answers, usage = returned
    if not isinstance(answers, list | tuple) or len(answers) != len(prompts):
        raise ValueError(
            f"{name} {short_repr(answers)} to {len(prompts)} queries. Expected one "
            "list of answers per query. Nothing of it is kept."
        )
    for prompt, budget, row in zip(prompts, budgets, answers, strict=True):
        valid = isinstance(row, list | tuple) and len(row) == budget
        if not valid or not all(isinstance(answer, str) for answer in row):
            raise ValueError(
                f"{name} {short_repr(row)} to query {short_repr(prompt)}. Expected "
                f"{budget} answers, each a str. Nothing of it is kept."
            )
    if not _counts_tokens(usage, budgets):
        raise ValueError(
            f"{name} usage={short_repr(usage)}. Expected a TokenUsage with the tokens "
            "of each prompt and of each answer. Nothing of it is kept."
        )
    return [list(row) for row in answers], usage


def _counts_tokens(usage, budgets):
    """Whether usage holds a whole number for each prompt and for each answer."""
    try:
        counts = [real_array(usage.prompt), *map(real_array, usage.answers)]
    except (AttributeError, TypeError, ValueError):
        return False
    shapes = [(len(budgets),), *((budget,) for budget in budgets)]
    return [count.shape for count in counts] == shapes and all(
        ((count >= 0) & (count < 2**63)).all() for count in counts
    )


class Grader:
    """Grade answers in a thread, as many at once as have come together.

    Parameters
    ----------
    queries : list of n_queries str or lists of dict
        What the rows stand for.
    reward : callable
        Reward function.
    store : callable
        Takes lists of (row, sample, reward).
    batch_size : int
        Most answers given to `reward` at once. Twice as many may wait.
    """

    def __init__(self, queries, reward, store, batch_size):
        self._queries = queries
        self._reward = reward
        self._store = store
        self._batch_size = batch_size
        self._waiting = queue.Queue(maxsize=2 * batch_size)
        self._error = None
        self._leaving = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback):
        # After an error of the sampler, what it gave before is graded; a user who
        # presses Ctrl-C waits for no more than the batch at hand.
        self._leaving = kind is not None and not issubclass(kind, Exception)
        self._waiting.put(_END)
        self._thread.join()

    def give(self, answers):
        """Put answers in line, (row, sample, answer); wait while the line is full."""
        for answer in answers:
            self._waiting.put(answer)

    def check(self):
        """Raise what went wrong so far."""
        if self._error is not None:
            raise self._error

    def wait(self):
        """Wait until all is graded, and raise what went wrong."""
        self._waiting.join()
        self.check()

    def _run(self):
        while True:
            batch = self._take()
            try:
                if not self._leaving:
                    self._grade([item for item in batch if item is not _END])
            except Exception as error:  # of the store: nothing can be kept
                self._error, self._leaving = error, True
            for _ in batch:
                self._waiting.task_done()
            if batch[-1] is _END:
                return

    def _take(self):
        """Wait for an answer, and take those along that have come meanwhile."""
        batch = [self._waiting.get()]
        while len(batch) < self._batch_size and batch[-1] is not _END:
            try:
                batch.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return batch

    def _grade(self, batch):
        """Grade a batch, and if that fails each query of it alone."""
        rows = sorted({row for row, _, _ in batch})
        try:
            self._grade_rows(rows, batch)
        except RewardError:
            for row in rows:
                try:
                    self._grade_rows([row], batch)
                except RewardError as error:
                    self._error = self._error or self._explain(error)

    def _grade_rows(self, rows, batch):
        if not rows:
            return
        samples, answers = (
            [[item[i] for item in batch if item[0] == row] for row in rows]
            for i in (1, 2)
        )
        queries = [self._queries[row] for row in rows]
        try:
            rewards = self._reward(queries, answers)
        except Exception as error:
            raise RewardError(
                f"reward raised {error!r} on query {short_repr(queries[0])}."
            ) from error
        self._store(
            [
                (row, sample, reward)
                for row, indices, values in zip(
                    rows, samples, check_graded(rewards, queries, answers), strict=True
                )
                for sample, reward in zip(indices, values, strict=True)
            ]
        )

    def _explain(self, error):
        explained = ValueError(
            f"{error} All that could be graded stays in the store: mend the reward "
            "function and call again."
        )
        explained.__cause__ = error.__cause__
        return explained
