"""Scores of routers in the RouteLLM and RouterBench papers: APGR, CPT and AIQ."""

import math
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.numbers import check_numbers
from sklearn_adaalloc._utils.parameters import check_in_interval, check_whole
from sklearn_adaalloc._utils.rewards import check_rewards, has_decoders
from sklearn_adaalloc.curves._rates import success_rates
from sklearn_adaalloc.metrics._expected_reward import warn_undefined
from sklearn_adaalloc.metrics._fixed_cascades import concave_hull
from sklearn_adaalloc.metrics._policy_curves import BudgetCurve, first_crossing


class RoutingReport(NamedTuple):
    """RouterBench's AIQ and RouteLLM's APGR and CPT of one curve."""

    improvement_in_quality: float
    gap_recovered: float
    cost_to_recover: float


def average_gap_recovered(rewards, preferences, *, n_thresholds=10):
    r"""Average performance gap recovered by a router: RouteLLM's APGR.

    A router sends the share c of queries with the highest preferences to the strong
    decoder. It recovers the share

    .. math::

        \mathrm{PGR}(c) = \frac{r(c) - r_\mathrm{weak}}{r_\mathrm{strong} -
        r_\mathrm{weak}}

    of the gap between the decoders' mean rewards. APGR is the integral of PGR over c
    from 0 to 1. A random router scores 0.5. PGR can exceed 1 if the router uses the
    weak decoder where it is better. The paper approximates the integral on ten
    thresholds. Its published code puts them at the deciles of the preferences, adds the
    weak decoder alone, and applies the trapezoidal rule. This function does the same.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, 2, n_samples)
        Routing table, weak decoder first; NaN marks a missing sample.
    preferences : array-like of shape (n_queries,)
        Predicted preference for the strong decoder, or any other score: only the order
        is used. Queries with equal preferences are routed together.
    n_thresholds : int, default=10
        Number of thresholds. None uses every distinct preference, which makes the
        integral exact.

    Returns
    -------
    score : float
        NaN if the strong decoder is not better than the weak one.

    Raises
    ------
    ValueError
        If the table is not a routing table, a preference is not finite, the numbers of
        queries differ, or `n_thresholds` is invalid.

    Warns
    -----
    UndefinedMetricWarning
        If the strong decoder is not better than the weak one, so there is no gap.

    See Also
    --------
    gap_recovered_score : A similar score; 0 is uniform and 1 is the oracle.

    References
    ----------
    Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data",
    arXiv 2406.18665, Section 2.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import average_gap_recovered
    >>> rewards = [[[0], [1]], [[1], [1]]]
    >>> average_gap_recovered(rewards, [0.9, 0.1])
    0.75
    >>> average_gap_recovered(rewards, [0.5, 0.5])
    0.5
    """
    curve = _recovered_curve(rewards, preferences, n_thresholds)
    if curve is None:
        warn_undefined("average_gap_recovered", _NO_GAP)
        return math.nan
    return float(np.trapezoid(curve.reward, curve.spend))


def cost_to_recover(rewards, preferences, share=0.5, *, n_thresholds=10):
    """Share of strong calls needed to recover a share of the gap: RouteLLM's CPT.

    The call-performance threshold CPT(50 %) is ``cost_to_recover(..., share=0.5)``. It
    is the smallest share of queries sent to the strong decoder at which the performance
    gap recovered (see :func:`average_gap_recovered`) reaches `share`. The curve is
    linear between thresholds, as in the published code. If the curve is not monotone,
    the published code does not define which crossing counts. Here it is the first one:
    the paper defines CPT as a minimum.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, 2, n_samples)
        Routing table, weak decoder first; NaN marks a missing sample.
    preferences : array-like of shape (n_queries,)
        Predicted preference for the strong decoder. Only the order is used.
    share : float, default=0.5
        Share of the gap to recover, above 0 and at most 1.
    n_thresholds : int, default=10
        See :func:`average_gap_recovered`.

    Returns
    -------
    calls : float
        Share of queries sent to the strong decoder. For a random router it is `share`.
        NaN if the strong decoder is not better than the weak one.

    Raises
    ------
    ValueError
        If `share` is outside (0, 1], or as in :func:`average_gap_recovered`.

    Warns
    -----
    UndefinedMetricWarning
        If the strong decoder is not better than the weak one, so there is no gap.

    References
    ----------
    Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data",
    arXiv 2406.18665, Section 2.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import cost_to_recover
    >>> rewards = [[[0], [1]], [[1], [1]]]
    >>> cost_to_recover(rewards, [0.9, 0.1], share=0.8)
    0.4
    """
    share = check_in_interval(share, "share", 0, 1, closed="right")
    curve = _recovered_curve(rewards, preferences, n_thresholds)
    if curve is None:
        warn_undefined("cost_to_recover", _NO_GAP)
        return math.nan
    return first_crossing(curve, share)


def routing_report(spend, reward, *, weak, strong, share=0.5):
    r"""Report AIQ, APGR and CPT of a curve of reward against mean cost.

    The figures compare a policy over any number of decoders with a weak and a strong
    one, of which :math:`c_w < c_s` are the mean costs and :math:`r_w < r_s` the mean
    rewards.

    - RouterBench's average improvement in quality (AIQ). With :math:`\tilde r(c)`, the
      non-decreasing concave hull of the curve (the paper calls it convex),

      .. math::

          \mathrm{AIQ} = \frac{1}{c_s - c_w} \int_{c_w}^{c_s} \tilde r(c) \, dc .

    - RouteLLM's average performance gap recovered (APGR), with r(c) the curve itself,

      .. math::

          \mathrm{APGR} = \frac{1}{c_s - c_w} \int_{c_w}^{c_s} \frac{r(c) -
          r_w}{r_s - r_w} \, dc .

    - RouteLLM's call-performance threshold (CPT): the smallest :math:`(c - c_w) /
      (c_s - c_w)` at which :math:`(r(c) - r_w) / (r_s - r_w)` reaches `share`.

    RouteLLM counts calls to the strong decoder. With two decoders, one answer to each
    query and the same cost for all, the share of these calls is the share of the extra
    cost used here. The curve is linear between its points, starts level and stays level
    after its last one.

    Parameters
    ----------
    spend, reward : array-like of shape (n_points,)
        Mean cost and mean reward, as from :func:`cost_curve`.
    weak, strong : tuple of two float
        Mean cost and mean reward of the weak and of the strong decoder.
    share : float, default=0.5
        Share of the gap to recover, above 0 and at most 1.

    Returns
    -------
    improvement_in_quality : float
        AIQ.
    gap_recovered : float
        APGR: 0.5 for a router that mixes both decoders at random. It exceeds 1 if the
        policy is better than the strong decoder for less.
    cost_to_recover : float
        CPT, negative if the policy recovers `share` for less than the weak decoder
        costs; NaN if it never does.

    Raises
    ------
    ValueError
        If the curve is invalid, or the strong decoder is not dearer and better.

    See Also
    --------
    average_gap_recovered : APGR of preferences between two decoders.
    cost_to_recover : CPT of preferences between two decoders.

    References
    ----------
    Hu et al., "RouterBench: A Benchmark for Multi-LLM Routing System",
    arXiv 2403.12031, Section 3.

    Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data",
    arXiv 2406.18665, Section 2.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import routing_report
    >>> curve = [1, 2, 5], [0.5, 0.75, 1.0]
    >>> tuple(routing_report(*curve, weak=(1, 0.5), strong=(5, 1.0)))
    (0.8125, 0.625, 0.25)
    """
    share = check_in_interval(share, "share", 0, 1, closed="right")
    curve = _check_curve(spend, reward)
    (low, worst), (high, best) = _check_pair(weak, strong)
    hull = BudgetCurve(*(part[concave_hull(*curve)] for part in curve))
    quality, gained = (_mean_between(each, low, high) for each in (hull, curve))
    scaled = BudgetCurve(
        (curve.spend - low) / (high - low), (curve.reward - worst) / (best - worst)
    )
    return RoutingReport(
        quality, (gained - worst) / (best - worst), first_crossing(scaled, share)
    )


def _mean_between(curve, low, high):
    """Mean reward of a curve between two costs."""
    inside = (curve.spend > low) & (curve.spend < high)
    ends = np.interp([low, high], *curve)
    spend = np.concatenate([[low], curve.spend[inside], [high]])
    reward = np.concatenate([ends[:1], curve.reward[inside], ends[1:]])
    return float(np.trapezoid(reward, spend)) / (high - low)


def _check_curve(spend, reward):
    expected = "finite numbers of the same shape (n_points,)"
    spend, reward = (
        check_numbers(values, name, expected).astype(np.float64)
        for values, name in ((spend, "spend"), (reward, "reward"))
    )
    fine = spend.ndim == 1 and spend.size and spend.shape == reward.shape
    if not fine or not (np.isfinite(spend) & np.isfinite(reward)).all():
        raise ValueError(
            f"spend of shape {spend.shape} and reward of shape {reward.shape} are not "
            f"accepted. Expected {expected}."
        )
    order = np.argsort(spend, kind="stable")
    return BudgetCurve(spend[order], reward[order])


def _check_pair(weak, strong):
    pair = check_numbers([weak, strong], "weak, strong", "a cost and a reward of each")
    fine = pair.shape == (2, 2) and np.isfinite(pair).all()
    if not fine or not (pair[1] > pair[0]).all():
        raise ValueError(
            f"weak={weak!r} and strong={strong!r} are not accepted. Expected mean cost "
            "and mean reward of each, where strong is dearer and better."
        )
    return pair.tolist()


_NO_GAP = "the strong decoder's mean reward is not above the weak one's"


def _recovered_curve(rewards, preferences, n_thresholds):
    """Gap recovered against share of strong calls; None if there is no gap."""
    weak, strong = _decoder_rewards(rewards)
    preferences = _check_preferences(preferences, len(weak))
    gap = strong.mean() - weak.mean()
    if gap <= 1e-12 * max(1.0, abs(weak.mean())):
        return None
    order = np.argsort(-preferences, kind="stable")
    recovered = np.cumsum((strong - weak)[order]) / (gap * len(weak))
    calls = _calls_at_thresholds(preferences[order], n_thresholds)
    return BudgetCurve(
        np.concatenate([[0.0], calls / len(weak)]),
        np.concatenate([[0.0], recovered[calls - 1]]),
    )


def _calls_at_thresholds(descending, n_thresholds):
    """Number of strong calls at each distinct threshold, increasing."""
    thresholds = descending
    if n_thresholds is not None:
        n_thresholds = check_whole(n_thresholds, "n_thresholds", least=1)
        thresholds = np.quantile(descending, np.arange(n_thresholds) / n_thresholds)
    return np.unique(np.searchsorted(-descending, -thresholds, side="right"))


def _decoder_rewards(rewards):
    """Mean rewards of the weak and of the strong decoder, each (n_queries,)."""
    rewards = check_rewards(rewards)
    if not has_decoders(rewards):
        raise ValueError(
            f"rewards has shape {rewards.shape}. Expected a routing table of shape "
            "(n_queries, 2, n_samples), weak decoder first; with one answer per "
            "decoder in two columns, give rewards[:, :, None]."
        )
    return success_rates(rewards).T


def _check_preferences(preferences, n_queries):
    expected = f"one score per query of rewards, shape ({n_queries},)"
    preferences = check_numbers(preferences, "preferences", expected)
    if preferences.shape != (n_queries,):
        raise ValueError(
            f"preferences has shape {preferences.shape}. Expected {expected}."
        )
    if not np.isfinite(preferences).all():
        row = np.flatnonzero(~np.isfinite(preferences))[0]
        raise ValueError(
            f"preferences has {preferences[row]} in row {row}. Expected finite scores. "
            "Leave out queries without a score."
        )
    return preferences
