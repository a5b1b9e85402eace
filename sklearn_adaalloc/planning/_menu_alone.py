"""What is known of queries that several decoders can answer, each decided alone."""

from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.parameters import MOST
from sklearn_adaalloc.planning._menu_beliefs import MenuBelief, mean_costs
from sklearn_adaalloc.planning._menus import (
    failure_paths,
    improved_counts,
    step_ratios,
)
from sklearn_adaalloc.planning._paths import (
    Paths,
    best_stops,
    first_counts,
    path_expenses,
)

_LEAST_PRICE = 1e-12  # a price of 0 would make all decoders free
_SAME = 1e-9  # relative difference up to which costs are the same
_MARGIN = 0.8  # paths are cut for a price that is lower by this factor
_AHEAD = 16  # without rounds, few queries look no more samples ahead at a time
_FEW = 32  # queries


class LoneMenuBelief(MenuBelief):
    """Belief about 0/1 rewards of several decoders, where each query is decided alone.

    The order in which a query's decoders are asked is chosen at its first price. Its
    stop follows the price. The order is chosen again if costs turn out different or the
    price falls by a fifth. So that a decision takes little time, few queries look 16
    samples ahead, and choose again after 8.

    Parameters
    ----------
    weights, profiles, costs, limits, mandatory
        As of :class:`~sklearn_adaalloc.planning._menu_beliefs.MenuBelief`.

    Examples
    --------
    The second decoder is better, and dear:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menu_alone import LoneMenuBelief
    >>> profiles = np.array([[0.5, 0.9], [0.0, 0.8]])
    >>> costs, limits = np.array([[1.0, 4.0]]), np.array([[2, 1]])
    >>> belief = LoneMenuBelief(np.array([[0.5, 0.5]]), profiles, costs, limits)
    >>> belief.plan_at(0.1 * costs.ravel(), n_rounds=None)
    array([1, 0])
    >>> belief.update(np.array([[0.0], [np.nan]]))
    >>> belief.plan_at(0.1 * costs.ravel(), n_rounds=None)
    array([0, 1])
    >>> belief.plan_at(0.5 * costs.ravel(), n_rounds=None)
    array([0, 0])
    """

    expected = None
    """Chance of success (n_queries,) on the orders that were chosen first."""

    def __init__(self, weights, profiles, costs, limits, *, mandatory=0):
        super().__init__(weights, profiles, costs, limits, mandatory=mandatory)
        self._planned = None

    def plan_at(self, prices, n_rounds, min_budget=0):
        """Plan the samples to take now; a solved query gets none.

        Parameters
        ----------
        prices : ndarray of shape (n_cells,)
            What a sample of each cell must be expected to be worth.
        n_rounds : int or None
            Number of rounds left. None means one sample of a query at a time.
        min_budget : int, default=0
            Not used: see `mandatory`.

        Returns
        -------
        counts : ndarray of shape (n_cells,), int64
        """
        shape = self._limits.shape
        prices = np.maximum(prices, _LEAST_PRICE).reshape(shape)
        left = np.where((self.best < 1)[:, None], self._limits - self._taken, 0)
        counts = np.zeros(shape, dtype=np.int64)
        if not self._taken.any():
            counts += self._mandatory
        if n_rounds is None and counts.any():
            return counts.ravel()
        left = left - counts
        rows = np.flatnonzero(left.any(axis=1))
        if rows.size and n_rounds is None:
            counts[rows] = self._next_samples_at(rows, left, prices[rows])
        elif rows.size:
            counts[rows] += self._next_round_at(
                rows, left, counts, prices[rows], n_rounds
            )
        return counts.ravel()

    def restart(self):
        """Forget all samples, and keep what was planned before any."""
        self._taken = np.zeros_like(self._taken)
        self.best = np.full(len(self.best), -np.inf)
        self._order = None

    def withdraw(self, gone):
        """Plan no more samples of the cells that are marked (n_cells,), bool."""
        super().withdraw(gone)
        self._order = self._planned = None

    def _next_samples_at(self, rows, left, prices):
        """The next sample on the order of each query, where it is worth its price."""
        scale, costs = _split(prices)
        n_taken = self._taken[rows].sum(axis=1)
        if self._order is None or not self._order.fits(rows, costs, scale, n_taken):
            self._order = self._choose_order(rows, left, costs, scale)
        order = self._order
        step = n_taken - order.start[rows]
        step = np.minimum(step, order.ratios.shape[1] - 1)
        decoder, worth = order.decoders[rows, step], order.ratios[rows, step]
        counts = np.zeros_like(costs, dtype=np.int64)
        now = np.flatnonzero(worth > scale)
        counts[now, decoder[now]] = 1
        return counts

    def _choose_order(self, rows, left, costs, scale):
        """Order of the decoders of each query from now on, at the current prices."""
        plan = self._plan_from(rows, left, np.zeros_like(left), costs, scale, None)
        state = plan.state
        failing, expense = plan.paths.failing[state], plan.expenses[0][state]
        # The best path even where it is not worth its cost at this price.
        path, _ = best_stops(failing[..., 1:], expense[..., 1:], scale[:, None, None])
        every = np.arange(len(rows))
        ratios = step_ratios(failing[every, path], expense[every, path])
        if self.expected is None and not self._taken.any():
            n_worth = (ratios > scale[:, None]).sum(axis=1)
            self.expected = np.zeros(len(left))
            self.expected[rows] = 1 - failing[every, path, n_worth]
        n_steps = ratios.shape[1] + 1  # the last is not taken: the order ends
        order = _Order(
            decoders=np.zeros((len(left), n_steps), dtype=np.int64),
            ratios=np.zeros((len(left), n_steps)),
            start=self._taken.sum(axis=1),
            costs=np.ones(left.shape),
            floor=np.zeros(len(left)),
            end=np.full(len(left), MOST),
        )
        order.decoders[rows, :-1] = plan.paths.decoders[state, path]
        order.ratios[rows, :-1] = ratios
        order.costs[rows], order.floor[rows] = costs, plan.floor[state]
        if ratios.shape[1] == plan.most:  # these orders may go on
            order.end[rows] = order.start[rows] + plan.most // 2
        return order

    def _next_round_at(self, rows, left, mandatory, prices, n_rounds):
        """Samples of a round besides mandatory ones."""
        scale, costs = _split(prices)
        plan = self._plan_from(rows, left, mandatory, costs, scale, n_rounds)
        state, scale = plan.state, scale[:, None, None]
        paths = Paths(*(part[state] for part in plan.paths))
        if n_rounds == 1:
            query = plan.weights[state], self._profiles, prices, left[rows]
            return improved_counts(paths._replace(spent=paths.spent * scale), *query, 1)
        expenses = [expense[state] for expense in plan.expenses]
        stops = best_stops(paths.failing, expenses[-1], scale)
        return first_counts(paths, expenses, *stops, left.shape[1])

    def _plan_from(self, rows, left, mandatory, costs, scale, n_rounds):
        """Paths of some queries from now on, as if mandatory samples had failed.

        What was found before any sample is kept, for other prices.
        """
        is_new = not self._taken.any()
        if is_new and self._planned and self._planned.fits(costs, scale, n_rounds):
            return self._planned
        first, state = self._states(rows, left)
        floor = np.full(len(first), np.inf)
        np.minimum.at(floor, state, _MARGIN * scale)
        weights = self._posterior(first) * self._misses(mandatory[first])
        prices = mean_costs(costs, state) * floor[:, None]
        most = _AHEAD if n_rounds is None and len(first) <= _FEW else None
        paths = failure_paths(
            weights, self._profiles, prices, left[first], cut=True, most=most
        )
        paths = paths._replace(spent=paths.spent / floor[:, None, None])
        expenses = path_expenses(paths, n_rounds)
        plan = _Plan(paths, expenses, weights, state, costs, floor, n_rounds, most)
        if is_new:
            self._planned = plan
        return plan


class _Plan(NamedTuple):
    """Paths of the states of some queries, and which state each query is in."""

    paths: Paths
    expenses: list  # (n_states, n_paths, n_steps + 1) for each number of rounds
    weights: np.ndarray  # (n_states, n_profiles)
    state: np.ndarray  # (n_rows,)
    costs: np.ndarray  # (n_rows, n_decoders), relative
    floor: np.ndarray  # (n_states,): lowest price for which the paths are long enough
    n_rounds: int | None
    most: int | None  # largest number of steps of the paths

    def fits(self, costs, scale, n_rounds):
        return (
            n_rounds == self.n_rounds
            and (scale >= self.floor[self.state]).all()
            and (np.abs(costs - self.costs) <= _SAME * costs).all()
        )


class _Order(NamedTuple):
    """Order in which the decoders of each query are asked as long as all fail."""

    decoders: np.ndarray  # (n_queries, n_steps), int
    ratios: np.ndarray  # (n_queries, n_steps): price up to which a step is worth it
    start: np.ndarray  # (n_queries,): samples before the first step
    costs: np.ndarray  # (n_queries, n_decoders), relative
    floor: np.ndarray  # (n_queries,): lowest price for which the order is long enough
    end: np.ndarray  # (n_queries,): samples at which the order is chosen again

    def fits(self, rows, costs, scale, n_taken):
        same = np.abs(costs - self.costs[rows]) <= _SAME * costs
        known = (scale >= self.floor[rows]) & (n_taken < self.end[rows])
        return known.all() and same.all()


def _split(prices):
    """Prices (n, n_decoders) as a scale (n,) and relative costs of the decoders."""
    scale = prices.mean(axis=1)
    return scale, prices / scale[:, None]
