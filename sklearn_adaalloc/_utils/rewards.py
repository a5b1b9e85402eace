"""Checks on reward tables. Each returns the normalised value or raises.

Every message names the parameter, the value, what is accepted, and what to do. Nothing
is clipped, dropped or converted silently.
"""

import warnings

import numpy as np

from sklearn_adaalloc._utils.numbers import LARGEST, check_numbers, reward_array
from sklearn_adaalloc._utils.parameters import (
    check_in_interval,
)


def check_rewards(rewards, *, n_queries=None, binary=False, n_decoders=2):
    """Check a reward table.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples), (n_queries,) or \
            (n_queries, 2, n_samples)
        Rewards of sampled answers; NaN marks a missing sample. One value per query is a
        table with one sample. Rows of different lengths are padded with NaN. A table
        with three axes is a routing table, weak decoder first.
    n_queries : int, default=None
        Number of queries the table must have.
    binary : bool, default=False
        Whether only 0 and 1 are accepted.
    n_decoders : int, default=2
        Number of decoders that a table with an axis of decoders must have; None for
        any. With None, a query needs a sample of one decoder only.

    Returns
    -------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        The table in float64.

    Raises
    ------
    ValueError
        If the table is empty, has infinite or huge values, has a query without any
        sample, or has the wrong shape or number of queries. With `binary`, also if a
        reward is neither 0 nor 1.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.rewards import check_rewards
    >>> check_rewards([[1, 0, 1], [0]])
    array([[ 1.,  0.,  1.],
           [ 0., nan, nan]])
    """
    table = reward_array(rewards)
    if table.ndim == 1:
        table = table[:, None]
    decoders_fit = table.ndim == 2 or n_decoders in (None, *table.shape[1:2])
    if table.ndim not in (2, 3) or not decoders_fit:
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
    empty = np.isnan(table).all(axis=-1).reshape(len(table), -1)
    # With any number of decoders, some may be missing for some queries.
    empty = empty.all(axis=1) if n_decoders is None else empty.any(axis=1)
    if empty.any():
        raise ValueError(
            f"rewards has no sample in row {np.flatnonzero(empty)[0]}: only NaN. Drop "
            "such queries, or grade at least one answer for each decoder of each query."
        )
    if binary:
        _require_binary(table)
    return table


def has_one_value_per_query(rewards):
    """Say whether rewards have one value per query and are no table.

    Parameters
    ----------
    rewards : array-like
        What :func:`check_rewards` accepts.

    Returns
    -------
    bool

    Examples
    --------
    >>> from sklearn_adaalloc._utils.rewards import has_one_value_per_query
    >>> has_one_value_per_query([1, 0]), has_one_value_per_query([[1, 0]])
    (True, False)
    """
    return reward_array(rewards).ndim == 1


def has_decoders(rewards):
    """Say whether a table has an axis of decoders. Only routing tables have one.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.

    Returns
    -------
    bool

    Examples
    --------
    >>> from sklearn_adaalloc._utils.rewards import has_decoders
    >>> has_decoders([[0, 1]]), has_decoders([[[0, 1], [1, 1]]])
    (False, True)
    """
    return np.ndim(rewards) == 3


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
        If there are no rates, if there is more than one axis, or if a rate is outside
        [0, 1].

    Examples
    --------
    >>> from sklearn_adaalloc._utils.rewards import check_rates
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
        Floating-point numbers. float32 is kept.

    Raises
    ------
    ValueError
        If there are not two axes, an axis is empty, the number of queries differs, or a
        value is infinite, NaN or huge.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.rewards import check_marginals
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
    # NaN fails both comparisons. This needs no boolean array as large as the table.
    if not -LARGEST <= marginals.min() <= marginals.max() <= LARGEST:
        bad = np.argwhere(~(np.abs(marginals) <= LARGEST))
        raise ValueError(
            f"marginals is not finite in row {bad[0, 0]}, step {bad[0, 1] + 1}, or "
            f"above {LARGEST:g}. Expected finite numbers whose sums and squares do not "
            "overflow; predict others, or rescale the rewards."
        )
    return marginals


def check_empty_reward(empty_reward):
    """Check the reward of a query without samples: any number that is not huge.

    Parameters
    ----------
    empty_reward : float
        Value received.

    Returns
    -------
    float

    Examples
    --------
    >>> from sklearn_adaalloc._utils.rewards import check_empty_reward
    >>> check_empty_reward(-1)
    -1.0
    """
    return check_in_interval(empty_reward, "empty_reward", -LARGEST, LARGEST)


_WITH_REPLACEMENT = (
    "expected reward comes from the with-replacement estimator, which is biased "
    "downwards"
)


EXTENDED = (
    "reward curves are extended as the samples of a row suggest, by a posterior rate "
    "or a normal standard deviation (scores take the with-replacement estimator)"
)
"""What fitting does beyond the samples of a row; for :func:`warn_beyond_samples`."""


def warn_beyond_samples(
    rewards, budgets, *, name, beyond=_WITH_REPLACEMENT, stacklevel=4
):
    """Warn if budgets exceed what a reward table supports without replacement.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Checked reward table. There is never a warning for a routing table.
    budgets : ndarray of shape (n_queries,) or int
        Budget of each query, or the largest one for all.
    name : str
        Name of the parameter with the budgets, for the message.
    beyond : str
        What happens beyond the samples, for the message.
    stacklevel : int, default=4
        Frame that the warning points at. The default is the caller of a public function
        that calls this one through one helper.

    Warns
    -----
    UserWarning
        If a budget is larger than the number of samples of its query.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._utils.rewards import warn_beyond_samples
    >>> warn_beyond_samples(np.array([[0.0, 1.0]]), 2, name="max_budget")
    """
    # A routing table has a sample of each decoder, and no budget above 1.
    n_samples = np.isfinite(rewards).sum(axis=-1).reshape(len(rewards), -1).min(axis=1)
    budgets = np.broadcast_to(budgets, n_samples.shape)
    rows = np.flatnonzero(budgets > n_samples)
    if rows.size:
        row = rows[0]
        warnings.warn(
            f"{name} exceeds the graded samples of {rows.size} of {len(rewards)} "
            f"queries (row {row}: {budgets[row]} > {n_samples[row]}). There {beyond}. "
            f"Grade more samples or lower {name}.",
            UserWarning,
            stacklevel=stacklevel,
        )
