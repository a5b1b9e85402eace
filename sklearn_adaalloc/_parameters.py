"""Checks on single parameters: each returns the normalised value or raises."""

from numbers import Integral, Real

import numpy as np


def check_whole(value, name, *, least):
    """Check a whole number with a lower bound.

    Parameters
    ----------
    value : int
        Value received.
    name : str
        Name of the parameter, for the message.
    least : int
        Least value accepted.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If `value` is not a whole number or lies below `least`.

    Examples
    --------
    >>> from sklearn_adaalloc._parameters import check_whole
    >>> check_whole(3, "n_bins", least=1)
    3
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(
            f"{name}={value!r} is not accepted. Expected a whole number of at least "
            f"{least}."
        )
    return int(value)


def check_choice(value, name, choices):
    """Check that a value is one of a few names.

    Parameters
    ----------
    value : str
        Value received.
    name : str
        Name of the parameter, for the message.
    choices : iterable of str
        Values accepted.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If `value` is none of `choices`.

    Examples
    --------
    >>> from sklearn_adaalloc._parameters import check_choice
    >>> check_choice("uniform", "strategy", ["uniform", "random"])
    'uniform'
    """
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{name}={value!r} is not accepted. Expected one of {choices}."
        )
    return value


def check_in_interval(value, name, low, high, *, closed="neither"):
    """Check a real number that must lie in an interval.

    Parameters
    ----------
    value : float
        Value received.
    name : str
        Name of the parameter, for the message.
    low, high : float
        Ends of the interval.
    closed : {"neither", "left", "right", "both"}, default="neither"
        Which ends belong to it.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If `value` is not a number in the interval.

    Examples
    --------
    >>> from sklearn_adaalloc._parameters import check_in_interval
    >>> check_in_interval(0.2, "holdout", 0, 1)
    0.2
    """
    left = "[" if closed in ("left", "both") else "("
    right = "]" if closed in ("right", "both") else ")"
    inside = is_number(value) and (
        low < value < high
        or (value == low and left == "[")
        or (value == high and right == "]")
    )
    if not inside:
        raise ValueError(
            f"{name}={value!r} is not accepted. Expected a number in "
            f"{left}{low}, {high}{right}."
        )
    return float(value)


def is_number(value):
    """Whether a value is a finite real number, and no truth value."""
    return (
        isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(value)
    )
