"""What a session knows about its queries if several decoders can answer."""

import numpy as np

from sklearn_adaalloc.curves._profiles import cut_into_parts
from sklearn_adaalloc.planning._menus import (
    certain_steps,
    decoder_subsets,
    follow_paths,
    plan_menu,
)

_WORK = 2**24  # limit on kinds x paths x steps^2 of a plan
_FEWEST_KINDS = 512
_REPLAN = 1.5  # without rounds, plan again if the number of samples grew by this factor
_LOOKS = (1, 4, 16)  # numbers of failures after which queries of a kind are similar


class MenuBelief:
    """Belief about 0/1 rewards of several decoders: weights over rate profiles.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_profiles)
        Predicted weights of the profiles.
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates between 0 and 1, without the ends.
    costs : ndarray of shape (n_queries, n_decoders)
        Predicted cost of a sample.
    limits : ndarray of shape (n_queries, n_decoders), int
        Largest number of samples of each decoder. It is 0 where a decoder is missing.

    Attributes
    ----------
    budgets : ndarray of shape (n_queries, n_decoders), int64
        Number of samples so far.
    best : ndarray of shape (n_queries,)
        Best reward so far, or -inf without a sample.
    """

    binary = True

    def __init__(self, weights, profiles, costs, limits):
        self._profiles = profiles
        self._limits = limits
        n_steps = int(limits.sum(axis=1).max())
        n_paths = len(decoder_subsets(len(profiles.T)))
        n_kinds = max(_FEWEST_KINDS, _WORK // (n_paths * (n_steps + 1) ** 2))
        self._kind, self._weights, self._costs = group_menus(
            weights, profiles, costs, n_kinds
        )
        self._order = None
        self.budgets = np.zeros(limits.shape, dtype=np.int64)
        self.best = np.full(len(limits), -np.inf)

    def plan(self, money, n_rounds, min_budget=0):
        """Plan the samples to take now; a solved query gets none.

        Parameters
        ----------
        money : float
            Cost that all rounds may have.
        n_rounds : int or None
            Number of rounds left. None means one sample of a query at a time.
        min_budget : ndarray of shape (n_decoders,), int, default=0
            Smallest number of samples of each decoder now.

        Returns
        -------
        counts : ndarray of shape (n_queries, n_decoders), int64
        """
        left = np.where((self.best < 1)[:, None], self._limits - self.budgets, 0)
        counts = np.minimum(min_budget, left)
        if n_rounds is None:
            return counts if counts.any() else self._next_samples(left, money)
        rows = np.flatnonzero((left > counts).any(axis=1))
        if rows.size == 0:
            return counts
        # Mandatory samples are paid, and then the plan starts as if all had failed.
        money = money - (counts * self._costs[self._kind]).sum()
        first, state = self._states(rows, left)
        counts[rows] += plan_menu(
            self._posterior(first) * self._misses(counts[first]),
            self._profiles,
            self._costs[self._kind[first]],
            (left - counts)[first],
            money,
            n_rounds,
            kind=state,
        )
        return counts

    def update(self, rewards):
        """Add verdicts (n_queries, n_decoders, n_new); NaN where there is no sample."""
        given = np.isfinite(rewards)
        self.budgets = self.budgets + given.sum(axis=2)
        told = np.where(given, rewards, -np.inf)
        self.best = np.maximum(self.best, told.max(axis=(1, 2), initial=-np.inf))

    def _misses(self, failures):
        """Probability of failures (n, n_decoders) in each profile (n, n_profiles)."""
        return np.exp(failures @ np.log1p(-self._profiles).T)

    def _posterior(self, rows):
        """Weights of the profiles of unsolved queries: all their samples failed."""
        weights = self._weights[self._kind[rows]] * self._misses(self.budgets[rows])
        return weights / weights.sum(axis=1, keepdims=True)

    def _states(self, rows, left):
        """First row of each distinct state of some queries, and the state of each."""
        state = self._kind[rows]
        for column in (*self.budgets.T, *left.T):
            code = state * (int(column.max()) + 1) + column[rows]
            _, first, state = np.unique(code, return_index=True, return_inverse=True)
        return rows[first], state

    def _next_samples(self, left, money):
        """Samples that are taken next in any case, at most one of each query."""
        counts = np.zeros_like(left)
        left = np.where(self._costs[self._kind] <= money, left, 0)
        rows = np.flatnonzero(left.any(axis=1))
        is_due = self._order is None or self.budgets.sum() > _REPLAN * self._order[-1]
        for renew in (is_due, True):
            if rows.size == 0:
                break
            if renew:
                self._order = self._new_order(rows, left, money)
            state, start, decoders, ratios, costs, _ = self._order
            step = self.budgets[rows].sum(axis=1) - start[rows]
            now = certain_steps(ratios, costs, state[rows], step, money)
            if now.any():
                counts[rows[now], decoders[state[rows[now]], step[now]]] = 1
                break
        return counts

    def _new_order(self, rows, left, money):
        """Order of decoders of each query from now on, and the number of samples."""
        first, members = self._states(rows, left)
        costs = self._costs[self._kind[first]]
        decoders, ratios = follow_paths(
            self._posterior(first),
            self._profiles,
            costs,
            left[first],
            money,
            kind=members,
        )
        state = np.zeros(len(left), dtype=np.int64)
        state[rows] = members
        costs = np.column_stack([costs, np.zeros(len(costs))])  # the last: no decoder
        costs = np.take_along_axis(costs, decoders, axis=1)
        totals = self.budgets.sum(axis=1)
        return state, totals, decoders, ratios, costs, totals.sum()


def group_menus(weights, profiles, costs, n_kinds):
    """Group queries into kinds with similar chances and costs.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_profiles)
        Weights of the profiles.
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates.
    costs : ndarray of shape (n_queries, n_decoders)
        Cost of a sample.
    n_kinds : int
        Largest number of kinds. If there are no more queries, each is a kind.

    Returns
    -------
    kind : ndarray of shape (n_queries,), int
        Kind of each query.
    weights : ndarray of shape (n_kinds, n_profiles)
        Mean weights of each kind. With them, the expected cost of a plan that a kind
        shares is exact.
    costs : ndarray of shape (n_kinds, n_decoders)
        Mean costs of each kind.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menu_beliefs import group_menus
    >>> weights = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    >>> profiles = np.array([[0.5, 0.9], [0.1, 0.1]])
    >>> kind, weights, _ = group_menus(weights, profiles, np.ones((3, 2)), n_kinds=2)
    >>> kind, weights
    (array([0, 1, 0]), array([[0.9, 0.1],
           [0.1, 0.9]]))
    """
    if len(weights) <= n_kinds:
        return np.arange(len(weights)), weights, costs
    alone = [weights @ (1 - profiles) ** n_failures for n_failures in _LOOKS]
    kind = cut_into_parts(np.column_stack([*alone, np.log(costs)]), n_kinds)
    order = np.argsort(kind, kind="stable")
    starts = np.flatnonzero(np.diff(kind[order], prepend=-1))
    sizes = np.diff(starts, append=len(kind))[:, None]
    return kind, *(
        np.add.reduceat(values[order], starts, axis=0) / sizes
        for values in (weights, costs)
    )
