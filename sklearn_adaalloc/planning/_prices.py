"""The price at which a budget is spent when each query is decided alone."""

import math

import numpy as np

from sklearn_adaalloc.planning._solvers import count_steps

_TIE = 1e-9  # relative difference up to which marginals count as equal
_ROUNDING = 1e-12  # relative: what adding up costs may round off
_LOWEST, _HIGHEST, _STEP = 1e-12, 1e12, 8.0  # prices tried, by their scale
_PRECISION = 1e-3  # relative


def steps_at_price(offered, price, floor):
    """Count the steps of each query above `price`, and from there down to `floor`."""
    bought = (offered > np.float64(price)).sum(axis=1)
    return bought, (offered > np.float64(floor)).sum(axis=1) - bought


def price_of_budget(marginals, budget, *, min_budget=0, costs=None):
    """Lowest price at which a budget suffices when each query is decided alone.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Marginal rewards, rows non-increasing. With `costs`, marginal rewards per cost.
    budget : float
        Mean number of samples per query; with `costs`, mean cost per query.
    min_budget : int, default=0
        Number of samples that every query gets at every price.
    costs : ndarray of shape (n_queries,), default=None
        Cost of each query's samples. None is 1.

    Returns
    -------
    price : float
        Steps with a marginal above the price are bought. The price is halfway between
        the smallest marginal that is bought and the largest that is not, so that
        rounding of predictions does not matter. If all these marginals are tied, it is
        just above them. It is infinite if the budget pays for no step of any query. It
        is 0 if the budget pays for all steps.

    Raises
    ------
    ValueError
        If the budget does not pay for `min_budget`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning import price_of_budget
    >>> marginals = np.array([[0.5, 0.25, 0.125], [0.9, 0.09, 0.009]])
    >>> price_of_budget(marginals, budget=1)
    0.375
    >>> price_of_budget(marginals, budget=3, costs=np.array([1.0, 5.0]))
    0.375
    """
    offered = marginals[:, min_budget:]
    if costs is not None:
        return _price_of_money(offered, costs, budget, min_budget)
    n_steps = count_steps(budget, len(marginals), min_budget)
    if n_steps == 0:
        return np.inf
    offered = offered[offered > 0].astype(np.float64)
    if n_steps >= offered.size:
        return 0.0
    first_not = offered.size - n_steps - 1
    unbought = np.partition(offered, first_not)[first_not]
    above = unbought * (1 + _TIE)
    bought = offered[offered > above]  # fewer than n_steps if marginals are tied
    return float((unbought + bought.min()) / 2 if bought.size else above)


def _price_of_money(offered, costs, budget, min_budget):
    """The same where samples differ in cost."""
    money = money_left(budget, costs, min_budget)
    row, step = np.nonzero(offered > 0)
    values = offered[row, step].astype(np.float64)
    order = np.argsort(-values, kind="stable")
    values, paid = values[order], np.cumsum(costs[row[order]])
    n_bought = np.searchsorted(paid, money * (1 + _ROUNDING), side="right")
    if n_bought == len(values):
        return 0.0
    unbought = values[n_bought]
    above = unbought * (1 + _TIE)
    bought = values[:n_bought][values[:n_bought] > above]
    if bought.size:
        return float((unbought + bought[-1]) / 2)
    return np.inf if money < costs.min() * (1 - _ROUNDING) else float(above)


def price_by_replay(spend_at, budget, scale=1.0):
    """Price at which a replay spends a budget; spend falls with the price.

    Parameters
    ----------
    spend_at : callable
        Returns the mean spend of a replay at a price.
    budget : float
        Mean budget per query.
    scale : float, default=1.0
        About what a unit of budget can be worth at most. Prices up to 10^12 times as
        low and as high are tried.

    Returns
    -------
    price : float
        The lowest price tried, if the budget pays for all that is worth anything, and
        the highest if it pays for nothing.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._prices import price_by_replay
    >>> round(price_by_replay(lambda price: 1 / price, budget=2.5), 3)
    0.4
    >>> price_by_replay(lambda price: 1.0 if price < 0.4 else 0.0, budget=0)
    1000000000000.0
    """
    unit = _STEP ** round(math.log(scale, _STEP))  # all scales try the same prices
    lowest, highest = _LOWEST * unit, _HIGHEST * unit
    low = high = unit
    while high < highest and spend_at(high) > budget:
        low, high = high, high * _STEP
    if low == high:
        low = high / _STEP
        while low > lowest and spend_at(low) <= budget:
            low, high = low / _STEP, low
    if spend_at(low) > budget <= spend_at(highest):
        return highest  # new queries may be worth more than all that were replayed
    while high > low * (1 + _PRECISION):
        middle = np.sqrt(low * high)
        if spend_at(middle) > budget:
            low = middle
        else:
            high = middle
    return float(high)


def money_left(budget, costs, min_budget):
    """Money that is left once every query has its mandatory samples.

    Parameters
    ----------
    budget : float
        Mean cost per query.
    costs : ndarray of shape (n_queries,)
        Cost of each query's samples.
    min_budget : int
        Number of samples that every query gets in any case.

    Returns
    -------
    money : float

    Raises
    ------
    ValueError
        If the budget does not pay for them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._prices import money_left
    >>> money_left(budget=10, costs=np.array([3.0, 5.0]), min_budget=1)
    12.0
    """
    mandatory = float(min_budget * costs.sum())
    money = budget * len(costs) - mandatory
    if money < -_ROUNDING * mandatory:
        raise ValueError(
            f"budget={budget!r} does not pay for min_budget={min_budget!r}, which "
            f"takes {mandatory / len(costs):g} per query. Raise budget or lower "
            "min_budget."
        )
    return max(money, 0.0)


def tie_below(offered, price):
    """Lower end of the tied marginals just below the price.

    Parameters
    ----------
    offered : ndarray of shape (n_queries, n_steps)
        Marginal rewards.
    price : float
        Price from :func:`price_of_budget`.

    Returns
    -------
    floor : float
        Halfway between the largest marginal that is not bought and the next smaller
        one. The price itself if all positive marginals are bought.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._prices import tie_below
    >>> round(tie_below(np.array([[0.9, 0.3], [0.3, 0.1]]), price=0.6), 3)
    0.2
    """
    unbought = offered[(offered > 0) & (offered <= np.float64(price))]
    if unbought.size == 0:
        return price
    level = float(unbought.max())
    lower = unbought[unbought < level * (1 - _TIE)]
    return (level + float(lower.max(initial=0.0))) / 2
