"""A fixed grid of success rates: likelihoods of 0/1 samples, and what rows say by them.

Pure functions on checked arrays.
"""

import numpy as np
from scipy.special import expit, xlog1py, xlogy

RATES = np.concatenate([[0.0], expit(np.linspace(-5, 5, 31)), [1.0]])
"""Success rates, even in logit between the ends."""


def log_likelihoods(rewards):
    """Log likelihood of each rate given each row, 0 at its largest.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples)
        Reward table of 0 and 1.

    Returns
    -------
    log_likelihoods : ndarray of shape (n_queries, n_rates)
        At least -10000: finite, and e^-10000 is 0 all the same.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._rate_grid import log_likelihoods
    >>> log_likelihoods(np.array([[1.0, 1.0]]))[0, [0, 16, -1]].round(2)
    array([-1.00e+04, -1.39e+00,  0.00e+00])
    """
    successes = np.nansum(rewards, axis=1)[:, None]
    failures = np.isfinite(rewards).sum(axis=1)[:, None] - successes
    log_likelihood = xlogy(successes, RATES) + xlog1py(failures, -RATES)
    log_likelihood -= log_likelihood.max(axis=1, keepdims=True)
    return np.maximum(log_likelihood, -1e4)


def mixture_weights(likelihood, n_iterations=200):
    """Weights of the mixture that all queries share, by expectation-maximisation.

    Parameters
    ----------
    likelihood : ndarray of shape (n_queries, n_rates)
        Likelihood of each rate, up to a factor per query.
    n_iterations : int, default=200
        Steps; the likelihood rises at each.

    Returns
    -------
    weights : ndarray of shape (n_rates,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._rate_grid import mixture_weights
    >>> mixture_weights(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])).round(2)
    array([0.33, 0.67])
    """
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(n_iterations):
        evidence = likelihood @ weights
        weights = weights * (likelihood.T @ (1 / evidence)) / len(likelihood)
    return weights


def posterior_weights(rewards):
    """Posterior over the rates of each row, under the mixture that all rows share.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples)
        Reward table of 0 and 1.

    Returns
    -------
    weights : ndarray of shape (n_queries, n_rates)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._rate_grid import posterior_weights
    >>> posterior_weights(np.array([[1.0, 1.0], [0.0, 0.0]]))[:, [0, -1]].round(2)
    array([[0., 1.],
           [1., 0.]])
    """
    likelihood = np.exp(log_likelihoods(rewards))
    joint = likelihood * mixture_weights(likelihood)
    return joint / joint.sum(axis=1, keepdims=True)
