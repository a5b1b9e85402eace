"""Curves of reward against spend: a policy's, uniform's, the oracle's.

Pure functions on reward curves (n_queries, max_budget + 1) and predicted marginals
(n_queries, max_budget), both checked.
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.planning._solvers import allocation_path


class BudgetCurve(NamedTuple):
    """Mean reward at each mean spend; linear in between."""

    spend: np.ndarray
    reward: np.ndarray


def policy_curve(curves, marginals, min_budget):
    """Curve of the policy that buys the largest predicted marginals first.

    Parameters
    ----------
    curves : ndarray of shape (n_queries, max_budget + 1)
        Observed reward curves.
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    min_budget : int
        Samples that every query gets first.

    Returns
    -------
    BudgetCurve

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import policy_curve
    >>> policy_curve(np.array([[0.0, 1.0]]), np.array([[0.5]]), 0).reward
    array([0., 1.])
    """
    queries, steps = bought_steps(marginals, min_budget)
    gains = curves[queries, steps + 1] - curves[queries, steps]
    return _accumulate(curves, gains, min_budget)


def bought_steps(marginals, min_budget):
    """List steps beyond `min_budget` in the order in which a growing budget buys them.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards; rows that increase are repaired first, beyond
        `min_budget`.
    min_budget : int
        Samples that every query gets first.

    Returns
    -------
    queries, steps : ndarrays of shape (n_bought,)
        Row and column of each step; only those with a positive marginal.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import bought_steps
    >>> bought_steps(np.array([[0.5, 0.0], [0.9, 0.3]]), 0)
    (array([1, 0, 1]), array([0, 0, 1]))
    """
    marginals = concave_repair(marginals[:, min_budget:])
    queries, steps = allocation_path(marginals)
    bought = marginals[queries, steps] > 0
    return queries[bought], min_budget + steps[bought]


def oracle_curve(curves, min_budget):
    """Curve of the policy that knows the observed marginals.

    Rows that increase are replaced by their concave majorant, so that the curve bounds
    every policy's from above.

    Parameters
    ----------
    curves : ndarray of shape (n_queries, max_budget + 1)
        Observed reward curves.
    min_budget : int
        Samples that every query gets first.

    Returns
    -------
    BudgetCurve

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import oracle_curve
    >>> oracle_curve(np.array([[0.0, 0.2], [0.0, 0.6]]), 0).reward
    array([0. , 0.3, 0.4])
    """
    gains = concave_repair(np.diff(curves[:, min_budget:], axis=1)).ravel()
    gains = np.sort(gains[gains > 0])[::-1]
    return _accumulate(curves, gains, min_budget)


def uniform_curve(curves, min_budget):
    """Curve of the policy that gives every query the same budget.

    Parameters
    ----------
    curves : ndarray of shape (n_queries, max_budget + 1)
        Observed reward curves.
    min_budget : int
        Samples that every query gets first.

    Returns
    -------
    BudgetCurve
        One point per whole budget; a line between two is the mixture of both.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import uniform_curve
    >>> uniform_curve(np.array([[0.0, 0.2], [0.0, 0.6]]), 0).reward
    array([0. , 0.4])
    """
    spend = np.arange(min_budget, curves.shape[1], dtype=np.float64)
    return BudgetCurve(spend, curves[:, min_budget:].mean(axis=0))


def first_crossing(curve, target):
    """Least spend at which a piecewise linear curve reaches a reward.

    Parameters
    ----------
    curve : BudgetCurve
        Curve to walk along; it need not be monotone.
    target : float
        Reward to reach, within a relative 1e-9 against rounding on plateaus.

    Returns
    -------
    spend : float
        NaN if the curve stays below.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import BudgetCurve, first_crossing
    >>> first_crossing(BudgetCurve(np.array([0.0, 1.0]), np.array([0.0, 0.8])), 0.4)
    0.5
    """
    spend, reward = curve
    reached = reward >= target - 1e-9 * max(1.0, abs(target))
    if not reached.any():
        return math.nan
    after = int(np.argmax(reached))
    if after == 0:
        return float(spend[0])
    before = after - 1
    share = (target - reward[before]) / (reward[after] - reward[before])
    return float(spend[before] + min(1.0, share) * (spend[after] - spend[before]))


def area(curve, max_budget):
    """Measure the area under a curve that stays level after its last point.

    Parameters
    ----------
    curve : BudgetCurve
        Curve to measure.
    max_budget : int
        Spend up to which to measure.

    Returns
    -------
    area : float

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import BudgetCurve, area
    >>> area(BudgetCurve(np.array([0.0, 1.0]), np.array([0.0, 0.5])), max_budget=2)
    0.75
    """
    level = curve.reward[-1] * (max_budget - curve.spend[-1])
    return float(np.trapezoid(curve.reward, curve.spend) + level)


def _accumulate(curves, gains, min_budget):
    """Curve that starts at `min_budget` and adds one sample's gain per point."""
    n_queries = len(curves)
    spend = (n_queries * min_budget + np.arange(len(gains) + 1)) / n_queries
    total = np.cumsum(np.concatenate([[curves[:, min_budget].sum()], gains]))
    return BudgetCurve(spend, total / n_queries)
