"""Results of one decoder call so far: answers, tokens and errors."""

import warnings
from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc.sampling._protocol import TokenUsage, warn_cut_off


class Gathered:
    """Answers of one sampler to a batch of queries, collected as they arrive.

    Parameters
    ----------
    queries : list of n_queries str or lists of dict
        Checked queries.

    Attributes
    ----------
    rows : list of n_queries lists of SampledAnswer
        Samples with an answer, in the order of their rounds.
    errors : dict
        Row -> first error that left the row without an answer.
    is_gone : bool
        Whether the sampler stopped answering, for all queries.
    """

    def __init__(self, queries):
        self._queries = queries
        self._idle = []  # prompts that were run without a request for an answer
        self._n_failed = 0
        self.rows = [[] for _ in queries]
        self.errors = {}
        self.is_gone = False

    def ask(self, sampler, budgets, first_sample, *, may_go=False):
        """Sample one round. If the sampler raises, earlier answers are kept.

        Parameters
        ----------
        sampler : CheckedSampler
            The sampler.
        budgets, first_sample : ndarrays of shape (n_queries,), int
            Number of samples of each query, and the index of the first.
        may_go : bool, default=False
            Whether an OSError, such as a ConnectionError, is kept as the error of all
            queries that miss an answer.

        Returns
        -------
        texts : list of n_queries lists of str
            New answers, in the order of their indices.
        """
        had = [len(row) for row in self.rows]
        budgets, first_sample = budgets.tolist(), first_sample.tolist()
        try:
            for arrivals in sampler.arrivals(self._queries, budgets, first_sample):
                for each in arrivals:
                    self._take(each)
        except OSError as error:
            if not may_go:
                raise
            self._lose(error, np.array(budgets) + had - self.n_answers)
        new = []
        for row, start in zip(self.rows, had, strict=True):
            row[start:] = sorted(row[start:], key=lambda each: each.sample)
            new.append([each.answer for each in row[start:]])
        return new

    def _take(self, arrival):
        if arrival.answer is not None:
            self.rows[arrival.row].append(arrival)
        elif arrival.error is not None:
            self._n_failed += 1
            self.errors.setdefault(arrival.row, arrival.error)
        else:
            self._idle.append(arrival)

    def _lose(self, error, n_missing):
        self.is_gone = True
        self._n_failed += int(n_missing.sum())
        for row in np.flatnonzero(n_missing):
            self.errors.setdefault(int(row), error)

    @property
    def refused(self):
        """Queries that are not asked again (n_queries,), bool.

        All if the sampler is gone, and otherwise those with an error and no answer.
        """
        refused = np.full(len(self.rows), self.is_gone)
        refused[[row for row in self.errors if not self.rows[row]]] = True
        return refused

    @property
    def n_answers(self):
        """Answers to each query, ndarray of shape (n_queries,)."""
        return np.array([len(row) for row in self.rows], dtype=np.int64)

    @property
    def usage(self):
        """Tokens so far, a TokenUsage."""
        prompt, cached = np.zeros(len(self.rows)), np.zeros(len(self.rows))
        everything = [each for row in self.rows for each in row] + self._idle
        for each in everything:
            prompt[each.row] += each.prompt_tokens
            cached[each.row] += each.cached_tokens
        cut_off = [[each.cut_off for each in row] for row in self.rows]
        known = any(flag is not None for row in cut_off for flag in row)
        return TokenUsage(
            prompt,
            [np.array([each.answer_tokens for each in row]) for row in self.rows],
            None if np.isnan(cached).all() else cached,
            [np.array(row, dtype=bool) for row in cut_off] if known else None,
        )

    def warn(self, *, stacklevel):
        """Warn about samples that failed and answers that were cut off."""
        if self._n_failed:
            row, error = next(iter(self.errors.items()))
            warnings.warn(
                f"{self._n_failed} samples of {len(self.errors)} queries failed for "
                f"good. The first is of query {short_repr(self._queries[row])}: "
                f"{error} A query without any answer gets the default answer.",
                UserWarning,
                stacklevel=stacklevel + 1,
            )
        flags = [each.cut_off for row in self.rows for each in row]
        known = [flag for flag in flags if flag is not None]
        warn_cut_off(sum(known), len(known), stacklevel=stacklevel + 1)


def raise_if_all_failed(*gathered):
    """Raise the first error if all samples failed. Then nothing was paid for."""
    errors = [error for each in gathered for error in each.errors.values()]
    if errors and not any(each.n_answers.any() for each in gathered):
        raise errors[0]
