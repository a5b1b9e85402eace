r"""What money buys where samples differ in cost, with queries in several blocks.

Steps are bought in the order of marginal per cost, as
:func:`~sklearn_adaalloc.planning._solvers.allocate` does. The price is the level at
which the money ends. As the K-th largest marginal is, it is bracketed and narrowed down
by what blocks answer (:mod:`sklearn_adaalloc.planning._blocks`): here, what the steps
above a level cost. All costs are whole units, so sums do not depend on their order.

All functions are pure and expect checked arrays.
"""

from operator import add
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.planning._blocks import (
    CANDIDATES,
    Question,
    check_rows,
    first_rows,
    floats_between,
    left_for_each,
    rows_of_blocks,
    sampled_rows,
    steps_above,
)
from sklearn_adaalloc.planning._exact import in_units, unit_of, units_below

_ROUNDING = 1e-12  # relative rounding error of a sum of costs


class CostRows(NamedTuple):
    """What is known of the queries of a block."""

    marginals: np.ndarray  # (n_queries, n_steps), without mandatory steps
    costs: np.ndarray  # (n_queries,): of a sample


class CostPurchase(NamedTuple):
    """Which steps are bought: those above a price, and some tied ones."""

    price: float  # marginal per cost
    level: int  # tied steps in columns before this one are bought
    unit: float  # of cost


def payable_units(budget, n_queries, unit, *, whole):
    """Largest number of units that a mean cost per query pays for.

    Sums of whole costs are exact, and then no tolerance is needed.
    """
    most = budget * n_queries * (1 if whole else 1 + _ROUNDING)
    limit = units_below(most, unit)
    while whole and limit * unit / n_queries > budget:
        limit = int(np.nextafter(float(limit), 0.0))
    return limit


def cost_purchases(sizes, width, budget, min_budget, *, most=None):
    """Find what money buys of each block: a generator of questions.

    Parameters
    ----------
    sizes : list of n_blocks int
        Number of queries of each block.
    width : int
        Number of steps beyond mandatory ones.
    budget : float
        Mean cost per query.
    min_budget : int
        Number of mandatory samples of every query.
    most : int, default=None
        Largest number of entries that blocks may answer with, all together. None is no
        limit.

    Returns
    -------
    purchase : CostPurchase
    left : list of n_blocks int
        Units for tied steps in the last column, of the first rows of each block. Both
        are for :func:`buy_cost_steps`.

    Raises
    ------
    ValueError
        If the budget does not pay for mandatory samples, or a row of marginals
        increases or is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._blocks import answer
    >>> from sklearn_adaalloc.planning._cost_blocks import (
    ...     CostRows,
    ...     buy_cost_steps,
    ...     cost_purchases,
    ... )
    >>> cheap = CostRows(np.array([[0.5, 0.25]]), np.array([1.0]))
    >>> dear = CostRows(np.array([[0.9, 0.6]]), np.array([2.0]))
    >>> search = cost_purchases([1, 1], 2, budget=2, min_budget=0)
    >>> purchase, left = answer(search, [cheap, dear])
    >>> buy_cost_steps(cheap, purchase, left[0])
    array([1])
    >>> buy_cost_steps(dear, purchase, left[1])
    array([1])
    """
    n_queries = sum(sizes)
    largest, whole = yield Question(_summarise, combine=_worst)
    unit = unit_of(largest, n_queries * (width + min_budget))
    mandatory = yield Question(_mandatory_units, (min_budget, unit), combine=add)
    limit = payable_units(budget, n_queries, unit, whole=whole) - mandatory
    if limit < 0:
        raise ValueError(
            f"budget={budget!r} does not pay for min_budget={min_budget!r}, which "
            f"takes {mandatory * unit / n_queries:g} per query. Raise budget or lower "
            "min_budget."
        )
    price = yield from _level(sizes, width, limit, unit, most)
    ties = yield Question(_find_ties, (price, unit))
    left = limit - sum(above for above, _ in ties)
    by_step = np.array([each for _, each in ties])  # (n_blocks, n_steps + 1)
    until = np.cumsum(by_step.sum(axis=0))
    level = int(np.searchsorted(until, left, side="right"))
    if price == 0 or level == len(until):
        return CostPurchase(price, 0 if price == 0 else level, unit), [0] * len(sizes)
    left -= int(until[level - 1]) if level else 0
    return CostPurchase(price, level, unit), left_for_each(by_step[:, level], left)


def buy_cost_steps(rows, purchase, left):
    """Number of steps of each query of a block that are bought.

    Parameters
    ----------
    rows : CostRows
    purchase, left
        What :func:`cost_purchases` returned.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64
    """
    above, at_least = steps_above(_ratios(rows), purchase.price)
    if purchase.price == 0:
        return above
    level = purchase.level
    budgets = np.clip(level, above, at_least)
    one_more = np.flatnonzero((above <= level) & (level < at_least))
    paid = np.cumsum(in_units(rows.costs[one_more], purchase.unit))
    budgets[one_more[: np.count_nonzero(paid <= left)]] += 1
    return budgets


def _level(sizes, width, limit, unit, most):
    """Find the highest level whose steps cannot all be paid; 0 if there is none."""
    n_queries, own = sum(sizes), first_rows(sizes)
    everything = yield Question(_positive_units, (unit,), own, combine=add)
    if everything <= limit:
        return 0.0
    rows = sampled_rows(n_queries)
    parts = [(part,) for part in rows_of_blocks(rows, sizes)]
    sample = yield Question(_take, own=parts)
    values, costs = (np.concatenate(each) for each in zip(*sample, strict=True))
    order = np.argsort(-values, axis=None)
    values = values.ravel()[order]
    paid = np.cumsum(np.repeat(costs, width)[order])
    target = limit * unit * len(rows) / n_queries
    # Two standard errors in the worst case: queries are bought whole or not.
    margin = 2 * width * np.sqrt(np.square(costs).sum())

    def value_where(paid_there):
        if paid_there <= 0:
            return np.float64(np.inf)
        place = np.searchsorted(paid, paid_there)
        return np.maximum(values[place], 0.0) if place < len(paid) else np.float64(0.0)

    most_each = None if most is None else most // len(sizes)
    while True:
        low, high = value_where(target + margin), value_where(target - margin)
        while True:
            question = Question(_select, (low, high, most_each, unit), own)
            above, within, values_within, units_within = zip(
                *(yield question), strict=True
            )
            above, within = sum(above), sum(within)
            found = above <= limit < above + within
            if not found or all(part is not None for part in values_within):
                break
            low, high = yield from _narrower(low, high, limit, unit)
        if found:
            break
        margin *= 8  # the level is outside the bracket
    if low == high:
        return float(low)
    values = np.concatenate(values_within)
    order = np.argsort(-values, kind="stable")
    paid = above + np.cumsum(np.concatenate(units_within)[order])
    return float(values[order[np.searchsorted(paid, limit, side="right")]])


def _narrower(low, high, limit, unit):
    """Narrow a bracket of the level to a part of it."""
    edges = floats_between(low, high, CANDIDATES)
    units = yield Question(_units_from, (edges, unit), combine=add)
    place = np.flatnonzero(units > limit)[-1]
    if place == len(edges) - 1:
        return high, high
    return edges[place], np.nextafter(edges[place + 1], low)


def _worst(one, other):
    """Largest cost, and whether all costs are whole."""
    return max(one[0], other[0]), one[1] and other[1]


# Questions to a block


def _ratios(rows):
    """Marginals per cost. What brings nothing is not bought, however its cost grows."""
    marginals, costs = rows
    return np.where(marginals > 0, marginals / costs[:, None], marginals)


def _summarise(rows):
    costs = rows.costs
    return float(costs.max(initial=0.0)), bool((costs == np.floor(costs)).all())


def _mandatory_units(rows, min_budget, unit):
    return min_budget * int(in_units(rows.costs, unit).sum())


def _positive_units(rows, unit, first_row):
    """What all steps cost that bring something; also checks the rows."""
    ratios = _ratios(rows)
    check_rows(ratios, first_row)
    return int((ratios > 0).sum(axis=1) @ in_units(rows.costs, unit))


def _take(rows, chosen):
    return _ratios(CostRows(*(each[chosen] for each in rows))), rows.costs[chosen]


def _select(rows, low, high, most, unit, first_row):
    """What the steps above `high` cost, and what those from `low` to `high`.

    The latter are listed, with their costs, unless they are more than `most`, or all
    equal.
    """
    ratios, units = _ratios(rows), in_units(rows.costs, unit)
    above = ratios > high
    within = (ratios >= low) & (ratios > 0) & ~above
    paid = int(above.sum(axis=1) @ units), int(within.sum(axis=1) @ units)
    if low == high:
        return *paid, ratios[:0, 0], units[:0]
    if most is not None and np.count_nonzero(within) > most:
        return *paid, None, None
    row, _ = np.nonzero(within)
    return *paid, ratios[within], units[row]


def _units_from(rows, edges, unit):
    """What the steps from each edge on cost; edges are ascending."""
    ratios, units = _ratios(rows), in_units(rows.costs, unit)
    row, step = np.nonzero((ratios >= edges[0]) & (ratios > 0))
    sums = np.zeros(len(edges) + 1, dtype=np.int64)
    np.add.at(sums, np.searchsorted(edges, ratios[row, step], side="right"), units[row])
    return np.cumsum(sums[:0:-1])[::-1]


def _find_ties(rows, price, unit):
    """What the steps above a price cost, and those tied with it, by their column."""
    above, at_least = steps_above(_ratios(rows), price)
    units = in_units(rows.costs, unit)
    changes = np.zeros(rows.marginals.shape[1] + 1, dtype=np.int64)
    tied = above < at_least
    np.add.at(changes, above[tied], units[tied])
    np.subtract.at(changes, at_least[tied], units[tied])
    return int(above @ units), np.cumsum(changes)
