"""What a session knows about real-valued rewards if several decoders can answer."""

from functools import partial

import numpy as np

from sklearn_adaalloc.planning._normal_menus import (
    first_samples,
    normal_paths,
    plan_paths,
)
from sklearn_adaalloc.planning._paths import best_stops
from sklearn_adaalloc.planning._rewards import add_samples, no_samples

_LEAST_PRICE = 1e-12  # a price of 0 would make all samples free


class NormalMenuBelief:
    """Belief about real-valued rewards of several decoders: normal, correlated means.

    A cell is a decoder of a query. Cells are numbered query by query, and plans, costs
    and rewards are given for each cell.

    Parameters
    ----------
    means : ndarray of shape (n_queries, n_decoders)
        Predicted mean rewards.
    normals : RewardNormals
        What is known besides.
    limits : ndarray of shape (n_queries, n_decoders), int
        Largest number of samples of each decoder. It is 0 where a decoder is missing.
    mandatory : ndarray of shape (n_decoders,), int, default=0
        Number of samples of each decoder that every query gets in the first round.

    Attributes
    ----------
    budgets : ndarray of shape (n_cells,), int64
        Number of samples so far.
    best : ndarray of shape (n_queries,)
        Best reward so far, or -inf without a sample.
    """

    binary = False

    def __init__(self, means, normals, limits, *, mandatory=0):
        self._means = means
        self._normals = normals
        self._limits = limits
        self._mandatory = np.minimum(mandatory, limits)
        self._samples = no_samples(limits.size)

    @property
    def budgets(self):
        """Number of samples so far (n_cells,)."""
        return self._samples.count

    @property
    def best(self):
        """Best reward so far (n_queries,), -inf without a sample."""
        return self._samples.best.reshape(self._limits.shape).max(axis=1)

    def plan(self, money, n_rounds, min_budget=0, costs=None):
        """Plan the samples to take now.

        Each query has a plan for one round, with all the money. Of its samples, 1 /
        `n_rounds` (rounded up) are taken now, and those with the highest gain per cost
        first. New rewards can then change the rest of the plan.

        Parameters
        ----------
        money : float
            Cost that all rounds may have.
        n_rounds : int or None
            Number of rounds left. None means one sample of a query at a time.
        min_budget : int, default=0
            Not used: see `mandatory`.
        costs : ndarray of shape (n_cells,), default=None
            Expected cost of a sample now. None means 1.

        Returns
        -------
        counts : ndarray of shape (n_cells,), int64
            Their expected cost is at most `money`, but for mandatory samples.
        """
        costs = np.ones(self._limits.size) if costs is None else costs
        money = money - (self._first() * costs.reshape(self._limits.shape)).sum()
        return self._plan(costs, n_rounds, partial(plan_paths, money=money), most=money)

    def plan_at(self, prices, n_rounds, min_budget=0):
        """Plan the samples to take now if each query is decided alone.

        Parameters
        ----------
        prices : ndarray of shape (n_cells,)
            What a sample of each cell must be expected to improve.
        n_rounds, min_budget
            As of :meth:`plan`.

        Returns
        -------
        counts : ndarray of shape (n_cells,), int64
        """
        prices = np.maximum(prices, _LEAST_PRICE)

        def stops_of(paths):
            return best_stops(paths.failing, paths.spent, 1.0)

        return self._plan(prices, n_rounds, stops_of)

    def _first(self):
        """Mandatory samples (n_queries, n_decoders) that are to be taken now."""
        return np.where(self.budgets.any(), 0, self._mandatory)

    def _plan(self, costs, n_rounds, stops_of, *, most=np.inf):
        """Samples (n_cells,) to take now, by a function from paths to stops.

        Samples that cost more than `most` are not taken.
        """
        shape = self._limits.shape
        counts, costs = self._first(), costs.reshape(shape)
        if n_rounds is None and counts.any():
            return counts.ravel()
        left = self._limits - self.budgets.reshape(shape) - counts
        left = np.where(costs <= most, left, 0)
        rows = np.flatnonzero(left.any(axis=1))
        if rows.size:
            counts[rows] += self._next(rows, left, counts, costs, n_rounds, stops_of)
        return counts.ravel()

    def _next(self, rows, left, mandatory, costs, n_rounds, stops_of):
        """Samples of some queries to take now, besides mandatory ones."""
        shape = self._limits.shape
        known = self._samples.count.reshape(shape), self._samples.mean.reshape(shape)
        best = self.best
        highest = max(self._normals.highest, best.max())
        paths = normal_paths(
            self._means[rows],
            self._normals._replace(highest=highest),
            costs[rows],
            left[rows],
            samples=(*(each[rows] for each in known), best[rows]),
            mandatory=mandatory[rows],
        )
        path, stop = stops_of(paths)
        if n_rounds is None:
            now = np.minimum(stop, 1)
        else:
            first = mandatory[rows].sum(axis=1)
            now = np.maximum(-(-(stop + first) // n_rounds) - first, 0)
        return first_samples(paths, path, stop, now, shape[1])

    def update(self, rewards):
        """Add rewards (n_cells, n_new); NaN where there is no sample."""
        self._samples = add_samples(self._samples, rewards)

    def restart(self):
        """Forget all samples."""
        self._samples = no_samples(self._limits.size)

    def withdraw(self, gone):
        """Plan no more samples of the cells that are marked (n_cells,), bool."""
        shape = self._limits.shape
        taken = self.budgets.reshape(shape)
        self._limits = np.where(gone.reshape(shape), taken, self._limits)
