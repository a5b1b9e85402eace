"""Grading beside sampling: a thread, and what reward functions must return."""

import queue
import threading

import numpy as np

_END = object()


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
        except _RewardError:
            for row in rows:
                try:
                    self._grade_rows([row], batch)
                except _RewardError as error:
                    self._error = self._error or self._explain(row, error)

    def _grade_rows(self, rows, batch):
        samples, answers = (
            [[item[i] for item in batch if item[0] == row] for row in rows]
            for i in (1, 2)
        )
        if not rows:
            return
        try:
            rewards = self._reward([self._queries[row] for row in rows], answers)
        except Exception as error:
            raise _RewardError(f"raised {error!r}") from error
        counts = [len(row) for row in answers]
        self._store(
            [
                (row, sample, reward)
                for row, indices, values in zip(
                    rows, samples, _checked(rewards, counts), strict=True
                )
                for sample, reward in zip(indices, values, strict=True)
            ]
        )

    def _explain(self, row, error):
        explained = ValueError(
            f"reward {error} on query {self._queries[row]!r}. Expected one finite "
            "reward per answer. All that could be graded stays in the store: mend the "
            "reward function and call again."
        )
        explained.__cause__ = error.__cause__
        return explained


class _RewardError(Exception):
    """What a reward function did wrong."""


def _checked(rewards, counts):
    """Rewards as one array per query, or what is wrong with them."""
    try:
        rows = [np.asarray(row, dtype=np.float64) for row in rewards]
    except (TypeError, ValueError) as error:
        raise _RewardError(f"returned {type(rewards).__name__}: {error}") from error
    shapes, expected = [row.shape for row in rows], [(count,) for count in counts]
    if shapes != expected:
        raise _RewardError(f"returned shapes {shapes} for {expected} answers")
    if not all(np.isfinite(row).all() for row in rows):
        raise _RewardError("returned a reward that is not finite")
    return rows
