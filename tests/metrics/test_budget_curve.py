from itertools import product

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_adaalloc.curves import concave_repair, marginal_rewards
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    budget_curve,
    compute_saved,
    expected_reward_score,
    gap_recovered_score,
    oracle_budgets,
)
from sklearn_adaalloc.planning import allocate


def random_table(kind, n_queries=25, n_samples=7, seed=0):
    """A reward table of some kind and predictions that know a little about it."""
    rng = np.random.default_rng(seed)
    profile = {"real": "chat", "ragged": "chat"}.get(kind, kind)
    table = make_reward_table(
        n_queries, n_samples, profile=profile, random_state=seed, return_X_y=True
    )[1]
    if kind == "ragged":
        table[rng.random(table.shape) < 0.3] = np.nan
        table[:, 0] = np.nan_to_num(table[:, 0])
    steps = 1 if kind == "routing" else 5
    noise = 0.3 * rng.normal(size=(n_queries, steps))
    return table, marginal_rewards(table, steps) + noise


KINDS = ["math", "code", "real", "routing"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("min_budget", [0, 1])
def test_every_point_is_the_score_of_the_allocation_at_that_budget(kind, min_budget):
    rewards, marginals = random_table(kind)
    spend, reward = budget_curve(
        rewards, marginals, min_budget=min_budget, empty_reward=-0.5
    )
    repaired = concave_repair(marginals, min_budget=min_budget)
    assert spend[0] == min_budget
    for budget, point in zip(spend, reward, strict=True):
        budgets, _ = allocate(repaired, budget + 1e-9, min_budget=min_budget)
        assert budgets.mean() == pytest.approx(budget)
        score = expected_reward_score(rewards, budgets, empty_reward=-0.5)
        assert point == pytest.approx(score)


@pytest.mark.filterwarnings("ignore:max_budget exceeds:UserWarning")
@pytest.mark.filterwarnings("ignore:budgets exceeds:UserWarning")
def test_ragged_tables_match_the_score_too():
    rewards, marginals = random_table("ragged")
    spend, reward = budget_curve(rewards, marginals)
    repaired = concave_repair(marginals)
    scores = [
        expected_reward_score(rewards, allocate(repaired, budget + 1e-9)[0])
        for budget in spend
    ]
    np.testing.assert_allclose(reward, scores)


def test_curve_by_hand():
    rewards = [[0, 1], [1, 1]]
    spend, reward = budget_curve(rewards, [[0.5, 0.4], [0.9, 0.3]], empty_reward=-1)
    np.testing.assert_allclose(spend, [0, 0.5, 1, 1.5, 2])
    # Second query first: -1 -> 1. Then the first: -1 -> 1/2 -> 1. Then nothing new.
    np.testing.assert_allclose(reward, [-1, 0, 0.75, 1, 1])


def test_steps_without_predicted_gain_are_never_bought():
    spend, reward = budget_curve([[0, 1], [1, 1]], [[0.5, 0.0], [-0.1, -0.2]])
    np.testing.assert_array_equal(spend, [0, 0.5])
    np.testing.assert_array_equal(reward, [0, 0.25])


def test_mandatory_samples_are_bought_without_predicted_gain():
    spend, reward = budget_curve([[0, 1], [1, 1]], np.full((2, 2), -1.0), min_budget=1)
    np.testing.assert_array_equal(spend, [1])
    np.testing.assert_array_equal(reward, [0.75])


def test_equal_predictions_walk_through_the_uniform_allocation():
    rewards, _ = random_table("real", n_queries=9)
    spend, reward = budget_curve(rewards, np.full((9, 5), 0.2))
    uniform = [expected_reward_score(rewards, budget) for budget in range(6)]
    np.testing.assert_allclose(reward[::9], uniform)
    np.testing.assert_array_equal(spend[::9], range(6))


def test_curve_ends_at_the_uniform_reward_of_max_budget():
    rewards, marginals = random_table("real")
    _, reward = budget_curve(rewards, np.abs(marginals) + 0.01)
    assert reward[-1] == pytest.approx(expected_reward_score(rewards, 5))


def test_float32_predictions_lose_nothing():
    rewards, marginals = random_table("math")
    single = budget_curve(rewards, marginals.astype(np.float32))
    double = budget_curve(rewards, marginals)
    np.testing.assert_allclose(single.reward, double.reward)


@pytest.mark.parametrize("kind", KINDS)
def test_oracle_recovers_the_whole_gap_and_uniform_nothing(kind):
    rewards, marginals = random_table(kind)
    truth = marginal_rewards(rewards, marginals.shape[1], empty_reward=-9)
    assert gap_recovered_score(rewards, truth, empty_reward=-9) == pytest.approx(1)
    # Equal predictions buy each round of samples row by row. One order overshoots the
    # uniform line by exactly what the reverse order undershoots.
    orders = [
        gap_recovered_score(table, np.ones_like(truth), empty_reward=-9)
        for table in (rewards, rewards[::-1])
    ]
    assert np.mean(orders) == pytest.approx(0, abs=1e-9)


def test_gap_recovered_by_hand():
    # One hopeless query, one that is always right. Uniform reaches 1/2 at B = 1, so its
    # area is 1/4; the oracle reaches it at B = 1/2: 1/8 + 1/4. The policy that starts
    # with the hopeless one reaches it at B = 1: 1/8.
    rewards = [[0], [1]]
    assert gap_recovered_score(rewards, [[0.1], [0.9]]) == pytest.approx(1)
    assert gap_recovered_score(rewards, [[0.9], [0.1]]) == pytest.approx(-1)
    # Buying the good one only keeps its reward up to max_budget: the oracle again.
    assert gap_recovered_score(rewards, [[0.0], [0.1]]) == pytest.approx(1)
    # Buying nothing at all loses all of uniform's area.
    assert gap_recovered_score(rewards, [[0.0], [0.0]]) == pytest.approx(-0.25 / 0.125)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_no_prediction_beats_the_oracle(kind, seed):
    rewards, marginals = random_table(kind, seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        guess = rng.normal(size=marginals.shape)
        # An empty reward above the first sample's makes the curves non-concave.
        assert gap_recovered_score(rewards, guess, empty_reward=0.4) <= 1 + 1e-9


def test_better_predictions_recover_more():
    rewards, _ = random_table("math", n_queries=300)
    truth = marginal_rewards(rewards, 5)
    noise = np.random.default_rng(0).normal(size=truth.shape)
    scores = [gap_recovered_score(rewards, truth + s * noise) for s in (0.02, 0.3, 3)]
    assert scores[0] > scores[1] > scores[2]


def test_without_a_gap_the_score_is_undefined():
    with pytest.warns(UndefinedMetricWarning, match="oracle gains nothing") as caught:
        score = gap_recovered_score([[1, 1], [1, 1]], [[0.9, 0.0], [0.8, 0.0]])
    assert np.isnan(score)
    assert caught[0].filename == __file__


def test_compute_saved_by_hand():
    # Rates 0, 0, 1/2: uniform at 1 has reward 1/6, which the oracle reaches after one
    # of three samples; at 2, 1/3 after two of six.
    rewards = [[0, 0], [0, 0], [0, 1]]
    marginals = [[0.1, 0.0], [0.1, 0.0], [0.5, 0.5]]
    assert compute_saved(rewards, marginals, 1) == pytest.approx(2 / 3)
    assert compute_saved(rewards, marginals, 2) == pytest.approx(2 / 3)
    # Uniform at 1/2 mixes 0 and 1: reward 1/12, half of the oracle's first sample.
    assert compute_saved(rewards, marginals, 0.5) == pytest.approx(2 / 3)


def test_saving_is_negative_where_the_policy_needs_more_than_uniform():
    saved = compute_saved([[0], [1]], [[0.9], [0.1]], 0.5)
    assert saved == pytest.approx(1 - 0.75 / 0.5)


def test_uniform_saves_nothing_at_whole_budgets():
    rewards, _ = random_table("real", n_queries=10)
    for budget in range(1, 6):
        saved = compute_saved(rewards, np.ones((10, 5)), budget, empty_reward=-9)
        assert saved == pytest.approx(0, abs=1e-6)


def test_rounding_does_not_hide_that_a_plateau_was_reached():
    # Three queries of rate 1 saturate after one sample each; 0.1 + 0.2 rounds up.
    rewards = np.tile([[0.1], [0.2], [0.3]], (1, 4))
    marginals = np.tile([0.9, 0.001, 0.001, 0.001], (3, 1))
    assert compute_saved(rewards, marginals, 4) == pytest.approx(0.75)


def test_saving_is_undefined_where_the_policy_stops_before():
    with pytest.warns(UndefinedMetricWarning, match="never reaches uniform's reward"):
        saved = compute_saved([[0], [1]], [[0.1], [0.0]], 1)
    assert np.isnan(saved)


@pytest.mark.parametrize("empty_reward", [-0.5, 0.0])
@pytest.mark.parametrize("min_budget", [0, 1])
def test_oracle_budgets_equal_brute_force(empty_reward, min_budget):
    rng = np.random.default_rng(0)
    for _ in range(10):
        rewards = rng.integers(0, 2, (3, 4)).astype(float)
        choices = [
            choice
            for choice in product(range(min_budget, 5), repeat=3)
            if sum(choice) <= 5
        ]
        best = max(
            expected_reward_score(rewards, choice, empty_reward=empty_reward)
            for choice in choices
        )
        budgets = oracle_budgets(
            rewards, 5 / 3, min_budget=min_budget, empty_reward=empty_reward
        )
        assert tuple(budgets) in choices
        score = expected_reward_score(rewards, budgets, empty_reward=empty_reward)
        assert score == pytest.approx(best)


def test_mandatory_samples_do_not_hide_what_comes_after_them():
    # A first sample that hurts is paid for anyway; the second one is worth 2.5.
    rewards = [[-5.0, -5.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    np.testing.assert_array_equal(oracle_budgets(rewards, 1.5, min_budget=1), [2, 1])


def test_oracle_routes_where_strong_beats_weak():
    rewards = [[[0.0], [1.0]], [[1.0], [0.0]], [[0.0], [0.5]]]
    np.testing.assert_array_equal(oracle_budgets(rewards, 1), [1, 0, 1])
    np.testing.assert_array_equal(oracle_budgets(rewards, 0.4), [1, 0, 0])


def test_oracle_stays_within_bounds_and_budget():
    rewards, _ = random_table("real")
    budgets = oracle_budgets(rewards, 2.3, min_budget=1, max_budget=4)
    assert budgets.dtype == np.int64
    assert budgets.sum() == 57  # floor(2.3 * 25)
    assert budgets.min() >= 1
    assert budgets.max() <= 4
    np.testing.assert_array_equal(oracle_budgets(rewards, 3, min_budget=3), 3)


def test_more_steps_than_samples_warns_and_blames_the_caller():
    with pytest.warns(UserWarning, match="max_budget exceeds the graded") as caught:
        budget_curve([[0, 1]], [[0.3, 0.2, 0.1]])
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="max_budget exceeds the graded") as caught:
        oracle_budgets([[0, 1]], 1, max_budget=3)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("function", [budget_curve, gap_recovered_score])
@pytest.mark.parametrize(
    ("rewards", "marginals", "match"),
    [
        ([], [[0.1]], "rewards is empty"),
        ([[1, 0]], [[0.1], [0.1]], "inconsistent numbers of queries: 1 and 2"),
        ([[1, 0]], [[np.nan]], "not finite in row 0, step 1"),
        ([[1, 0]], [0.1], r"marginals has shape \(1,\)"),
        ([[np.nan, np.nan]], [[0.1]], "no sample in row 0"),
        ([[[1], [0]]], [[0.2, 0.1]], "max_budget=2 is not accepted for routing"),
    ],
)
def test_bad_policy(function, rewards, marginals, match):
    with pytest.raises(ValueError, match=match):
        function(rewards, marginals)


@pytest.mark.parametrize(
    ("min_budget", "match"),
    [(2, "min_budget=2 is above max_budget=1"), (-1, "min_budget=-1 is not accepted")],
)
def test_bad_min_budget(min_budget, match):
    with pytest.raises(ValueError, match=match):
        budget_curve([[1, 0]], [[0.1]], min_budget=min_budget)


@pytest.mark.parametrize(
    ("budget", "match"),
    [
        (0, r"budget=0.* is not accepted. Expected a number in \(0, 2\]"),
        (3, "budget=3 is above max_budget=2"),
        (-1, "budget=-1 is not a mean budget"),
        (np.nan, "budget=nan is not a mean budget"),
    ],
)
def test_bad_budget_of_compute_saved(budget, match):
    with pytest.raises(ValueError, match=match):
        compute_saved([[1, 0]], [[0.1, 0.1]], budget)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"budget": 1, "min_budget": 2}, "budget=1 is below min_budget=2"),
        ({"budget": 3}, "budget=3 is above max_budget=2"),
        ({"budget": -1}, "budget=-1 is not a mean budget"),
        ({"budget": 1, "max_budget": 0}, "max_budget=0 is not accepted"),
        ({"budget": 1, "empty_reward": np.inf}, "empty_reward=inf is not accepted"),
    ],
)
def test_bad_oracle(options, match):
    with pytest.raises(ValueError, match=match):
        oracle_budgets([[1, 0]], **options)
