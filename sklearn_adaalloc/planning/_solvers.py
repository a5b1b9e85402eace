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

All functions are pure and expect checked arrays. The price of a large batch is first
bracketed with a random sample of rows. Then the exact price is found within the
bracket. The random sample affects only the speed, never the result.
"""

import numpy as np

_BLOCK = 2**17  # entries read at a time: they and their masks fit into the cache
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
    n_priced = max(n_steps, 1)
    if n_priced <= marginals.size:
        price = max(float(_kth_largest(marginals, n_priced)), 0.0)
    else:  # the budget pays for more than there is
        _check_rows(marginals)
        price = 0.0
    budgets, at_least = _steps_above(marginals, price)
    if price > 0:
        budgets = buy_ties(budgets, at_least, n_steps)
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
    _check_rows(marginals)
    # A stable sort of the transpose orders equal marginals by step, then by row.
    order = np.argsort(-marginals.T, axis=None, kind="stable")
    steps, queries = np.unravel_index(order, marginals.shape[::-1])
    return queries, steps


def _allocate_costs(marginals, budget, min_budget, costs):
    """Buy steps in the order of marginal per cost, as long as the budget can pay."""
    costs = _check_costs(costs, marginals.shape)
    n_queries = len(marginals)
    # Sums of integer costs are exact: then no tolerance is needed.
    whole = (costs == np.floor(costs)).all()
    most = budget * n_queries * (1 if whole else 1 + _ROUNDING)
    mean = budget if whole else np.inf
    mandatory = costs[:, :min_budget].sum()
    if mandatory > most or mandatory / n_queries > mean:
        _raise_unpaid(budget, min_budget, mandatory / n_queries)
    costs = costs[:, min_budget:]
    marginals = marginals[:, min_budget:]
    # What brings nothing is not bought, however its cost grows.
    marginals = np.where(marginals > 0, marginals / costs, marginals)
    queries, steps = allocation_path(marginals)
    paid = mandatory + np.cumsum(costs[queries, steps])
    n_payable = np.count_nonzero((paid <= most) & (paid / n_queries <= mean))
    n_wanted = np.count_nonzero(marginals > 0)
    n_bought = min(n_wanted, n_payable)
    bought = np.bincount(queries[:n_bought], minlength=n_queries)
    if n_wanted == 0:
        return min_budget + bought, 0.0
    last = max(n_bought, 1) - 1
    enough = paid[last] + costs.min()  # the budget that would pay for one more step
    if n_bought == n_wanted and enough <= most and enough / n_queries <= mean:
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


def _blocks(marginals):
    """Yield (rows, block): contiguous blocks of rows that fit into the cache."""
    if marginals.size == 0:
        return
    n_rows = max(1, _BLOCK // marginals.shape[1])
    for start in range(0, len(marginals), n_rows):
        rows = slice(start, start + n_rows)
        yield rows, np.ascontiguousarray(marginals[rows])


def _check_rows(marginals):
    """Raise unless all rows are finite and non-increasing."""
    for rows, block in _blocks(marginals):
        _check_block(block, rows.start)


def _check_block(block, start):
    flat, width = block.ravel(), block.shape[1]
    falls = flat[:-1] >= flat[1:]
    falls[width - 1 :: width] = True  # from one row to the next
    # A non-increasing row has no NaN, and its ends are its extremes.
    if falls.all() and all(np.isfinite(block[:, end]).all() for end in (0, -1)):
        return
    falls = (block[:, :-1] >= block[:, 1:]).all(axis=1)
    bad = np.argmin(falls & np.isfinite(block).all(axis=1))
    raise ValueError(
        f"marginals has {block[bad]} in row {start + bad}. Expected finite, "
        "non-increasing rows. Repair them with concave_repair."
    )


def _kth_largest(marginals, k):
    """Find the exact k-th largest entry, within a bracket from a sample of rows."""
    n_queries, width = marginals.shape
    # With n^(2/3) rows, the sample and the bracket have about the same size.
    n_sampled = int(np.ceil(n_queries ** (2 / 3)))
    sampled = np.random.default_rng(0).integers(n_queries, size=n_sampled)
    sample = np.sort(marginals[sampled], axis=None)[::-1]
    # Two standard errors of the rank in the worst case: rows are bought whole or not.
    rank, margin = k * n_sampled // n_queries, width * np.sqrt(n_sampled)

    def quantile(rank):
        if 0 <= rank < sample.size:
            return sample[int(rank)]
        return np.inf if rank < 0 else -np.inf

    while True:
        low, high = quantile(rank + margin), quantile(rank - margin)
        n_above, n_within, within = _select(marginals, low, high)
        if n_above < k <= n_above + n_within:
            break
        margin *= 8  # the k-th largest entry is outside the bracket
    if low == high:
        return low
    place = n_above + n_within - k
    within.partition(place)
    return within[place]


def _select(marginals, low, high):
    """Count the entries above `high`, and count and list those from `low` to `high`."""
    n_above, n_within, within = 0, 0, [marginals[:0].ravel()]
    for rows, block in _blocks(marginals):
        _check_block(block, rows.start)  # while it is in the cache
        above = block > high
        chosen = above ^ (block >= low)
        n_above += np.count_nonzero(above)
        n_within += np.count_nonzero(chosen)
        if low < high:  # otherwise all are equal, possibly most of the array
            within.append(block[chosen])
    return n_above, n_within, np.concatenate(within)


def _steps_above(marginals, price):
    """Count the entries of each row above the price, and above or equal to it."""
    above, at_least = np.zeros((2, len(marginals)), dtype=np.int64)
    for rows, block in _blocks(marginals):
        above[rows] = at_least[rows] = _sum_rows(block > price)
        equal = block == price
        if equal.any():
            at_least[rows] += _sum_rows(equal)
    return above, at_least


def _sum_rows(mask):
    # A narrow counter is several times faster; int8 holds up to 127.
    counter = np.int8 if mask.shape[1] <= 127 else np.int64
    return mask.view(np.int8).sum(axis=1, dtype=counter)


def buy_ties(above, at_least, n_steps):
    """Add steps whose marginal equals the price, in the order of step, then of row.

    For row i these are the steps ``above[i] + 1, ..., at_least[i]``.
    """
    left = n_steps - above.sum()
    tied = np.flatnonzero(above < at_least)
    first, end = above[tied], at_least[tied]
    n_levels = end.max() + 1
    changes = np.bincount(first, minlength=n_levels) - np.bincount(end)
    n_until = np.cumsum(np.cumsum(changes))  # number of ties up to each level
    level = np.searchsorted(n_until, left)
    budgets = above.copy()
    budgets[tied] = np.clip(level, first, end)
    one_more = tied[(first <= level) & (level < end)]
    budgets[one_more[: n_steps - budgets.sum()]] += 1
    return budgets
