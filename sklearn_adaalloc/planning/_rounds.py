r"""Budgets in rounds for 0/1 rewards: solved queries get no more samples.

Assumes that the samples of a query are exchangeable. Then the reward curve q is
sufficient. After c failures, a query is solved within s more samples with probability
:math:`1 - (1 - q(c + s)) / (1 - q(c))`. Its next sample succeeds with probability
:math:`\Delta_{c+1} / (1 - q(c))`, which falls with c. A table of *chances* (n_queries,
max_budget) holds this probability: column c is for the state after c failures. The
table has the same information as the curves. The rest of a row after some failures is
again a row of chances, so that every round is the first round of a smaller problem.

- Without rounds, the next sample goes to the query with the highest chance.
- In R rounds, a plan for one query is a sequence of stops
  :math:`d_1 \le \dots \le d_R`. Its expected reward is :math:`q(d_R)`, and its expected
  spend is :math:`\sum_r (d_r - d_{r-1}) (1 - q(d_{r-1}))`. The stops that lead to
  :math:`d_R` with the smallest expected spend do not depend on the price. One dynamic
  programme per query finds them, once for all prices. A budget problem remains, whose
  costs are the expected spends.

This is the best of three rules for R rounds. With four rounds, on seven tables (real
and simulated) at budgets 2, 4 and 8, it solves .6659 of the queries. Equal spend in
each round solves .6627, and the dynamic programme for each price, rounded down, solves
.6650. Without features, the three rules solve .6446, .6438 and .6345
(`benchmarks/quality/sequential.py`).

All functions are pure and expect checked arrays.
"""

import math

import numpy as np

from sklearn_adaalloc.planning._solvers import allocate
from sklearn_adaalloc.planning._success import cumulative_hazards, failure_curves

_WORK = 2**24  # limit on kinds x steps^2 of the programme: some tenths of a second
_FEWEST_KINDS = 256
_DELAY = 1e-12  # what decides between equal plans that take samples late or early
_LEAST_PRICE = 1e-12
MOST_ROUNDS = 32  # rounds planned ahead: with so many, plans equal those one by one


def mean_budget(money, n_queries, costs=None):
    """Mean budget with which `allocate` can spend exactly `money` in total.

    `money` is a number of samples if `costs` is None.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._rounds import mean_budget
    >>> int(29 / 100 * 100), int(mean_budget(29, 100) * 100)
    (28, 29)
    """
    if costs is not None:
        return money / n_queries
    return (money + 0.5) / n_queries  # 0.5 so that rounding changes no sample


def plan_one_by_one(chances, money, costs=None):
    """Samples that the one-by-one rule certainly takes next, at most one per query.

    The rule always samples the query with the highest chance (per cost). Chances fall
    with failures. The order of all steps is therefore known, and a success only removes
    steps from it. Consider the steps that the money buys if all samples fail. The rule
    takes the first of these steps of each query in any case, so all can be taken now.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances of the next sample of the unsolved queries.
    money : int or float
        Number of samples that may still be spent; with `costs`, their cost.
    costs : ndarray of shape (n_queries,), default=None
        Expected cost of a sample of each query. None means 1.

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
    budget = mean_budget(money, len(chances), costs)
    budgets, _ = allocate(chances, budget, costs=costs)
    return np.minimum(budgets, 1)


def plan_round(chances, money, n_rounds, *, kind=None, min_budget=0, costs=None):
    """Samples to take in the first of several rounds.

    All queries have the same price. It is chosen such that the expected spend over all
    rounds equals the money, up to half a step of one query. The next round plans again.
    The last round is an ordinary budget problem, which is solved exactly.

    Parameters
    ----------
    chances : ndarray of shape (n_kinds, max_budget)
        Chances of the next sample, for each kind of unsolved query.
    money : int or float
        Number of samples that may be spent in all rounds, at least ``min_budget *
        n_queries``. With `costs`, what they may cost, at least ``min_budget *
        sum(costs)``.
    n_rounds : int
        Number of rounds left, including this one.
    kind : ndarray of shape (n_queries,), int, default=None
        Kind of each query. Every kind must occur. None means one kind per query.
    min_budget : int, default=0
        Smallest number of samples that every query gets now.
    costs : ndarray of shape (n_queries,), default=None
        Expected cost of a sample of each query. None means 1.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64
        Samples to take now. Their sum, or expected cost, is at most `money`.

    Examples
    --------
    There are eight samples for four queries. If a second round follows, one sample each
    is enough now: half of them are expected to succeed, and the rest of the money is
    then for the other queries.

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
        # Products, not differences: small chances would lose precision.
        marginals = failing[:, :-1] * chances
        budget = mean_budget(money, len(kind), costs)
        return allocate(marginals[kind], budget, min_budget=min_budget, costs=costs)[0]
    failing = np.ascontiguousarray(failing.T)  # (stops, kinds)
    expenses = stop_expenses(failing, min(n_rounds, MOST_ROUNDS), min_budget)
    if costs is None:
        sizes, expense = np.bincount(kind), expenses[-1]
    else:  # queries of one kind may differ in cost: each becomes a kind of its own
        failing, expenses = failing[:, kind], [each[:, kind] for each in expenses]
        kind, sizes = np.arange(len(kind)), np.ones(len(kind))
        money, costs = money / costs.min(), costs / costs.min()
        expense = costs * expenses[-1]
    stops = _stops_at_price(failing, expense, sizes, money)
    # Among equal plans, more verdicts are known for late samples. Where costs count,
    # early ones tell what samples cost, and leave less to a last round.
    delay = _DELAY if costs is None else -_DELAY
    frugal, lavish = (
        np.maximum(_first_stops(failing, expenses, d, delay), min_budget) for d in stops
    )
    # At the price, both plans are equally good. The plan that spends more goes to as
    # many queries as the money pays for.
    spend, more = (_at(expense, d) for d in stops)
    movable = np.flatnonzero((more > spend)[kind])
    steps = (more - spend)[kind[movable]]
    n_moved = np.count_nonzero(np.cumsum(steps) - steps / 2 <= money - sizes @ spend)
    budgets = frugal[kind]
    moved = movable[:n_moved]
    budgets[moved] = lavish[kind[moved]]
    spent = budgets.sum() if costs is None else costs @ budgets
    if n_moved and spent > money:  # the last query with the larger plan is too many
        budgets[moved[-1]] = frugal[kind[moved[-1]]]
    return budgets


def plan_at_price(chances, prices, n_rounds, *, min_budget=0):
    """Samples to take now where each query is decided alone, at a price per sample.

    One by one, the next sample is taken if its chance is above the price. In rounds,
    the dynamic programme of :func:`plan_round` says how many to take now.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances of the next sample, rows non-increasing.
    prices : ndarray of shape (n_queries,)
        Chance that a sample must be worth.
    n_rounds : int or None
        Number of rounds left, including this one. None means one by one.
    min_budget : int, default=0
        Smallest number of samples that every query gets now.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._rounds import plan_at_price
    >>> chances, prices = np.full((2, 3), 0.5), np.array([0.1, 0.6])
    >>> [plan_at_price(chances, prices, n_rounds) for n_rounds in (None, 2, 1)]
    [array([1, 0]), array([1, 0]), array([3, 0])]
    """
    worthwhile = (chances > prices[:, None]).sum(axis=1)  # no plan goes beyond
    if n_rounds is None:
        return np.maximum(np.minimum(worthwhile, 1), min_budget)
    n_stops = max(int(worthwhile.max(initial=0)), min_budget)
    failing = np.ascontiguousarray(failure_curves(chances[:, :n_stops]).T)
    expenses = stop_expenses(failing, min(n_rounds, MOST_ROUNDS), min_budget)
    stops = (-failing - prices * expenses[-1]).argmax(axis=0)
    return np.maximum(_first_stops(failing, expenses, stops, _DELAY), min_budget)


def group_curves(chances):
    """Group queries into kinds with similar curves, so that each kind is planned once.

    Queries are grouped into slabs by their first chance. Each slab is divided into
    kinds by the probability that all samples fail. A new slab or kind starts if enough
    queries are together or if the next query differs much. Queries with first chance 0
    or 1 are never in a slab with others. If there are few queries, each is a kind.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances of the next sample.

    Returns
    -------
    kind : ndarray of shape (n_queries,), int
        Kind of each query.
    chances : ndarray of shape (n_kinds, max_budget)
        Chances of the mean curve of each kind. With them, the expected spend of a plan
        that a kind shares is exact.

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
    apart = first + (first > 0) + (first == 1)  # separates chances of 0 and of 1
    slab[order] = _parts(apart[order], n_slabs, leap=1 / n_slabs)
    never = np.exp(-hazards[:, -1])
    order = np.lexsort((-hazards[:, -1], slab))
    kind[order] = _parts((2 * slab + never)[order], n_kinds, leap=1 / n_slabs)
    return kind, _mean_chances(chances[order], hazards[order], kind[order])


def _parts(values, n_parts, *, leap):
    """Number consecutive parts of equal size; a step above `leap` also starts one."""
    equal = np.arange(len(values)) * n_parts // len(values)
    cuts = (np.diff(equal) > 0) | (np.abs(np.diff(values)) > leap)
    return np.concatenate([[0], np.cumsum(cuts)])


def _mean_chances(chances, hazards, kind):
    """Chances of the mean curve of each kind; rows are sorted by kind.

    After c failures, the weight of a query is its probability of c failures. It is
    divided by the largest of the kind, because all can be too small for a float.
    """
    starts = np.flatnonzero(np.diff(kind, prepend=-1))
    hazards = hazards[:, :-1]
    weights = np.exp(np.minimum.reduceat(hazards, starts, axis=0)[kind] - hazards)
    totals = np.add.reduceat(weights, starts, axis=0)
    means = np.add.reduceat(weights * chances, starts, axis=0) / totals
    return np.minimum.accumulate(means, axis=1)  # rounding can make them increase


def stop_expenses(failing, n_rounds, min_budget=0):
    r"""Smallest expected spend of a plan whose last stop is d, for 1..n_rounds rounds.

    :math:`C_1(d) = d` and
    :math:`C_r(d) = \min_{c \le d} C_{r-1}(c) + (d - c)(1 - q(c))`.

    Parameters
    ----------
    failing : ndarray of shape (max_budget + 1, n_curves)
        Probability 1 − q(c) that the first c samples all fail. c is the first axis.
    n_rounds : int
        Number of rounds.
    min_budget : int, default=0
        Smallest number of samples of the first round.

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
        # From stop c, the expected spend is a line in d with slope 1 - q(c).
        lines = expenses[-1] - failing * stops
        expense = np.empty_like(failing)
        for d in range(len(failing)):
            expense[d] = (lines[: d + 1] + failing[: d + 1] * d).min(axis=0)
        expenses.append(expense)
    return expenses


def _stops_at_price(failing, expense, sizes, money):
    """Last stops just above and just below the price at which the money is spent."""

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


def _first_stops(failing, expenses, stops, delay):
    """First stops (n_curves,) of the cheapest plans with given last stops."""
    every = np.arange(len(failing))[:, None]
    for expense in expenses[-2::-1]:
        total = expense + failing * (stops - every) + delay * every
        stops = np.where(every <= stops, total, np.inf).argmin(axis=0)
    return stops


def _at(table, stops):
    """Entries of a table (max_budget + 1, n_curves) at the stops (n_curves,)."""
    return table[stops, np.arange(table.shape[1])]
