"""Reward against cost of a policy over several decoders, and who answers."""

from copy import copy
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from sklearn_adaalloc._utils.budgets import check_decoder_budgets
from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc._utils.numbers import check_numbers
from sklearn_adaalloc._utils.parameters import check_in_interval, check_whole
from sklearn_adaalloc._utils.rewards import check_empty_reward
from sklearn_adaalloc.curves._menus import expected_menu_rewards
from sklearn_adaalloc.curves._table import RewardTable
from sklearn_adaalloc.metrics._bootstrap import mean_interval
from sklearn_adaalloc.metrics._fixed_cascades import as_menu, sample_costs


class CostCurve(NamedTuple):
    """Mean cost, mean reward with its interval, and what each decoder contributes."""

    spend: np.ndarray  # (n_points,)
    reward: np.ndarray  # (n_points,)
    low: np.ndarray  # (n_points,)
    high: np.ndarray  # (n_points,)
    answers: np.ndarray  # (n_points, n_decoders), mean answers per query
    costs: np.ndarray  # (n_points, n_decoders), mean cost per query


def cost_curve(
    policy,
    X,
    rewards,
    budgets,
    *,
    empty_reward=0.0,
    n_orders=1,
    confidence=0.95,
    n_bootstrap=1000,
    random_state=None,
):
    """Reward against mean cost of a policy over several decoders, at several budgets.

    An allocator that decides before decoding is scored exactly, as by
    :func:`expected_reward_score`. One that works in rounds is replayed on the graded
    samples, in `n_orders` random orders. Costs are those of the table, whatever the
    policy's budget counts: curves of policies can therefore be compared.

    Parameters
    ----------
    policy : estimator
        Fitted allocator, or a pipeline that ends in one. It stays as it is.
    X : array-like of shape (n_queries, ...)
        Queries in a form that the policy accepts.
    rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
        Reward table of the same queries. Without costs, each sample costs 1.
    budgets : array-like of shape (n_points,)
        Values of the policy's parameter `budget`.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    n_orders : int, default=1
        Number of random orders of the samples in which rounds are replayed. They are
        shifts of one order: with n_samples of them, each sample is first once.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.
    n_bootstrap : int, default=1000
        Number of resamples of the queries.
    random_state : int, RandomState instance or None, default=None
        Seed of the orders and of the resamples.

    Returns
    -------
    spend : ndarray of shape (n_points,)
        Realised mean cost per query.
    reward : ndarray of shape (n_points,)
        Mean reward.
    low, high : ndarrays of shape (n_points,)
        Ends of its interval, by a bootstrap over queries.
    answers : ndarray of shape (n_points, n_decoders)
        Mean number of answers of each decoder per query.
    costs : ndarray of shape (n_points, n_decoders)
        Mean cost of these answers per query.

    Raises
    ------
    ValueError
        If the table has no axis of decoders, a budget is invalid, or the policy is no
        allocator.

    See Also
    --------
    decoder_cost_curves : Each decoder alone.
    best_fixed_cascades : What a policy has to beat.
    oracle_cost_curve : An upper bound.

    References
    ----------
    Hu et al., "RouterBench: A Benchmark for Multi-LLM Routing System",
    arXiv 2403.12031, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor, RewardTable
    >>> from sklearn_adaalloc.metrics import cost_curve
    >>> rewards = np.tile([[[0, 1], [1, 1]], [[0, 0], [1, 0]]], (10, 1, 1))
    >>> table = RewardTable(rewards, costs=[1.0, 5.0])
    >>> regressor = RewardRegressor(DummyRegressor(), target="rate_profiles")
    >>> policy = AdaptiveAllocator(regressor, unit="cost").fit(np.zeros((20, 1)), table)
    >>> curve = cost_curve(policy, np.zeros((20, 1)), table, [1, 5], random_state=0)
    >>> curve.spend, curve.answers[1]
    (array([1., 5.]), array([0., 1.]))
    """
    rng = check_random_state(random_state)
    points = query_points(
        policy, X, rewards, budgets, empty_reward, n_orders=n_orders, rng=rng
    )
    return _summarise(list(points), confidence, n_bootstrap, rng)


def query_points(policy, X, rewards, budgets, empty_reward=0.0, *, n_orders, rng):
    """Yield what each query earns and costs at each budget of a policy.

    Parameters
    ----------
    policy, X, rewards, budgets, empty_reward, n_orders
        As of :func:`cost_curve`.
    rng : RandomState
        Draws the orders of the samples.

    Yields
    ------
    rewards : ndarray of shape (n_queries,)
        Expected rewards, or means over the orders.
    answers, costs : ndarrays of shape (n_queries, n_decoders)
        Number of answers and their cost.
    """
    table = as_menu(rewards)
    empty_reward = check_empty_reward(empty_reward)
    n_orders = check_whole(n_orders, "n_orders", least=1)
    before, allocator = unwrap(policy)
    if not hasattr(allocator, "predict") or not hasattr(allocator, "budget"):
        raise ValueError(
            f"policy={policy!r} has no parameter budget. Expected a fitted allocator, "
            "or a pipeline that ends in one."
        )
    for steps in before:
        X = steps.transform(X)
    for budget in _check_grid(budgets):
        own = copy(allocator).set_params(budget=float(budget))
        if hasattr(own, "start"):
            played = [
                _play(own, X, order) for order in sample_orders(table, n_orders, rng)
            ]
            yield tuple(np.mean(part, axis=0) for part in zip(*played, strict=True))
        else:
            yield _score(table, own.predict(X), empty_reward)


def cost_curve_of_budgets(
    rewards,
    budgets,
    *,
    empty_reward=0.0,
    confidence=0.95,
    n_bootstrap=1000,
    random_state=None,
):
    """Curve of budgets that were decided before decoding.

    Parameters
    ----------
    rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
        Reward table.
    budgets : sequence of n_points array-like of shape (n_queries, n_decoders)
        Budgets of each point.
    empty_reward, confidence, n_bootstrap, random_state
        As of :func:`cost_curve`.

    Returns
    -------
    curve : CostCurve

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics._cost_curve import cost_curve_of_budgets
    >>> table = RewardTable([[[0, 1], [1, 1]]], costs=[1.0, 5.0])
    >>> curve = cost_curve_of_budgets(table, [[[1, 0]], [[1, 1]]], random_state=0)
    >>> curve.spend, curve.reward
    (array([1., 6.]), array([0.5, 1. ]))
    """
    table = as_menu(rewards)
    empty_reward = check_empty_reward(empty_reward)
    points = [_score(table, own, empty_reward) for own in budgets]
    rng = check_random_state(random_state)
    return _summarise(points, confidence, n_bootstrap, rng)


def _check_grid(budgets):
    expected = "numbers of at least 0, shape (n_points,)"
    grid = np.atleast_1d(check_numbers(budgets, "budgets", expected))
    if grid.ndim != 1 or grid.size == 0 or not np.isfinite(grid).all():
        raise ValueError(f"budgets={budgets!r} is not accepted. Expected {expected}.")
    return grid


def _score(table, budgets, empty_reward):
    """Expected rewards (n_queries,), answers and costs (n_queries, n_decoders)."""
    budgets = np.asarray(budgets)
    if budgets.ndim == 1 and table.shape[1] == 2:  # routing: weak or strong
        budgets = np.eye(2, dtype=np.int64)[budgets]
    budgets = check_decoder_budgets(budgets, table.shape)
    costs = sample_costs(table)
    given = np.isfinite(costs).sum(axis=2)
    budgets = np.where(given > 0, budgets, 0)
    prices = np.nansum(costs, axis=2) / np.maximum(given, 1)
    expected = expected_menu_rewards(table.rewards, budgets, empty_reward=empty_reward)
    return expected, budgets, budgets * prices


def sample_orders(table, n_orders, rng):
    """Yield the table with samples in several random orders.

    They are one order, shifted in a circle. So each sample comes first about equally
    often, and means over orders vary less than with independent ones.
    """
    n_samples = table.shape[2]
    first = rng.random_sample(table.shape).argsort(axis=2)
    priced = RewardTable(
        table.rewards, costs=sample_costs(table), decoders=table.decoders
    )
    for shift in np.arange(n_orders) * n_samples // n_orders:
        yield priced._in_order(np.roll(first, shift, axis=2))


def _play(allocator, X, table):
    """The same as `_score` from a session that is replayed on a table."""
    session = allocator._replay(X, table)
    taken = session.budgets
    order = np.argsort(np.isnan(table.rewards), axis=2, kind="stable")
    costs = np.take_along_axis(table.costs, order, axis=2)
    paid = np.where(np.arange(table.shape[2]) < taken[:, :, None], costs, 0.0)
    return session.best_rewards, taken, paid.sum(axis=2)


def _summarise(points, confidence, n_bootstrap, rng):
    """Means over queries, and the intervals of the rewards."""
    confidence = check_in_interval(confidence, "confidence", 0, 1)
    n_bootstrap = check_whole(n_bootstrap, "n_bootstrap", least=1)
    rewards, answers, costs = (np.array(part) for part in zip(*points, strict=True))
    ends = [mean_interval(own, confidence, n_bootstrap, rng) for own in rewards]
    low, high = np.array(ends).T
    costs = costs.mean(axis=1)
    return CostCurve(
        costs.sum(axis=1), rewards.mean(axis=1), low, high, answers.mean(axis=1), costs
    )
