"""Scores of budgets with one number for each decoder."""

from itertools import combinations, product

import numpy as np
import pytest

from sklearn_adaalloc import RewardTable
from sklearn_adaalloc.metrics import (
    cost_report,
    expected_reward_interval,
    expected_reward_score,
    mean_budget_score,
    net_reward_score,
    paired_difference,
)

RNG = np.random.default_rng(0)
VERDICTS = RNG.integers(0, 2, (4, 3, 3)).astype(float)
REAL = RNG.normal(size=(4, 3, 3)).round(1)  # with ties
COSTS = RNG.uniform(1, 5, (4, 3, 3))
BUDGETS = np.array([[1, 0, 2], [0, 0, 0], [3, 1, 1], [2, 2, 0]])


def best_over_all_draws(rewards, budgets, empty_reward):
    """Mean best reward over all choices of different samples of each decoder."""
    draws = [
        list(combinations(own, budget))
        for own, budget in zip(rewards, budgets, strict=True)
    ]
    best = [max(sum(choice, ()), default=empty_reward) for choice in product(*draws)]
    return np.mean(best)


@pytest.mark.parametrize("rewards", [VERDICTS, REAL])
def test_score_is_the_mean_over_all_draws(rewards):
    expected = [
        best_over_all_draws(own, budget, -2.0)
        for own, budget in zip(rewards.tolist(), BUDGETS, strict=True)
    ]
    score = expected_reward_score(rewards, BUDGETS, empty_reward=-2.0)
    assert score == pytest.approx(np.mean(expected))
    interval = expected_reward_interval(
        rewards, BUDGETS, empty_reward=-2.0, random_state=0
    )
    assert interval.score == pytest.approx(score)
    assert interval.low <= score <= interval.high


def test_all_samples_wrong_is_a_product_over_decoders():
    # Two of four and one of four are right: wrong with 2/4 * 1/3, and with 3/4.
    score = expected_reward_score([[[1, 0, 1, 0], [0, 0, 0, 1]]], [[2, 1]])
    assert score == pytest.approx(1 - (2 / 4 * 1 / 3) * (3 / 4))


def test_costs_are_those_of_the_samples_of_each_decoder():
    table = RewardTable(VERDICTS, costs=COSTS)
    spent = (BUDGETS * COSTS.mean(axis=2)).sum(axis=1)
    mean = mean_budget_score(table, BUDGETS, unit="cost")
    assert mean == pytest.approx(spent.mean())
    assert mean_budget_score(table, BUDGETS) == BUDGETS.sum(axis=1).mean()
    report = cost_report(table, BUDGETS, budget=10)
    assert report == pytest.approx((spent.mean(), spent.mean() / 10, spent.std()))
    net = net_reward_score(table, BUDGETS, price=0.1, unit="cost")
    assert net == pytest.approx(expected_reward_score(table, BUDGETS) - 0.1 * mean)
    in_samples = net_reward_score(table, BUDGETS, price=0.1)
    assert in_samples == pytest.approx(
        expected_reward_score(table, BUDGETS) - 0.1 * BUDGETS.sum(axis=1).mean()
    )


def test_two_policies_are_compared_query_by_query():
    more = BUDGETS + 1 - (BUDGETS == 3)
    difference = paired_difference(VERDICTS, more, BUDGETS, random_state=0)
    assert difference.difference == pytest.approx(
        expected_reward_score(VERDICTS, more) - expected_reward_score(VERDICTS, BUDGETS)
    )
    assert difference.low >= 0  # more samples never hurt


def test_a_missing_decoder_gives_nothing_and_costs_nothing():
    rewards, costs = VERDICTS.copy(), COSTS.copy()
    rewards[:, 2] = costs[:, 2] = np.nan
    table = RewardTable(rewards, costs=costs)
    kept = RewardTable(VERDICTS[:, :2], costs=COSTS[:, :2])
    assert expected_reward_score(table, BUDGETS) == pytest.approx(
        expected_reward_score(kept, BUDGETS[:, :2])
    )
    assert mean_budget_score(table, BUDGETS, unit="cost") == pytest.approx(
        mean_budget_score(kept, BUDGETS[:, :2], unit="cost")
    )


def test_routing_is_a_budget_of_one_for_one_decoder():
    routed = np.array([0, 1, 1, 0])
    pair = VERDICTS[:, :2]
    assert expected_reward_score(pair, routed) == pytest.approx(
        expected_reward_score(pair, np.eye(2, dtype=int)[routed])
    )


def test_budgets_beyond_the_samples_draw_with_replacement():
    with pytest.warns(UserWarning, match=r"budgets exceeds .* \(row 0: 4 > 2\)"):
        score = expected_reward_score([[[0, 1], [0, 0]]], [[4, 1]])
    assert score == pytest.approx(1 - 0.5**4)


@pytest.mark.parametrize("shape", [(4, 2), (3, 3), (4, 4)])
def test_budgets_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"budgets has shape .*one budget for each"):
        expected_reward_score(VERDICTS, np.ones(shape, dtype=int))


def test_budgets_of_decoders_need_a_table_of_decoders():
    with pytest.raises(ValueError, match=r"budgets has shape \(4, 3\), and rewards"):
        mean_budget_score(VERDICTS[:, 0], BUDGETS)


def test_negative_budget_of_a_decoder():
    with pytest.raises(ValueError, match="budgets has -1"):
        mean_budget_score(VERDICTS, -np.eye(4, 3, dtype=int))


def test_other_selections_are_not_defined_over_decoders():
    with pytest.raises(ValueError, match="selection='vote' is not accepted"):
        expected_reward_score(VERDICTS, BUDGETS, selection="vote")


def test_costs_that_are_not_known():
    with pytest.raises(ValueError, match="unit='cost' needs the costs"):
        cost_report(VERDICTS, BUDGETS)
