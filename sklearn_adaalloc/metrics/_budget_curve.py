"""Curve of reward against compute for all budgets, and scores computed from it."""

import math

import numpy as np

from sklearn_adaalloc._utils.budgets import check_budget
from sklearn_adaalloc._utils.numbers import LARGEST, check_numbers
from sklearn_adaalloc._utils.parameters import check_in_interval, check_whole
from sklearn_adaalloc._utils.rewards import (
    check_empty_reward,
    check_marginals,
    warn_beyond_samples,
)
from sklearn_adaalloc.curves._decoders import check_table_steps, count_table_steps
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.curves._reward_curves import reward_curves
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.metrics._expected_reward import observed_costs, warn_undefined
from sklearn_adaalloc.metrics._policy_curves import (
    area,
    first_crossing,
    oracle_curve,
    policy_curve,
    uniform_curve,
)
from sklearn_adaalloc.planning._solvers import allocate


def budget_curve(
    rewards,
    marginals,
    *,
    min_budget=0,
    empty_reward=0.0,
    selection="reward",
    unit="samples",
    costs=None,
):
    """Reward against compute of a policy, for all budgets at once.

    All predicted marginals are sorted once, in the order in which a growing budget buys
    them. The cumulative sum of the *observed* marginals in that order is the whole
    curve. It is the counterpart of a ROC curve. At spend B it equals
    :func:`expected_reward_score` at the budgets of an allocator with ``budget=B``.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    marginals : array-like of shape (n_queries, max_budget)
        Predicted marginal rewards, as from ``predict_marginals``. Rows that increase
        are repaired first. In routing, max_budget is 1.
    min_budget : int, default=0
        Number of samples that every query gets before the rest is allocated.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.
    unit : {"samples", "cost"}, default="samples"
        What spend counts. "cost" needs a :class:`~sklearn_adaalloc.RewardTable` with
        costs; a sample of a query then costs the mean of the query's samples.
    costs : array-like of shape (n_queries,), default=None
        Predicted cost of a sample of each query: the policy buys the largest marginals
        per cost. None ranks by marginals alone.

    Returns
    -------
    spend : ndarray of shape (n_points,)
        Mean budget per query, from `min_budget` in steps of ``1 / n_queries``, or mean
        observed cost per query. The last point is where the policy stops buying: at its
        last positive predicted marginal.
    reward : ndarray of shape (n_points,)
        Mean expected reward at each spend.

    Raises
    ------
    ValueError
        If the table, the marginals or `min_budget` is invalid, or if the table and the
        marginals differ in the number of queries.

    Warns
    -----
    UserWarning
        If max_budget exceeds the number of samples of a query.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import budget_curve
    >>> rewards = [[0, 1], [1, 1]]
    >>> spend, reward = budget_curve(rewards, [[0.5, 0.5], [0.9, 0.0]])
    >>> spend
    array([0. , 0.5, 1. , 1.5])
    >>> reward
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    curves, marginals, min_budget, paid = check_policy(
        rewards, marginals, min_budget, empty_reward, selection, unit, costs
    )
    return policy_curve(curves, marginals, min_budget, paid)


def gap_recovered_score(
    rewards,
    marginals,
    *,
    min_budget=0,
    empty_reward=0.0,
    selection="reward",
    unit="samples",
    costs=None,
):
    """Share of the gap between uniform and oracle that a policy recovers.

    The score is a ratio of two areas from `min_budget` to max_budget: the area between
    the curves of the policy and of uniform, divided by the area between the curves of
    the oracle and of uniform. 0 means uniform, 1 means the oracle, and below 0 is worse
    than uniform. If a policy stops buying, its curve stays level from there. An
    observed curve is not concave if `empty_reward` is above the first answer's reward,
    or if a row has too few samples. The oracle then follows the concave majorant, which
    is an upper bound.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    marginals : array-like of shape (n_queries, max_budget)
        Predicted marginal rewards, as from ``predict_marginals``.
    min_budget : int, default=0
        Number of samples that every query gets before the rest is allocated.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.
    unit : {"samples", "cost"}, default="samples"
        What spend counts. "cost" needs a :class:`~sklearn_adaalloc.RewardTable` with
        costs; a sample of a query then costs the mean of the query's samples.
    costs : array-like of shape (n_queries,), default=None
        Predicted cost of a sample of each query: the policy buys the largest marginals
        per cost. None ranks by marginals alone.

    Returns
    -------
    score : float
        NaN if the oracle is not better than uniform.

    Raises
    ------
    ValueError
        As in :func:`budget_curve`.

    Warns
    -----
    UndefinedMetricWarning
        If the oracle is not better than uniform, so that there is no gap.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import gap_recovered_score
    >>> rewards = [[0, 0], [0, 1]]
    >>> round(gap_recovered_score(rewards, [[0, 0], [0.5, 0.5]]), 4)
    1.0
    """
    curves, marginals, min_budget, paid = check_policy(
        rewards, marginals, min_budget, empty_reward, selection, unit, costs
    )
    max_spend = marginals.shape[1] * (1 if paid is None else float(paid.mean()))
    uniform = area(uniform_curve(curves, min_budget, paid), max_spend)
    policy = area(policy_curve(curves, marginals, min_budget, paid), max_spend)
    oracle = area(oracle_curve(curves, min_budget, paid), max_spend) - uniform
    policy -= uniform
    if oracle <= 1e-12 * max(1.0, abs(uniform)):
        warn_undefined("gap_recovered_score", "the oracle gains nothing over uniform")
        return math.nan
    return float(policy / oracle)


def compute_saved(
    rewards,
    marginals,
    budget,
    *,
    min_budget=0,
    empty_reward=0.0,
    selection="reward",
    unit="samples",
    costs=None,
):
    """Share of compute that a policy saves at the reward of a uniform budget.

    The share is ``1 - spend / budget``. Here ``spend`` is the smallest spend at which
    the curve of the policy reaches the reward of the uniform curve at `budget`. Both
    curves are linear between their points, so that a fractional budget mixes its floor
    and its ceiling. If the share is negative, the policy spends more than uniform.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    marginals : array-like of shape (n_queries, max_budget)
        Predicted marginal rewards, as from ``predict_marginals``.
    budget : float
        Uniform budget whose reward is to be reached, above 0 and at most max_budget;
        with ``unit="cost"``, what that costs.
    min_budget : int, default=0
        Number of samples that every query gets before the rest is allocated.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.
    unit : {"samples", "cost"}, default="samples"
        What spend counts. "cost" needs a :class:`~sklearn_adaalloc.RewardTable` with
        costs; a sample of a query then costs the mean of the query's samples.
    costs : array-like of shape (n_queries,), default=None
        Predicted cost of a sample of each query: the policy buys the largest marginals
        per cost. None ranks by marginals alone.

    Returns
    -------
    share : float
        NaN if the policy never reaches that reward.

    Raises
    ------
    ValueError
        If `budget` is invalid, or as in :func:`budget_curve`.

    Warns
    -----
    UndefinedMetricWarning
        If the policy never reaches that reward.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import compute_saved
    >>> rewards = [[0, 0], [0, 1]]
    >>> compute_saved(rewards, [[0, 0], [0.5, 0.5]], budget=1)
    0.5
    """
    curves, marginals, min_budget, paid = check_policy(
        rewards, marginals, min_budget, empty_reward, selection, unit, costs
    )
    most = marginals.shape[1]
    if paid is None:
        budget, _, _ = check_budget(budget, min_budget=min_budget, max_budget=most)
    else:
        most = most * float(paid.mean())
    budget = check_in_interval(budget, "budget", 0, most, closed="right")
    target = np.interp(budget, *uniform_curve(curves, min_budget, paid))
    spend = first_crossing(policy_curve(curves, marginals, min_budget, paid), target)
    if math.isnan(spend):
        warn_undefined("compute_saved", "the policy never reaches uniform's reward")
    return 1 - spend / budget


def oracle_budgets(
    rewards,
    budget,
    *,
    min_budget=0,
    max_budget=None,
    empty_reward=0.0,
    selection="reward",
    unit="samples",
):
    """Budgets from the observed marginals: an upper bound for every policy.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    budget : float
        Mean budget per query that may be spent.
    min_budget : int, default=0
        Smallest budget of one query.
    max_budget : int, default=None
        Largest budget of one query. None means n_samples, or 1 in routing.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.
    unit : {"samples", "cost"}, default="samples"
        What `budget` counts. "cost" needs a :class:`~sklearn_adaalloc.RewardTable` with
        costs; a sample of a query then costs the mean of the query's samples.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64
        At most ``floor(budget * n_queries)`` in total, or of that mean cost. The
        budgets are optimal if the marginals of each query are non-increasing. They can
        increase if `empty_reward` exceeds rewards or if a row has too few samples. Then
        the budgets are optimal for the relaxed problem only.

    Raises
    ------
    ValueError
        If the table or a budget is invalid.

    Warns
    -----
    UserWarning
        If max_budget exceeds the number of samples of a query.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import oracle_budgets
    >>> oracle_budgets([[0, 0, 0], [0, 0, 1], [1, 1, 1]], budget=1)
    array([0, 2, 1])
    """
    table = as_table(rewards)
    if max_budget is None:
        max_budget = count_table_steps(table)
    costs = observed_costs(table, unit)
    budget, min_budget, max_budget = check_budget(
        budget, min_budget=min_budget, max_budget=max_budget, unit=unit
    )
    curves = _observed_curves(table, max_budget, empty_reward, selection)
    marginals = np.diff(curves, axis=1)
    # Mandatory samples are bought without regard to their marginals: repair the rest.
    marginals = concave_repair(marginals, min_budget=min_budget)
    return allocate(marginals, budget, min_budget=min_budget, costs=costs)[0]


def check_policy(
    rewards,
    marginals,
    min_budget,
    empty_reward,
    selection="reward",
    unit="samples",
    costs=None,
):
    """Check a table and predictions; return curves, marginals, min_budget and costs.

    The curves (n_queries, max_budget + 1) are the observed reward curves. With
    predicted `costs`, the marginals are divided by them. The costs that are returned
    are those observed (n_queries,), or None if samples count.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._budget_curve import check_policy
    >>> check_policy([[0, 1]], [[0.5]], 0, 0.0)
    (array([[0. , 0.5]]), array([[0.5]]), 0, None)
    """
    table = as_table(rewards)
    marginals = check_marginals(marginals, n_queries=len(table))
    max_budget = marginals.shape[1]
    min_budget = check_whole(min_budget, "min_budget", least=0)
    if min_budget > max_budget:
        raise ValueError(
            f"min_budget={min_budget!r} is above max_budget={max_budget}, the number "
            "of steps in marginals. Lower min_budget or predict more steps."
        )
    curves = _observed_curves(table, max_budget, empty_reward, selection, stacklevel=5)
    if costs is not None:
        marginals = marginals / _check_costs(costs, len(table))[:, None]
    return curves, marginals, min_budget, observed_costs(table, unit)


def _check_costs(costs, n_queries):
    expected = f"positive numbers, one per query: shape {(n_queries,)}"
    costs = check_numbers(costs, "costs", expected).astype(np.float64)
    if costs.shape != (n_queries,) or not ((costs > 0) & (costs <= LARGEST)).all():
        raise ValueError(
            f"costs of shape {costs.shape} are not accepted. Expected {expected}. Give "
            "the predicted cost of a sample of each query."
        )
    return costs


def _observed_curves(table, max_budget, empty_reward, selection, *, stacklevel=4):
    rewards = table.rewards
    check_table_steps(rewards, max_budget)
    empty_reward = check_empty_reward(empty_reward)
    warn_beyond_samples(rewards, max_budget, name="max_budget", stacklevel=stacklevel)
    return reward_curves(
        table, max_budget, empty_reward=empty_reward, selection=selection
    )
