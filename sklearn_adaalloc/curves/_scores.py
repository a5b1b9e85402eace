"""The expected reward of the answer with the highest score.

Pure functions on checked arrays.
"""

import numpy as np
from scipy.optimize import isotonic_regression


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


def fit_score_rewards(rewards, scores):
    """Learn what reward a score promises: the nearest curve that never falls.

    Parameters
    ----------
    rewards, scores : ndarray of shape (n_queries, n_samples)
        Rewards and scores; NaN marks a missing sample, in both.

    Returns
    -------
    scores, rewards : ndarrays of shape (n_knots,)
        Distinct scores in ascending order, and the mean reward that each promises.
        Where higher scores have lower rewards, the curve is flat.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._scores import fit_score_rewards
    >>> rewards, scores = np.array([[0.0, 1.0, 0.0]]), np.array([[0.1, 0.5, 0.9]])
    >>> fit_score_rewards(rewards, scores)
    (array([0.1, 0.5, 0.9]), array([0. , 0.5, 0.5]))
    """
    given = ~np.isnan(rewards)
    knots, knot, counts = np.unique(
        scores[given], return_inverse=True, return_counts=True
    )
    means = np.bincount(knot, rewards[given]) / counts
    fitted = isotonic_regression(means, weights=counts).x
    # Between equal values only the ends matter.
    inner = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    kept = np.concatenate([[True], ~inner, [True]])[: len(knots)]
    return knots[kept], fitted[kept]


def expected_given_score(scores, promised):
    """Reward that each score promises, interpolated; NaN stays.

    Parameters
    ----------
    scores : ndarray of any shape
        Scores.
    promised : tuple of two ndarrays
        From `fit_score_rewards`.

    Returns
    -------
    expected : ndarray of the shape of `scores`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._scores import expected_given_score
    >>> promised = np.array([0.0, 1.0]), np.array([0.2, 0.6])
    >>> expected_given_score(np.array([-1.0, 0.5, np.nan]), promised)
    array([0.2, 0.4, nan])
    """
    return np.interp(scores, *promised)
