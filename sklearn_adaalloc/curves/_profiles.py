r"""Rate profiles: what a query's decoders have in common, for 0/1 rewards.

A profile holds one success rate per decoder. A query belongs to profile k with weight
:math:`w_k`, and given its profile, all samples of all decoders are independent. With
:math:`b_d` samples of decoder d, the probability that all are wrong is
:math:`\sum_k w_k \prod_d (1 - \lambda_{kd})^{b_d}`. A failure of one decoder therefore
also changes what is expected of the others. A grid of rates, as in
:mod:`sklearn_adaalloc.curves._rates`, is the case of one decoder. Its rates are fixed.
The profiles of several decoders are learnt, because a grid would need too many.

All functions are pure and expect checked arrays.
"""

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

N_PROFILES = (8, 16, 32, 64)
"""Numbers of profiles that :func:`choose_profiles` tries."""

_RATE_SAMPLES = 2.0  # weight, in samples, of the mean rate of a decoder in each profile
_WEIGHT_QUERIES = 1.0  # weight, in queries, of equal weights
LEAST_RATE = 1e-12  # keeps logarithms finite, and is never worth a sample
_HELD_OUT = 4  # one query in so many decides on the number of profiles
_LEAST_GAIN = 1e-6  # of the mean log likelihood: less ends the iterations


def count_verdicts(rewards):
    """Count the right and the wrong samples of each decoder.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_decoders, n_samples)
        Reward table of 0 and 1; NaN marks a missing sample.

    Returns
    -------
    right, wrong : ndarrays of shape (n_queries, n_decoders)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._profiles import count_verdicts
    >>> count_verdicts(np.array([[[1.0, 0.0], [0.0, np.nan]]]))
    (array([[1., 0.]]), array([[1., 1.]]))
    """
    right = np.nansum(rewards, axis=-1)
    return right, np.isfinite(rewards).sum(axis=-1) - right


def profile_log_likelihoods(right, wrong, profiles):
    """Log likelihood of each profile for each query; the largest of a query is 0.

    Parameters
    ----------
    right, wrong : ndarrays of shape (n_queries, n_decoders)
        Numbers of right and of wrong samples. Both are 0 where there is no sample.
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates between 0 and 1, without the ends.

    Returns
    -------
    log_likelihoods : ndarray of shape (n_queries, n_profiles)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._profiles import profile_log_likelihoods
    >>> profiles = np.array([[0.5, 0.5], [0.25, 0.75]])
    >>> right, wrong = np.array([[0, 1]]), np.array([[1, 0]])
    >>> np.exp(profile_log_likelihoods(right, wrong, profiles)).round(3)
    array([[0.444, 1.   ]])
    """
    log_likelihood = right @ np.log(profiles).T + wrong @ np.log1p(-profiles).T
    return log_likelihood - log_likelihood.max(axis=1, keepdims=True)


def fit_profiles(right, wrong, n_profiles, n_iterations=200):
    """Fit profiles and their weights over all queries, by expectation-maximisation.

    The rates of a profile are drawn towards the mean rate of each decoder, and weights
    towards equal weights, so that few samples give no extreme rates. There is no random
    number: the first profiles are the means of the parts of :func:`cut_into_parts`.

    Parameters
    ----------
    right, wrong : ndarrays of shape (n_queries, n_decoders)
        Numbers of right and of wrong samples.
    n_profiles : int
        Largest number of profiles. There are fewer if fewer queries differ.
    n_iterations : int, default=200
        Largest number of iterations.

    Returns
    -------
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates between 0 and 1, without the ends.
    weights : ndarray of shape (n_profiles,)

    Examples
    --------
    The first decoder solves what the second does not:

    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._profiles import fit_profiles
    >>> right = np.array([[9, 1], [9, 1], [1, 9], [1, 9]])
    >>> profiles, weights = fit_profiles(right, 10 - right, n_profiles=2)
    >>> profiles.round(1), weights
    (array([[0.1, 0.9],
           [0.9, 0.1]]), array([0.5, 0.5]))
    """
    means = right.sum(axis=0) / np.maximum((right + wrong).sum(axis=0), 1)
    smoothed = (right + _RATE_SAMPLES * means) / (right + wrong + _RATE_SAMPLES)
    part = cut_into_parts(smoothed, n_profiles)
    shares = (part[:, None] == np.arange(part.max() + 1)).astype(np.float64)
    before = -np.inf
    for _ in range(n_iterations):
        profiles, weights = _most_likely(right, wrong, shares, means)
        joint = right @ np.log(profiles).T + wrong @ np.log1p(-profiles).T
        joint += np.log(weights)
        evidence = logsumexp(joint, axis=1, keepdims=True)
        shares = np.exp(joint - evidence)
        if evidence.mean() < before + _LEAST_GAIN:
            break
        before = evidence.mean()
    return profiles, weights


def _most_likely(right, wrong, shares, means):
    """Rates and weights, given the share of each profile in each query."""
    hits, misses = shares.T @ right, shares.T @ wrong
    rates = (hits + _RATE_SAMPLES * means) / (hits + misses + _RATE_SAMPLES)
    counts = shares.sum(axis=0) + _WEIGHT_QUERIES / shares.shape[1]
    rates = np.clip(rates, LEAST_RATE, 1 - LEAST_RATE)
    return rates, counts / counts.sum()


def choose_profiles(right, wrong, candidates=N_PROFILES):
    """Fit as many profiles as make held-out queries most likely.

    Every fourth query is held out to choose the number of profiles. Then the profiles
    are fitted to all queries.

    Parameters
    ----------
    right, wrong : ndarrays of shape (n_queries, n_decoders)
        Numbers of right and of wrong samples.
    candidates : tuple of int, default=N_PROFILES
        Numbers of profiles to choose from.

    Returns
    -------
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates between 0 and 1, without the ends.
    weights : ndarray of shape (n_profiles,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._profiles import choose_profiles
    >>> right = np.tile([[9, 1], [1, 9]], (20, 1))
    >>> profiles, weights = choose_profiles(right, 10 - right)
    >>> profiles.shape
    (2, 2)
    """
    held_out = np.arange(len(right)) % _HELD_OUT == _HELD_OUT - 1

    def held_out_likelihood(n_profiles):
        counts = right[~held_out], wrong[~held_out]
        profiles, weights = fit_profiles(*counts, n_profiles)
        joint = right[held_out] @ np.log(profiles).T
        joint += wrong[held_out] @ np.log1p(-profiles).T
        return logsumexp(joint + np.log(weights), axis=1).sum()

    candidates = [n for n in candidates if n <= len(right)] or [1]
    if len(candidates) == 1 or not held_out.any():
        return fit_profiles(right, wrong, candidates[0])
    return fit_profiles(right, wrong, max(candidates, key=held_out_likelihood))


def posterior_shares(right, wrong, profiles, weights):
    """Posterior weights of the profiles of each query, given its samples.

    Parameters
    ----------
    right, wrong : ndarrays of shape (n_queries, n_decoders)
        Numbers of right and of wrong samples.
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates.
    weights : ndarray of shape (n_profiles,) or (n_queries, n_profiles)
        Weights before these samples.

    Returns
    -------
    weights : ndarray of shape (n_queries, n_profiles)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._profiles import posterior_shares
    >>> profiles = np.array([[0.5, 0.5], [0.25, 0.75]])
    >>> right, wrong = np.array([[0, 0]]), np.array([[1, 0]])
    >>> posterior_shares(right, wrong, profiles, np.array([0.5, 0.5]))
    array([[0.4, 0.6]])
    """
    joint = np.exp(profile_log_likelihoods(right, wrong, profiles)) * weights
    return joint / joint.sum(axis=1, keepdims=True)


def cut_into_parts(points, n_parts):
    """Number the parts of a set of points, each cut where it varies most.

    The part with the largest sum of squared deviations along one axis is cut at its
    mean along this axis, again and again.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_axes)
        Points.
    n_parts : int
        Largest number of parts. Equal points stay together.

    Returns
    -------
    part : ndarray of shape (n_points,), int
        Part of each point, from 0 on.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._profiles import cut_into_parts
    >>> cut_into_parts(np.array([[0.0, 1.0], [0.1, 9.0], [0.0, 1.1]]), 2)
    array([0, 1, 0])
    """
    return cut_points(points, n_parts)[0]


class Cuts(NamedTuple):
    """A tree of cuts. Node 0 is the root, and a leaf has itself on both sides."""

    axis: np.ndarray  # (n_nodes,), int
    threshold: np.ndarray  # (n_nodes,)
    below: np.ndarray  # (n_nodes,), int: next node of points up to the threshold
    above: np.ndarray  # (n_nodes,), int
    part: np.ndarray  # (n_nodes,), int: number of the part, of leaves


def cut_points(points, n_parts):
    """Parts of a set of points, and the cuts that made them.

    Parameters
    ----------
    points, n_parts
        As of :func:`cut_into_parts`.

    Returns
    -------
    part : ndarray of shape (n_points,), int
    cuts : Cuts
        For :func:`parts_of`, also of other points.
    """
    part = np.zeros(len(points), dtype=np.int64)
    waiting = [_widest(points, np.arange(len(points)))]
    node, nodes = [0], [[0, np.inf, 0, 0, 0]]  # node of each part
    for new in range(1, n_parts):
        spread, _, axis, members = heappop(waiting)
        if spread == 0:  # the largest, because spreads are negative in the heap
            break
        values = points[members, axis]
        mean, least = values.mean(), values.min()
        # A mean can round to the largest value, or below the least.
        threshold = mean if least <= mean < values.max() else least
        above = values > threshold
        old = part[members[0]]
        part[members[above]] = new
        for half in (members[~above], members[above]):
            heappush(waiting, _widest(points, half))
        first = len(nodes)
        nodes[node[old]][:4] = axis, threshold, first, first + 1
        nodes += [
            [0, np.inf, first, first, old],
            [0, np.inf, first + 1, first + 1, new],
        ]
        node[old] = first
        node.append(first + 1)
    axis, threshold, *rest = zip(*nodes, strict=True)
    return part, Cuts(np.array(axis), np.array(threshold), *map(np.array, rest))


def parts_of(points, cuts):
    """Parts of points, by cuts that were made for others.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_axes)
    cuts : Cuts

    Returns
    -------
    part : ndarray of shape (n_points,), int

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._profiles import cut_points, parts_of
    >>> _, cuts = cut_points(np.array([[0.0, 1.0], [0.1, 9.0], [0.0, 1.1]]), 2)
    >>> parts_of(np.array([[5.0, 8.0], [5.0, 2.0]]), cuts)
    array([1, 0])
    """
    node = np.zeros(len(points), dtype=np.int64)
    rows = np.arange(len(points))
    while True:
        above = points[rows, cuts.axis[node]] > cuts.threshold[node]
        following = np.where(above, cuts.above[node], cuts.below[node])
        if (following == node).all():
            return cuts.part[node]
        node = following


def _widest(points, members):
    """Entry of a heap: minus the widest spread, the first member, axis and members."""
    spreads = points[members].var(axis=0) * len(members)
    axis = int(spreads.argmax())
    # The variance of equal values can be positive by rounding.
    spread = spreads[axis] if np.ptp(points[members, axis]) > 0 else 0.0
    return -float(spread), int(members[0]), axis, members
