"""The budget problem for known success rates, in closed form.

The rules are those of :mod:`sklearn_adaalloc._solvers`. As there, a random sample of
queries brackets the price, and the few steps left in doubt settle it exactly.
"""

import functools

import numpy as np

from sklearn_adaalloc._solvers import buy_ties, count_steps

_BLOCK = 2**17  # queries at a time: their arrays fit the cache
_LOG_LEAST, _LOG_MOST = -746.0, 1e-6  # beyond the logs of all positive marginals
_LOG_SURE = -700.0  # above it no marginal is rounded to 0
_LOG_ROUNDING = 1e-9  # far more than rounding moves the log of a marginal


def allocate_rates(rates, budget, *, min_budget=0, max_budget):
    r"""Allocate for 0/1 rewards with known success rates, without their marginals.

    Equal to :func:`allocate` on the rows :math:`\lambda (1 - \lambda)^{b - 1}`. At a
    price t a query is worth :math:`1 + \lfloor \log(t / \lambda) / \log(1 - \lambda)
    \rfloor` samples, within its bounds; bisection on log t finds the price. Memory is
    that of a few arrays of shape (n_queries,), whatever `max_budget`.

    Parameters
    ----------
    rates : ndarray of shape (n_queries,), float64
        Success rates.
    budget : float
        Mean budget per query.
    min_budget : int, default=0
        Number of samples that every query gets in any case.
    max_budget : int
        Largest budget of one query.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64
    price : float
        As in :func:`allocate`.

    Raises
    ------
    ValueError
        If the budget does not pay for `min_budget`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._rate_solver import allocate_rates
    >>> allocate_rates(np.array([0.5, 0.9, 0.0]), budget=1.0, max_budget=64)
    (array([2, 1, 0]), 0.25)
    """
    n_steps = count_steps(budget, len(rates), min_budget)
    with np.errstate(divide="ignore"):  # log(0) = -inf: no price is low enough
        log_rates, log_failures = np.log(rates), np.log1p(-rates)
    # At rate 1 a finite slope will do, too steep for a second step at any price.
    np.maximum(log_failures, -1e4, out=log_failures)
    curves = log_rates, log_failures, min_budget, max_budget
    low, high = _bracket_log_price(curves, max(n_steps, 1))
    budgets, most = np.empty((2, len(rates)), dtype=np.int64)
    for steps, log_price in ((budgets, high), (most, low)):
        for rows, block in _rate_steps(log_price, *curves):
            steps[rows] = block
    doubt = np.flatnonzero(budgets < most)
    fewest, budgets[doubt] = budgets[doubt], 0
    price, budgets[doubt] = _settle(
        rates[doubt], min_budget, fewest, most[doubt], n_steps - budgets.sum()
    )
    budgets += min_budget
    return budgets, price


def _rate_steps(log_price, log_rates, log_failures, min_budget, max_budget):
    """Yield (rows, steps at or above a price beyond `min_budget`), block by block."""
    for start in range(0, len(log_rates), _BLOCK):
        rows = slice(start, start + _BLOCK)
        steps = log_price - log_rates[rows]
        with np.errstate(over="ignore"):  # rates near 0: as many steps as there are
            steps /= log_failures[rows]
        np.floor(steps, out=steps)
        steps += 1 - min_budget
        yield rows, np.clip(steps, 0, max_budget - min_budget, out=steps)


def _bracket_log_price(curves, n_steps):
    """Find two log prices with the price and few other marginals between them."""
    log_rates, log_failures, *bounds = curves
    n_queries = len(log_rates)
    n_sampled = int(np.ceil(n_queries ** (2 / 3)))
    sampled = np.random.default_rng(0).integers(n_queries, size=n_sampled)
    count = _counter(log_rates[sampled], log_failures[sampled], *bounds)
    sample_steps = n_steps * n_sampled / n_queries
    guess, _ = _bisect(count, sample_steps, _LOG_LEAST, _LOG_MOST, few=0)

    count = _counter(*curves)
    if count(_LOG_LEAST) < n_steps:  # all are bought, unless rounded to 0
        return _LOG_LEAST, _LOG_SURE
    margin = 0.01
    while not count(guess + margin) < n_steps <= count(guess - margin):
        margin *= 8  # the sample misled
    few = n_queries / 64
    low, high = _bisect(count, n_steps, guess - margin, guess + margin, few)
    return low - _LOG_ROUNDING, high + _LOG_ROUNDING


def _counter(*curves):
    """Make a function of a log price that counts the steps at or above it."""
    return functools.cache(
        lambda log_price: sum(
            steps.sum() for _, steps in _rate_steps(log_price, *curves)
        )
    )


def _bisect(count, n_steps, low, high, few):
    """Narrow a bracket until it holds few steps, or only nearly equal ones."""
    while count(low) - count(high) > few and high - low > 10 * _LOG_ROUNDING:
        middle = (low + high) / 2
        if count(middle) < n_steps:
            high = middle
        else:
            low = middle
    return low, high


def _settle(rates, min_budget, fewest, most, n_steps):
    """Allocate exactly where only bounds on the budgets are known; price and budgets.

    The steps in doubt are listed once per distinct rate, so that the list stays short
    however many queries share a rate.
    """
    rates, first, inverse, n_equal = np.unique(
        rates, return_index=True, return_inverse=True, return_counts=True
    )
    fewest, n_doubt = fewest[first], (most - fewest)[first]
    owner = np.repeat(np.arange(len(rates)), n_doubt)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(n_doubt) - n_doubt, n_doubt)
    marginals = rates[owner] * (1 - rates[owner]) ** (
        min_budget + fewest[owner] + place
    )
    order = np.argsort(-marginals)
    n_until = fewest @ n_equal + np.cumsum(n_equal[owner[order]])
    last = np.searchsorted(n_until, n_steps)
    price = float(marginals[order[last]]) if last < len(order) else 0.0
    above, at_least = (
        (fewest + np.bincount(owner[bought], minlength=len(rates)))[inverse]
        for bought in (marginals > price, marginals >= price)
    )
    if price > 0:
        above = buy_ties(above, at_least, n_steps)
    return price, above
