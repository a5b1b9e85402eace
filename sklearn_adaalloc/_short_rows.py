"""Reward curves beyond the samples of a row.

Pure functions on checked arrays.
"""

import numpy as np

from sklearn_adaalloc._curves import marginal_rewards, mixture_marginals
from sklearn_adaalloc._improvement import normal_maxima
from sklearn_adaalloc._rate_grid import RATES, posterior_weights
from sklearn_adaalloc._validation import is_binary


def extended_marginals(rewards, max_budget, *, empty_reward=0.0):
    """Marginal rewards of each further sample, also beyond the samples of a short row.

    As far as a row has samples, they tell its marginals without bias. That it has no
    more says nothing of what more would bring, so that its curve goes on as they
    suggest: for 0/1 rewards under the posterior over its success rate, given all rows;
    for others as the best of normal rewards of its own spread.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; routing has one step.
    max_budget : int
        Largest budget of one query.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._short_rows import extended_marginals
    >>> rewards = np.array([[0.0, 2.0, np.nan], [0.0, 1.0, 2.0]])
    >>> extended_marginals(rewards, 3).round(2)
    array([[1.  , 0.5 , 0.25],
           [1.  , 0.67, 0.33]])
    """
    marginals = marginal_rewards(rewards, max_budget, empty_reward=empty_reward)
    if rewards.ndim == 3:
        return marginals
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
        spreads = _own_spreads(marginals, n_samples, maxima)[short]
        tails = spreads[:, None] * np.diff(maxima, prepend=0.0)
    marginals[beyond] = tails[beyond[short]]
    return marginals


def _own_spreads(marginals, n_samples, maxima):
    """Spread of normal rewards whose curve is nearest to each row's, (n_queries,)."""
    inside = np.arange(1, marginals.shape[1]) < n_samples[:, None]
    grown = np.where(inside, np.cumsum(marginals[:, 1:], axis=1), 0.0)
    squares = inside @ maxima[1:] ** 2
    known = squares > 0
    spreads = np.divide(grown @ maxima[1:], squares, out=squares * 0, where=known)
    # One sample has no spread: it takes the mean of the others, if there are any.
    return np.where(known, spreads, spreads.sum() / max(np.count_nonzero(known), 1))
