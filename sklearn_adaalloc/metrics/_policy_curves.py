"""Curves of reward against spend: of a policy, of uniform and of the oracle.

All functions are pure. They expect checked reward curves (n_queries, max_budget + 1)
and checked predicted marginals (n_queries, max_budget).
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.planning._solvers import allocation_path


class BudgetCurve(NamedTuple):
    """Mean reward at each spend; linear between the points."""

    spend: np.ndarray
    reward: np.ndarray


def policy_curve(curves, marginals, min_budget, costs=None):
    """Curve of the policy that buys the largest predicted marginals first.

    `min_budget` is the number of samples that every query gets first. `costs`
    (n_queries,) are the observed costs of a sample of each query, for a curve against
    cost; None means that each costs 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import policy_curve
    >>> policy_curve(np.array([[0.0, 1.0]]), np.array([[0.5]]), 0).reward
    array([0., 1.])
    """
    queries, steps = bought_steps(marginals, min_budget)
    gains = curves[queries, steps + 1] - curves[queries, steps]
    return _accumulate(curves, gains, min_budget, costs, queries)


def bought_steps(marginals, min_budget):
    """List steps beyond `min_budget` in the order in which a growing budget buys them.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards. Rows that increase after the first `min_budget`
        steps are repaired.
    min_budget : int
        Number of samples that every query gets first.

    Returns
    -------
    queries, steps : ndarrays of shape (n_bought,)
        Row and column of each step that has a positive marginal.

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


def oracle_curve(curves, min_budget, costs=None):
    """Curve of the policy that knows the observed marginals, and costs if they count.

    Curves that are not concave are replaced by their concave majorant. The result is an
    upper bound for the curve of every policy.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import oracle_curve
    >>> oracle_curve(np.array([[0.0, 0.2], [0.0, 0.6]]), 0).reward
    array([0. , 0.3, 0.4])
    """
    gains = concave_repair(np.diff(curves[:, min_budget:], axis=1))
    if costs is None:
        gains = gains.ravel()
        gains = np.sort(gains[gains > 0])[::-1]
        return _accumulate(curves, gains, min_budget)
    queries, steps = np.nonzero(gains > 0)
    gains = gains[queries, steps]
    order = np.argsort(-gains / costs[queries], kind="stable")
    return _accumulate(curves, gains[order], min_budget, costs, queries[order])


def uniform_curve(curves, min_budget, costs=None):
    """Curve of the policy that gives every query the same budget.

    It has one point per whole budget. Between two points, both budgets are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import uniform_curve
    >>> uniform_curve(np.array([[0.0, 0.2], [0.0, 0.6]]), 0).reward
    array([0. , 0.4])
    """
    spend = np.arange(min_budget, curves.shape[1], dtype=np.float64)
    if costs is not None:
        spend *= costs.mean()
    return BudgetCurve(spend, curves[:, min_budget:].mean(axis=0))


def first_crossing(curve, target):
    """Smallest spend at which a curve reaches the reward `target`, or NaN.

    The curve is piecewise linear and need not be monotone. A relative tolerance of 1e-9
    absorbs rounding on plateaus.

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
    """Area under a curve up to a spend of `max_budget`; level after its last point.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._policy_curves import BudgetCurve, area
    >>> area(BudgetCurve(np.array([0.0, 1.0]), np.array([0.0, 0.5])), max_budget=2)
    0.75
    """
    level = curve.reward[-1] * (max_budget - curve.spend[-1])
    return float(np.trapezoid(curve.reward, curve.spend) + level)


def _accumulate(curves, gains, min_budget, costs=None, queries=None):
    """Curve that starts at `min_budget` and adds the gain of one sample per point."""
    n_queries = len(curves)
    if costs is None:
        spend = (n_queries * min_budget + np.arange(len(gains) + 1)) / n_queries
    else:
        paid = np.concatenate([[min_budget * costs.sum()], costs[queries]])
        spend = np.cumsum(paid) / n_queries
    total = np.cumsum(np.concatenate([[curves[:, min_budget].sum()], gains]))
    return BudgetCurve(spend, total / n_queries)
