r"""Budgets in rounds for 0/1 rewards: verdicts come in, the solved drop out.

For exchangeable samples the reward curve q is all one needs. A query that failed c
times solves within s more samples with chance :math:`1 - (1 - q(c + s)) / (1 - q(c))`,
and its next sample succeeds with chance :math:`\Delta_{c+1} / (1 - q(c))`, which falls
with c. A table of *chances* (n_queries, max_budget) holds the latter, column c after c
failures: it is the same information, and what is left of a row after some failures is
again a row of chances, so every round is the first round of a smaller problem.

- One at a time, the next sample goes where its chance is highest.
- In R rounds, a plan for one query is a sequence of stops
  :math:`d_1 \le \dots \le d_R`. It earns :math:`q(d_R)` and is expected to spend
  :math:`\sum_r (d_r - d_{r-1}) (1 - q(d_{r-1}))`. Which stops lead to :math:`d_R` at
  the least expense does not depend on any price: one dynamic programme per query, run
  once and not for each price tried, leaves the budget problem with expected expenses
  for costs.

Of three rules for R rounds this is the best: over seven tables, real and made, at
budgets 2, 4 and 8 in four rounds it solves .6659 of the queries; an equal part of the
money in each round .6627; the programme under a price tried anew, rounded down, .6650;
without features .6446, .6438 and .6345 (`benchmarks/quality/sequential.py`).

All functions are pure and expect checked arrays.
"""

import math

import numpy as np

from sklearn_adaalloc.planning._solvers import allocate
from sklearn_adaalloc.planning._success import cumulative_hazards, failure_curves

_WORK = 2**24  # (kinds) x (steps)^2 of a programme: some tenths of a second
_FEWEST_KINDS = 256
_LATE = 1e-12  # of equally good plans, the one that waits: others' verdicts come first
_LEAST_PRICE = 1e-12
_MOST_ROUNDS = 32  # planned ahead: beyond them a plan is as good as one by one


def mean_budget(money, n_queries):
    """Mean budget with which `allocate` spends just this much money.

    Parameters
    ----------
    money : int
        Samples to spend in total.
    n_queries : int
        Number of queries.

    Returns
    -------
    budget : float

    Examples
    --------
    >>> from sklearn_adaalloc.planning._rounds import mean_budget
    >>> int(29 / 100 * 100), int(mean_budget(29, 100) * 100)
    (28, 29)
    """
    return (money + 0.5) / n_queries  # no rounding can lose or gain a sample


def plan_one_by_one(chances, money):
    """Samples that the one-by-one rule is sure to take next, at most one per query.

    The rule samples where the next chance is highest. Chances fall with failures, so
    the order of all steps is known, and verdicts only take steps out of it. Of what the
    money would buy if all failed, the first step of each query is therefore taken for
    certain, and may as well be taken now.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances of the next sample of the unsolved queries.
    money : int
        Samples that may still be spent.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64
        0 or 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._rounds import plan_one_by_one
    >>> plan_one_by_one(np.array([[0.9, 0.5], [0.4, 0.3]]), money=2)
    array([1, 0])
    """
    budgets, _ = allocate(chances, mean_budget(money, len(chances)))
    return np.minimum(budgets, 1)


def plan_round(chances, money, n_rounds, *, kind=None, min_budget=0):
    """Samples to take in the first of several rounds.

    Stops are planned so that the expected expense over all rounds meets the money, at
    one price for all queries, to within half of one query's step, and the next round
    plans anew. The last round is an ordinary budget problem, solved exactly.

    Parameters
    ----------
    chances : ndarray of shape (n_kinds, max_budget)
        Chances of the next sample, for each kind of unsolved query.
    money : int
        Samples that may be spent in all rounds, at least ``min_budget * n_queries``.
    n_rounds : int
        Number of rounds left, this one included.
    kind : ndarray of shape (n_queries,), int, default=None
        Kind of each query, every kind at least once; None if each is of its own.
    min_budget : int, default=0
        Least number of samples that every query gets now.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64
        Samples now; their sum is at most `money`.

    Examples
    --------
    Eight samples for four queries: with a second round to come, one each is enough now,
    for half of them will be right and leave their money to the others.

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._rounds import plan_round
    >>> plan_round(np.full((4, 3), 0.5), money=8, n_rounds=2)
    array([1, 1, 1, 1])
    >>> plan_round(np.full((4, 3), 0.5), money=8, n_rounds=1)
    array([2, 2, 2, 2])
    """
    kind = np.arange(len(chances)) if kind is None else kind
    failing = failure_curves(chances)
    if n_rounds == 1:
        # Products, not differences: a small chance is no smaller for standing beside 1.
        marginals = failing[:, :-1] * chances
        budget = mean_budget(money, len(kind))
        return allocate(marginals[kind], budget, min_budget=min_budget)[0]
    failing = np.ascontiguousarray(failing.T)  # (stops, kinds)
    sizes = np.bincount(kind)
    expenses = stop_expenses(failing, min(n_rounds, _MOST_ROUNDS), min_budget)
    stops = _stops_at_price(failing, expenses[-1], sizes, money)
    frugal, lavish = (
        np.maximum(_first_stops(failing, expenses, d), min_budget) for d in stops
    )
    # At the price both plans are as good: as many queries take the one that spends more
    # as the money pays for.
    spend, more = (_at(expenses[-1], d) for d in stops)
    movable = np.flatnonzero((more > spend)[kind])
    steps = (more - spend)[kind[movable]]
    n_moved = np.count_nonzero(np.cumsum(steps) - steps / 2 <= money - sizes @ spend)
    budgets = frugal[kind]
    moved = movable[:n_moved]
    budgets[moved] = lavish[kind[moved]]
    if budgets.sum() > money:  # the last one to move was rounded up
        budgets[moved[-1]] = frugal[kind[moved[-1]]]
    return budgets


def group_curves(chances):
    """Sort queries into kinds with near-equal curves, each to be planned once.

    Queries are cut into slabs by their first chance, and each slab into kinds by the
    chance of never succeeding, wherever enough queries have come together or the next
    one differs much. The sure and the hopeless keep to themselves. Few queries are each
    a kind of their own.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances of the next sample.

    Returns
    -------
    kind : ndarray of shape (n_queries,), int
        Kind of each query.
    chances : ndarray of shape (n_kinds, max_budget)
        Chances of the mean curve of each kind: with them, the expense of a plan that
        all of a kind share is exact.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._rounds import group_curves
    >>> kind, _ = group_curves(np.array([[0.5], [0.2], [0.5]]))
    >>> kind
    array([0, 1, 2])
    """
    n_queries, max_budget = chances.shape
    n_kinds = max(_FEWEST_KINDS, _WORK // (max_budget + 1) ** 2)
    if n_queries <= n_kinds:
        return np.arange(n_queries), chances
    n_slabs = math.isqrt(n_kinds)
    hazards = cumulative_hazards(chances)
    slab, kind = np.empty((2, n_queries), dtype=np.int64)
    first = chances[:, 0]
    order = np.argsort(first, kind="stable")
    apart = first + (first > 0) + (first == 1)  # both ends leap
    slab[order] = _parts(apart[order], n_slabs, leap=1 / n_slabs)
    never = np.exp(-hazards[:, -1])
    order = np.lexsort((-hazards[:, -1], slab))
    kind[order] = _parts((2 * slab + never)[order], n_kinds, leap=1 / n_slabs)
    return kind, _mean_chances(chances[order], hazards[order], kind[order])


def _parts(values, n_parts, *, leap):
    """Number consecutive parts of equally many values, cut also where those leap."""
    equal = np.arange(len(values)) * n_parts // len(values)
    cuts = (np.diff(equal) > 0) | (np.abs(np.diff(values)) > leap)
    return np.concatenate([[0], np.cumsum(cuts)])


def _mean_chances(chances, hazards, kind):
    """Chances of the mean curve of each kind; rows are sorted by kind.

    After c failures a query counts as much as it is likely to have come that far. Only
    ratios of that matter, so it is taken relative to the likeliest of the kind: the
    chances themselves vanish where all of a kind are nearly sure.
    """
    starts = np.flatnonzero(np.diff(kind, prepend=-1))
    hazards = hazards[:, :-1]
    weights = np.exp(np.minimum.reduceat(hazards, starts, axis=0)[kind] - hazards)
    totals = np.add.reduceat(weights, starts, axis=0)
    means = np.add.reduceat(weights * chances, starts, axis=0) / totals
    return np.minimum.accumulate(means, axis=1)  # rounding may let them rise


def stop_expenses(failing, n_rounds, min_budget=0):
    r"""Least expected expense of planning to stop at d, for 1..n_rounds rounds.

    :math:`C_1(d) = d` and
    :math:`C_r(d) = \min_{c \le d} C_{r-1}(c) + (d - c)(1 - q(c))`.

    Parameters
    ----------
    failing : ndarray of shape (max_budget + 1, n_curves)
        Chance 1 − q that all of the first c samples are wrong, along the first axis.
    n_rounds : int
        Number of rounds.
    min_budget : int, default=0
        Samples that the first round takes at least.

    Returns
    -------
    expenses : list of n_rounds ndarrays of shape (max_budget + 1, n_curves)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._rounds import stop_expenses
    >>> failing = np.array([[1.0], [0.5], [0.25]])
    >>> [expense.ravel() for expense in stop_expenses(failing, 2)]
    [array([0., 1., 2.]), array([0. , 1. , 1.5])]
    """
    stops = np.arange(len(failing), dtype=np.float64)[:, None]
    expenses = [np.maximum(stops, min_budget) + np.zeros_like(failing)]
    for _ in range(1, n_rounds):
        # From c, the expense is a line in d with slope 1 - q(c).
        lines = expenses[-1] - failing * stops
        expense = np.empty_like(failing)
        for d in range(len(failing)):
            expense[d] = (lines[: d + 1] + failing[: d + 1] * d).min(axis=0)
        expenses.append(expense)
    return expenses


def _stops_at_price(failing, expense, sizes, money):
    """Last stops of each curve just above and just below the price that money meets."""

    def stops_at(price):
        return (-failing - price * expense).argmax(axis=0)

    def is_affordable(stops):
        return sizes @ _at(expense, stops) <= money

    lavish = stops_at(_LEAST_PRICE)
    if is_affordable(lavish):
        return lavish, lavish
    low, high = np.log(_LEAST_PRICE), 0.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if is_affordable(stops_at(np.exp(middle))):
            high = middle
        else:
            low = middle
    return stops_at(np.exp(high)), stops_at(np.exp(low))


def _first_stops(failing, expenses, stops):
    """First stops on the way of least expense to the last ones (n_curves,)."""
    every = np.arange(len(failing))[:, None]
    for expense in expenses[-2::-1]:
        total = expense + failing * (stops - every) + _LATE * every
        stops = np.where(every <= stops, total, np.inf).argmin(axis=0)
    return stops


def _at(table, stops):
    """Entries of a table (max_budget + 1, n_curves) at the stops (n_curves,)."""
    return table[stops, np.arange(table.shape[1])]
