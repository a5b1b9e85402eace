"""Grading in a thread while sampling goes on."""

import queue
import threading
from reprlib import repr as short_repr

from sklearn_adaalloc._utils.grading import RewardError, check_graded

_END = object()


class Grader:
    """Grade answers in a thread, all waiting ones together.

    Parameters
    ----------
    queries : list of n_queries str or lists of dict
        Query of each row.
    reward : callable
        Reward function.
    store : callable
        Takes lists of (row, sample, reward).
    batch_size : int
        Largest number of answers given to `reward` at once. Up to twice as many wait.
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
        # After an error of the sampler, earlier answers are still graded. After Ctrl-C,
        # the user waits only for the current batch.
        self._leaving = kind is not None and not issubclass(kind, Exception)
        self._waiting.put(_END)
        self._thread.join()

    def give(self, answers):
        """Add answers (row, sample, answer) to the queue; wait while it is full."""
        for answer in answers:
            self._waiting.put(answer)

    def check(self):
        """Raise the first error so far, if any."""
        if self._error is not None:
            raise self._error

    def wait(self):
        """Wait until everything is graded, then raise the first error, if any."""
        self._waiting.join()
        self.check()

    def _run(self):
        while True:
            batch = self._take()
            try:
                if not self._leaving:
                    self._grade([item for item in batch if item is not _END])
            except BaseException as error:
                # The store failed, or the reward function exited. The caller's thread
                # raises the error. Nothing more can be stored.
                self._error, self._leaving = error, True
            for _ in batch:
                self._waiting.task_done()
            if batch[-1] is _END:
                return

    def _take(self):
        """Wait for an answer, and also take those that arrived meanwhile."""
        batch = [self._waiting.get()]
        while len(batch) < self._batch_size and batch[-1] is not _END:
            try:
                batch.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return batch

    def _grade(self, batch):
        """Grade a batch. If this fails, grade each of its queries alone."""
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
            f"{error} All graded answers stay in the store: correct the reward "
            "function and call again."
        )
        explained.__cause__ = error.__cause__
        return explained
