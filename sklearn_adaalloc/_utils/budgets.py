"""Checks on budgets: each returns the normalised value or raises."""

import numpy as np

from sklearn_adaalloc._utils.numbers import LARGEST, check_numbers
from sklearn_adaalloc._utils.parameters import MOST, check_whole, is_number


def check_budget(budget, *, min_budget=0, max_budget=None, unit="samples"):
    """Check an allocator's mean budget and the bounds on each query's budget.

    Parameters
    ----------
    budget : float
        Mean budget per query, B.
    min_budget : int, default=0
        Least budget of any one query.
    max_budget : int, default=None
        Largest budget of any one query; None for no bound.
    unit : {"samples", "cost"}, default="samples"
        What `budget` counts. `min_budget` and `max_budget` always count samples. They
        are compared with `budget` only if it counts samples too.

    Returns
    -------
    budget : float
    min_budget : int
    max_budget : int or None

    Raises
    ------
    ValueError
        Unless ``0 <= min_budget <= budget <= max_budget``, with integer bounds.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.budgets import check_budget
    >>> check_budget(4, min_budget=1, max_budget=64)
    (4.0, 1, 64)
    """
    min_budget = check_whole(min_budget, "min_budget", least=0)
    in_samples = unit == "samples"
    most, what = (MOST, "samples") if in_samples else (LARGEST, "units of cost")
    if not is_number(budget) or not 0 <= budget <= most:
        raise ValueError(
            f"budget={budget!r} is not a mean budget. Expected a finite number of "
            f"{what} per query, at least 0 and at most {most}."
        )
    if in_samples and budget < min_budget:
        raise ValueError(
            f"budget={budget!r} is below min_budget={min_budget!r}: every query gets "
            "at least min_budget samples. Raise budget or lower min_budget."
        )
    if max_budget is not None:
        max_budget = check_whole(max_budget, "max_budget", least=1)
        if in_samples and budget > max_budget:
            raise ValueError(
                f"budget={budget!r} is above max_budget={max_budget!r}: no query may "
                "get more than max_budget samples, so the mean cannot either. Lower "
                "budget or raise max_budget."
            )
    return float(budget), min_budget, max_budget


def check_menu_budget(
    budget, *, n_decoders, min_budget=0, max_budget=1, unit="samples"
):
    """Check an allocator's mean budget and the bounds on each decoder's budget.

    Parameters
    ----------
    budget : float
        Mean budget per query, of all decoders together.
    n_decoders : int
        Number of decoders.
    min_budget, max_budget : int or sequence of n_decoders int
        Least and largest number of samples of each decoder; one number is for each.
    unit : {"samples", "cost"}, default="samples"
        What `budget` counts.

    Returns
    -------
    budget : float
    min_budget, max_budget : tuple of n_decoders int

    Raises
    ------
    ValueError
        If a bound is no whole number, there are not as many as decoders, a least one is
        above the largest, or a budget in samples is not between their sums.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.budgets import check_menu_budget
    >>> check_menu_budget(2, n_decoders=2, min_budget=[1, 0], max_budget=8)
    (2.0, (1, 0), (8, 8))
    """
    least = _bounds(min_budget, "min_budget", n_decoders, least=0)
    most = _bounds(max_budget, "max_budget", n_decoders, least=0)
    for decoder, (low, high) in enumerate(zip(least, most, strict=True)):
        if low > high:
            raise ValueError(
                f"min_budget={min_budget!r} is above max_budget={max_budget!r} for "
                f"decoder {decoder}. Expected at most as much for each decoder."
            )
    in_samples = unit == "samples"
    budget, _, _ = check_budget(budget, unit=unit)
    if in_samples and not sum(least) <= budget <= sum(most):
        raise ValueError(
            f"budget={budget!r} is not between {sum(least)} and {sum(most)} samples, "
            f"the sums over decoders of min_budget={min_budget!r} and "
            f"max_budget={max_budget!r}. Change budget or these bounds."
        )
    return budget, least, most


def _bounds(bound, name, n_decoders, *, least):
    """One whole number per decoder."""
    if np.ndim(bound) == 0:
        return (check_whole(bound, name, least=least),) * n_decoders
    bounds = tuple(check_whole(each, name, least=least) for each in bound)
    if len(bounds) != n_decoders:
        raise ValueError(
            f"{name}={bound!r} has {len(bounds)} numbers. Expected one number, or one "
            f"for each of {n_decoders} decoders."
        )
    return bounds


def check_budgets(budgets, *, n_queries=None, max_budget=None, name="budgets"):
    """Check the budgets of single queries.

    Parameters
    ----------
    budgets : array-like of shape (n_queries,)
        Number of samples given to each query.
    n_queries : int, default=None
        Number of queries there must be.
    max_budget : int, default=None
        Largest budget accepted.
    name : str, default="budgets"
        Name of the parameter, for the message.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64

    Raises
    ------
    ValueError
        If a budget is negative, not a whole number or above `max_budget`, or the number
        of budgets differs from the number of queries.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.budgets import check_budgets
    >>> check_budgets([2.0, 0])
    array([2, 0])
    """
    expected = "one whole number of samples per query, shape (n_queries,)"
    budgets = check_numbers(budgets, name, expected)
    if budgets.ndim != 1:
        raise ValueError(f"{name} has shape {budgets.shape}. Expected {expected}.")
    if n_queries is not None and len(budgets) != n_queries:
        raise ValueError(
            f"rewards and {name} have inconsistent numbers of queries: {n_queries} "
            f"and {len(budgets)}. Give one budget per query."
        )
    accepted = (budgets >= 0) & (budgets <= MOST) & (budgets == np.floor(budgets))
    if not accepted.all():
        row = np.argmin(accepted)
        raise ValueError(
            f"{name} has {budgets[row]:g} in row {row}. Expected whole numbers of "
            f"samples, at least 0 and at most {MOST}. Give budgets as predict does."
        )
    if max_budget is not None and (budgets > max_budget).any():
        row = np.flatnonzero(budgets > max_budget)[0]
        raise ValueError(
            f"{name} has {budgets[row]:g} in row {row}. Expected at most "
            f"{max_budget}. Lower it, or give rewards with more samples per query."
        )
    return budgets.astype(np.int64)


def check_decoder_budgets(budgets, shape, *, name="budgets"):
    """Check the budgets of single queries, one for each of several decoders.

    Parameters
    ----------
    budgets : array-like of shape (n_queries, n_decoders)
        Number of samples of each decoder given to each query.
    shape : tuple of int
        Shape of the reward table.
    name : str, default="budgets"
        Name of the parameter, for the message.

    Returns
    -------
    budgets : ndarray of shape (n_queries, n_decoders), dtype int64

    Raises
    ------
    ValueError
        If the table has no axis of decoders or another number of queries or decoders,
        or if a budget is negative or not a whole number.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.budgets import check_decoder_budgets
    >>> check_decoder_budgets([[2.0, 0.0]], (1, 2, 8))
    array([[2, 0]])
    """
    found = np.shape(budgets)
    if len(shape) != 3 or found != tuple(shape[:2]):
        raise ValueError(
            f"{name} has shape {found}, and rewards {tuple(shape)}. Expected one "
            "budget for each decoder of each query, shape (n_queries, n_decoders), and "
            "a table of shape (n_queries, n_decoders, n_samples)."
        )
    rows = check_budgets(np.reshape(budgets, -1), name=name)
    return rows.reshape(found)


def limit_samples(budgets, left):
    """Cut budgets, so that no query gets more samples than it has left.

    Parameters
    ----------
    budgets : ndarray of shape (n_queries, n_decoders), int
        Samples that are wanted.
    left : ndarray of shape (n_queries,), int
        Samples that each query may still have, of all decoders together. The first
        decoders are served first.

    Returns
    -------
    budgets : ndarray of shape (n_queries, n_decoders), int

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._utils.budgets import limit_samples
    >>> limit_samples(np.array([[2, 3], [1, 0]]), np.array([4, 4]))
    array([[2, 2],
           [1, 0]])
    """
    before = np.cumsum(budgets, axis=1) - budgets
    return np.clip(left[:, None] - before, 0, budgets)
