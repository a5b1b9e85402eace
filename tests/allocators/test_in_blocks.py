"""Decisions on queries in several blocks: budgets and rewards of all at once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.planning._blocks import answer


def tree(**options):
    inner = DecisionTreeRegressor(max_leaf_nodes=40, random_state=0)
    return RewardRegressor(inner, **options)


@pytest.fixture(scope="module")
def graded():
    return make_reward_table(700, 12, random_state=1, return_X_y=True)


def decide_in_blocks(policy, X, edges):
    """Budgets and expected rewards of queries that are cut into blocks."""
    decision = policy._in_blocks()
    blocks = [policy._keep(part) for part in np.split(X, edges)]
    views = [decision.view(kept) for kept in blocks]
    sizes = [len(kept["scores"]) for kept in blocks]
    plan, shares = answer(decision.search(sizes, 50), views)
    decided = [
        decision.decide(kept, plan, share)
        for kept, share in zip(blocks, shares, strict=True)
    ]
    return map(np.concatenate, zip(*decided, strict=True))


@pytest.mark.parametrize("unit", ["samples", "cost"])
@pytest.mark.parametrize("kind", [AdaptiveAllocator, SequentialAllocator])
def test_one_decoder(graded, kind, unit):
    X, rewards = graded
    costs = np.exp(X[:, :1] + np.zeros(rewards.shape))
    policy = kind(tree(), budget=5, min_budget=1, empty_reward=0.1, unit=unit)
    policy.fit(X, RewardTable(rewards, costs=costs))
    budgets, expected = decide_in_blocks(policy, X, [1, 300, 555])
    assert_array_equal(budgets, policy.predict(X))
    assert_allclose(expected, policy.explain(X)["expected_reward"])


def test_routing(graded):
    X, rewards = graded
    both = np.stack([rewards[:, :6], rewards[:, 6:] + X[:, :1]], axis=1)
    policy = AdaptiveAllocator(tree(target="preference"), budget=0.3).fit(X, both)
    budgets, expected = decide_in_blocks(policy, X, [200])
    assert_array_equal(budgets, policy.predict(X))
    assert_allclose(expected, policy.explain(X)["expected_reward"])


def test_several_decoders(graded):
    X, rewards = graded
    table = rewards.reshape(700, 3, 4)
    policy = AdaptiveAllocator(
        tree(target="rate_profiles"), budget=5, min_budget=(0, 1, 0), max_budget=6
    ).fit(X, table)
    budgets, expected = decide_in_blocks(policy, X, [33, 650])
    assert_array_equal(budgets, policy.predict(X))
    assert_allclose(expected, policy.explain(X)["expected_reward"][::3])


def test_real_valued_rewards_of_several_decoders_have_no_plan_in_blocks(graded):
    X, _ = graded
    rewards = np.random.default_rng(0).normal(size=(700, 2, 4))
    regressor = RewardRegressor(Ridge(), target="normal_rewards")
    policy = AdaptiveAllocator(regressor, budget=2).fit(X, rewards)
    with pytest.raises(ValueError, match="real-valued rewards of several decoders"):
        policy._in_blocks()


@pytest.mark.parametrize("kind", [BinnedAllocator, PricedAllocator, StreamAllocator])
def test_decisions_on_each_query_alone(graded, kind):
    X, rewards = graded
    policy = kind(tree(), budget=4, random_state=0).fit(X, rewards)
    assert policy._in_blocks() is None
    budgets, expected = policy._decide_alone(X)
    assert_array_equal(budgets, policy.predict(X))
    if kind is not BinnedAllocator:  # it explains by the curves of its bins
        assert_allclose(expected, policy.explain(X)["expected_reward"])


def test_identical_queries_have_no_place_in_blocks():
    rewards = np.random.default_rng(0).integers(0, 2, size=(100, 8))
    policy = PricedAllocator(tree(), budget=2.5).fit(np.zeros((100, 3)), rewards)
    with pytest.raises(ValueError, match="position in the batch"):
        policy._in_blocks()
