"""Sums of floats that do not depend on their order, in whole units."""

import numpy as np


def unit_of(largest, n_numbers):
    """A unit in which so many numbers can be added without rounding.

    Parameters
    ----------
    largest : float
        Bound on the numbers.
    n_numbers : int
        How many there are.

    Returns
    -------
    unit : float
        A power of two. The sum is below 2^62 of it.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._exact import unit_of
    >>> unit_of(1.5, 4) * 2**62
    8.0
    """
    _, exponent = np.frexp(float(largest) * n_numbers)
    return float(2.0 ** (int(exponent) - 62))


def in_units(values, unit):
    """Numbers in whole units, rounded.

    Parameters
    ----------
    values : ndarray
    unit : float
        From :func:`unit_of`.

    Returns
    -------
    whole : ndarray, dtype int64

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._exact import in_units
    >>> in_units(np.array([0.75, 1.0]), 0.25)
    array([3, 4])
    """
    return np.rint(values / unit).astype(np.int64)


def units_below(limit, unit):
    """Largest whole number of units that is at most a limit, which may be infinite."""
    return int(min(np.floor(limit / unit), 2**62))
