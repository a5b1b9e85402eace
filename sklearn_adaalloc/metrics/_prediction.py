"""Quality of the predictions that a policy uses: Table 1 and calibration."""

import math

import numpy as np
from scipy.stats import rankdata
from sklearn.utils import Bunch

from sklearn_adaalloc._utils.numbers import check_numbers
from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc._utils.rewards import (
    check_empty_reward,
    check_marginals,
    check_rates,
    warn_beyond_samples,
)
from sklearn_adaalloc.curves._decoders import observed_rates
from sklearn_adaalloc.curves._reward_curves import marginal_rewards
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.metrics._expected_reward import warn_undefined


def prediction_report(y, pred, *, empty_reward=0.0, selection="reward"):
    """Table 1 of the paper: loss of predictions and its upper and lower reference.

    One prediction per query is a success rate or a preference. It is scored by
    cross-entropy with soft labels (Eq. 7). One row per query holds marginal rewards.
    They are scored by squared error (Eq. 6), averaged over queries and steps.

    Parameters
    ----------
    y : array-like of shape (n_queries, n_samples), (n_queries, 2, n_samples) or \
            (n_queries,)
        Reward table. NaN marks a missing sample. A table with three axes is a routing
        table. For success rates, also observed rates, one per query.
    pred : array-like of shape (n_queries,) or (n_queries, max_budget)
        Predictions: success rates or preferences, or marginal rewards.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Used for marginal rewards only.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.

    Returns
    -------
    report : :class:`~sklearn.utils.Bunch`
        loss : {"cross_entropy", "squared_error"}
            Name of the loss of the next three values.
        ours : float
            Loss of `pred`. Predicted rates are clipped to a float64 epsilon from 0 and
            1, as in :func:`sklearn.metrics.log_loss`, so that the loss is finite.
        avg : float
            Loss of predicting the mean of `y` for every query.
        opt : float
            Loss of predicting `y` itself. No predictor has a lower loss.
        acc : float
            Accuracy of the binary prediction "this query is above the median".
            Predictions and observations are each compared with their own median. For
            marginal rewards, the first step is used.
        share_explained : float
            ``(avg - ours) / (avg - opt)``: 0 for the average and 1 for the optimum. NaN
            if all queries have the same observed value.

    Raises
    ------
    ValueError
        If a rate is outside [0, 1], an array is empty or not finite, or the numbers of
        queries differ.

    Warns
    -----
    UndefinedMetricWarning
        If all queries have the same observed value, so that there is nothing to
        explain.
    UserWarning
        If there are more steps than samples of a query.

    References
    ----------
    Damani et al., "Learning How Hard to Think: Input-Adaptive Allocation of LM
    Computation", ICLR 2025, Table 1.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import prediction_report
    >>> rewards = [[0, 0, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]]
    >>> report = prediction_report(rewards, [0.1, 0.5, 0.9])
    >>> round(report.ours, 3), round(report.avg, 3), round(report.opt, 3)
    (0.301, 0.693, 0.231)
    >>> report.acc, round(report.share_explained, 3)
    (1.0, 0.848)
    """
    observed, pred = _observed_and_predicted(y, pred, empty_reward, selection)
    loss = "squared_error"
    if pred.ndim == 1:
        observed, pred = check_rates(observed), check_rates(pred)
        loss = "cross_entropy"
    ours, avg, opt = _bounded_losses(observed, pred, loss)
    return Bunch(
        loss=loss,
        ours=ours,
        avg=avg,
        opt=opt,
        acc=_median_accuracy(_first_step(observed), _first_step(pred)),
        share_explained=_share(ours, avg, opt, stacklevel=4),
    )


def share_explained(observed, pred, *, loss):
    """Share of the reducible loss that predictions explain.

    Parameters
    ----------
    observed, pred : ndarray of shape (n_queries,) or (n_queries, n_values)
        Observed and predicted values.
    loss : {"cross_entropy", "squared_error"}
        Cross-entropy needs values in [0, 1].

    Returns
    -------
    share : float
        ``(avg - ours) / (avg - opt)``: 1 is perfect, 0 is as good as predicting the
        mean for every query. NaN if all queries have the same observed value.

    Warns
    -----
    UndefinedMetricWarning
        If all queries have the same observed value.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._prediction import share_explained
    >>> observed, pred = np.array([0.0, 2.0]), np.array([0.0, 1.0])
    >>> share_explained(observed, pred, loss="squared_error")
    0.5
    """
    return _share(*_bounded_losses(observed, pred, loss), stacklevel=5)


def calibration_table(y, pred, n_bins=10, *, empty_reward=0.0, selection="reward"):
    """Predicted and observed means in bins with equal numbers of queries.

    Parameters
    ----------
    y : array-like of shape (n_queries, n_samples), (n_queries, 2, n_samples) or \
            (n_queries,)
        Reward table, or observed rates, as in :func:`prediction_report`.
    pred : array-like of shape (n_queries,) or (n_queries, max_budget)
        Predictions. Of marginal rewards, the first step is used. One prediction per
        query is compared with the query's mean reward, and may be outside [0, 1].
    n_bins : int, default=10
        Number of bins. Their edges are quantiles of the predictions. There can be fewer
        bins, because equal predictions share a bin.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Used for marginal rewards only.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        Arrays of shape (n_bins,) in ascending order of prediction: `predicted` and
        `observed` means, the `standard_error` of the observed mean, and `n_queries`.
        ``pandas.DataFrame(table)`` accepts it.

    Raises
    ------
    ValueError
        If `n_bins` is invalid, or as in :func:`prediction_report`.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import calibration_table
    >>> rewards = [[0, 0], [0, 1], [0, 1], [1, 1]]
    >>> table = calibration_table(rewards, [0.1, 0.3, 0.6, 0.8], n_bins=2)
    >>> table.predicted, table.observed
    (array([0.2, 0.7]), array([0.25, 0.75]))
    """
    n_bins = check_whole(n_bins, "n_bins", least=1)
    observed, pred = map(
        _first_step, _observed_and_predicted(y, pred, empty_reward, selection)
    )
    # Equal predictions have equal ranks and therefore the same bin.
    bins = (rankdata(pred) - 0.5) * n_bins // len(pred)
    _, bins, n_queries = np.unique(bins, return_inverse=True, return_counts=True)
    mean_observed = np.bincount(bins, observed) / n_queries
    squares = np.bincount(bins, (observed - mean_observed[bins]) ** 2)
    return Bunch(
        predicted=np.bincount(bins, pred) / n_queries,
        observed=mean_observed,
        standard_error=np.sqrt(squares) / n_queries,
        n_queries=n_queries,
    )


def _observed_and_predicted(y, pred, empty_reward, selection):
    """Check both; return the observed values that `pred` predicts, and `pred`."""
    pred = check_numbers(pred, "pred", "one row, or one number, per query")
    pred = pred.astype(np.float64, copy=False)
    one_per_query = pred.ndim == 1
    pred = check_marginals(pred[:, None] if one_per_query else pred)
    table = as_table(y)
    rewards = table.rewards
    if len(rewards) != len(pred):
        raise ValueError(
            f"y and pred have inconsistent numbers of queries: {len(rewards)} and "
            f"{len(pred)}. Give one prediction per query."
        )
    if one_per_query:
        return observed_rates(rewards), pred[:, 0]
    empty_reward = check_empty_reward(empty_reward)
    warn_beyond_samples(rewards, pred.shape[1], name="max_budget")
    observed = marginal_rewards(
        table, pred.shape[1], empty_reward=empty_reward, selection=selection
    )
    return observed, pred


def _first_step(values):
    return values if values.ndim == 1 else values[:, 0]


def _cross_entropy(observed, pred):
    epsilon = np.finfo(np.float64).eps
    pred = np.clip(pred, epsilon, 1 - epsilon)
    losses = observed * np.log(pred) + (1 - observed) * np.log1p(-pred)
    return float(-losses.mean())


def _squared_error(observed, pred):
    return float(np.mean((observed - pred) ** 2))


def _median_accuracy(observed, pred):
    above = observed > np.median(observed)
    return float(np.mean((pred > np.median(pred)) == above))


_LOSSES = {"cross_entropy": _cross_entropy, "squared_error": _squared_error}


def _bounded_losses(observed, pred, loss):
    """Loss of `pred`, of the mean as prediction, and of the observed values."""
    average = np.broadcast_to(observed.mean(axis=0), observed.shape)
    return [_LOSSES[loss](observed, p) for p in (pred, average, observed)]


def _share(ours, avg, opt, *, stacklevel):
    if avg - opt <= 1e-12 * max(1.0, abs(avg)):
        warn_undefined(
            "share_explained", "all queries are alike", stacklevel=stacklevel
        )
        return math.nan
    return (avg - ours) / (avg - opt)
