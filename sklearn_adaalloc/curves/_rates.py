"""Success rates, and distributions over a fixed grid of them.

All functions are pure and expect checked arrays.
"""

import numpy as np
from scipy.special import expit, xlog1py, xlogy

RATES = np.concatenate([[0.0], expit(np.linspace(-5, 5, 31)), [1.0]])
"""Grid of success rates: 0, 1 and values between them that are even in logit."""


def log_likelihoods(rewards):
    """Log likelihood of each rate for each row; the largest of a row is 0.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples)
        Reward table of 0 and 1.

    Returns
    -------
    log_likelihoods : ndarray of shape (n_queries, n_rates)
        At least -10000, so that all values are finite; exp(-10000) is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._rates import log_likelihoods
    >>> log_likelihoods(np.array([[1.0, 1.0]]))[0, [0, 16, -1]].round(2)
    array([-1.00e+04, -1.39e+00,  0.00e+00])
    """
    successes = np.nansum(rewards, axis=1)[:, None]
    failures = np.isfinite(rewards).sum(axis=1)[:, None] - successes
    log_likelihood = xlogy(successes, RATES) + xlog1py(failures, -RATES)
    log_likelihood -= log_likelihood.max(axis=1, keepdims=True)
    return np.maximum(log_likelihood, -1e4)


def mixture_weights(likelihood, n_iterations=200):
    """Weights of the mixture of rates over all queries, by expectation-maximisation.

    Parameters
    ----------
    likelihood : ndarray of shape (n_queries, n_rates)
        Likelihood of each rate, up to a factor per query.
    n_iterations : int, default=200
        Number of iterations. The likelihood increases in each.

    Returns
    -------
    weights : ndarray of shape (n_rates,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._rates import mixture_weights
    >>> mixture_weights(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])).round(2)
    array([0.33, 0.67])
    """
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(n_iterations):
        evidence = likelihood @ weights
        weights = weights * (likelihood.T @ (1 / evidence)) / len(likelihood)
    return weights


def posterior_weights(rewards):
    """Posterior over rates of each row; the prior is the mixture of all rows.

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
    >>> from sklearn_adaalloc.curves._rates import posterior_weights
    >>> posterior_weights(np.array([[1.0, 1.0], [0.0, 0.0]]))[:, [0, -1]].round(2)
    array([[0.  , 0.91],
           [0.91, 0.  ]])
    """
    likelihood = np.exp(log_likelihoods(rewards))
    joint = likelihood * mixture_weights(likelihood)
    return joint / joint.sum(axis=1, keepdims=True)


def success_rates(rewards):
    """Mean reward of each query: for 0/1 rewards, its observed success rate.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples)
        Reward table.

    Returns
    -------
    rates : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._rates import success_rates
    >>> success_rates(np.array([[1.0, 0.0, np.nan]]))
    array([0.5])
    """
    return np.nanmean(rewards, axis=-1)


def rate_marginals(rates, max_budget):
    """Marginal rewards of 0/1 samples with known success rates, λ(1−λ)^(b−1).

    Assumes that the samples of a query are independent given its rate.

    Parameters
    ----------
    rates : ndarray of shape (n_queries,)
        Success rates.
    max_budget : int
        Largest budget of one query.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._rates import rate_marginals
    >>> rate_marginals(np.array([0.5]), 3)
    array([[0.5  , 0.25 , 0.125]])
    """
    failures = np.arange(max_budget)
    return rates[:, None] * (1 - rates[:, None]) ** failures


def mixture_marginals(weights, rates, max_budget):
    """Marginal rewards under a distribution over rates, Σ_g w_g λ_g (1−λ_g)^(b−1).

    The result averages over rates; it does not use the mean rate. A query that is
    probably unsolvable therefore gets small marginal rewards after the first.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_rates)
        Probability of each rate.
    rates : ndarray of shape (n_rates,)
        Grid of success rates.
    max_budget : int
        Largest budget of one query.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)
        Non-increasing along each row.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._rates import mixture_marginals
    >>> mixture_marginals(np.array([[0.5, 0.5]]), np.array([0.0, 1.0]), 2)
    array([[0.5, 0. ]])
    """
    marginals = weights @ rate_marginals(rates, max_budget)
    # Rounding can increase a step by its last bit.
    return np.minimum.accumulate(marginals, axis=1)
