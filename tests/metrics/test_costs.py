"""Metrics on a cost axis: spend is what samples cost, baselines at equal cost."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    BudgetCurveDisplay,
    budget_curve,
    compute_saved,
    cost_report,
    expected_reward_interval,
    expected_reward_score,
    gap_recovered_score,
    mean_budget_score,
    net_reward_score,
    oracle_budgets,
    paired_difference,
    smallest_budget,
)

X, REWARDS = make_reward_table(300, 8, random_state=0, return_X_y=True)
COSTS = np.exp(2 * (1 - REWARDS.mean(axis=1, keepdims=True))) * np.linspace(0.9, 1.1, 8)
TABLE = RewardTable(REWARDS, costs=COSTS)
MEANS = COSTS.mean(axis=1)
SMALL = RewardTable([[0, 1], [1, 1]], costs=[[4, 4], [1, 1]])
ALLOCATOR = AdaptiveAllocator(RewardRegressor(Ridge()), unit="cost", budget=4)


def marginals_of():
    return ALLOCATOR.fit(X, TABLE).predict_marginals(X)


def test_spend_is_the_observed_cost_of_the_steps_in_order():
    marginals = [[0.5, 0.5], [0.9, 0.1]]
    spend, reward = budget_curve(SMALL, marginals, unit="cost")
    assert_allclose(spend, [0, 0.5, 2.5, 4.5, 5])
    assert_allclose(reward, [0, 0.5, 0.75, 1, 1])


def test_predicted_costs_change_the_order():
    marginals = [[0.9, 0.5], [0.8, 0.3]]
    spend, _ = budget_curve(SMALL, marginals, unit="cost", costs=[4, 1])
    assert_allclose(spend, [0, 0.5, 1, 3, 5])


@pytest.mark.parametrize("budget", [1.0, 4.0, 10.0])
def test_the_curve_meets_the_allocator_of_that_budget(budget):
    policy = ALLOCATOR.fit(X, TABLE).set_params(budget=budget)
    costs = policy.cost_regressor_.predict(X)
    marginals = policy.predict_marginals(X)
    spend, reward = budget_curve(TABLE, marginals, unit="cost", costs=costs)
    budgets = policy.predict(X)
    at = np.interp(mean_budget_score(TABLE, budgets, unit="cost"), spend, reward)
    assert at == pytest.approx(policy.score(X, TABLE))


def test_equal_costs_only_scale_the_axis():
    marginals = marginals_of()
    tens = RewardTable(REWARDS, costs=10)
    spend, reward = budget_curve(REWARDS, marginals)
    cost, same = budget_curve(tens, marginals, unit="cost", costs=np.full(300, 3.0))
    assert_allclose(cost, 10 * spend)
    assert_array_equal(same, reward)
    assert gap_recovered_score(tens, marginals, unit="cost") == pytest.approx(
        gap_recovered_score(REWARDS, marginals)
    )
    assert compute_saved(tens, marginals, 20, unit="cost") == pytest.approx(
        compute_saved(REWARDS, marginals, 2)
    )
    in_cost = oracle_budgets(tens, 20, unit="cost")
    assert_array_equal(in_cost, oracle_budgets(REWARDS, 2))


def test_a_uniform_budget_in_cost_has_that_mean_cost():
    budget = 2.5 * MEANS.mean()
    score = expected_reward_score(TABLE, budget, unit="cost")
    assert score == pytest.approx(expected_reward_score(REWARDS, 2.5))
    interval = expected_reward_interval(TABLE, budget, unit="cost", random_state=0)
    assert interval.score == pytest.approx(score)


def test_policies_are_compared_with_uniform_at_equal_cost():
    budgets = ALLOCATOR.fit(X, TABLE).predict(X)
    spent = mean_budget_score(TABLE, budgets, unit="cost")
    assert spent == pytest.approx((budgets * MEANS).mean())
    gain = paired_difference(TABLE, budgets, spent, unit="cost", random_state=0)
    uniform = expected_reward_score(TABLE, spent / MEANS.mean())
    assert gain.difference == pytest.approx(
        expected_reward_score(TABLE, budgets) - uniform
    )


@pytest.mark.parametrize("budget", [2.0, 8.0])
def test_no_policy_beats_the_oracle_at_equal_cost(budget):
    oracle = oracle_budgets(TABLE, budget, unit="cost")
    assert mean_budget_score(TABLE, oracle, unit="cost") <= budget
    uniform = expected_reward_score(TABLE, budget, unit="cost")
    assert expected_reward_score(TABLE, oracle) > uniform
    by_samples = oracle_budgets(TABLE, budget / MEANS.mean())
    spent = mean_budget_score(TABLE, by_samples, unit="cost")
    equal = oracle_budgets(TABLE, spent, unit="cost")
    assert expected_reward_score(TABLE, equal) >= expected_reward_score(
        TABLE, by_samples
    )


def test_gap_recovered_is_larger_if_costs_are_known():
    marginals = np.diff(1 - (1 - REWARDS.mean(axis=1, keepdims=True)) ** np.arange(9))
    blind = gap_recovered_score(TABLE, marginals, unit="cost")
    seeing = gap_recovered_score(TABLE, marginals, unit="cost", costs=MEANS)
    assert blind < seeing <= 1.001


def test_cost_report():
    report = cost_report(TABLE, np.full(300, 2), budget=4)
    assert report.mean_cost == pytest.approx(2 * MEANS.mean())
    assert report.share == pytest.approx(report.mean_cost / 4)
    assert report.spread == pytest.approx(2 * MEANS.std())
    assert np.isnan(cost_report(TABLE, np.full(300, 2)).share)
    with pytest.raises(ValueError, match=r"budget=0 is not"):
        cost_report(TABLE, np.full(300, 2), budget=0)


def test_net_reward_pays_for_cost():
    score = net_reward_score(SMALL, [1, 2], price=0.1, unit="cost")
    assert score == pytest.approx((0.5 + 1) / 2 - 0.1 * (4 + 2) / 2)


def test_smallest_budget_of_a_policy_in_cost():
    policy = PricedAllocator(RewardRegressor(Ridge()), unit="cost", random_state=0)
    policy.set_params(budget=4).fit(X[:150], TABLE[:150])
    result = smallest_budget(policy, X[150:], TABLE[150:], reward="best-of-2")
    assert result.tested[0] == pytest.approx(8 * MEANS[150:].mean())
    assert 0.7 * result.budget < result.mean_cost < 1.3 * result.budget
    assert np.isnan(
        smallest_budget(
            policy, X[150:], REWARDS[150:], reward=0.1, budgets=[4]
        ).mean_cost
    )
    with pytest.raises(ValueError, match=r"unit='cost' needs the costs of samples"):
        smallest_budget(policy, X[150:], REWARDS[150:], reward=0.1)


def test_the_display_shows_costs():
    policy = ALLOCATOR.fit(X, TABLE)
    display = BudgetCurveDisplay.from_estimator(
        {"by cost": policy, "by samples": policy.regressor_}, X, TABLE, unit="cost"
    )
    assert display.ax_.get_xlabel() == "mean cost (per query)"
    costs = policy.cost_regressor_.predict(X)
    marginals = policy.predict_marginals(X)
    for name, own in {"by cost": costs, "by samples": None}.items():
        spend, reward = budget_curve(TABLE, marginals, unit="cost", costs=own)
        assert_allclose(display.curves[name].spend, spend)
        assert_allclose(display.curves[name].reward, reward)
    assert display.uniform.spend[-1] == pytest.approx(8 * MEANS.mean())
    assert display.oracle.reward[-1] == pytest.approx(display.uniform.reward[-1])


METRICS = {
    "curve": lambda table, unit: budget_curve(table, [[0.5]], unit=unit),
    "oracle": lambda table, unit: oracle_budgets(table, 1, unit=unit),
    "score": lambda table, unit: expected_reward_score(table, 1, unit=unit),
    "spend": lambda table, unit: mean_budget_score(table, [1], unit=unit),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
def test_misuse(metric):
    with pytest.raises(ValueError, match=r"unit='dollars' is not accepted"):
        metric([[0, 1]], "dollars")
    with pytest.raises(ValueError, match=r"unit='cost' needs the costs of samples"):
        metric([[0, 1]], "cost")
    with pytest.raises(ValueError, match=r"unit='cost' is not accepted for routing"):
        metric(RewardTable([[[0], [1]]], costs=1), "cost")


@pytest.mark.parametrize("costs", [[1.0], [1.0, 0.0], [1.0, np.nan], [-1.0, 1.0]])
def test_predicted_costs_are_checked(costs):
    with pytest.raises(ValueError, match=r"costs of shape .* are not accepted"):
        budget_curve(SMALL, [[0.5], [0.5]], unit="cost", costs=costs)
