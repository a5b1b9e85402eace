"""The nearest rows of marginal rewards that never rise."""

import numpy as np
from scipy.optimize import isotonic_regression


def concave_repair(marginals, *, min_budget=0):
    """Nearest non-increasing rows: pool adjacent violators.

    The pooled values are the slopes of the least concave majorant of each curve, so a
    greedy allocation on them is optimal for the relaxed problem.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    min_budget : int, default=0
        Number of steps at the start that are taken in any case: they stay as they are.

    Returns
    -------
    repaired : ndarray of shape (n_queries, max_budget)
        Non-increasing beyond `min_budget`; `marginals` itself if all rows are.

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
