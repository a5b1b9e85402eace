"""Checks on what users pass in: each returns the normalised value or raises.

Every message names the parameter, the value received, what is accepted and what to
do. Nothing is clipped, dropped or converted in silence.
"""

from contextlib import contextmanager

import numpy as np

from sklearn_adaalloc._numbers import LARGEST, check_numbers, reward_array
from sklearn_adaalloc._parameters import MOST, check_whole, is_number


@contextmanager
def all_or_nothing(estimator):
    """Leave an estimator as it was if fitting it fails, at the start or half-way.

    Parameters
    ----------
    estimator : estimator
        Its `fit` only sets attributes and changes none in place.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc._validation import all_or_nothing
    >>> model = Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    >>> try:
    ...     with all_or_nothing(model):
    ...         model.coef_ = None
    ...         raise ValueError
    ... except ValueError:
    ...     print(model.coef_ is None)
    False
    """
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:  # an interrupt, too, comes half-way
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_rewards(rewards, *, n_queries=None, binary=False):
    """Check a reward table.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples), (n_queries,) or \
            (n_queries, 2, n_samples)
        Rewards of sampled answers; NaN marks a missing sample. One value per query
        is a table of one sample; a sequence of sequences of different lengths is
        padded with NaN; three axes are a routing table, weak decoder first.
    n_queries : int, default=None
        Number of queries the table must have.
    binary : bool, default=False
        Whether only 0 and 1 are accepted.

    Returns
    -------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        The table in float64.

    Raises
    ------
    ValueError
        If the table is empty, has infinite or huge values, a query without any sample,
        another number of queries, a wrong shape, or, with `binary`, rewards beside 0
        and 1.

    Examples
    --------
    >>> from sklearn_adaalloc._validation import check_rewards
    >>> check_rewards([[1, 0, 1], [0]])
    array([[ 1.,  0.,  1.],
           [ 0., nan, nan]])
    """
    table = reward_array(rewards)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim not in (2, 3) or (table.ndim == 3 and table.shape[1] != 2):
        raise ValueError(
            f"rewards has shape {table.shape}. Expected (n_queries, n_samples), or "
            "(n_queries, 2, n_samples) for routing with the weak decoder first."
        )
    if table.size == 0:
        raise ValueError(
            f"rewards is empty: shape {table.shape}. Give at least one query with at "
            "least one graded sample."
        )
    if n_queries is not None and len(table) != n_queries:
        raise ValueError(
            f"X and rewards have inconsistent numbers of queries: {n_queries} and "
            f"{len(table)}. Give one row of rewards per query."
        )
    if np.isinf(table).any():
        row = np.flatnonzero(np.isinf(table).reshape(len(table), -1).any(axis=1))[0]
        raise ValueError(
            f"rewards contains infinity (inf) in row {row}. Expected finite rewards; "
            "mark a missing sample with NaN."
        )
    if (np.abs(table) > LARGEST).any():
        row = np.argwhere(np.abs(table) > LARGEST)[0, 0]
        raise ValueError(
            f"rewards has sizes above {LARGEST:g} in row {row}, whose sums and squares "
            "would overflow. Rescale the rewards."
        )
    empty = np.isnan(table).all(axis=-1).reshape(len(table), -1).any(axis=1)
    if empty.any():
        raise ValueError(
            f"rewards has no sample in row {np.flatnonzero(empty)[0]}: only NaN. Drop "
            "such queries, or grade at least one answer for each decoder of each query."
        )
    if binary:
        _require_binary(table)
    return table


def has_one_value_per_query(rewards):
    """Say whether rewards come as one value per query rather than as a table.

    Parameters
    ----------
    rewards : array-like
        What :func:`check_rewards` accepts.

    Returns
    -------
    bool

    Examples
    --------
    >>> from sklearn_adaalloc._validation import has_one_value_per_query
    >>> has_one_value_per_query([1, 0]), has_one_value_per_query([[1, 0]])
    (True, False)
    """
    return reward_array(rewards).ndim == 1


def is_binary(rewards):
    """Say whether every graded sample of a checked table is 0 or 1."""
    return bool(((rewards == 0) | (rewards == 1) | np.isnan(rewards)).all())


def _require_binary(table):
    if is_binary(table):
        return
    bad = ~((table == 0) | (table == 1) | np.isnan(table)).reshape(len(table), -1)
    row, column = np.argwhere(bad)[0]
    value = table.reshape(len(table), -1)[row, column]
    raise ValueError(
        f"rewards has {value:g} in row {row}. Expected 0 or 1 for a target on success "
        "rates. Use target='marginal_rewards' for real-valued rewards."
    )


def check_rates(rates):
    """Check success rates.

    Parameters
    ----------
    rates : array-like of shape (n_queries,)
        Success rates λ.

    Returns
    -------
    rates : ndarray of shape (n_queries,)
        The rates in float64.

    Raises
    ------
    ValueError
        If there are none, there is more than one axis, or a rate is outside [0, 1].

    Examples
    --------
    >>> from sklearn_adaalloc._validation import check_rates
    >>> check_rates([0, 0.5])
    array([0. , 0.5])
    """
    expected = "one success rate per query, shape (n_queries,)"
    rates = check_numbers(rates, "rates", expected).astype(np.float64, copy=False)
    if rates.ndim != 1 or rates.size == 0:
        raise ValueError(
            f"rates has shape {rates.shape}. Expected {expected}, and at least one "
            "query."
        )
    bad = ~((rates >= 0) & (rates <= 1))
    if bad.any():
        row = np.flatnonzero(bad)[0]
        raise ValueError(
            f"the success rate in row {row} is {rates[row]:g}. Expected one in [0, 1]. "
            "Clip or calibrate rates first, or give the graded samples themselves."
        )
    return rates


def check_marginals(marginals, *, n_queries=None):
    """Check a table of marginal rewards.

    Parameters
    ----------
    marginals : array-like of shape (n_queries, max_budget)
        Marginal reward Δ of each further sample.
    n_queries : int, default=None
        Number of queries the table must have.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)
        Floating point; float32 stays float32.

    Raises
    ------
    ValueError
        If there are not two axes, one is empty, the number of queries differs, or a
        value is not finite or huge.

    Examples
    --------
    >>> from sklearn_adaalloc._validation import check_marginals
    >>> check_marginals([[2, 1]])
    array([[2., 1.]])
    """
    marginals = check_numbers(marginals, "marginals", "(n_queries, max_budget)")
    if marginals.ndim != 2 or marginals.size == 0:
        raise ValueError(
            f"marginals has shape {marginals.shape}. Expected (n_queries, max_budget) "
            "with at least one query and one step; reshape one value per query with "
            "marginals[:, None]."
        )
    if n_queries is not None and len(marginals) != n_queries:
        raise ValueError(
            f"rewards and marginals have inconsistent numbers of queries: {n_queries} "
            f"and {len(marginals)}. Give one row of marginals per query."
        )
    # NaN passes through both ends: no boolean array as large as the table.
    if not -LARGEST <= marginals.min() <= marginals.max() <= LARGEST:
        bad = np.argwhere(~(np.abs(marginals) <= LARGEST))
        raise ValueError(
            f"marginals is not finite in row {bad[0, 0]}, step {bad[0, 1] + 1}, or "
            f"above {LARGEST:g}. Expected finite numbers whose sums and squares do not "
            "overflow; predict others, or rescale the rewards."
        )
    return marginals


def check_budget(budget, *, min_budget=0, max_budget=None):
    """Check an allocator's mean budget and the bounds on each query's budget.

    Parameters
    ----------
    budget : float
        Mean budget per query, B.
    min_budget : int, default=0
        Least budget of any one query.
    max_budget : int, default=None
        Largest budget of any one query; None for no bound.

    Returns
    -------
    budget : float
    min_budget : int
    max_budget : int or None

    Raises
    ------
    ValueError
        Unless ``0 <= min_budget <= budget <= max_budget`` with whole bounds.

    Examples
    --------
    >>> from sklearn_adaalloc._validation import check_budget
    >>> check_budget(4, min_budget=1, max_budget=64)
    (4.0, 1, 64)
    """
    min_budget = check_whole(min_budget, "min_budget", least=0)
    if not is_number(budget) or not 0 <= budget <= MOST:
        raise ValueError(
            f"budget={budget!r} is not a mean budget. Expected a finite number of "
            f"samples per query, at least 0 and at most {MOST}."
        )
    if budget < min_budget:
        raise ValueError(
            f"budget={budget!r} is below min_budget={min_budget!r}: every query gets "
            "at least min_budget samples. Raise budget or lower min_budget."
        )
    if max_budget is not None:
        max_budget = check_whole(max_budget, "max_budget", least=1)
        if budget > max_budget:
            raise ValueError(
                f"budget={budget!r} is above max_budget={max_budget!r}: no query may "
                "get more than max_budget samples, so the mean cannot either. Lower "
                "budget or raise max_budget."
            )
    return float(budget), min_budget, max_budget


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
        What messages call them.

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
    >>> from sklearn_adaalloc._validation import check_budgets
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
            f"{max_budget}. Lower it, or give rewards that reach further."
        )
    return budgets.astype(np.int64)
