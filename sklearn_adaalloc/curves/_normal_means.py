r"""Normal mean rewards: what decoders have in common, for real-valued rewards.

The mean rewards of a query's decoders are normal: :math:`u \sim N(\mu, \Sigma)`, with a
predicted :math:`\mu` and one covariance :math:`\Sigma` for all queries. Given the
means, all samples are independent, and those of decoder d are normal with variance
:math:`s_d^2`. A poor answer of one decoder therefore also lowers what is expected of
decoders whose means correlate with its own.

All functions are pure and expect checked arrays.
"""

import numpy as np

_PULL_SAMPLES = 2.0  # weight, in samples, of the first variances
_UNKNOWN_SHARE = 0.5  # of the variance within queries, if no cell has two samples
_LEAST_SHARE = 0.05  # of either variance in the first ones
_LEAST_VARIANCE = 1e-8  # relative to the mean square of all deviations
_LEAST_CHANGE = 1e-4  # relative: less ends the iterations


def count_rewards(rewards):
    """Count, mean and sum of squared deviations of the samples of each cell.

    A cell is a decoder of a query.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_decoders, n_samples)
        Reward table; NaN marks a missing sample.

    Returns
    -------
    counts, means, squares : ndarrays of shape (n_queries, n_decoders)
        The mean is 0 where there is no sample.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._normal_means import count_rewards
    >>> count_rewards(np.array([[[1.0, 3.0], [np.nan, np.nan]]]))
    (array([[2, 0]]), array([[2., 0.]]), array([[2., 0.]]))
    """
    given = np.isfinite(rewards)
    counts = given.sum(axis=-1)
    means = np.where(given, rewards, 0.0).sum(axis=-1) / np.maximum(counts, 1)
    deviations = np.where(given, rewards - means[..., None], 0.0)
    return counts, means, (deviations**2).sum(axis=-1)


def fit_normal_means(counts, means, squares, n_iterations=500):
    """Fit the covariance of the means and the variances within, by EM.

    The variances within queries are those of samples of one cell. If no cell of a
    decoder has two samples, they cannot be told from the variances of the means. Then
    the share of the variance that is within queries is assumed to be that of the other
    decoders, or one half if no cell has two samples. Covariances of different decoders
    do not depend on it. The likelihood is also what remains to be decided by: a share
    gets smaller if the covariances need larger variances of the means.

    The covariance is drawn to the diagonal one that the iterations start with, as by
    one more query than there are decoders. It is therefore positive definite.

    Parameters
    ----------
    counts : ndarray of shape (n_queries, n_decoders), int
        Number of samples.
    means : ndarray of shape (n_queries, n_decoders)
        Mean of the samples, as deviation from what is predicted.
    squares : ndarray of shape (n_queries, n_decoders)
        Sum of squared deviations of the samples from their mean.
    n_iterations : int, default=500
        Largest number of iterations.

    Returns
    -------
    covariance : ndarray of shape (n_decoders, n_decoders)
        Of the means of a query.
    variances : ndarray of shape (n_decoders,)
        Of samples of a query around their mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._normal_means import (
    ...     count_rewards,
    ...     fit_normal_means,
    ... )
    >>> rng = np.random.default_rng(0)
    >>> same = rng.normal(size=(2000, 1, 1))
    >>> rewards = same + 0.5 * rng.normal(size=(2000, 2, 3))
    >>> covariance, variances = fit_normal_means(*count_rewards(rewards))
    >>> covariance.round(1), variances.round(1)
    (array([[1., 1.],
           [1., 1.]]), array([0.2, 0.2]))
    """
    n_queries, n_decoders = counts.shape
    start, variances = first = _first_variances(counts, means, squares)
    covariance = np.diag(start)
    pull, n_samples = n_decoders + 1, counts.sum(axis=0)
    patterns, pattern = np.unique(counts, axis=0, return_inverse=True)
    sizes = np.bincount(pattern.ravel(), minlength=len(patterns))
    for _ in range(n_iterations):
        spread = posterior_covariances(covariance, variances, patterns)
        shifts = _apply(spread[pattern.ravel()], counts / variances * means)
        outer = shifts.T @ shifts + np.tensordot(sizes, spread, axes=1)
        own = sizes @ (patterns * np.diagonal(spread, axis1=1, axis2=2))
        rest = (squares + counts * (means - shifts) ** 2).sum(axis=0) + own
        before = np.concatenate([covariance.ravel(), variances])
        covariance = (outer + pull * np.diag(start)) / (n_queries + pull)
        variances = (rest + _PULL_SAMPLES * first[1]) / (n_samples + _PULL_SAMPLES)
        after = np.concatenate([covariance.ravel(), variances])
        if np.abs(after - before).max() < _LEAST_CHANGE * after.max():
            break
    return covariance, variances


def _first_variances(counts, means, squares):
    """Variances of means and within queries (n_decoders,), each decoder alone."""
    n_cells = np.maximum((counts > 0).sum(axis=0), 1)
    total = (means**2).sum(axis=0) / n_cells  # with the noise of finite samples
    least = _LEAST_VARIANCE * total.mean() or _LEAST_VARIANCE
    total = np.maximum(total, least)
    freedom = np.maximum(counts - 1, 0).sum(axis=0)
    within = squares.sum(axis=0) / np.maximum(freedom, 1)
    known = freedom > 0
    share = _UNKNOWN_SHARE
    if known.any():
        share = within[known].sum() / (within[known] + total[known]).sum()
    within = np.where(known, within, share * total)
    noise = within * np.where(counts > 0, 1 / np.maximum(counts, 1), 0.0).sum(axis=0)
    between = np.maximum(total - noise / n_cells, _LEAST_SHARE * total)
    return between, np.maximum(within, _LEAST_SHARE * least)


def posterior_covariances(covariance, variances, counts):
    """Covariances of the means of a query after samples of some decoders.

    Parameters
    ----------
    covariance : ndarray of shape (n_decoders, n_decoders)
        Before any sample.
    variances : ndarray of shape (n_decoders,)
        Variances of samples around their mean.
    counts : ndarray of shape (n_queries, n_decoders), int
        Number of samples.

    Returns
    -------
    covariances : ndarray of shape (n_queries, n_decoders, n_decoders)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._normal_means import posterior_covariances
    >>> covariance = np.array([[1.0, 0.5], [0.5, 1.0]])
    >>> posterior_covariances(covariance, np.ones(2), np.array([[1, 0]]))
    array([[[0.5  , 0.25 ],
            [0.25 , 0.875]]])
    """
    precisions = (counts / variances)[:, None, :]
    shrunk = np.eye(len(variances)) + covariance * precisions
    spread = np.linalg.solve(shrunk, covariance)
    return (spread + spread.swapaxes(1, 2)) / 2  # without rounding


def posterior_means(means, covariance, variances, counts, observed):
    """Means and covariances of a query's mean rewards, given samples of some decoders.

    Parameters
    ----------
    means : ndarray of shape (n_queries, n_decoders)
        Predicted means.
    covariance : ndarray of shape (n_decoders, n_decoders)
        Of the means of a query around these predictions.
    variances : ndarray of shape (n_decoders,)
        Variances of samples around their mean.
    counts, observed : ndarrays of shape (n_queries, n_decoders)
        Number of samples and their mean; any number where there is none.

    Returns
    -------
    means : ndarray of shape (n_queries, n_decoders)
    covariances : ndarray of shape (n_queries, n_decoders, n_decoders)

    Examples
    --------
    A poor answer of the first decoder lowers what is expected of the second:

    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._normal_means import posterior_means
    >>> covariance, variances = np.array([[1.0, 0.5], [0.5, 1.0]]), np.ones(2)
    >>> counts, observed = np.array([[1, 0]]), np.array([[-2.0, 0.0]])
    >>> posterior_means(np.zeros((1, 2)), covariance, variances, counts, observed)[0]
    array([[-1. , -0.5]])
    """
    spread = posterior_covariances(covariance, variances, counts)
    pulls = counts / variances * np.where(counts > 0, observed - means, 0.0)
    return means + _apply(spread, pulls), spread


def _apply(matrices, vectors):
    """Product of each matrix with its vector (n_queries, n_decoders)."""
    return (matrices @ vectors[..., None])[..., 0]
