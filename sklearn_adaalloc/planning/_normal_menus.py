r"""Budgets over several decoders, for real-valued rewards: who answers next.

Rewards are normal, with correlated means
(:mod:`sklearn_adaalloc.curves._normal_means`). The value of samples is the expected
improvement of the best reward: with B the best so far and M the highest possible,

.. math:: E\left[\left(\max_i r_i - B\right)^+\right]
    = \int_B^M 1 - E_u\left[\prod_d \Phi\left(
    \frac{t - u_d}{s_d}\right)^{b_d}\right] dt .

The integral and the expectation become sums over levels t and nodes u. Such a sum has
the form that chances of 0/1 rewards have: a level in a node has a weight, and a sample
of decoder d passes it with a known probability. So what is left to gain falls by a
factor with each sample, as the probability that all samples fail does, and paths
(:mod:`sklearn_adaalloc.planning._menus`) find plans in the same way. The first sample
of one decoder gains the expected improvement under its predictive normal.

A plan says what is worth taking if nothing is told in between. In rounds, a part of it
is taken now, and rewards then change the rest.

All functions are pure and expect checked arrays.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from sklearn_adaalloc.curves._normal_means import posterior_means
from sklearn_adaalloc.planning._paths import (
    LEAST_PRICE,
    Paths,
    best_stops,
    decoder_subsets,
    path_counts,
    plans_around,
    share_out,
)

_N_NODES = 64
_N_LEVELS = 20
_REACH = 4.0  # standard deviations around the means that levels cover
_BLOCK = 2**22  # numbers worked on at a time
_LEAST_GAIN = 1e-9  # relative to what is left to gain; less ends a path


class RewardNormals(NamedTuple):
    """What is known of the rewards of several decoders, besides their means."""

    covariance: np.ndarray  # (n_decoders, n_decoders), of the means of a query
    deviations: np.ndarray  # (n_decoders,), of samples around their mean
    highest: float  # no reward is expected to be higher
    empty_reward: float  # reward of a query without a sample


class Levels(NamedTuple):
    """Levels of reward that samples can pass, in nodes of the unknown means."""

    worth: np.ndarray  # (n_queries, n_states): a level in a node
    below: np.ndarray  # (n_queries, n_decoders, n_states): a sample does not pass it
    start: np.ndarray  # (n_queries,): reward below all levels


@cache
def normal_nodes(n_decoders):
    """Points with the mean and the covariance of independent standard normals.

    Parameters
    ----------
    n_decoders : int
        Number of coordinates.

    Returns
    -------
    nodes : ndarray of shape (n_nodes, n_decoders)
        64 points, or more than 8 for each coordinate. Half of them are the others,
        mirrored.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._normal_menus import normal_nodes
    >>> nodes = normal_nodes(2)
    >>> abs(nodes.T @ nodes / len(nodes)).round(6)
    array([[1., 0.],
           [0., 1.]])
    """
    n_nodes = max(_N_NODES, 1 << (8 * n_decoders).bit_length())
    # Older SciPy knows no other name of this argument.
    half = qmc.Sobol(n_decoders, seed=np.random.default_rng(0)).random(n_nodes // 2)
    nodes = ndtri(np.clip(half, 1e-6, 1 - 1e-6))
    nodes = np.concatenate([nodes, -nodes])
    nodes = nodes @ np.linalg.inv(np.linalg.cholesky(nodes.T @ nodes / n_nodes)).T
    nodes.flags.writeable = False  # they are shared
    return nodes


def reward_levels(means, covariances, best, normals, *, n_levels=_N_LEVELS):
    """Levels above the best reward so far, and who passes them.

    Parameters
    ----------
    means : ndarray of shape (n_queries, n_decoders)
        Means of the mean rewards.
    covariances : ndarray of shape (n_queries, n_decoders, n_decoders)
        Their covariances.
    best : ndarray of shape (n_queries,)
        Best reward so far, -inf without a sample. Levels then begin below what any
        sample is expected to give, and end above, so that the value of the first sample
        is its mean.
    normals : RewardNormals
    n_levels : int, default=20
        Number of levels: nodes of Gauss and Legendre.

    Returns
    -------
    levels : Levels
    """
    deviations = normals.deviations
    spread = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2) + deviations**2)
    low = np.where(np.isneginf(best), (means - _REACH * spread).min(axis=1), best)
    high = np.maximum((means + _REACH * spread).max(axis=1), low)
    high = np.where(np.isneginf(best), high, np.clip(high, low, normals.highest))
    roots = np.linalg.cholesky(covariances)
    nodes = means[:, None] + normal_nodes(means.shape[1]) @ roots.swapaxes(1, 2)
    place, weight = np.polynomial.legendre.leggauss(n_levels)
    length = (high - low)[:, None]
    heights = low[:, None] + length * (place + 1) / 2  # (n_queries, n_levels)
    # (n_queries, n_decoders, n_nodes, n_levels)
    nodes = (nodes / deviations).swapaxes(1, 2)[..., None]
    below = ndtr(heights[:, None, None] / deviations[:, None, None] - nodes)
    worth = np.tile(length * weight / (2 * nodes.shape[2]), nodes.shape[2])
    return Levels(worth, below.reshape(*means.shape, -1), low)


def left_to_gain(levels, counts):
    """What remains of each level after some samples.

    Parameters
    ----------
    levels : Levels
    counts : ndarray of shape (n_queries, n_decoders), int
        Number of samples of each decoder.

    Returns
    -------
    mass : ndarray of shape (n_queries, n_states)
    """
    return levels.worth * (levels.below ** counts[:, :, None]).prod(axis=1)


def expected_best(means, covariances, counts, normals, best=None):
    """Expected best reward after some more samples of each decoder.

    Parameters
    ----------
    means : ndarray of shape (n_queries, n_decoders)
        Means of the mean rewards.
    covariances : ndarray of shape (n_queries, n_decoders, n_decoders)
        Their covariances.
    counts : ndarray of shape (n_queries, n_decoders), int
        Number of samples of each decoder.
    normals : RewardNormals
    best : ndarray of shape (n_queries,), default=None
        Best reward so far. None, or -inf, means that there is no sample.

    Returns
    -------
    expected : ndarray of shape (n_queries,)
        The empty reward where there is no sample.

    Examples
    --------
    Of two independent standard normals, the larger has the mean 0.564:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._normal_menus import RewardNormals, expected_best
    >>> normals = RewardNormals(None, np.ones(2) / 2**0.5, np.inf, 0.0)
    >>> means, covariances = np.zeros((1, 2)), np.eye(2)[None] / 2
    >>> expected_best(means, covariances, np.array([[1, 1]]), normals).round(2)
    array([0.56])
    """
    best = np.full(len(means), -np.inf) if best is None else best
    levels = reward_levels(means, covariances, best, normals)
    gained = (levels.worth - left_to_gain(levels, counts)).sum(axis=1)
    nothing = np.isneginf(best) & ~counts.any(axis=1)
    return np.where(nothing, normals.empty_reward, levels.start + gained)


def normal_paths(means, normals, costs, limits, *, samples=None, mandatory=None):
    """Find the paths of each query: the decoder with the highest gain per cost next.

    Parameters
    ----------
    means : ndarray of shape (n_queries, n_decoders)
        Predicted mean rewards.
    normals : RewardNormals
    costs : ndarray of shape (n_queries, n_decoders)
        Cost of a sample, positive.
    limits : ndarray of shape (n_queries, n_decoders), int
        Largest number of samples on a path.
    samples : tuple of three ndarrays, default=None
        Number of samples so far and their mean (n_queries, n_decoders), and the best
        reward (n_queries,). None means no sample.
    mandatory : ndarray of shape (n_queries, n_decoders), int, default=None
        Samples that are taken before those of the path, whose rewards are not known.

    Returns
    -------
    paths : Paths
        What is left to gain is up to a constant for each query.

    Examples
    --------
    The first decoder is cheap. Its second sample adds less than one of the second
    decoder, whose mean is as uncertain:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._normal_menus import RewardNormals, normal_paths
    >>> normals = RewardNormals(np.eye(2), np.full(2, 0.5), np.inf, 0.0)
    >>> paths = normal_paths(
    ...     np.array([[1.0, 1.0]]), normals, np.array([[1.0, 1.2]]), np.array([[2, 1]])
    ... )
    >>> paths.decoders[0, 0]
    array([0, 1, 0])
    """
    n_queries, n_decoders = means.shape
    if samples is None:
        none = np.zeros((n_queries, n_decoders))
        samples = none, none, np.full(n_queries, -np.inf)
    mandatory = np.zeros_like(limits) if mandatory is None else mandatory
    n_nodes = len(normal_nodes(n_decoders))
    n_rows = max(1, _BLOCK // (n_decoders * n_nodes * _N_LEVELS))
    n_steps = int(limits.sum(axis=1).max(initial=0))
    parts = []
    for start in range(0, n_queries, n_rows):
        rows = slice(start, start + n_rows)
        counts, observed, best = (each[rows] for each in samples)
        variances = normals.deviations**2
        posterior = posterior_means(
            means[rows], normals.covariance, variances, counts, observed
        )
        levels = reward_levels(*posterior, best, normals)
        first_gain = np.where(
            np.isneginf(best) & ~mandatory[rows].any(axis=1),
            levels.start - normals.empty_reward,
            0.0,
        )
        mass = left_to_gain(levels, mandatory[rows])
        part = _level_paths(levels, mass, first_gain, costs[rows], limits[rows])
        parts.append(_longer(part, n_steps, n_decoders))
    return Paths(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _level_paths(levels, mass, first_gain, costs, limits):
    """Paths from what is left of each level; `first_gain` comes with the first step."""
    # Single precision halves the time, and levels are an approximation anyway.
    below = levels.below.astype(np.float32)
    above, start = 1 - below, mass.astype(np.float32)
    n_queries, n_decoders = costs.shape
    starts = [(subset, None) for subset in decoder_subsets(n_decoders)]
    # A dear decoder comes late on a path, because the gain per cost decides. But a plan
    # can be better that has a sample of it and fewer of the cheap decoders. So further
    # paths begin with each decoder.
    starts += [(np.ones(n_decoders, dtype=bool), each) for each in range(n_decoders)]
    n_steps = int(limits.sum(axis=1).max(initial=0))
    shape = (len(starts), n_queries, n_steps)
    decoders = np.full(shape, n_decoders)
    failing, spent = np.zeros((2, *shape[:2], n_steps + 1))
    rows = np.arange(n_queries)
    for path, (subset, begin) in enumerate(starts):
        left, mass, extra = np.where(subset, limits, 0), start.copy(), first_gain
        failing[path, :, 0] = mass.sum(axis=1) + extra
        for step in range(n_steps):
            gains = (above @ mass[:, :, None])[:, :, 0].astype(np.float64)
            ratios = np.where(left > 0, (gains + extra[:, None]) / costs, -np.inf)
            best = ratios.argmax(axis=1)
            if step == 0 and begin is not None:
                best = np.where(left[:, begin] > 0, begin, best)
            going = left[rows, best] > 0
            going &= gains[rows, best] > _LEAST_GAIN * mass.sum(axis=1)
            taken, chosen = rows[going], best[going]
            left[taken, chosen] -= 1
            mass[taken] *= below[taken, chosen]
            extra = np.where(going, 0.0, extra)
            decoders[path, taken, step] = chosen
            failing[path, :, step + 1] = mass.sum(axis=1) + extra
            spent[path, :, step + 1] = spent[path, :, step]
            spent[path, taken, step + 1] += costs[taken, chosen]
            if taken.size == 0:
                failing[path, :, step + 1 :] = failing[path, :, step, None]
                spent[path, :, step + 1 :] = spent[path, :, step, None]
                break
    return Paths(*(array.swapaxes(0, 1) for array in (decoders, failing, spent)))


def first_samples(paths, path, stop, n_samples, n_decoders):
    """The first samples of plans: those with the highest gain per cost.

    Parameters
    ----------
    paths : Paths
        What :func:`normal_paths` returned.
    path, stop : ndarrays of shape (n_queries,), int
        Plan of each query.
    n_samples : ndarray of shape (n_queries,), int
        Number of samples to take of it, at most `stop`.
    n_decoders : int
        Number of decoders.

    Returns
    -------
    counts : ndarray of shape (n_queries, n_decoders), int

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._normal_menus import (
    ...     RewardNormals,
    ...     first_samples,
    ...     normal_paths,
    ... )
    >>> normals = RewardNormals(np.eye(2), np.full(2, 0.5), np.inf, 0.0)
    >>> costs, limits = np.array([[1.0, 9.0]]), np.array([[2, 1]])
    >>> paths = normal_paths(np.ones((1, 2)), normals, costs, limits)
    >>> paths.decoders[0, -1]  # begins with the dear decoder
    array([1, 0, 0])
    >>> plan = np.array([len(paths.decoders[0]) - 1]), np.array([2])
    >>> first_samples(paths, *plan, np.array([1]), n_decoders=2)
    array([[1, 0]])
    """
    n_steps = paths.decoders.shape[2]
    # The decoder that a path was made to begin with comes last.
    begun = path >= len(decoder_subsets(n_decoders))
    steps = np.arange(n_steps)
    place = (steps + begun[:, None]) % np.maximum(stop, 1)[:, None]
    chosen = paths.decoders[np.arange(len(path))[:, None], path[:, None], place]
    taken = steps < n_samples[:, None]
    chosen = np.where(taken, chosen, n_decoders)
    return (chosen[:, :, None] == np.arange(n_decoders)).sum(axis=1)


def _longer(paths, n_steps, n_decoders):
    """Paths with so many steps; those at the end have no decoder."""
    missing = n_steps - paths.decoders.shape[2]
    pad = ((0, 0), (0, 0), (0, missing))
    return Paths(
        np.pad(paths.decoders, pad, constant_values=n_decoders),
        np.pad(paths.failing, pad, mode="edge"),
        np.pad(paths.spent, pad, mode="edge"),
    )


def highest_price(paths):
    """A price at which no step of some paths is worth its cost."""
    steps, gains = np.diff(paths.spent, axis=2), -np.diff(paths.failing, axis=2)
    ratios = np.divide(gains, steps, out=np.zeros_like(gains), where=steps > 0)
    return 2 * max(float(ratios.max(initial=0.0)), LEAST_PRICE)


def normal_planner(means, normals, costs, limits, mandatory):
    """Best samples of each query for one round at any price, each query alone.

    Parameters
    ----------
    means, normals, costs
        As of :func:`normal_paths`.
    limits : ndarray of shape (n_queries, n_decoders), int
        Largest number of samples of each decoder.
    mandatory : ndarray of shape (n_queries, n_decoders), int
        Samples that are taken in any case, at most `limits`.

    Returns
    -------
    plan : callable
        From a price, the improvement that a cost of 1 must bring, to counts
        (n_queries, n_decoders).
    highest : float
        A price at which no sample is worth its cost.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._normal_menus import (
    ...     RewardNormals,
    ...     normal_planner,
    ... )
    >>> normals = RewardNormals(np.eye(2), np.full(2, 0.5), np.inf, 0.0)
    >>> query = np.array([[1.0, 1.0]]), normals, np.array([[1.0, 1.2]])
    >>> plan, highest = normal_planner(*query, np.array([[2, 1]]), np.array([[0, 0]]))
    >>> plan(highest), plan(0.6), plan(0.3)
    (array([[0, 0]]), array([[1, 0]]), array([[1, 1]]))
    """
    paths = normal_paths(means, normals, costs, limits - mandatory, mandatory=mandatory)

    def plan(price):
        stops = best_stops(paths.failing, paths.spent, price)
        return mandatory + path_counts(paths.decoders, *stops, means.shape[1])

    return plan, highest_price(paths)


def plan_paths(paths, money):
    """Best stops of a batch for one round.

    All queries have the same price. What is left at this price pays for single steps
    with the highest gain per cost.

    Parameters
    ----------
    paths : Paths
        Paths of each query.
    money : float
        Cost that all samples may have.

    Returns
    -------
    path, stop : ndarrays of shape (n_queries,), int
        Path of each query, and the number of steps on it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._normal_menus import plan_paths
    >>> from sklearn_adaalloc.planning._paths import Paths
    >>> failing = np.array([[[1.0, 0.5, 0.25]], [[1.0, 0.4, 0.1]]])
    >>> spent = np.array([[[0.0, 1.0, 2.0]]] * 2)
    >>> paths = Paths(np.zeros((2, 1, 2), int), failing, spent)
    >>> plan_paths(paths, money=3)
    (array([0, 0]), array([1, 2]))
    """
    rows = np.arange(len(paths.failing))

    def stops_at(price):
        stops = best_stops(paths.failing, paths.spent, price)
        return price, paths.spent[(rows, *stops)], np.column_stack(stops)

    highest, sizes = highest_price(paths), np.ones(len(rows))
    bounds = {"least": highest * LEAST_PRICE, "sizes": sizes, "money": money}
    around = plans_around(stops_at, highest, 16.0, **bounds)
    plan, left = share_out(*around, rows, sizes, money)
    path, stop = plan.T
    failing, spent = (
        np.pad(array[rows, path], ((0, 0), (0, 1)), mode="edge")
        for array in (paths.failing, paths.spent)
    )
    steps, gains = np.diff(spent, axis=1), -np.diff(failing, axis=1)
    while True:
        costs, values = steps[rows, stop], gains[rows, stop]
        payable = (costs > 0) & (costs <= left) & (values > 0)
        ratios = np.divide(values, costs, out=np.zeros(len(rows)), where=payable)
        row = int(ratios.argmax()) if len(rows) else 0
        if not payable.any():
            return path, stop
        stop[row] += 1
        left -= costs[row]
