"""Expected maximum of normal rewards as a function of their number.

All functions are pure and expect checked arrays.
"""

import numpy as np
from scipy.special import ndtr

_GRID = np.linspace(-8, 8, 641)  # values beyond have negligible probability


def normal_maxima(max_budget):
    """Expected maximum of b standard normals, b = 1..max_budget.

    Parameters
    ----------
    max_budget : int
        Largest b.

    Returns
    -------
    maxima : ndarray of shape (max_budget,)

    Examples
    --------
    >>> from sklearn_adaalloc.curves._normal import normal_maxima
    >>> (normal_maxima(3) + 0.0).round(3)
    array([0.   , 0.564, 0.846])
    """
    return _GRID[0] + improvement_table(max_budget)[0]


def improvement_table(max_budget):
    r"""Tabulate the expected improvement g_s on a grid of standardised heights z.

    :math:`g_s(z) = \int_z^\infty 1 - \Phi(u)^s \, du` is the expected excess over z of
    the maximum of s standard normals.

    Parameters
    ----------
    max_budget : int
        Largest s.

    Returns
    -------
    table : ndarray of shape (n_heights, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._normal import improvement_table
    >>> middle = improvement_table(1)[320, 0]  # height 0: half the mean of |z|
    >>> bool(np.isclose(middle, 1 / np.sqrt(2 * np.pi), atol=1e-4))
    True
    """
    above = 1 - ndtr(_GRID)[:, None] ** np.arange(1, max_budget + 1)
    slices = (above[1:] + above[:-1]) / 2 * np.diff(_GRID)[:, None]
    table = np.zeros_like(above)
    table[:-1] = np.cumsum(slices[::-1], axis=0)[::-1]
    return table


def look_up(table, heights):
    """Interpolate a table of :func:`improvement_table` at given heights.

    Parameters
    ----------
    table : ndarray of shape (n_heights, max_budget)
        Expected improvements on the grid.
    heights : ndarray of shape (n_queries,)
        Standardised heights.

    Returns
    -------
    improvements : ndarray of shape (n_queries, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._normal import improvement_table, look_up
    >>> look_up(improvement_table(1), np.array([0.0, -10.0])).round(2)
    array([[ 0.4],
           [10. ]])
    """
    place = (heights - _GRID[0]) / (_GRID[1] - _GRID[0])
    inside = np.clip(place, 0, len(_GRID) - 1.001)
    lower = inside.astype(np.int64)
    share = (inside - lower)[:, None]
    gains = (1 - share) * table[lower] + share * table[lower + 1]
    # Below the grid, the improvement also grows by the distance to the grid.
    return gains + np.maximum(_GRID[0] - heights, 0)[:, None]
