r"""The budget problem: how many samples each query gets, and at what price.

Choose budgets :math:`b_i` between `min_budget` and `max_budget` that maximise
:math:`\sum_i q_i(b_i)`, such that their mean is at most `budget` (Eq. 5 of Damani et
al., "Learning How Hard to Think", ICLR 2025). If the marginals of each row are
non-increasing, the solution takes the :math:`K = \lfloor \mathrm{budget} \cdot n
\rfloor` largest marginals: all steps above some price. Three rules hold for every
function of this module.

- The first `min_budget` steps of a query are mandatory. They count as spent, and their
  marginals are not used. Any other step is bought only if its marginal is positive.
- Equal marginals are bought in the order of step, then of row. Queries with equal
  curves therefore get equal budgets, except for a remainder.
- After the first `min_budget` steps, rows of marginals must be non-increasing, see
  :func:`~sklearn_adaalloc.curves.concave_repair`.

All functions are pure and expect checked arrays. How the price of many rows is found,
also if they are in several places: :mod:`sklearn_adaalloc.planning._blocks`.
"""

import numpy as np

from sklearn_adaalloc.planning._blocks import (
    answer,
    buy_ties,
    check_rows,
    count_ties,
    price_of_steps,
    share_ties,
    steps_above,
)
from sklearn_adaalloc.planning._cost_blocks import payable_units
from sklearn_adaalloc.planning._exact import in_units, unit_of

_ROUNDING = 1e-12  # relative rounding error of a sum of costs


def allocate(marginals, budget, *, min_budget=0, costs=None):
    """Split a budget over queries so that the expected reward is largest.

    The result is optimal if all steps cost the same. If costs differ, steps are bought
    in the order of marginal per cost, until the rest of the budget cannot pay for the
    next step. The optimum is better by less than the marginal of that one step.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget), float32 or float64
        Marginal reward of each query's b-th sample.
    budget : float
        Mean budget per query. With `costs`, mean cost per query.
    min_budget : int, default=0
        Number of mandatory samples of every query.
    costs : array-like of shape (), (n_queries,) or (n_queries, max_budget), \
            default=None
        Cost of a sample: one number, one per query, or one per sample. None means 1.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64
        Number of samples of each query.
    price : float
        Marginal per cost of the last step that is bought. It is 0.0 if all positive
        marginals are bought and budget is left. If the mandatory steps use the whole
        budget, it is the largest marginal that is not bought.

    Raises
    ------
    ValueError
        If the budget does not pay for `min_budget`, if a row of marginals (per cost)
        increases or is not finite, or if a cost is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._solvers import allocate
    >>> marginals = np.array([[0.5, 0.25, 0.125], [0.9, 0.09, 0.009]])
    >>> allocate(marginals, budget=1.5)
    (array([2, 1]), 0.25)
    >>> allocate(marginals, budget=1.5, costs=[1.0, 2.0])
    (array([1, 1]), 0.45)
    """
    if costs is not None:
        return _allocate_costs(marginals, budget, min_budget, costs)
    n_steps = count_steps(budget, len(marginals), min_budget)
    marginals = marginals[:, min_budget:]
    search = price_of_steps([len(marginals)], marginals.shape[1], n_steps)
    price = answer(search, [marginals])
    budgets, at_least = steps_above(marginals, price)
    if price > 0:
        width = marginals.shape[1]
        level, quotas = share_ties([count_ties(budgets, at_least, width)], n_steps)
        budgets = buy_ties(budgets, at_least, level, quotas[0])
    return min_budget + budgets, price


def allocate_bins(marginals, sizes, budget, *, min_budget=0, costs=None):
    """Choose one budget for each bin so that the expected reward is largest.

    A step of a bin costs one sample for each of its queries. Steps are bought in the
    order of their marginals. If the rest of the budget cannot pay for the next step of
    a bin, this bin gets no further step, and the rest goes to smaller bins. The optimum
    is better by less than one step of one bin: the first that was too expensive.

    Parameters
    ----------
    marginals : ndarray of shape (n_bins, max_budget)
        Mean marginal rewards of each bin's queries.
    sizes : ndarray of shape (n_bins,), int
        Number of queries in each bin.
    budget : float
        Mean budget per query.
    min_budget : int, default=0
        Number of mandatory samples of every query.
    costs : ndarray of shape (n_bins,), default=None
        Mean cost of a sample in each bin; `budget` is then a mean cost per query. None
        is 1.

    Returns
    -------
    budgets : ndarray of shape (n_bins,), dtype int64
        ``sum(sizes * budgets) <= floor(budget * sum(sizes))``.

    Raises
    ------
    ValueError
        If the budget does not pay for `min_budget`, or a row of marginals increases or
        is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._solvers import allocate_bins
    >>> marginals = np.array([[0.5, 0.25, 0.125], [0.9, 0.09, 0.009]])
    >>> allocate_bins(marginals, sizes=np.array([10, 20]), budget=1.5)
    array([2, 1])
    """
    marginals = marginals[:, min_budget:]
    if costs is None:
        step_costs = sizes
        left = count_steps(budget, int(np.sum(sizes)), min_budget)
    else:
        step_costs, marginals = sizes * costs, marginals / costs[:, None]
        left = budget * np.sum(sizes) * (1 + _ROUNDING) - min_budget * step_costs.sum()
        if left < 0:
            _raise_unpaid(
                budget, min_budget, min_budget * step_costs.sum() / sizes.sum()
            )
    budgets = np.zeros(len(marginals), dtype=np.int64)
    for bin_, step in zip(*allocation_path(marginals), strict=True):
        # `left` never grows: a bin that could not pay for a step gets no later one.
        if marginals[bin_, step] > 0 and step_costs[bin_] <= left:
            budgets[bin_] += 1
            left -= step_costs[bin_]
    return min_budget + budgets


def allocation_path(marginals):
    """List all steps in the order in which a growing budget buys them.

    With K samples, :func:`allocate` buys the first K steps of the path whose marginals
    are positive. One sort therefore gives the allocation for every budget.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Marginal rewards, rows non-increasing.

    Returns
    -------
    queries : ndarray of shape (n_queries * max_budget,)
        Row of each step.
    steps : ndarray of shape (n_queries * max_budget,)
        Column of each step. 0 is the first sample of a query. ``marginals[queries,
        steps]`` is in descending order.

    Raises
    ------
    ValueError
        If a row of `marginals` increases or is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._solvers import allocation_path
    >>> allocation_path(np.array([[0.5, 0.25], [0.9, 0.09]]))
    (array([1, 0, 0, 1]), array([0, 0, 1, 1]))
    """
    check_rows(marginals)
    # A stable sort of the transpose orders equal marginals by step, then by row.
    order = np.argsort(-marginals.T, axis=None, kind="stable")
    steps, queries = np.unravel_index(order, marginals.shape[::-1])
    return queries, steps


def _allocate_costs(marginals, budget, min_budget, costs):
    """Buy steps in the order of marginal per cost, as long as the budget can pay."""
    costs = _check_costs(costs, marginals.shape)
    n_queries = len(marginals)
    # Sums of whole units do not depend on the order of the queries.
    unit = unit_of(costs.max(), costs.size)
    whole = bool((costs == np.floor(costs)).all())
    limit = payable_units(budget, n_queries, unit, whole=whole)
    mandatory = int(in_units(costs[:, :min_budget], unit).sum())
    if mandatory > limit:
        _raise_unpaid(budget, min_budget, mandatory * unit / n_queries)
    costs = costs[:, min_budget:]
    marginals = marginals[:, min_budget:]
    # What brings nothing is not bought, however its cost grows.
    marginals = np.where(marginals > 0, marginals / costs, marginals)
    queries, steps = allocation_path(marginals)
    paid = mandatory + np.cumsum(in_units(costs[queries, steps], unit))
    n_payable = np.count_nonzero(paid <= limit)
    n_wanted = np.count_nonzero(marginals > 0)
    n_bought = min(n_wanted, n_payable)
    bought = np.bincount(queries[:n_bought], minlength=n_queries)
    if n_wanted == 0:
        return min_budget + bought, 0.0
    last = max(n_bought, 1) - 1
    one_more = int(in_units(costs.min(), unit))
    if n_bought == n_wanted and paid[last] + one_more <= limit:
        return min_budget + bought, 0.0
    return min_budget + bought, float(marginals[queries[last], steps[last]])


def _check_costs(costs, shape):
    """Check costs and broadcast them to shape (n_queries, max_budget)."""
    costs = np.asarray(costs, dtype=np.float64)
    if costs.shape not in ((), shape[:1], shape):
        raise ValueError(
            f"costs has shape {costs.shape}. Expected one number, one per query "
            f"{shape[:1]} or one per sample {shape}."
        )
    if not (np.isfinite(costs) & (costs > 0)).all():
        raise ValueError(
            f"costs has values from {costs.min()} to {costs.max()}. Expected positive, "
            "finite numbers. Give the cost of every sample."
        )
    return np.broadcast_to(costs[:, None] if costs.ndim == 1 else costs, shape)


def count_steps(budget, n_queries, min_budget):
    """Count the samples that a budget pays for beyond the mandatory ones."""
    # Neither floor(budget * n) nor the mean may be exceeded in floating point: 0.29 *
    # 100 is below 29 there, so a budget of 0.29 buys 28.
    n_steps = int(budget * n_queries)
    while n_steps / n_queries > budget:
        n_steps -= 1
    if n_steps < min_budget * n_queries:
        _raise_unpaid(budget, min_budget, min_budget)
    return n_steps - min_budget * n_queries


def _raise_unpaid(budget, min_budget, mean_cost):
    raise ValueError(
        f"budget={budget!r} does not pay for min_budget={min_budget!r}, which takes "
        f"{mean_cost:g} per query. Raise budget or lower min_budget."
    )
