"""The expected reward of the answer with the highest score.

Pure functions on checked arrays.
"""

import numpy as np


def order_by_score(rewards, scores):
    """Rewards in ascending order of their scores, those of equal scores averaged.

    Of several answers with the highest score any may be chosen, each as likely as the
    others. What is expected then is the mean of their rewards, whichever were drawn.

    Parameters
    ----------
    rewards, scores : ndarray of shape (n_queries, n_samples)
        Rewards and scores; NaN marks a missing sample, in both.

    Returns
    -------
    ordered : ndarray of shape (n_queries, n_samples)
        NaN comes last.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._scores import order_by_score
    >>> rewards, scores = np.array([[1.0, 0.0, 0.0]]), np.array([[0.9, 0.9, 0.1]])
    >>> order_by_score(rewards, scores)
    array([[0. , 0.5, 0.5]])
    """
    order = np.argsort(scores, axis=1, kind="stable")  # NaN last
    ordered = np.take_along_axis(rewards, order, axis=1)
    ascending = np.take_along_axis(scores, order, axis=1)
    tied = ascending[:, 1:] == ascending[:, :-1]
    if not tied.any():
        return ordered
    starts = np.ones(ordered.shape, dtype=bool)
    starts[:, 1:] = ~tied
    group = np.cumsum(starts.ravel()) - 1  # a row starts a group
    means = np.bincount(group, ordered.ravel()) / np.bincount(group)
    return means[group].reshape(ordered.shape)
