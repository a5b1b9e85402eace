"""Reward against compute for every budget at once, and what is read off that curve."""

import math

import numpy as np

from sklearn_adaalloc._utils.budgets import check_budget
from sklearn_adaalloc._utils.parameters import check_in_interval, check_whole
from sklearn_adaalloc._utils.rewards import (
    check_empty_reward,
    check_marginals,
    check_rewards,
    warn_beyond_samples,
)
from sklearn_adaalloc.curves._decoders import check_table_steps, count_table_steps
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.curves._selection import reward_curves
from sklearn_adaalloc.metrics._expected_reward import warn_undefined
from sklearn_adaalloc.metrics._policy_curves import (
    area,
    first_crossing,
    oracle_curve,
    policy_curve,
    uniform_curve,
)
from sklearn_adaalloc.planning._solvers import allocate


def budget_curve(rewards, marginals, *, min_budget=0, empty_reward=0.0):
    """Reward against compute of a policy, for every budget from one sort.

    All predicted marginals are sorted once, in the order in which a growing budget
    buys them; the cumulative *observed* marginals in that order are the whole curve, as
    a ROC curve is for a classifier. At spend B it equals :func:`expected_reward_score`
    at the budgets that an allocator with ``budget=B`` hands out.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    marginals : array-like of shape (n_queries, max_budget)
        Predicted marginal rewards, as from ``predict_marginals``; rows that increase
        are repaired first. Routing has one step.
    min_budget : int, default=0
        Number of samples that every query gets before the rest is allocated.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.

    Returns
    -------
    spend : ndarray of shape (n_points,)
        Mean budget per query, from `min_budget` in steps of ``1 / n_queries``. It ends
        where the policy stops buying: at the last step with a positive predicted
        marginal.
    reward : ndarray of shape (n_points,)
        Mean expected reward at each spend.

    Raises
    ------
    ValueError
        If the table, the marginals or `min_budget` are not acceptable, or their numbers
        of queries differ.

    Warns
    -----
    UserWarning
        If max_budget exceeds the samples of a query.

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
    curves, marginals, min_budget = check_policy(
        rewards, marginals, min_budget, empty_reward
    )
    return policy_curve(curves, marginals, min_budget)


def gap_recovered_score(rewards, marginals, *, min_budget=0, empty_reward=0.0):
    """Share of the gap between uniform and oracle that a policy recovers.

    The area between the policy's and the uniform curve over the area between the
    oracle's and the uniform curve, from `min_budget` to max_budget: 0 is uniform, 1 the
    oracle, below 0 worse than uniform. A policy that stops buying keeps its reward.
    Where an observed curve is not concave (an `empty_reward` above the first answer's,
    a row that runs out of samples) the oracle follows its concave majorant, a bound.

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

    Returns
    -------
    score : float
        NaN if the oracle gains nothing over uniform.

    Raises
    ------
    ValueError
        As in :func:`budget_curve`.

    Warns
    -----
    UndefinedMetricWarning
        If the oracle gains nothing over uniform, so that there is no gap.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import gap_recovered_score
    >>> rewards = [[0, 0], [0, 1]]
    >>> round(gap_recovered_score(rewards, [[0, 0], [0.5, 0.5]]), 4)
    1.0
    """
    curves, marginals, min_budget = check_policy(
        rewards, marginals, min_budget, empty_reward
    )
    max_budget = marginals.shape[1]
    uniform = area(uniform_curve(curves, min_budget), max_budget)
    policy = area(policy_curve(curves, marginals, min_budget), max_budget) - uniform
    oracle = area(oracle_curve(curves, min_budget), max_budget) - uniform
    if oracle <= 1e-12 * max(1.0, abs(uniform)):
        warn_undefined("gap_recovered_score", "the oracle gains nothing over uniform")
        return math.nan
    return float(policy / oracle)


def compute_saved(rewards, marginals, budget, *, min_budget=0, empty_reward=0.0):
    """Share of compute a policy saves at the reward of a uniform budget.

    ``1 - spend / budget``, where ``spend`` is the least at which the policy's curve
    reaches the reward of the uniform curve at `budget`. Both curves are linear between
    their points, so a fractional budget mixes its floor and ceiling. A negative share
    means that the policy spends more than uniform does.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    marginals : array-like of shape (n_queries, max_budget)
        Predicted marginal rewards, as from ``predict_marginals``.
    budget : float
        Uniform budget to match, above 0 and at most max_budget.
    min_budget : int, default=0
        Number of samples that every query gets before the rest is allocated.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.

    Returns
    -------
    share : float
        NaN if the policy never reaches that reward.

    Raises
    ------
    ValueError
        If `budget` is not acceptable, or as in :func:`budget_curve`.

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
    curves, marginals, min_budget = check_policy(
        rewards, marginals, min_budget, empty_reward
    )
    max_budget = marginals.shape[1]
    budget, _, _ = check_budget(budget, min_budget=min_budget, max_budget=max_budget)
    budget = check_in_interval(budget, "budget", 0, max_budget, closed="right")
    target = np.interp(budget, *uniform_curve(curves, min_budget))
    spend = first_crossing(policy_curve(curves, marginals, min_budget), target)
    if math.isnan(spend):
        warn_undefined("compute_saved", "the policy never reaches uniform's reward")
    return 1 - spend / budget


def oracle_budgets(rewards, budget, *, min_budget=0, max_budget=None, empty_reward=0.0):
    """Budgets from the observed marginals: the headroom, which no policy can know.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    budget : float
        Mean budget per query that may be spent.
    min_budget : int, default=0
        Least budget of any one query.
    max_budget : int, default=None
        Largest budget of any one query; None takes n_samples, and 1 in routing.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64
        At most ``floor(budget * n_queries)`` in total. Best possible where each query's
        marginals fall, as they do unless `empty_reward` exceeds rewards or a row runs
        out of samples; otherwise optimal for the relaxed problem.

    Raises
    ------
    ValueError
        If the table or a budget is not acceptable.

    Warns
    -----
    UserWarning
        If max_budget exceeds the samples of a query.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import oracle_budgets
    >>> oracle_budgets([[0, 0, 0], [0, 0, 1], [1, 1, 1]], budget=1)
    array([0, 2, 1])
    """
    rewards = check_rewards(rewards)
    if max_budget is None:
        max_budget = count_table_steps(rewards)
    budget, min_budget, max_budget = check_budget(
        budget, min_budget=min_budget, max_budget=max_budget
    )
    curves = _observed_curves(rewards, max_budget, empty_reward)
    marginals = np.diff(curves, axis=1)
    # Mandatory samples are bought whatever they bring: only what follows counts.
    marginals = concave_repair(marginals, min_budget=min_budget)
    return allocate(marginals, budget, min_budget=min_budget)[0]


def check_policy(rewards, marginals, min_budget, empty_reward):
    """Check a reward table and the predictions for it.

    Parameters
    ----------
    rewards, marginals, min_budget, empty_reward
        As in :func:`budget_curve`.

    Returns
    -------
    curves : ndarray of shape (n_queries, max_budget + 1)
        Observed reward curves.
    marginals : ndarray of shape (n_queries, max_budget)
    min_budget : int

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._budget_curve import check_policy
    >>> check_policy([[0, 1]], [[0.5]], 0, 0.0)
    (array([[0. , 0.5]]), array([[0.5]]), 0)
    """
    rewards = check_rewards(rewards)
    marginals = check_marginals(marginals, n_queries=len(rewards))
    max_budget = marginals.shape[1]
    min_budget = check_whole(min_budget, "min_budget", least=0)
    if min_budget > max_budget:
        raise ValueError(
            f"min_budget={min_budget!r} is above max_budget={max_budget}, the number "
            "of steps in marginals. Lower min_budget or predict more steps."
        )
    curves = _observed_curves(rewards, max_budget, empty_reward, stacklevel=5)
    return curves, marginals, min_budget


def _observed_curves(rewards, max_budget, empty_reward, *, stacklevel=4):
    check_table_steps(rewards, max_budget)
    empty_reward = check_empty_reward(empty_reward)
    warn_beyond_samples(rewards, max_budget, name="max_budget", stacklevel=stacklevel)
    return reward_curves(rewards, max_budget, empty_reward=empty_reward)
