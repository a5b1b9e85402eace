r"""Correction of predictions for 0/1 rewards by the verdicts of a batch.

Predictions learnt on other queries can be too optimistic, or can differ too much
between queries. A predicted reward curve has the cumulative hazard
:math:`H(b) = -\log(1 - q(b))`. The corrected curve has the cumulative hazard
:math:`\theta H(b)^\gamma`. θ and γ are the same for the whole batch. They are fitted to
its verdicts so far (empirical Bayes). Only the predicted curves are needed for this.

All functions are pure and expect checked arrays.
"""

import numpy as np
from scipy.optimize import minimize

from sklearn_adaalloc.curves._repair import concave_repair

_SPREADS = np.array([0.5, 0.3])  # prior standard deviations of log θ and log γ
_LEAST_STEP = 1e-9  # hazard of a sample with chance 0 that succeeded all the same
_SUREST = 1 - 1e-9  # largest chance, so that hazards are finite


def cumulative_hazards(chances):
    """Cumulative hazard −log(1 − q(b)) of the first b samples, b = 0..max_budget.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances that the next sample is right.

    Returns
    -------
    hazards : ndarray of shape (n_queries, max_budget + 1)
        All values are finite, because chances are limited to slightly below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._success import cumulative_hazards
    >>> cumulative_hazards(np.array([[0.5, 0.5]])).round(3)
    array([[0.   , 0.693, 1.386]])
    """
    hazards = np.zeros((len(chances), chances.shape[1] + 1))
    np.cumsum(-np.log1p(-np.minimum(chances, _SUREST)), axis=1, out=hazards[:, 1:])
    return hazards


def correct_chances(chances, scale, shape):
    """Chances of the corrected curves.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Predicted chances that the next sample is right.
    scale, shape : float
        θ and γ.

    Returns
    -------
    chances : ndarray of shape (n_queries, max_budget)
        Rows are non-increasing. If γ > 1 makes a chance increase with failures, the
        chance stays level instead.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._success import correct_chances
    >>> correct_chances(np.array([[0.75, 0.75]]), scale=0.5, shape=1.0)
    array([[0.5, 0.5]])
    """
    corrected = scale * cumulative_hazards(chances) ** shape
    chances = -np.expm1(corrected[:, :-1] - corrected[:, 1:])
    return np.minimum.accumulate(chances, axis=1)


def fit_correction(before, after):
    r"""Fit the scale θ and the shape γ of the correction to the verdicts of a batch.

    A query without success contributes the probability of its failures,
    :math:`\exp(-\theta H^\gamma)`. A query that failed c times and then succeeded
    contributes the probability of the first success at sample c + 1. If θ < 1, the
    predictions were too optimistic. If γ < 1, they differed too much between queries,
    or changed too little with failures. θ and γ maximise the posterior under a
    log-normal prior around 1. A few verdicts therefore change little.

    Parameters
    ----------
    before : ndarray of shape (n_queries,)
        Predicted cumulative hazard of the failures of each query before its first
        success, if it has one.
    after : ndarray of shape (n_queries,)
        The same, including the successful sample. inf for queries without success.

    Returns
    -------
    scale, shape : float
        θ and γ.

    Examples
    --------
    The predicted chance of success is 0.8, but eight of ten samples fail:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._success import fit_correction
    >>> solved = np.arange(10) < 2
    >>> hazard = -np.log(0.2)
    >>> scale, shape = fit_correction(
    ...     np.where(solved, 0.0, hazard), np.where(solved, hazard, np.inf)
    ... )
    >>> scale < 0.5
    True
    """
    solved = np.isfinite(after)
    step = np.maximum(after - before, _LEAST_STEP * (1 + before))[solved]
    with np.errstate(divide="ignore"):  # without a failure, H is 0 and stays 0
        log_before, log_after = np.log(before), np.log(before[solved] + step)
        log_growth = np.log1p(step / before[solved])
    fit = minimize(
        _minus_log_posterior,
        np.zeros(2),
        args=(log_before, log_after, log_growth, solved),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-4, 4), (-2, 2)],
    )
    scale, shape = np.exp(fit.x)
    return float(scale), float(shape)


def _minus_log_posterior(log_parameters, log_before, log_after, log_growth, solved):
    """Minus log posterior of log θ and log γ, and its gradient."""
    scale, shape = np.exp(log_parameters)
    failed, failed_slope = _power(log_before, scale, shape)
    reached, reached_slope = _power(log_after, scale, shape)
    # reached - failed, computed without cancellation if one sample adds little.
    step = -reached * np.expm1(-shape * log_growth)
    succeeded = -np.expm1(-step)
    pull = np.exp(-step) / succeeded  # derivative of log(succeeded)
    loss = failed.sum() - np.log(succeeded).sum()
    gradient = [
        failed.sum() - pull @ step,
        failed_slope.sum() - pull @ (reached_slope - failed_slope[solved]),
    ]
    standardised = log_parameters / _SPREADS
    loss += standardised @ standardised / 2
    return loss, np.array(gradient) + standardised / _SPREADS


def _power(log_hazard, scale, shape):
    """θ H^γ and its derivative with respect to log γ."""
    powers = scale * np.exp(shape * log_hazard)
    # 0 log 0 = 0: a query without a failure has no information about the shape.
    slopes = shape * powers * np.where(powers > 0, log_hazard, 0.0)
    return powers, slopes


_LEAST_LEFT = 1e-6  # below this value of 1 - q, rounding makes chances unreliable


def next_chances(marginals, *, empty_reward=0.0):
    """Chance that the next sample is right, after 0, 1, 2, ... failures.

    Assumes that the samples of a query are exchangeable. Curves that contradict this
    are repaired. First they are made concave, as for a one-shot allocation. A negative
    first step, as linear models can predict, then does not make all later chances 0.
    Second, chances become non-increasing (by a running minimum) and are clipped to
    [0, 1]. Where a curve is almost 1, the last reliable chance is repeated, because
    rounding would decide the others.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    empty_reward : float, default=0.0
        Reward of a query without a sample. It is added to the first marginal reward,
        from which it was subtracted.

    Returns
    -------
    chances : ndarray of shape (n_queries, max_budget), float64
        Rows are non-increasing.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._success import next_chances
    >>> next_chances(np.array([[0.5, 0.25, 0.125], [0.5, 0.1, 0.0]]))
    array([[0.5, 0.5, 0.5],
           [0.5, 0.2, 0. ]])
    """
    gains = np.array(marginals, dtype=np.float64)
    gains[:, 0] += empty_reward
    gains = concave_repair(gains)
    left = np.ones_like(gains)
    left[:, 1:] -= np.cumsum(gains[:, :-1], axis=1)
    chances = np.full_like(gains, np.inf)  # the running minimum fills these in
    np.divide(gains, left, out=chances, where=left > _LEAST_LEFT)
    return np.clip(np.minimum.accumulate(chances, axis=1), 0.0, 1.0)


def after_failures(chances, failures, limits):
    """Chances of the remaining samples after some failures.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances of the next sample.
    failures : ndarray of shape (n_queries,), int
        Number of samples of each query so far, which all failed.
    limits : ndarray of shape (n_queries,), int
        Number of samples that each query may still get. Chances beyond are 0.

    Returns
    -------
    chances : ndarray of shape (n_queries, max(limits))

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._success import after_failures
    >>> chances = np.array([[0.5, 0.4, 0.3, 0.2]])
    >>> after_failures(chances, np.array([1]), np.array([2]))
    array([[0.4, 0.3]])
    """
    steps = np.arange(limits.max(initial=1))
    columns = np.minimum(failures[:, None] + steps, chances.shape[1] - 1)
    left = np.take_along_axis(chances, columns, axis=1)
    left[steps >= limits[:, None]] = 0.0
    return left


def failure_curves(chances):
    """Probability that the first b samples are all wrong, b = 0..max_budget.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances of the next sample.

    Returns
    -------
    curves : ndarray of shape (n_queries, max_budget + 1)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._success import failure_curves
    >>> failure_curves(np.array([[0.5, 0.2]]))
    array([[1. , 0.5, 0.4]])
    """
    curves = np.ones((len(chances), chances.shape[1] + 1))
    np.cumprod(1 - chances, axis=1, out=curves[:, 1:])
    return curves
