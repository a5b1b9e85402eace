"""The least budget that keeps a promise."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_adaalloc import PricedAllocator, RewardRegressor
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import expected_reward_score, smallest_budget

GRID = np.geomspace(0.5, 16, 40)
TARGET = 0.6


@pytest.fixture(scope="module")
def world():
    return make_reward_table(41_000, 16, random_state=0, return_X_y=True)


@pytest.fixture(scope="module")
def policy(world):
    X, rewards = world
    policy = PricedAllocator(RewardRegressor(Ridge()), random_state=0)
    return policy.fit(X[:1000], rewards[:1000])


@pytest.fixture(scope="module")
def truth(world, policy):
    """Expected reward of 40,000 queries at each budget of the grid."""
    X, rewards = world[0][1000:], world[1][1000:]
    rewards_at = {}
    for budget in GRID:
        budgets = policy.set_params(budget=budget).predict(X)
        rewards_at[budget] = expected_reward_score(rewards, budgets)
    return rewards_at


@pytest.mark.slow
@pytest.mark.parametrize("distribution_free", [False, True])
def test_the_promise_is_kept(world, policy, truth, distribution_free):
    X, rewards = world
    least = min(budget for budget in GRID if truth[budget] >= TARGET)
    random, named = np.random.default_rng(0), []
    for seed in range(60):
        rows = 1000 + random.choice(40_000, 2000, replace=False)
        options = {"distribution_free": distribution_free, "random_state": seed}
        result = smallest_budget(
            policy, X[rows], rewards[rows], reward=TARGET, budgets=GRID, **options
        )
        named.append(result.budget)
    broken = np.mean([truth[budget] < TARGET for budget in named])
    assert broken <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 60)
    assert np.median(named) <= least * (1.4 if distribution_free else 1.25)


def test_as_good_as_equal_budgets(world, policy):
    X, rewards = world[0][1000:6000], world[1][1000:6000]
    result = smallest_budget(policy, X, rewards, reward="best-of-4")
    assert result.target == pytest.approx(expected_reward_score(rewards, 4))
    assert result.expected_reward >= result.target
    assert result.budget < 4


def test_tests_go_down_and_end_with_the_first_that_fails(world, policy):
    X, rewards = world[0][1000:2000], world[1][1000:2000]
    result = smallest_budget(policy, X, rewards, reward=0.5, budgets=GRID)
    assert (np.diff(result.tested) < 0).all()
    assert (result.p_values[:-1] <= 0.05).all()
    assert result.p_values[-1] > 0.05
    assert result.budget == result.tested[-2]


def test_a_promise_that_no_budget_keeps(world, policy):
    X, rewards = world[0][1000:2000], world[1][1000:2000]
    result = smallest_budget(policy, X, rewards, reward=0.99)
    assert np.isnan(result.budget)
    assert len(result.tested) == 1


def test_the_policy_is_left_as_it_was(world):
    X, rewards = world[0][:400], world[1][:400]
    allocator = PricedAllocator(RewardRegressor(Ridge()), budget=3, random_state=0)
    pipeline = make_pipeline(StandardScaler(), allocator).fit(X, rewards)
    before = pipeline.predict(X)
    result = smallest_budget(pipeline, X, rewards, reward=0.3)
    assert result.budget < 16
    assert pipeline[-1].budget == 3
    np.testing.assert_array_equal(pipeline.predict(X), before)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"reward": "best"}, r"reward='best' is not accepted. Expected a number, or"),
        ({"reward": "best-of-0"}, r"reward='best-of-0' is not accepted"),
        ({"reward": None}, r"reward=None is not accepted"),
        ({"confidence": 1}, r"confidence=1 is not accepted"),
        ({"budgets": [-1]}, r"budgets=.* is not accepted. Expected positive numbers"),
        ({"distribution_free": 1}, r"distribution_free=1 is not accepted"),
        (
            {"distribution_free": True, "reward_range": (1, 0)},
            r"reward_range=\(1, 0\) is not accepted. Expected two numbers, the lower",
        ),
        (
            {"distribution_free": True, "reward_range": (0, 0.5)},
            r"rewards go from 0 to 1, outside reward_range=\(0, 0\.5\)",
        ),
    ],
)
def test_bad_parameters(world, policy, options, match):
    X, rewards = world[0][:50], world[1][:50]
    with pytest.raises(ValueError, match=match):
        smallest_budget(policy, X, rewards, **{"reward": 0.5, **options})


def test_what_has_no_budget(world):
    X, rewards = world[0][:50], world[1][:50]
    with pytest.raises(ValueError, match=r"has no parameter budget"):
        smallest_budget(StandardScaler().fit(X), X, rewards, reward=0.5)
