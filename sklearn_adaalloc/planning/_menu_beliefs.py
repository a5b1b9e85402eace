"""What a session knows about its queries if several decoders can answer."""

import numpy as np

from sklearn_adaalloc.curves._profiles import cut_into_parts
from sklearn_adaalloc.planning._menus import (
    certain_steps,
    follow_paths,
    plan_menu,
)
from sklearn_adaalloc.planning._paths import decoder_subsets

_WORK = 2**24  # limit on kinds x paths x steps^2 of a plan
_FEWEST_KINDS = 512
_REPLAN = 1.5  # without rounds, plan again if the number of samples grew by this factor
_NO_CHANCE = 1e-9  # a chance of success that is rounding alone
_LOOKS = (1, 4, 16)  # numbers of failures after which queries of a kind are similar


class MenuBelief:
    """Belief about 0/1 rewards of several decoders: weights over rate profiles.

    A cell is a decoder of a query. Cells are numbered query by query, and plans, costs
    and rewards are given for each cell.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_profiles)
        Predicted weights of the profiles.
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates between 0 and 1, without the ends.
    costs : ndarray of shape (n_queries, n_decoders)
        Predicted cost of a sample. Queries with similar costs share plans.
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

    binary = True
    _hopeful = True  # of beliefs pickled by earlier versions

    def __init__(self, weights, profiles, costs, limits, *, mandatory=0):
        self._profiles = profiles
        self._limits = limits
        n_kinds = most_kinds(len(profiles.T), int(limits.sum(axis=1).max()))
        self._kind, self._weights = group_menus(weights, profiles, costs, n_kinds)
        self._mandatory = np.minimum(mandatory, limits)
        # A decoder that never succeeded is not asked, unless it is mandatory.
        self._hopeful = weights @ profiles > _NO_CHANCE
        self._order = None
        self._taken = np.zeros(limits.shape, dtype=np.int64)
        self.best = np.full(len(limits), -np.inf)

    @property
    def budgets(self):
        """Number of samples so far (n_cells,)."""
        return self._taken.ravel()

    def plan(self, money, n_rounds, min_budget=0, costs=None):
        """Plan the samples to take now; a solved query gets none.

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
        shape = self._limits.shape
        costs = np.ones(shape) if costs is None else costs.reshape(shape)
        unsolved = (self.best < 1)[:, None]
        left = np.where(unsolved & self._hopeful, self._limits - self._taken, 0)
        counts = np.zeros(shape, dtype=np.int64)
        if not self._taken.any():
            counts += self._mandatory
        if n_rounds is not None:
            left = np.maximum(left - counts, 0)
            counts += self._next_round(left, counts, money, n_rounds, costs)
        elif not counts.any():
            counts = self._next_samples(left, money, costs)
        return counts.ravel()

    def _next_round(self, left, mandatory, money, n_rounds, costs):
        """Samples of a round besides mandatory ones."""
        # Mandatory samples are paid, and then the plan starts as if all had failed.
        money = money - (mandatory * costs).sum()
        left = np.where(costs <= money, left, 0)
        counts = np.zeros_like(left)
        rows = np.flatnonzero(left.any(axis=1))
        if rows.size == 0:
            return counts
        first, state = self._states(rows, left)
        counts[rows] = plan_menu(
            self._posterior(first) * self._misses(mandatory[first]),
            self._profiles,
            mean_costs(costs[rows], state),
            left[first],
            money,
            n_rounds,
            kind=state,
        )
        # A plan that a kind shares pays its mean costs, and these may differ.
        return _affordable(counts, costs, money)

    def update(self, rewards):
        """Add verdicts (n_cells, n_new); NaN where there is no sample."""
        given = np.isfinite(rewards)
        self._taken = self._taken + given.sum(axis=1).reshape(self._taken.shape)
        told = np.where(given, rewards, -np.inf).max(axis=1, initial=-np.inf)
        best = told.reshape(self._taken.shape).max(axis=1)
        self.best = np.maximum(self.best, best)

    def withdraw(self, gone):
        """Plan no more samples of the cells that are marked (n_cells,), bool."""
        gone = gone.reshape(self._limits.shape)
        self._limits = np.where(gone, self._taken, self._limits)

    def _misses(self, failures):
        """Probability of failures (n, n_decoders) in each profile (n, n_profiles)."""
        return np.exp(failures @ np.log1p(-self._profiles).T)

    def _posterior(self, rows):
        """Weights of the profiles of unsolved queries: all their samples failed."""
        weights = self._weights[self._kind[rows]] * self._misses(self._taken[rows])
        return weights / weights.sum(axis=1, keepdims=True)

    def _states(self, rows, left):
        """First row of each distinct state of some queries, and the state of each."""
        if len(rows) == 1:
            return rows, np.zeros(1, dtype=np.int64)
        state = self._kind[rows]
        for column in (*self._taken.T, *left.T):
            code = state * (int(column.max()) + 1) + column[rows]
            _, first, state = np.unique(code, return_index=True, return_inverse=True)
        return rows[first], state

    def _next_samples(self, left, money, costs):
        """Samples that are taken next in any case, at most one of each query."""
        counts = np.zeros_like(left)
        left = np.where(costs <= money, left, 0)
        rows = np.flatnonzero(left.any(axis=1))
        is_due = self._order is None or self._taken.sum() > _REPLAN * self._order[-1]
        for renew in (is_due, True):
            if rows.size == 0:
                break
            if renew:
                self._order = self._new_order(rows, left, money, costs)
            state, start, decoders, ratios, prices, _ = self._order
            step = self._taken[rows].sum(axis=1) - start[rows]
            now = certain_steps(ratios, prices, state[rows], step, money)
            if now.any():
                counts[rows[now], decoders[state[rows[now]], step[now]]] = 1
                break
        return _affordable(counts, costs, money)

    def _new_order(self, rows, left, money, costs):
        """Order of decoders of each query from now on, and the number of samples."""
        first, members = self._states(rows, left)
        costs = mean_costs(costs[rows], members)
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
        # One more step, without a decoder, for queries at the end of their order.
        decoders = np.pad(decoders, ((0, 0), (0, 1)), constant_values=left.shape[1])
        ratios = np.pad(ratios, ((0, 0), (0, 1)))
        prices = np.take_along_axis(costs, decoders, axis=1)
        totals = self._taken.sum(axis=1)
        return state, totals, decoders, ratios, prices, totals.sum()


def mean_costs(costs, state):
    """Mean costs of the queries of each state."""
    sizes = np.bincount(state)
    sums = [np.bincount(state, weights=column) for column in costs.T]
    return np.column_stack(sums) / sizes[:, None]


def _affordable(counts, costs, money):
    """Counts without those of the last queries, which the money does not pay for."""
    spent = np.cumsum((counts * costs).sum(axis=1))
    return np.where((spent <= money * (1 + 1e-9))[:, None], counts, 0)


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

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menu_beliefs import group_menus
    >>> weights = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    >>> profiles = np.array([[0.5, 0.9], [0.1, 0.1]])
    >>> kind, weights = group_menus(weights, profiles, np.ones((3, 2)), n_kinds=2)
    >>> kind, weights
    (array([0, 1, 0]), array([[0.9, 0.1],
           [0.1, 0.9]]))
    """
    if len(weights) <= n_kinds:
        return np.arange(len(weights)), weights
    kind = cut_into_parts(looks_of(weights, profiles, costs), n_kinds)
    order = np.argsort(kind, kind="stable")
    starts = np.flatnonzero(np.diff(kind[order], prepend=-1))
    sizes = np.diff(starts, append=len(kind))[:, None]
    return kind, np.add.reduceat(weights[order], starts, axis=0) / sizes


def most_kinds(n_decoders, n_steps):
    """Number of kinds whose plans of so many steps are found in reasonable time."""
    n_paths = len(decoder_subsets(n_decoders))
    return max(_FEWEST_KINDS, _WORK // (n_paths * (n_steps + 1) ** 2))


def looks_of(weights, profiles, costs):
    """What queries of a kind have in common (n_queries, n_axes).

    These are chances of failure of each decoder after some failures, and costs.
    """
    alone = [weights @ (1 - profiles) ** n_failures for n_failures in _LOOKS]
    return np.column_stack([*alone, np.log(costs)])
