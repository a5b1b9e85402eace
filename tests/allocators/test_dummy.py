import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    RewardRegressor,
    RewardTable,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import expected_reward_score

REGRESSOR = RewardRegressor(Ridge())


@pytest.fixture(scope="module")
def table():
    return make_reward_table(60, 6, random_state=0, return_X_y=True)


# Uniform


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (0, [0, 0, 0, 0]),
        (0.25, [0, 0, 0, 1]),
        (0.5, [0, 1, 0, 1]),
        (0.7, [0, 1, 0, 1]),  # 2.8 samples: two are paid for
        (1, [1, 1, 1, 1]),
        (1.5, [1, 2, 1, 2]),
        (2.75, [2, 3, 3, 3]),
        (6, [6, 6, 6, 6]),
    ],
)
def test_uniform_by_hand(table, budget, expected):
    allocator = DummyAllocator(budget=budget).fit(*table)
    budgets = allocator.predict(np.zeros((4, 1)))
    assert_array_equal(budgets, np.array(expected, dtype=np.int64), strict=True)


@given(budget=st.floats(0, 6), n_queries=st.integers(1, 500))
def test_uniform_mixes_floor_and_ceiling_within_the_budget(table, budget, n_queries):
    allocator = DummyAllocator(budget=budget).fit(*table)
    budgets = allocator.predict(np.zeros((n_queries, 1)))
    assert budgets.mean() <= budget
    assert (budgets.sum() + 1) / n_queries > budget
    assert set(budgets) <= {math.floor(budget), math.ceil(budget)}


@pytest.mark.parametrize("budget", [0.29, 1 / 3, 0.57, 1.1, 2.3, 4.35])
def test_uniform_spends_what_an_adaptive_allocator_may_spend(table, budget):
    X, rewards = table
    X100 = np.tile(X, (2, 1))[:100]
    uniform = DummyAllocator(budget=budget).fit(X, rewards).predict(X100)
    adaptive = AdaptiveAllocator(REGRESSOR, budget=budget, empty_reward=-100.0)
    assert uniform.sum() == adaptive.fit(X, rewards).predict(X100).sum()


def test_uniform_of_a_whole_budget_is_best_of_k(table):
    X, rewards = table
    score = DummyAllocator(budget=3).fit(X, rewards).score(X, rewards)
    assert score == pytest.approx(expected_reward_score(rewards, 3))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_uniform_routing_sends_a_share_to_the_strong_decoder(share):
    X, rewards = make_reward_table(
        50, 3, profile="routing", random_state=0, return_X_y=True
    )
    allocator = DummyAllocator(budget=share).fit(X, rewards)
    assert allocator.n_steps_ == 1
    assert allocator.predict(X).mean() == pytest.approx(share)
    with pytest.raises(ValueError, match=r"max_budget=2 is not accepted for routing"):
        DummyAllocator(max_budget=2).fit(X, rewards)


# Random


@given(
    budget=st.floats(0, 6),
    min_budget=st.integers(0, 2),
    max_budget=st.integers(2, 6),
    n_queries=st.integers(1, 50),
)
def test_random_keeps_budget_and_bounds(
    table, budget, min_budget, max_budget, n_queries
):
    budget = min(max(budget, min_budget), max_budget)
    allocator = DummyAllocator(
        "random", budget, min_budget=min_budget, max_budget=max_budget, random_state=0
    ).fit(*table)
    budgets = allocator.predict(np.zeros((n_queries, 1)))
    assert budgets.shape == (n_queries,)
    # 2.3 * 50 is below 115 in floating point, and one more would make 2.3.
    assert budgets.mean() <= budget <= (budgets.sum() + 1) / n_queries
    assert min_budget <= budgets.min()
    assert budgets.max() <= max_budget


def test_random_favours_nobody(table):
    allocator = DummyAllocator("random", 2, random_state=np.random.RandomState(0))
    allocator.fit(*table)
    draws = np.array([allocator.predict(np.zeros((5, 1))) for _ in range(2000)])
    # 10 of 30 slots, 6 a query: hypergeometric, mean 2 and variance 6/5 * 20/29 * 4/3.
    standard_error = np.sqrt(10 * (1 / 5) * (4 / 5) * (20 / 29) / 2000)
    assert_allclose(draws.mean(axis=0), 2, atol=4.5 * standard_error)
    assert (draws.sum(axis=1) == 10).all()
    assert len({tuple(draw) for draw in draws}) > 100


# Shuffled


@pytest.mark.parametrize(
    "allocator",
    [
        AdaptiveAllocator(REGRESSOR),
        AdaptiveAllocator(REGRESSOR, min_budget=1, max_budget=4),
        BinnedAllocator(REGRESSOR, n_bins=4, random_state=0),
    ],
    ids=["adaptive", "bounded", "binned"],
)
@pytest.mark.parametrize("budget", [1.5, 3])
def test_shuffled_permutes_the_budgets_of_its_allocator(table, allocator, budget):
    X, rewards = table
    shuffled = DummyAllocator("shuffled", budget, allocator=allocator, random_state=0)
    budgets = shuffled.fit(X, rewards).predict(X)
    own = shuffled.allocator_.predict(X)
    assert shuffled.allocator_.budget == budget
    assert allocator.budget == 1.0  # a copy was fitted
    assert_array_equal(np.sort(budgets), np.sort(own))
    assert (budgets != own).any()


def test_shuffled_loses_what_the_allocator_gains(table):
    X, rewards = table
    adaptive = AdaptiveAllocator(REGRESSOR, budget=2).fit(X, rewards)
    shuffled = DummyAllocator(
        "shuffled", 2, allocator=AdaptiveAllocator(REGRESSOR), random_state=0
    ).fit(X, rewards)
    scores = [
        shuffled.set_params(random_state=seed).score(X, rewards) for seed in range(20)
    ]
    assert np.mean(scores) < adaptive.score(X, rewards) - 0.02


def test_shuffled_follows_a_new_budget(table):
    X, rewards = table
    allocator = DummyAllocator(
        "shuffled", 1, allocator=AdaptiveAllocator(REGRESSOR), random_state=0
    ).fit(X, rewards)
    assert allocator.predict(X).sum() == 60
    assert allocator.set_params(budget=2).predict(X).sum() == 120


@pytest.mark.slow
def test_shuffled_passes_its_parameters_to_the_default_allocator(table):
    X, rewards = table
    first, again = (
        DummyAllocator(
            "shuffled", 2, min_budget=1, max_budget=3, empty_reward=-1, random_state=0
        ).fit(X, rewards)
        for _ in "ab"
    )
    assert isinstance(first.allocator_, AdaptiveAllocator)
    assert first.allocator_.empty_reward == -1
    budgets = first.predict(X)
    assert set(budgets) <= {1, 2, 3}
    assert_array_equal(again.predict(X), budgets)


# All of them


@pytest.mark.parametrize("strategy", ["uniform", "random", "shuffled"])
def test_same_seed_same_budgets(table, strategy):
    X, rewards = table
    allocator = DummyAllocator(
        strategy, 1.5, allocator=AdaptiveAllocator(REGRESSOR), random_state=3
    ).fit(X, rewards)
    budgets = allocator.predict(X)
    assert budgets.dtype == np.int64
    assert_array_equal(allocator.predict(X), budgets)


def test_budget_may_change_after_fit(table):
    allocator = DummyAllocator().fit(*table)
    assert_array_equal(allocator.predict([[0.0]] * 2), [1, 1])
    assert_array_equal(allocator.set_params(budget=4).predict([[0.0]] * 2), [4, 4])
    with pytest.raises(ValueError, match=r"budget=7 is above max_budget=6"):
        allocator.set_params(budget=7).predict([[0.0]])


def test_marginals_are_those_of_the_mean_query():
    rewards = [[0, 1], [1, 1]]  # marginals 1/2, 1/2 and 1, 0
    allocator = DummyAllocator().fit([[0.0]] * 2, rewards)
    assert_allclose(allocator.predict_marginals([[0.0]] * 3), [[0.75, 0.25]] * 3)


@pytest.mark.parametrize("X", [["some", "texts"], [[{"role": "user"}], []], [0, 1]])
def test_queries_are_only_counted(X):
    allocator = DummyAllocator(budget=2).fit(X, [[1, 0], [0, 1]])
    assert_array_equal(allocator.predict(X), [2, 2])


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"strategy": "oracle"}, r"strategy='oracle' is not accepted.*'shuffled'"),
        ({"budget": -1}, r"budget=-1 is not a mean budget"),
        ({"budget": np.nan}, r"budget=nan is not a mean budget"),
        ({"budget": 0, "min_budget": 1}, r"budget=0 is below min_budget=1"),
        ({"budget": 7}, r"budget=7 is above max_budget=6"),
    ],
)
def test_bad_parameters(table, params, match):
    with pytest.raises(ValueError, match=match):
        DummyAllocator(**params).fit(*table)


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        ([[0.0]], None, r"requires y to be passed"),
        ([], [], r"rewards is empty"),
        ([[0.0]], [[1], [0]], r"inconsistent numbers of queries: 1 and 2"),
        ([[0.0]], [[np.nan]], r"no sample in row 0"),
    ],
)
def test_bad_input(X, y, match):
    with pytest.raises(ValueError, match=match):
        DummyAllocator().fit(X, y)


@pytest.mark.parametrize("strategy", ["uniform", "random"])
def test_empty_batch(table, strategy):
    with pytest.raises(ValueError, match=r"X has 0 queries"):
        DummyAllocator(strategy).fit(*table).predict([])


def test_unfitted():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        DummyAllocator().predict([[0.0]])
    with pytest.raises(NotFittedError, match="not fitted yet"):
        DummyAllocator().predict_marginals([[0.0]])


# Cost

COSTS = np.array([2.0, 3.0, 4.0, 7.0])  # of each query's samples; 4 on average


@pytest.fixture
def in_cost():
    rewards = np.array([[1.0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    return RewardTable(rewards, costs=COSTS)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (0, [0, 0, 0, 0]),
        (3.9, [0, 1, 1, 1]),
        (4, [1, 1, 1, 1]),
        (6, [1, 2, 1, 2]),
        (16, [4, 4, 4, 4]),
        (1e9, [4, 4, 4, 4]),
    ],
)
def test_uniform_budgets_cost_the_same_on_average(in_cost, budget, expected):
    policy = DummyAllocator(budget=budget, unit="cost").fit(np.zeros((4, 1)), in_cost)
    assert policy.mean_cost_ == 4
    assert_array_equal(policy.predict(np.zeros((4, 1))), expected)
    # Other queries are expected to cost as much as those of fit.
    assert policy.predict(np.zeros((100, 1))).sum() == min(int(100 * budget / 4), 400)


@pytest.mark.parametrize("strategy", ["random", "shuffled"])
def test_other_baselines_in_cost(table, strategy):
    X, rewards = table
    priced = RewardTable(rewards, costs=2.5)
    inner = AdaptiveAllocator(REGRESSOR, unit="cost")
    policy = DummyAllocator(
        strategy, 5.0, unit="cost", allocator=inner, random_state=0
    ).fit(X, priced)
    budgets = policy.predict(X)
    assert budgets.sum() == 120
    assert budgets.max() > 2
    frame = policy.explain(X)
    assert_allclose(frame.cost, 2.5 * budgets)
    default = DummyAllocator(strategy, 5.0, unit="cost", random_state=0).fit(X, priced)
    assert default.predict(X).sum() == 120


def test_a_budget_in_cost_has_to_pay_for_min_budget(in_cost):
    policy = DummyAllocator(budget=8, unit="cost", min_budget=1, max_budget=3)
    policy.fit(np.zeros((4, 1)), in_cost)
    assert_array_equal(policy.predict(np.zeros((4, 1))), 2)
    with pytest.raises(ValueError, match=r"budget=3.0 does not pay for min_budget=1"):
        policy.set_params(budget=3).predict(np.zeros((4, 1)))


def test_costs_that_are_not_known(in_cost):
    X = np.zeros((4, 1))
    with pytest.raises(ValueError, match=r"unit='cost' needs the costs of samples"):
        DummyAllocator(unit="cost").fit(X, in_cost.rewards)
    with pytest.raises(ValueError, match="unit='cost' was set after fit, which learnt"):
        DummyAllocator().fit(X, in_cost).set_params(unit="cost").predict(X)
    with pytest.raises(ValueError, match="unit='cost' is not accepted for routing"):
        DummyAllocator(unit="cost").fit(
            X, RewardTable(np.ones((4, 2, 3)), costs=[1.0, 5.0])
        )
    with pytest.raises(ValueError, match="unit='dollars' is not accepted"):
        DummyAllocator(unit="dollars").fit(X, in_cost)
    inner = AdaptiveAllocator(REGRESSOR)
    with pytest.raises(ValueError, match="unit='cost' contradicts that of allo"):
        DummyAllocator("shuffled", unit="cost", allocator=inner).fit(X, in_cost)


def test_pickles_of_earlier_versions_count_samples(in_cost):
    policy = DummyAllocator(budget=2).fit(np.zeros((4, 1)), in_cost)
    del policy.unit
    assert policy.get_params()["unit"] == "samples"
    assert_array_equal(policy.predict(np.zeros((4, 1))), 2)
