"""The expected best of several samples, as exact sums over order statistics.

All functions are pure and expect checked arrays.
"""

import numpy as np


def best_of_weights(n_samples, max_budget, *, replacement="auto"):
    r"""Weight of each order statistic in the expected best of b samples.

    Let m samples be sorted in ascending order. If b of them are drawn without
    replacement, the k-th smallest is the best with probability
    :math:`\binom{k-1}{b-1} / \binom{m}{b}` (Chen et al. 2021, arXiv 2107.03374, for 0/1
    rewards). If they are drawn with replacement, the probability is
    :math:`(k/m)^b - ((k-1)/m)^b`. Both are exact.

    Parameters
    ----------
    n_samples : int
        Number of samples m.
    max_budget : int
        Largest b.
    replacement : {"auto"} or bool, default="auto"
        "auto" draws without replacement if b <= m, and with replacement otherwise.

    Returns
    -------
    weights : ndarray of shape (n_samples, max_budget)
        Column b-1 holds the weights for the best of b. Each column sums to 1.

    Raises
    ------
    ValueError
        If `replacement` is False and `max_budget` exceeds `n_samples`.

    Examples
    --------
    >>> from sklearn_adaalloc.curves import best_of_weights
    >>> best_of_weights(2, 2)
    array([[0.5, 0. ],
           [0.5, 1. ]])
    """
    return _weights(n_samples, np.arange(1, max_budget + 1), replacement)


def _weights(n_samples, drawn, replacement):
    """Weights (n_samples, n_numbers) of the best of b, for each b in `drawn`."""
    if replacement is False and drawn.max() > n_samples:
        raise ValueError(
            f"max_budget={drawn.max()} cannot be drawn without replacement from "
            f"{n_samples} samples. Lower it, or use replacement='auto'."
        )
    rank = np.arange(1, n_samples + 1)[:, None]
    with_replacement = (rank / n_samples) ** drawn - ((rank - 1) / n_samples) ** drawn
    if replacement is True:
        return with_replacement
    # C(k-1, b-1) / C(m, b) from the previous column: this avoids large binomials.
    before = np.arange(1, min(n_samples, drawn.max()))
    factor = np.maximum(rank - before, 0) / before
    factor = factor * (before + 1) / (n_samples - before)
    first = np.full((n_samples, 1), 1 / n_samples)
    without = np.cumprod(np.hstack([first, factor]), axis=1)
    exact = without[:, np.minimum(drawn, n_samples) - 1]
    return np.where(drawn <= n_samples, exact, with_replacement)


def best_of_curves(rewards, max_budget, *, replacement="auto"):
    """Expected best of b samples of each query, for b = 1..max_budget.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples)
        Reward table; NaN marks a missing sample.
    max_budget : int
        Largest b.
    replacement : {"auto"} or bool, default="auto"
        See :func:`best_of_weights`.

    Returns
    -------
    curves : ndarray of shape (n_queries, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._best_of import best_of_curves
    >>> best_of_curves(np.array([[0.0, 1.0, 0.0, 1.0]]), 2).round(3)
    array([[0.5  , 0.833]])
    """
    return last_of_curves(np.sort(rewards, axis=1), max_budget, replacement)


def best_of_budgets(rewards, budgets, *, replacement="auto"):
    """Expected best of b samples, with another b for each query.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples)
        Reward table; NaN marks a missing sample.
    budgets : ndarray of shape (n_queries,)
        Number of samples of each query, at least 1.
    replacement : {"auto"} or bool, default="auto"
        See :func:`best_of_weights`.

    Returns
    -------
    expected : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._best_of import best_of_budgets
    >>> best_of_budgets(np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([1, 2]))
    array([0.5, 1. ])
    """
    return last_of_budgets(np.sort(rewards, axis=1), budgets, replacement)


def last_of_curves(ordered, max_budget, replacement):
    """Expected last in the order of b samples, (n_queries, max_budget).

    The samples of each row stand in the order in which they are preferred, the worst
    first; NaN for missing ones comes after all.
    """
    curves = np.empty((len(ordered), max_budget))
    for n_samples, rows in _rows_by_sample_count(ordered):
        weights = best_of_weights(n_samples, max_budget, replacement=replacement)
        curves[rows] = ordered[rows, :n_samples] @ weights
    return curves


def last_of_budgets(ordered, budgets, replacement):
    """Expected last in the order of each query's own number of samples (n_queries,)."""
    expected = np.empty(len(ordered))
    for n_samples, rows in _rows_by_sample_count(ordered):
        drawn, position = np.unique(budgets[rows], return_inverse=True)
        own = _weights(n_samples, drawn, replacement).T[position]  # (rows, n_samples)
        expected[rows] = np.einsum("ij,ij->i", ordered[rows, :n_samples], own)
    return expected


def _rows_by_sample_count(ordered):
    """Yield (m, rows with m samples)."""
    counts = np.isfinite(ordered).sum(axis=1)
    for n_samples in np.unique(counts):
        yield int(n_samples), np.flatnonzero(counts == n_samples)
