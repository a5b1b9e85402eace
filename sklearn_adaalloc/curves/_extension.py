"""Estimate marginal rewards for the samples that a short row does not have.

All functions are pure and expect checked arrays.
"""

import numpy as np

from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.curves._normal import normal_maxima
from sklearn_adaalloc.curves._rates import RATES, mixture_marginals, posterior_weights


def extend_short_rows(marginals, rewards):
    """Replace the marginal rewards beyond the samples of a row by an estimate.

    Up to the number of samples of a row, the observed marginal rewards are unbiased.
    Beyond, there are no observations, and marginal rewards of 0 would be biased. They
    are therefore estimated. For 0/1 rewards, the estimate uses the posterior over the
    success rate of the row, given all rows. For other rewards, it is the growth of the
    expected maximum of normal rewards with the standard deviation of the row. Assumes
    that the samples of a row are exchangeable.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Marginal rewards of the best answer. Entries beyond the samples are changed in
        place.
    rewards : ndarray of shape (n_queries, n_samples)
        The reward table that they were computed from.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves import marginal_rewards
    >>> from sklearn_adaalloc.curves._extension import extend_short_rows
    >>> rewards = np.array([[0.0, 2.0, np.nan], [0.0, 1.0, 2.0]])
    >>> extend_short_rows(marginal_rewards(rewards, 3), rewards).round(2)
    array([[1.  , 1.  , 0.5 ],
           [1.  , 0.67, 0.33]])
    """
    max_budget = marginals.shape[1]
    n_samples = np.isfinite(rewards).sum(axis=1)
    beyond = np.arange(max_budget) >= n_samples[:, None]
    short = beyond.any(axis=1)
    if not short.any():
        return marginals
    if is_binary(rewards):
        posterior = posterior_weights(rewards)[short]
        tails = mixture_marginals(posterior, RATES, max_budget)
    else:
        maxima = normal_maxima(max_budget)
        deviations = _own_deviations(marginals, n_samples, maxima)[short]
        tails = deviations[:, None] * np.diff(maxima, prepend=0.0)
    marginals[beyond] = tails[beyond[short]]
    return marginals


def _own_deviations(marginals, n_samples, maxima):
    """Standard deviations (n_queries,) whose normal reward curves fit best."""
    inside = np.arange(1, marginals.shape[1]) < n_samples[:, None]
    grown = np.where(inside, np.cumsum(marginals[:, 1:], axis=1), 0.0)
    squares = inside @ maxima[1:] ** 2
    known = squares > 0
    deviations = np.divide(grown @ maxima[1:], squares, out=squares * 0, where=known)
    # A row with one sample has no standard deviation: use the mean of the others.
    mean = deviations.sum() / max(np.count_nonzero(known), 1)
    return np.where(known, deviations, mean)
