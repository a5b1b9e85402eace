"""From reward tables to rates, curves, marginal rewards and preferences.

Pure functions on checked arrays. Axes are named as in the glossary: a reward table is
(n_queries, n_samples) with NaN for a missing sample, or (n_queries, 2, n_samples) for
routing with the weak decoder first.
"""

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit


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
    >>> from sklearn_adaalloc._curves import success_rates
    >>> success_rates(np.array([[1.0, 0.0, np.nan]]))
    array([0.5])
    """
    return np.nanmean(rewards, axis=-1)


def best_of_weights(n_samples, max_budget, *, replacement="auto"):
    r"""Weight of each order statistic in the expected best of b samples.

    With m samples sorted in ascending order, the expected best of b drawn without
    replacement gives the k-th smallest the weight :math:`\binom{k-1}{b-1} /
    \binom{m}{b}` (Chen et al. 2021, arXiv 2107.03374, for 0/1 rewards); drawn with
    replacement, :math:`(k/m)^b - ((k-1)/m)^b`. Both are exact.

    Parameters
    ----------
    n_samples : int
        Number of samples m.
    max_budget : int
        Largest b.
    replacement : {"auto"} or bool, default="auto"
        "auto" draws without replacement while b <= m and with replacement beyond.

    Returns
    -------
    weights : ndarray of shape (n_samples, max_budget)
        Column b-1 holds the weights for the best of b; each sums to 1.

    Raises
    ------
    ValueError
        If `replacement` is False and `max_budget` exceeds `n_samples`.

    Examples
    --------
    >>> from sklearn_adaalloc._curves import best_of_weights
    >>> best_of_weights(2, 2)
    array([[0.5, 0. ],
           [0.5, 1. ]])
    """
    return _weights(n_samples, np.arange(1, max_budget + 1), replacement)


def _weights(n_samples, drawn, replacement):
    """Weights of the best of each number drawn, (n_samples, n_numbers)."""
    if replacement is False and drawn.max() > n_samples:
        raise ValueError(
            f"max_budget={drawn.max()} cannot be drawn without replacement from "
            f"{n_samples} samples. Lower it, or use replacement='auto'."
        )
    rank = np.arange(1, n_samples + 1)[:, None]
    with_replacement = (rank / n_samples) ** drawn - ((rank - 1) / n_samples) ** drawn
    if replacement is True:
        return with_replacement
    # C(k-1, b-1) / C(m, b) follows from the column before it: no large binomials.
    before = np.arange(1, min(n_samples, drawn.max()))
    factor = np.maximum(rank - before, 0) / before
    factor = factor * (before + 1) / (n_samples - before)
    first = np.full((n_samples, 1), 1 / n_samples)
    without = np.cumprod(np.hstack([first, factor]), axis=1)
    exact = without[:, np.minimum(drawn, n_samples) - 1]
    return np.where(drawn <= n_samples, exact, with_replacement)


def reward_curves(rewards, max_budget, *, empty_reward=0.0, replacement="auto"):
    """Expected reward of the best of b samples, for b = 0..max_budget.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table. For routing the curve is (mean of the weak, mean of the strong)
        and `max_budget` is 1.
    max_budget : int
        Largest budget of one query.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample; unused in routing.
    replacement : {"auto"} or bool, default="auto"
        How samples are drawn from each row's own, see :func:`best_of_weights`. With
        "auto" a curve steps down where a row runs out of samples, because drawing with
        replacement is the more cautious estimate of the two.

    Returns
    -------
    curves : ndarray of shape (n_queries, max_budget + 1)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._curves import reward_curves
    >>> reward_curves(np.array([[0.0, 1.0, 0.0, 1.0]]), 2).round(3)
    array([[0.   , 0.5  , 0.833]])
    """
    if rewards.ndim == 3:
        return np.nanmean(rewards, axis=2)
    curves = np.full((len(rewards), max_budget + 1), float(empty_reward))
    for n_samples, rows, ascending in _rows_by_sample_count(rewards):
        weights = best_of_weights(n_samples, max_budget, replacement=replacement)
        curves[rows, 1:] = ascending @ weights
    return curves


def expected_rewards(rewards, budgets, *, empty_reward=0.0, replacement="auto"):
    """Expected reward of each query at its own budget (Eq. 9 and 10).

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.
    budgets : ndarray of shape (n_queries,)
        Samples given to each query; in routing 0 = weak, 1 = strong.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample; unused in routing.
    replacement : {"auto"} or bool, default="auto"
        See :func:`best_of_weights`.

    Returns
    -------
    expected : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._curves import expected_rewards
    >>> expected_rewards(np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([1, 0]))
    array([0.5, 0. ])
    """
    if rewards.ndim == 3:
        return np.nanmean(rewards, axis=2)[np.arange(len(rewards)), budgets]
    expected = np.full(len(rewards), float(empty_reward))
    sampled = np.flatnonzero(budgets > 0)
    if sampled.size == 0:
        return expected
    for n_samples, rows, ascending in _rows_by_sample_count(rewards[sampled]):
        drawn, position = np.unique(budgets[sampled[rows]], return_inverse=True)
        own = _weights(n_samples, drawn, replacement).T[position]  # (rows, n_samples)
        expected[sampled[rows]] = np.einsum("ij,ij->i", ascending, own)
    return expected


def _rows_by_sample_count(rewards):
    """Yield (m, rows with m samples, their samples in ascending order)."""
    ascending = np.sort(rewards, axis=1)  # NaN sorts last
    counts = np.isfinite(rewards).sum(axis=1)
    for n_samples in np.unique(counts):
        rows = np.flatnonzero(counts == n_samples)
        yield int(n_samples), rows, ascending[rows, :n_samples]


def marginal_rewards(rewards, max_budget, *, empty_reward=0.0, replacement="auto"):
    """Marginal reward of each further sample: differences of the reward curves.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; routing has one step, strong minus weak.
    max_budget : int
        Largest budget of one query.
    empty_reward, replacement
        As in :func:`reward_curves`.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._curves import marginal_rewards
    >>> marginal_rewards(np.array([[0.0, 1.0]]), 2)
    array([[0.5, 0.5]])
    """
    curves = reward_curves(
        rewards, max_budget, empty_reward=empty_reward, replacement=replacement
    )
    return np.diff(curves, axis=1)


def rate_marginals(rates, max_budget):
    """Marginal rewards of 0/1 samples with known success rates, λ(1−λ)^(b−1).

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
    >>> from sklearn_adaalloc._curves import rate_marginals
    >>> rate_marginals(np.array([0.5]), 3)
    array([[0.5  , 0.25 , 0.125]])
    """
    failures = np.arange(max_budget)
    return rates[:, None] * (1 - rates[:, None]) ** failures


def mixture_marginals(weights, rates, max_budget):
    """Marginal rewards under a distribution over rates, Σ_g w_g λ_g (1−λ_g)^(b−1).

    Integrating over the rate instead of plugging in its mean keeps a query that is
    probably hopeless from attracting many samples.

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
    >>> from sklearn_adaalloc._curves import mixture_marginals
    >>> mixture_marginals(np.array([[0.5, 0.5]]), np.array([0.0, 1.0]), 2)
    array([[0.5, 0. ]])
    """
    marginals = weights @ rate_marginals(rates, max_budget)
    # Rounding may let a step rise by its last bit.
    return np.minimum.accumulate(marginals, axis=1)


def preferences(rewards):
    """Preference for the strong decoder: mean of σ(strong − weak) over pairs (Eq. 8).

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, 2, n_samples)
        Routing table, weak decoder first.

    Returns
    -------
    preferences : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._curves import preferences
    >>> preferences(np.array([[[0.0], [1.0]]])).round(3)
    array([0.731])
    """
    weak, strong = rewards[:, 0], rewards[:, 1]
    # One strong sample at a time: memory stays that of the table.
    totals = sum(
        np.nansum(expit(sample[:, None] - weak), axis=1) for sample in strong.T
    )
    return totals / (np.isfinite(weak).sum(axis=1) * np.isfinite(strong).sum(axis=1))


def concave_repair(marginals, *, min_budget=0):
    """Nearest non-increasing rows: pool adjacent violators.

    The pooled values are the slopes of the least concave majorant of each curve, so a
    greedy allocation on them is optimal for the relaxed problem.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    min_budget : int, default=0
        Number of steps at the start that are taken in any case: they stay as they are.

    Returns
    -------
    repaired : ndarray of shape (n_queries, max_budget)
        Non-increasing beyond `min_budget`; `marginals` itself if all rows are.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._curves import concave_repair
    >>> concave_repair(np.array([[1.0, 3.0, 0.0]]))
    array([[2., 2., 0.]])
    """
    free = marginals[:, min_budget:]
    rising = (free[:, 1:] > free[:, :-1]).any(axis=1)
    if not rising.any():
        return marginals
    repaired = marginals.copy()
    for row in np.flatnonzero(rising):
        pooled = isotonic_regression(free[row], increasing=False).x
        repaired[row, min_budget:] = pooled
    return repaired
