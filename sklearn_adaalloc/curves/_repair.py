"""Repair of marginal rewards that increase along a row."""

import numpy as np
from scipy.optimize import isotonic_regression


def concave_repair(marginals, *, min_budget=0):
    """Replace rows by the nearest non-increasing rows (pool adjacent violators).

    The result holds the slopes of the least concave majorant of each curve. A greedy
    allocation on them is therefore optimal for the relaxed problem.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    min_budget : int, default=0
        Number of mandatory first steps. They are not changed.

    Returns
    -------
    repaired : ndarray of shape (n_queries, max_budget)
        Non-increasing after the first `min_budget` steps. `marginals` itself if no row
        needs repair.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._repair import concave_repair
    >>> concave_repair(np.array([[1.0, 3.0, 0.0]]))
    array([[2., 2., 0.]])
    """
    free = marginals[:, min_budget:]
    rising = (free[:, 1:] > free[:, :-1]).any(axis=1)
    if not rising.any():
        return marginals
    repaired = marginals.copy()
    for row in np.flatnonzero(rising):
        pooled = isotonic_regression(free[row], increasing=False).x
        repaired[row, min_budget:] = pooled
    return repaired
