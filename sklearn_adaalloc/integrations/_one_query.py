"""A policy that decides one query at a time, in a program that samples by itself."""

from threading import Lock

import numpy as np

from sklearn_adaalloc._utils.budgets import check_budgets
from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc.curves import MostVotes
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.decoding._opened import ending
from sklearn_adaalloc.decoding._policies import check_allocator
from sklearn_adaalloc.decoding._rounds import OneRound, WithDecoderAxis, start
from sklearn_adaalloc.serving._policies import open_policy


class OneQueryPolicy:
    """A policy that decides one query at a time, safe for threads.

    Copies share its stream, and so one budget. What is unpickled opens a new one.

    Parameters
    ----------
    policy : estimator
        A fitted allocator of samples that takes texts, or a pipeline or search that
        ends in one.

    Raises
    ------
    ValueError
        If the policy does not take texts, decides for a batch, counts costs, or has
        several decoders.
    """

    def __init__(self, policy):
        self.policy = policy
        self._opened, self.allocator, self.stream = open_policy(policy)
        instead = "Expected a policy that was fitted on samples of one decoder."
        check_allocator(self.allocator, "samples", instead)
        if getattr(self.allocator, "unit", "samples") == "cost":
            raise ValueError(
                "policy has unit='cost', but what samples cost is not known here. "
                "Expected a policy with unit='samples'."
            )
        self._lock = Lock()  # policies may run a model: one query at a time
        self._n_queries = self._n_samples = 0

    def __getstate__(self):
        return {"policy": self.policy}

    def __setstate__(self, state):
        self.__init__(**state)

    def __deepcopy__(self, memo):
        return self

    @property
    def rule(self):
        """How the answer is chosen among the samples."""
        return resolve_selection(getattr(self.allocator, "selection", "reward"))

    @property
    def is_vote(self):
        """Whether samples are told as labels that are voted on."""
        return isinstance(self.rule, MostVotes)

    @property
    def is_binary(self):
        """Whether rewards are told as 0 and 1."""
        return bool(getattr(self.allocator, "binary_", False))

    @property
    def mean_samples(self):
        """Mean number of samples of the queries so far; NaN before the first."""
        return self._n_samples / self._n_queries if self._n_queries else np.nan

    def start(self, query, max_samples=None):
        """Open the rounds of a query.

        Parameters
        ----------
        query : str or list of dict
            A text or a chat.
        max_samples : int, default=None
            Largest number of samples, whatever the policy gives.

        Returns
        -------
        rounds : Rounds
            A context manager, which counts the query as it ends.
        """
        with self._lock:
            return Rounds(self._open(query, max_samples), self.is_vote, self._count)

    def _count(self, n_samples):
        with self._lock:
            self._n_queries += 1
            self._n_samples += n_samples

    def _open(self, query, max_samples):
        before, decider = unwrap(self._opened)
        X = [query]
        for steps in before:
            X = steps.transform(X)
        if hasattr(decider, "start"):
            return WithDecoderAxis(start(decider, X, max_samples))
        budgets = check_budgets(decider.predict(X), n_queries=1)
        return OneRound(budgets[:, None], max_samples)


class Rounds:
    """Rounds of samples of one query, at least one sample.

    A program needs an answer. If the policy gives a query nothing, one sample is taken
    all the same, and it counts as spent.

    Parameters
    ----------
    session : object
        Has an axis of decoders.
    is_vote : bool
        Whether it is told labels.
    count : callable
        Gets the number of samples at the end.

    Attributes
    ----------
    n_samples : int
        Number of samples so far.
    """

    def __init__(self, session, is_vote, count):
        self._session = session
        self._is_vote = is_vote
        self._count = count
        self._asked = None
        self.n_samples = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with ending(self._session):
            self._count(self.n_samples)

    def ask(self):
        """Return the number of samples wanted now, 0 at the end."""
        self._asked = self._session.ask()
        n_wanted = 0 if self._asked is None else int(self._asked.sum())
        if not n_wanted and not self.n_samples:
            self._asked, n_wanted = None, 1
        return n_wanted

    def tell(self, results):
        """Give what came of the samples.

        Parameters
        ----------
        results : list of float, or of labels
            At most as many as wanted: those that are missing were not taken. None
            stands for a sample that failed. It counts as spent, with the lowest reward
            of its round, or 0 if there is none.
        """
        self.n_samples += len(results)
        if self._asked is None:
            self._session.charge(float(len(results)))
            return
        n_asked = int(self._asked.sum())
        self._session.tell(self._as_told(results, n_asked))
        self._session.refund(float(n_asked - len(results)))

    def _as_told(self, results, n_asked):
        """One result for each sample wanted, with axes of queries and decoders."""
        known = [each for each in results if each is not None]
        missing = None if self._is_vote else min(known, default=0.0)
        filled = [missing if each is None else each for each in results]
        filled += [missing] * (n_asked - len(filled))
        if not self._is_vote:
            return np.array([[filled]], dtype=np.float64)
        told = np.empty((1, 1), dtype=object)
        told[0, 0] = filled
        return told
