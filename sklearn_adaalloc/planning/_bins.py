"""Bins of queries and the mean curve of each."""

import numpy as np


def bin_means(observed, predicted, bins):
    r"""Mean marginal rewards of each bin: observed, but for the noise of few queries.

    The mean observed curve of n queries is the truth plus noise, and an allocation on
    noise loses to a uniform one. With :math:`\sigma^2` the spread of observed minus
    predicted curves within bins and :math:`\tau^2` that of their means beyond what
    :math:`\sigma^2 / n` explains, the best linear estimate moves from the predicted
    mean towards the observed one by :math:`\tau^2 / (\tau^2 + \sigma^2 / n)`: all the
    way where bins are large or predictions wrong, hardly where they are small and
    right.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_queries, max_budget)
        Marginal rewards.
    bins : ndarray of shape (n_queries,)
        Bin of each query; no bin is empty.

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
    if n_free == 0:  # one query a bin: nothing tells noise from error
        return membership.T @ predicted
    within = np.square(error - mean_error[bins]).sum() / n_free
    total = (sizes * np.square(mean_error).sum(axis=1)).sum()
    between = max(0.0, (total - len(sizes) * within) / len(bins))
    noise = within / sizes
    trust = np.divide(
        between, between + noise, out=np.zeros(len(sizes)), where=between > 0
    )
    return membership.T @ predicted + trust[:, None] * mean_error


def _bin_edges(scores, n_bins, strategy):
    """Inner edges between bins of equally many scores or of equal width.

    Each edge moves halfway between the scores on its two sides: on a score itself, the
    rounding of a prediction, which changes with its batch, would decide the bin. Edges
    with no score between them become one, so that no bin is empty.
    """
    if strategy == "quantile":
        edges = np.quantile(scores, np.arange(1, n_bins) / n_bins)
    else:
        edges = np.linspace(scores.min(), scores.max(), n_bins + 1)[1:-1]
    levels = np.unique(scores)
    apart = np.diff(levels) > 1e-9 * np.abs(levels).max()  # others are ties, rounded
    levels = levels[np.concatenate([[True], apart])]
    above = np.unique(np.searchsorted(levels, edges))
    above = above[(above > 0) & (above < len(levels))]
    return (levels[above - 1] + levels[above]) / 2
