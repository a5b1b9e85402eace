"""The price at which a budget is spent when each query is decided alone."""

import numpy as np

from sklearn_adaalloc.planning._solvers import count_steps

_TIE = 1e-9  # relative difference up to which marginals count as equal


def _count_steps(offered, price, floor):
    """Count the steps of each query above `price`, and from there down to `floor`."""
    bought = (offered > np.float64(price)).sum(axis=1)
    return bought, (offered > np.float64(floor)).sum(axis=1) - bought


def price_of_budget(marginals, budget, *, min_budget=0):
    """Lowest price at which a budget suffices when each query is decided alone.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Marginal rewards, rows non-increasing.
    budget : float
        Mean number of samples per query.
    min_budget : int, default=0
        Number of samples that every query gets at every price.

    Returns
    -------
    price : float
        Steps with a marginal above the price are bought. The price is halfway between
        the smallest marginal that is bought and the largest that is not, so that
        rounding of predictions does not matter. If all these marginals are tied, it is
        just above them. It is infinite if the budget pays for no step. It is 0 if the
        budget pays for all steps.

    Raises
    ------
    ValueError
        If the budget does not pay for `min_budget`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._prices import price_of_budget
    >>> marginals = np.array([[0.5, 0.25, 0.125], [0.9, 0.09, 0.009]])
    >>> price_of_budget(marginals, budget=1)
    0.375
    """
    n_steps = count_steps(budget, len(marginals), min_budget)
    if n_steps == 0:
        return np.inf
    offered = marginals[:, min_budget:]
    offered = offered[offered > 0].astype(np.float64)
    if n_steps >= offered.size:
        return 0.0
    first_not = offered.size - n_steps - 1
    unbought = np.partition(offered, first_not)[first_not]
    above = unbought * (1 + _TIE)
    bought = offered[offered > above]  # fewer than n_steps if marginals are tied
    return float((unbought + bought.min()) / 2 if bought.size else above)


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
