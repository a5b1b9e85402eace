r"""Expected improvement of the best reward by further samples, for real-valued rewards.

Assumes that the rewards of a query are normal, with unknown mean and standard
deviation. The predicted reward curve predicts both: its first value is the mean, and
its growth :math:`q(b) - q(1)` is the standard deviation times the expected maximum of b
standard normals. The samples of the whole batch decide how much weight these
predictions get (empirical Bayes). The samples of each query update its predictions,
with the conjugate prior: normal and scaled inverse chi-squared. Given the mean μ, the
standard deviation σ and the best reward so far B, the expected improvement by s more
samples is :math:`\sigma\, g_s((B - \mu) / \sigma)` with

.. math:: g_s(z) = \int_z^\infty 1 - \Phi(u)^s \, du.

Its increments decrease with s. A greedy allocation is therefore optimal.

All functions are pure and expect checked arrays.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import chdtri, gammaln

from sklearn_adaalloc.curves._normal import improvement_table, look_up, normal_maxima

# Gauss-Hermite nodes for the mean; quantiles for the standard deviation.
_MEAN_NODES = np.sqrt(3) * np.array([-1.0, 0.0, 1.0])
_MEAN_WEIGHTS = np.array([1.0, 4.0, 1.0]) / 6
_DEVIATION_SLICES = np.array([1.0, 3.0, 5.0, 7.0, 9.0]) / 10
_LEAST_DEVIATION = (
    0.05  # of the mean standard deviation: no query is assumed to be constant
)
_LEAST_WORTH = 0.001
_LEAST_FREEDOM = 4.0  # with less, a few similar samples would look certain
_MOST_FITTED = 5000  # number of queries that is enough to fit Trust


class RewardSamples(NamedTuple):
    """Sufficient statistics of the samples of each query; arrays (n_queries,)."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray  # sum of squared deviations from the mean
    best: np.ndarray  # -inf without a sample


class Trust(NamedTuple):
    """Weight of the predicted means and standard deviations, for a whole batch."""

    mean_samples: float  # weight of a predicted mean, in samples
    deviation_samples: float  # weight of a predicted standard deviation, above 2
    variance_factor: float  # mean variance divided by the predicted variance


def no_samples(n_queries):
    """Return the `RewardSamples` of `n_queries` queries without a sample.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._rewards import no_samples
    >>> no_samples(2).best
    array([-inf, -inf])
    """
    return RewardSamples(
        np.zeros(n_queries, dtype=np.int64),
        np.zeros(n_queries),
        np.zeros(n_queries),
        np.full(n_queries, -np.inf),
    )


def add_samples(samples, rewards):
    """Add one round of rewards (n_queries, n_new) to `RewardSamples`.

    NaN fills the rows of queries that got fewer samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._rewards import add_samples, no_samples
    >>> samples = add_samples(no_samples(1), np.array([[1.0, 3.0, np.nan]]))
    >>> add_samples(samples, np.array([[5.0]]))
    RewardSamples(count=array([3]), mean=array([3.]), squares=array([8.]),
                  best=array([5.]))
    """
    given = np.isfinite(rewards)
    new = given.sum(axis=1)
    count = samples.count + new
    sums = np.where(given, rewards, 0.0).sum(axis=1)
    new_mean = sums / np.maximum(new, 1)
    deviations = np.where(given, rewards - new_mean[:, None], 0.0)
    shift = new_mean - samples.mean
    share = new / np.maximum(count, 1)
    between = shift**2 * samples.count * share
    best = np.where(given, rewards, -np.inf).max(axis=1, initial=-np.inf)
    return RewardSamples(
        count,
        samples.mean + share * shift,
        samples.squares + (deviations**2).sum(axis=1) + between,
        np.maximum(samples.best, best),
    )


def mean_and_deviation(marginals, *, empty_reward=0.0, typical=None):
    """Mean and standard deviation of normal rewards with a given reward curve.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    empty_reward : float, default=0.0
        Reward of a query without a sample. It is added to the first marginal reward,
        from which it was subtracted.
    typical : float, default=None
        Mean standard deviation of such queries. None means that of these queries.

    Returns
    -------
    means, deviations : ndarrays of shape (n_queries,)
        Standard deviations are a least-squares fit to the curve after its first value,
        and at least 0.05 times their mean. A curve with one step does not determine
        them: then they are 1, and :func:`fit_trust` rescales them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._rewards import mean_and_deviation
    >>> mean_and_deviation(np.array([[3.0, 2 * 0.5641895835477563]]))
    (array([3.]), array([2.]))
    """
    means = marginals[:, 0] + empty_reward
    maxima = normal_maxima(marginals.shape[1])[1:]
    grown = np.cumsum(marginals[:, 1:], axis=1)
    total = maxima @ maxima
    deviations = grown @ maxima / total if total > 0 else np.ones(len(means))
    if typical is None:
        typical = np.maximum(deviations, 0).mean()
    if typical == 0:
        return means, np.ones(len(means))
    return means, np.maximum(deviations, _LEAST_DEVIATION * typical)


def fit_trust(samples, means, deviations):
    """Fit the weight of predicted means and standard deviations to a batch's samples.

    The variance factor is fitted by moments, because queries with a large variance
    determine the possible gain. The two weights maximise the marginal likelihood of the
    samples under the normal model. A weak prior pulls both weights towards 1. It
    decides if the samples contain no information.

    Parameters
    ----------
    samples : RewardSamples
        Samples so far.
    means, deviations : ndarray of shape (n_queries,)
        Predicted means and standard deviations.

    Returns
    -------
    Trust

    Examples
    --------
    If samples are far from their predicted means, these get a small weight.

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._rewards import (
    ...     add_samples,
    ...     fit_trust,
    ...     no_samples,
    ... )
    >>> rewards = np.repeat([[-5.0], [5.0]], 20, axis=0) + np.linspace(-1, 1, 9)
    >>> samples = add_samples(no_samples(40), rewards)
    >>> bool(fit_trust(samples, np.zeros(40), np.ones(40)).mean_samples < 0.1)
    True
    """
    seen = np.flatnonzero(samples.count)[:_MOST_FITTED]
    part = RewardSamples(*(values[seen] for values in samples))
    means, deviations = means[seen], deviations[seen]
    freedom = part.count - 1
    expected = freedom @ deviations**2
    pull = expected / max(freedom.sum(), 1)  # as much as one more sample
    factor = (part.squares.sum() + pull) / (expected + pull) if pull > 0 else 1.0

    def loss(logs):
        trust = Trust(*np.exp(logs), factor)
        return logs @ logs / 18 - _log_evidence(part, means, deviations, trust).sum()

    bounds = np.log([(_LEAST_WORTH, 1000.0), (_LEAST_FREEDOM, 1000.0)])
    fit = minimize(loss, bounds[:, 0].clip(0), method="L-BFGS-B", bounds=bounds)
    return Trust(*(float(worth) for worth in np.exp(fit.x)), float(factor))


def _posterior(samples, means, deviations, trust):
    """Updated mean, its weight in samples, sum of squares and degrees of freedom."""
    worth = trust.mean_samples + samples.count
    freedom = trust.deviation_samples + samples.count
    shift = samples.mean - means
    squares = _prior_squares(deviations, trust) + samples.squares
    squares = squares + trust.mean_samples * samples.count / worth * shift**2
    return means + samples.count / worth * shift, worth, squares, freedom


def _prior_squares(deviations, trust):
    """Prior sum of squares: ν − 2 times the predicted mean variance."""
    return (trust.deviation_samples - 2) * trust.variance_factor * deviations**2


def _log_evidence(samples, means, deviations, trust):
    """Log marginal likelihood of each query's samples, up to a constant."""
    _, worth, squares, freedom = _posterior(samples, means, deviations, trust)
    before = trust.deviation_samples
    expected = _prior_squares(deviations, trust)
    return (
        gammaln(freedom / 2)
        - gammaln(before / 2)
        + np.log(trust.mean_samples / worth) / 2
        + before / 2 * np.log(expected)
        - freedom / 2 * np.log(squares)
    )


def expected_improvements(
    samples, means, deviations, trust, max_budget, *, highest=np.inf
):
    """Expected improvement of the best reward by each further sample.

    Parameters
    ----------
    samples : RewardSamples
        Samples so far. Each query needs at least one.
    means, deviations : ndarray of shape (n_queries,)
        Predicted means and standard deviations.
    trust : Trust
        Weight of these predictions.
    max_budget : int
        Number of further samples.
    highest : float, default=inf
        Largest possible reward. There is no improvement beyond it.

    Returns
    -------
    improvements : ndarray of shape (n_queries, max_budget)
        Rows non-increasing.

    Examples
    --------
    Of two queries with the same mean and best reward, the one with the larger standard
    deviation has the larger expected improvement:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._rewards import (
    ...     Trust,
    ...     add_samples,
    ...     expected_improvements,
    ...     no_samples,
    ... )
    >>> rewards = np.array([[1.0, 0.0, 0.0, -1.0], [1.0, 1.0, -1.0, -1.0]])
    >>> samples = add_samples(no_samples(2), rewards)
    >>> gains = expected_improvements(
    ...     samples, np.zeros(2), np.ones(2), Trust(1.0, 4.0, 1.0), 3)
    >>> bool((gains[1] > gains[0]).all())
    True
    """
    centre, worth, squares, freedom = _posterior(samples, means, deviations, trust)
    table = improvement_table(max_budget)
    totals = np.zeros((len(centre), max_budget))
    for part in _DEVIATION_SLICES:
        deviation = np.sqrt(squares / chdtri(freedom, part))
        for node, weight in zip(_MEAN_NODES, _MEAN_WEIGHTS, strict=True):
            mean = centre + node * deviation / np.sqrt(worth)
            gains = look_up(table, (samples.best - mean) / deviation)
            gains -= look_up(table, (highest - mean) / deviation)
            totals += weight / len(_DEVIATION_SLICES) * deviation[:, None] * gains
    return np.minimum.accumulate(np.diff(totals, axis=1, prepend=0.0), axis=1)
