"""Checks on single parameters: each returns the normalised value or raises."""

import math
import os
from numbers import Integral, Real
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

MOST = 2**31 - 1
"""Largest whole number of samples, tokens and the like that is accepted."""
# Constraints that several estimators state, in scikit-learn's own terms.
COUNT = [Interval(Integral, 0, MOST, closed="both")]
POSITIVE_COUNT = [Interval(Integral, 1, MOST, closed="both")]
OPTIONAL_COUNT = [*POSITIVE_COUNT, None]
FLAG = ["boolean"]
POSITIVE = [Interval(Real, 0, None, closed="neither")]
NOT_NEGATIVE = [Interval(Real, 0, None, closed="left")]
PROPER_SHARE = [Interval(Real, 0, 1, closed="neither")]
# Estimator -> the values that were accepted last. Servers check for each request.
_ACCEPTED = WeakKeyDictionary()


def check_parameters(estimator):
    """Check every parameter for which an estimator's class states a constraint.

    Parameters
    ----------
    estimator : estimator
        Its class has `_parameter_constraints`: from the name of a parameter to a list
        of constraints, of which one must be met. They are those of scikit-learn:
        `Interval`, `StrOptions`, "boolean", or None.

    Raises
    ------
    ValueError
        If a value meets none of its constraints. Truth values are no numbers here.

    Examples
    --------
    >>> from sklearn_adaalloc import BinnedAllocator
    >>> from sklearn_adaalloc._utils.parameters import check_parameters
    >>> check_parameters(BinnedAllocator(n_bins=0))
    Traceback (most recent call last):
        ...
    ValueError: n_bins=0 is not accepted. Expected a whole number of at least 1.
    """
    stated = estimator._parameter_constraints
    values = [getattr(estimator, name) for name in stated]
    if are_same(values, _ACCEPTED.get(estimator, ())):
        return
    for value, (name, constraints) in zip(values, stated.items(), strict=True):
        if not any(_meets(value, constraint) for constraint in constraints):
            accepted = " or ".join(_in_words(each, value) for each in constraints)
            raise ValueError(f"{name}={value!r} is not accepted. Expected {accepted}.")
    _ACCEPTED[estimator] = values


def are_same(parts, others):
    """Whether two sequences hold the same objects."""
    return len(parts) == len(others) and all(
        one is other for one, other in zip(parts, others, strict=True)
    )


def _meets(value, constraint):
    if constraint is None:
        return value is None
    if constraint == "boolean":
        return isinstance(value, bool | np.bool_)
    if isinstance(constraint, Interval):
        return is_number(value) and constraint.is_satisfied_by(value)
    return constraint.is_satisfied_by(value)


def _in_words(constraint, value):
    if constraint is None:
        return "None"
    if constraint == "boolean":
        return "True or False"
    if isinstance(constraint, StrOptions):
        return f"one of {sorted(constraint.options)}"
    if constraint.type is Integral:
        too_large = isinstance(value, Integral) and value > constraint.right
        bound = f" and at most {constraint.right}" if too_large else ""
        return f"a whole number of at least {constraint.left}{bound}"
    left = "[" if constraint.closed in ("left", "both") else "("
    right = "]" if constraint.closed in ("right", "both") else ")"
    high = "inf" if constraint.right is None else constraint.right
    return f"a number in {left}{constraint.left}, {high}{right}"


def check_whole(value, name, *, least, most=MOST):
    """Check a whole number between two bounds.

    Parameters
    ----------
    value : int
        Value received.
    name : str
        Name of the parameter, for the message.
    least : int
        Least value accepted.
    most : int, default=2147483647
        Largest value accepted.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If `value` is not a whole number or lies outside the bounds.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.parameters import check_whole
    >>> check_whole(3, "n_bins", least=1)
    3
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        bound = f" and at most {most}" if whole and value > most else ""
        raise ValueError(
            f"{name}={value!r} is not accepted. Expected a whole number of at least "
            f"{least}{bound}."
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
    >>> from sklearn_adaalloc._utils.parameters import check_choice
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
    >>> from sklearn_adaalloc._utils.parameters import check_in_interval
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


def check_flag(value, name):
    """Check that a value is a bool, and not another truthy or falsy value.

    Parameters
    ----------
    value : bool
        Value received.
    name : str
        Name of the parameter, for the message.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If it is anything else.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.parameters import check_flag
    >>> check_flag(True, "chat_template")
    True
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}={value!r} is not accepted. Expected True or False.")
    return bool(value)


def check_path(value, name):
    """Check that a value can be a path. The file or folder need not exist.

    Parameters
    ----------
    value : str or path
        Value received.
    name : str
        Name of the parameter, for the message.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it is neither a str nor a path, or if no file system accepts it.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.parameters import check_path
    >>> check_path("rewards.sqlite", "store")
    'rewards.sqlite'
    """
    try:
        path = os.fsdecode(os.fsencode(value))
    except (TypeError, UnicodeError):
        path = "\0"
    if isinstance(value, bytes) or "\0" in path:
        raise ValueError(f"{name}={value!r} is not accepted. Expected a str or path.")
    return path


def is_number(value):
    """Whether a value is a finite real number and not a bool."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that is too large for a float
        return False
