r"""What the verdicts of a batch say about the predictions that it started with.

A prior learnt on other queries may be too optimistic or tell queries apart too boldly.
Where a predicted reward curve has the cumulative hazard
:math:`H(b) = -\log(1 - q(b))`, the corrected one has :math:`\theta H(b)^\gamma`: two
numbers for the whole batch, fitted to its verdicts so far (empirical Bayes), that need
no more than the predicted curves.

All functions are pure and expect checked arrays.
"""

import numpy as np
from scipy.optimize import minimize

from sklearn_adaalloc.curves._repair import concave_repair

_SPREADS = np.array([0.5, 0.3])  # of log θ and log γ before any verdict
_LEAST_STEP = 1e-9  # hazard of a sample that was sure to fail and did not
_SUREST = 1 - 1e-9  # chance of a sample that was sure to succeed, for finite hazards


def cumulative_hazards(chances):
    """Cumulative hazard −log(1 − q(b)) of the first b samples, b = 0..max_budget.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances that the next sample is right.

    Returns
    -------
    hazards : ndarray of shape (n_queries, max_budget + 1)
        Finite: a sure sample counts as all but sure.

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
    """Chances under corrected curves.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Predicted chances that the next sample is right.
    scale, shape : float
        θ and γ.

    Returns
    -------
    chances : ndarray of shape (n_queries, max_budget)
        Rows non-increasing, as theirs are: where γ > 1 would let a chance rise with
        failures, it stays level.

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
    r"""Scale and shape that the verdicts so far give a batch's predicted curves.

    A query that failed throughout contributes the chance of that,
    :math:`\exp(-\theta H^\gamma)`; one that failed c times and then succeeded, the
    chance of success at just its sample c + 1. θ < 1 says that the prior was too
    optimistic, γ < 1 that it told queries apart too boldly or saw too little in their
    failures. Both are the most likely ones under a log-normal prior around 1, so that
    few verdicts change little.

    Parameters
    ----------
    before : ndarray of shape (n_queries,)
        Predicted cumulative hazard of the failures that each query has had before its
        first success, if any.
    after : ndarray of shape (n_queries,)
        The same with the successful sample included; inf for queries without success.

    Returns
    -------
    scale, shape : float
        θ and γ.

    Examples
    --------
    Eight of ten fail where each was expected to succeed with chance 0.8:

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
    with np.errstate(divide="ignore"):  # no failure yet: H = 0, and stays 0
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
    """Loss of log θ and log γ, and its gradient."""
    scale, shape = np.exp(log_parameters)
    failed, failed_slope = _power(log_before, scale, shape)
    reached, reached_slope = _power(log_after, scale, shape)
    # The difference of both, which is lost in rounding where one sample adds little.
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
    # 0 log 0 = 0: a query without a failure says nothing about the shape.
    slopes = shape * powers * np.where(powers > 0, log_hazard, 0.0)
    return powers, slopes


_LEAST_LEFT = 1e-6  # with less than this unsolved, a curve no longer says who is next


def next_chances(marginals, *, empty_reward=0.0):
    """Chance that the next sample is right, after 0, 1, 2, ... failures.

    Curves that no exchangeable 0/1 samples could have are repaired. First they are made
    concave, as for an allocation up front: a first step below zero, as linear models
    predict, does not make all that follows worthless. Then chances never rise with
    failures (running minimum) and stay in [0, 1]. Where a curve has all but reached 1,
    the chance stays what it was before rounding takes over.

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
        Rows non-increasing.

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
    """Chances that are left after some failures, up to a limit.

    Parameters
    ----------
    chances : ndarray of shape (n_queries, max_budget)
        Chances of the next sample.
    failures : ndarray of shape (n_queries,), int
        Samples that each query has had, all wrong.
    limits : ndarray of shape (n_queries,), int
        Samples that each query may still get; chances beyond are 0.

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
    """Chance that all of the first b samples are wrong, b = 0..max_budget.

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
