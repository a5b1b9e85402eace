"""Spend and curves as promised: ties, short rows, shared parameters, refused refits."""

import sys
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    MLPRewardRegressor,
    PricedAllocator,
    RewardRegressor,
    SequentialAllocator,
)
from sklearn_adaalloc.curves import extended_marginals
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.planning import allocate, allocate_bins, price_of_budget

ALONE = [BinnedAllocator, PricedAllocator]
ALL = [AdaptiveAllocator, *ALONE, SequentialAllocator]
RIDGE = RewardRegressor(Ridge())
NO_SIGNAL = RewardRegressor(DummyRegressor(), target="success_rate")


def noise(n_queries=2000, n_samples=16, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.random((n_queries, 1))
    return X, (rng.random((n_queries, n_samples)) < X) * 1.0


# Ties that the budget does not pay for


@pytest.mark.parametrize("budget", [0.05, 0.25, 0.5, 1.5, 3.9])
@pytest.mark.parametrize("allocator", ALONE)
def test_without_signal_the_budget_is_spent_all_the_same(allocator, budget):
    X, rewards = noise()
    policy = allocator(NO_SIGNAL, budget=budget, random_state=0).fit(X, rewards)
    new, _ = noise(seed=1)
    budgets = policy.predict(new)
    assert set(budgets) == {int(budget), int(budget) + 1}
    assert budgets.mean() == pytest.approx(budget, abs=0.1)
    assert 0 <= budget - policy.realised_budget_ < 1 / 400
    # Each is decided alone, in any batch and any order.
    assert_array_equal(policy.predict(new[::-1]), budgets[::-1])
    assert_array_equal([policy.predict(row[None])[0] for row in new[:50]], budgets[:50])
    assert_array_equal(clone(policy).fit(X, rewards).predict(new), budgets)
    other = clone(policy).set_params(random_state=1).fit(X, rewards)
    assert (other.predict(new) != budgets).any()


@pytest.mark.parametrize(
    "X",
    [np.zeros((1000, 1)), np.arange(1000)[:, None] % 2, np.arange(1000)[:, None] % 3],
    ids=["no features", "two kinds", "three kinds"],
)
@pytest.mark.parametrize("allocator", ALONE)
def test_queries_that_nothing_tells_apart_share_by_place(allocator, X):
    rewards = noise(1000)[1]
    policy = allocator(NO_SIGNAL, budget=0.5, random_state=0).fit(X, rewards)
    assert policy.predict(X).mean() == pytest.approx(0.5, abs=0.02)
    assert_array_equal(policy.predict(X), policy.predict(X))


@pytest.mark.parametrize("allocator", ALONE)
def test_some_ties_beside_a_signal(allocator):
    # Three levels of predictions, and money for half a step of one of them.
    X, rewards = noise()
    tree = RewardRegressor(DecisionTreeRegressor(max_leaf_nodes=3), "success_rate")
    policy = (
        allocator(tree, budget=0.15, n_bins=3)
        if allocator is BinnedAllocator
        else (allocator(tree, budget=0.15))
    )
    policy.set_params(random_state=0).fit(X, rewards)
    assert policy.predict(X).mean() == pytest.approx(0.15, abs=0.05)


@pytest.mark.parametrize("allocator", ALONE)
def test_few_bins_of_a_signal_spend_all(allocator):
    X, rewards = noise()
    policy = allocator(RIDGE, budget=0.3, random_state=0)
    if allocator is BinnedAllocator:
        policy.set_params(n_bins=2)
    assert policy.fit(X, rewards).realised_budget_ == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("allocator", ALONE)
def test_texts_and_conversations_have_coins_too(allocator):
    class OneCurve(BaseEstimator):
        def fit(self, X, y):
            return self

        def predict_marginals(self, X, max_budget):
            return np.tile([0.4, 0.2, 0.1, 0.05], (len(X), 1))[:, :max_budget]

    texts = [f"{i} + {i}?" for i in range(500)]
    chats = [
        [{"role": "user", "content": text}] * (1 + i % 2)
        for i, text in enumerate(texts)
    ]
    for queries in (texts, chats, np.array(texts), np.array(texts, dtype=object)):
        policy = allocator(OneCurve(), budget=0.5, random_state=0)
        policy.fit(queries, np.ones((500, 4)))
        budgets = policy.predict(queries)
        assert budgets.mean() == pytest.approx(0.5, abs=0.15)
        assert_array_equal(policy.predict(queries[3:9]), budgets[3:9])


@pytest.mark.parametrize("allocator", ALONE)
def test_coins_depend_on_values_alone(allocator):
    X = np.random.default_rng(0).integers(-2, 3, (200, 4)).astype(float)
    _, rewards = noise(200, 6)

    def budgets(queries, seed=0):
        policy = allocator(NO_SIGNAL, budget=0.5, random_state=seed)
        return policy.fit(queries, rewards).predict(queries)

    expected = budgets(X)
    assert set(expected) == {0, 1}
    same = [
        X.astype(np.float32),
        X.astype(int),
        pd.DataFrame(X, columns=list("abcd")),
        X.tolist(),
        np.negative(-X),
        sparse.csr_matrix(X),
        sparse.coo_array(X),
    ]
    for queries in same:
        assert_array_equal(budgets(queries), expected)
    # Other coins: about half of the queries fare as before.
    assert 0.3 < (budgets(X, seed=1) == expected).mean() < 0.7


@pytest.mark.parametrize("allocator", ALONE)
def test_coins_are_fair_to_every_part_of_the_queries(allocator):
    X, rewards = noise()
    policy = allocator(NO_SIGNAL, budget=0.5, random_state=0).fit(X, rewards)
    new = np.sort(np.random.default_rng(0).random((20_000, 1)), axis=0)
    shares = policy.predict(new).reshape(10, 2000).mean(axis=1)
    # A share of 2000 fair coins has a standard deviation of 0.011.
    assert np.ptp(shares) < 0.06


@pytest.mark.parametrize("allocator", ALONE)
def test_drift_of_ties_is_what_they_cost(allocator):
    X, rewards = noise()
    policy = allocator(NO_SIGNAL, budget=0.5, random_state=0).fit(X, rewards)
    new, _ = noise(seed=1)
    by_queries = policy.drift_report(new)
    by_scores = policy.drift_report(scores=policy.predict_marginals(new))
    for report in (by_queries, by_scores):
        assert report.realised_budget == pytest.approx(0.5, abs=0.05)
        assert not report.drifted


# Rows with fewer samples


def ragged(n_short=8, seed=0):
    """Hard queries have few samples, easy ones many."""
    rng = np.random.default_rng(seed)
    X = rng.random((4000, 1))
    rates = np.where(X[:, 0] < 0.5, 0.1, 0.5)
    rewards = (rng.random((4000, 32)) < rates[:, None]) * 1.0
    rewards[X[:, 0] < 0.5, n_short:] = np.nan
    return X, rewards, rates


@pytest.mark.parametrize("n_short", [2, 3, 8, 20])
@pytest.mark.parametrize("target", ["success_rate", "marginal_rewards"])
@pytest.mark.parametrize("allocator", [AdaptiveAllocator, *ALONE])
def test_short_rows_are_worth_as_much_as_long_ones(allocator, target, n_short):
    X, rewards, rates = ragged(n_short)
    tree = RewardRegressor(DecisionTreeRegressor(max_leaf_nodes=2), target)
    policy = allocator(tree, budget=12, random_state=0).fit(X, rewards)
    budgets = policy.predict(X)
    success = (1 - (1 - rates) ** budgets).mean()
    assert success > (1 - (1 - rates) ** 12).mean()
    assert budgets[rates == 0.1].mean() > budgets[rates == 0.5].mean()


def test_short_rows_of_real_values():
    rng = np.random.default_rng(0)
    rewards = rng.normal(1.0, 2.0, (6000, 16))
    whole = extended_marginals(rewards, 16).mean(axis=0)
    for n_short in (2, 4, 9):
        short = rewards.copy()
        short[::2, n_short:] = np.nan
        found = extended_marginals(short, 16)[::2].mean(axis=0)
        np.testing.assert_allclose(found, whole, atol=0.08)
    assert (extended_marginals(rewards[:, :1], 3)[:, 1:] == 0).all()  # nothing to say


def test_a_table_that_is_long_enough_is_as_it_was():
    rewards = noise(200, 8)[1]
    cut = extended_marginals(rewards, 5)
    np.testing.assert_allclose(cut, extended_marginals(rewards, 8)[:, :5])
    np.testing.assert_allclose(cut.sum(axis=1) <= 1, True)


def test_the_mean_query_of_a_dummy_is_no_shorter():
    X, rewards, _ = ragged()
    dummy = DummyAllocator(budget=1).fit(X, rewards)
    assert dummy.mean_marginals_.sum() == pytest.approx(
        0.5 * (1 - 0.9**32) + 0.5, abs=0.02
    )


# Parameters that allocator and regressor share


@pytest.mark.parametrize("allocator", ALL)
def test_empty_reward_and_max_budget_reach_a_given_regressor(allocator):
    X, rewards = noise(300, 6)
    with pytest.warns(UserWarning, match="max_budget exceeds"):
        policy = allocator(RIDGE, budget=2, max_budget=9, empty_reward=-1.0).fit(
            X, rewards
        )
    assert policy.regressor_.empty_reward == -1.0
    assert policy.regressor_.max_budget == 9
    assert policy.predict(X).max() <= 9
    assert RIDGE.max_budget is None
    assert policy.regressor.empty_reward == 0.0


@pytest.mark.parametrize("allocator", ALL)
def test_what_cannot_reach_it_is_refused_in_fit(allocator):
    X, rewards = noise(300, 6)
    frozen = FrozenEstimator(clone(RIDGE).fit(X, rewards))
    with pytest.raises(ValueError, match=r"empty_reward=-1.0 contradicts.*frozen.*0.0"):
        allocator(frozen, empty_reward=-1.0).fit(X, rewards)
    given = RewardRegressor(Ridge(), empty_reward=-2.0)
    for own in (0.0, -1.0):
        with pytest.raises(ValueError, match=r"empty_reward=.* contradicts.*-2.0"):
            allocator(given, empty_reward=own).fit(X, rewards)
    allocator(given, empty_reward=-2.0).fit(X, rewards)
    for short in (frozen, RewardRegressor(Ridge(), max_budget=3)):
        with (
            pytest.warns(UserWarning, match="max_budget exceeds"),
            pytest.raises(ValueError, match=r"max_budget=8 is above the [36] steps"),
        ):
            allocator(short, max_budget=8).fit(X, rewards)


def test_in_routing_neither_plays_a_part():
    X, rewards = make_reward_table(
        200, 6, profile="routing", random_state=0, return_X_y=True
    )
    frozen = FrozenEstimator(clone(RIDGE).fit(X, rewards))
    AdaptiveAllocator(frozen, budget=0.4, empty_reward=-1.0).fit(X, rewards).predict(X)


# Unit costs


@pytest.mark.parametrize("seed", range(200))
def test_unit_costs_change_nothing(seed):
    rng = np.random.default_rng(seed)
    n_queries, max_budget = rng.integers(1, 120), rng.integers(1, 6)
    min_budget = int(rng.integers(0, max_budget + 1))
    marginals = rng.normal(0.2, 1, (n_queries, max_budget)).round(rng.integers(0, 4))
    marginals = -np.sort(-marginals, axis=1).astype(rng.choice(["f4", "f8"]))
    budget = max(
        round(rng.uniform(0, max_budget + 1), int(rng.integers(0, 3))), min_budget
    )
    for size in (29 / n_queries, budget):
        size = max(size, min_budget)
        expected, price = allocate(marginals, size, min_budget=min_budget)
        for costs in (1, np.ones(n_queries), np.ones((n_queries, max_budget))):
            budgets, same = allocate(
                marginals, size, min_budget=min_budget, costs=costs
            )
            assert_array_equal(budgets, expected)
            assert same == price


@pytest.mark.parametrize("budget", [0.29, 0.57, 0.58, 1.16])
def test_whole_costs_are_counted_as_exactly(budget):
    marginals = np.tile([[0.5, 0.25]], (100, 1))
    half, _ = allocate(marginals, budget)
    double, _ = allocate(marginals, 2 * budget, costs=2)
    assert_array_equal(double, half)
    assert_array_equal(allocate(marginals, 0.3, costs=0.1)[0], [2] * 100)


# Refused refits


def state(estimator):
    return {name: id(value) for name, value in vars(estimator).items()}


class Breaking(BaseEstimator):
    """Fails while it is fitted, or when it first predicts."""

    def __init__(self, where="fit"):
        self.where = where

    def fit(self, X, y):
        if self.where == "fit":
            raise ValueError("broken")
        return self

    def predict_marginals(self, X, max_budget):
        raise ValueError("broken")


REFUSED = [
    {"y": None},
    {"y": np.ones((7, 3))},
    {"y": np.full((40, 3), np.inf)},
    {"y": np.full((40, 3), np.nan)},
    {"X": np.full((40, 2), np.nan)},
    {"X": np.empty((40, 0))},
]


@pytest.mark.parametrize("changed", REFUSED)
@pytest.mark.parametrize(
    "estimator",
    [
        *(allocator(RIDGE, random_state=0) for allocator in ALL),
        DummyAllocator("shuffled", allocator=AdaptiveAllocator(RIDGE), random_state=0),
        RIDGE,
        MLPRewardRegressor(max_epochs=2, n_members=2, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_refused_refit_leaves_the_estimator_as_it_was(estimator, changed):
    X, rewards = make_reward_table(60, 6, random_state=0, return_X_y=True)
    estimator = clone(estimator).fit(X, rewards)
    before, expected = state(estimator), estimator.predict(X)
    data = {"X": X[:40, :2], "y": rewards[:40, :3]} | changed
    with pytest.raises(ValueError, match=r"\w"):
        estimator.fit(**data)
    assert state(estimator) == before
    assert_array_equal(estimator.predict(X), expected)


@pytest.mark.parametrize("where", ["fit", "predict"])
@pytest.mark.parametrize("allocator", ALONE)
def test_a_refit_that_breaks_half_way_does_too(allocator, where):
    X, rewards = noise(60, 6)
    policy = allocator(RIDGE, random_state=0).fit(X, rewards)
    policy.set_params(regressor=Breaking(where))
    before = state(policy)
    with pytest.raises(ValueError, match="broken"):
        policy.fit(X[:40], rewards[:40, :3])
    assert state(policy) == before
    assert policy.predict(X).max() <= 6


@pytest.mark.parametrize("options", [{"budget": 99}, {"empty_reward": np.nan}])
@pytest.mark.parametrize("allocator", ALL)
def test_so_do_parameters_out_of_bounds(allocator, options):
    X, rewards = noise(60, 6)
    policy = allocator(RIDGE, random_state=0).fit(X, rewards)
    expected = policy.predict(X)
    kept = {name: getattr(policy, name) for name in options}
    with pytest.raises(ValueError, match=next(iter(options))):
        policy.set_params(**options).fit(X[:40], rewards[:40, :3])
    assert_array_equal(policy.set_params(**kept).predict(X), expected)


def test_names_of_an_earlier_fit_are_forgotten():
    X, rewards = noise(60, 6)
    policy = AdaptiveAllocator(RIDGE).fit(pd.DataFrame(X, columns=["a"]), rewards)
    assert policy.feature_names_in_.tolist() == ["a"]
    assert not hasattr(policy.fit(X, rewards), "feature_names_in_")


# One solution per set of parameters


@contextmanager
def calls_of(function):
    """Yield a list that has an entry for each call inside."""
    calls = []

    def watch(frame, event, argument):
        if event == "call" and frame.f_code is function.__code__:
            calls.append(1)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield calls
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize(
    ("allocator", "solver"),
    [(PricedAllocator, price_of_budget), (BinnedAllocator, allocate_bins)],
)
def test_a_rule_is_solved_once_for_each_setting(allocator, solver):
    X, rewards = noise(200, 6)
    with calls_of(solver) as calls:
        policy = allocator(RIDGE, budget=2, random_state=0).fit(X, rewards)
        first = [policy.predict(X) for _ in range(3)][-1]
        assert len(calls) == 1
        policy.set_params(budget=3).predict(X)
        policy.budget = 1.5  # however it is changed
        policy.predict(X)
        policy.set_params(max_budget=4).predict(X)
        policy.set_params(min_budget=1).predict(X)
        assert len(calls) == 5
    policy.set_params(budget=2, max_budget=None, min_budget=0)
    assert_array_equal(policy.predict(X), first)


def test_a_lower_min_budget_after_fit_trusts_no_unrepaired_step():
    X, rewards = make_reward_table(
        600, 8, profile="chat", random_state=0, return_X_y=True
    )
    rewards = rewards - 3.0  # a first sample is worse than none
    policy = PricedAllocator(RIDGE, budget=3, min_budget=1, random_state=0)
    later = policy.fit(X, rewards).set_params(min_budget=0)
    fresh = clone(later).fit(X, rewards)
    assert later.price_ == pytest.approx(fresh.price_)
    assert_array_equal(later.predict(X), fresh.predict(X))
