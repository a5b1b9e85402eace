"""Bins of queries and the mean reward curve of each bin."""

import numpy as np


def bin_means(observed, predicted, bins):
    r"""Mean marginal rewards of each bin: observed means, shrunk towards predicted.

    The mean observed curve of a bin with n queries is noisy if n is small, and an
    allocation based on noise is worse than uniform. The errors are observed minus
    predicted curves. Let :math:`\sigma^2` be their variance within bins. Let
    :math:`\tau^2` be the variance of their bin means beyond :math:`\sigma^2 / n`. The
    best linear estimate is the predicted mean plus the mean error times
    :math:`\tau^2 / (\tau^2 + \sigma^2 / n)`. This factor is near 1 if bins are large or
    predictions are wrong. It is near 0 if bins are small and predictions are right.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_queries, max_budget)
        Marginal rewards.
    bins : ndarray of shape (n_queries,)
        Bin of each query. No bin may be empty.

    Returns
    -------
    means : ndarray of shape (n_bins, max_budget)

    References
    ----------
    Efron and Morris, "Data analysis using Stein's estimator and its generalizations",
    JASA 1975.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning import bin_means
    >>> observed = np.array([[0.0], [1.0], [1.0], [1.0]])
    >>> predicted = np.array([[0.4], [0.4], [0.8], [0.8]])
    >>> bin_means(observed, predicted, np.array([0, 0, 1, 1])).round(2)
    array([[0.4], [0.8]])
    """
    sizes = np.bincount(bins)
    membership = np.eye(len(sizes))[bins] / sizes[bins, None]  # (n_queries, n_bins)
    error = observed - predicted
    mean_error = membership.T @ error
    n_free = len(bins) - len(sizes)
    if n_free == 0:  # one query per bin: the variance within bins is unknown
        return membership.T @ predicted
    within = np.square(error - mean_error[bins]).sum() / n_free
    total = (sizes * np.square(mean_error).sum(axis=1)).sum()
    between = max(0.0, (total - len(sizes) * within) / len(bins))
    noise = within / sizes
    trust = np.divide(
        between, between + noise, out=np.zeros(len(sizes)), where=between > 0
    )
    return membership.T @ predicted + trust[:, None] * mean_error


def bin_edges(scores, n_bins, strategy):
    """Inner edges of bins with equal numbers of scores or of equal width.

    Each edge is halfway between two scores. Then the rounding of predictions, which
    depends on the batch, does not change the bin of a query. No bin is empty.
    """
    if strategy == "quantile":
        edges = np.quantile(scores, np.arange(1, n_bins) / n_bins)
    else:
        edges = np.linspace(scores.min(), scores.max(), n_bins + 1)[1:-1]
    levels = np.unique(scores)
    apart = np.diff(levels) > 1e-9 * np.abs(levels).max()  # otherwise tied scores
    levels = levels[np.concatenate([[True], apart])]
    above = np.unique(np.searchsorted(levels, edges))
    above = above[(above > 0) & (above < len(levels))]
    return (levels[above - 1] + levels[above]) / 2
