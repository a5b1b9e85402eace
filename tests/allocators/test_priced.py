import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    DummyAllocator,
    PricedAllocator,
    RewardRegressor,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import expected_reward_score
from sklearn_adaalloc.planning import price_of_budget


class Curves(RegressorMixin, BaseEstimator):
    """Takes the features for the marginal rewards."""

    def fit(self, X, y):
        self.n_queries_ = len(y)
        return self

    def predict_marginals(self, X, max_budget):
        return np.asarray(X, dtype=float)[:, :max_budget]


FROZEN = FrozenEstimator(Curves().fit([[0.0]], [[0.0]]))
CURVES = [[0.8, 0.1, 0.0], [0.5, 0.4, 0.3], [0.2, 0.2, 0.2], [0.0, 0.0, 0.0]]


def fitted(budget, curves=CURVES, **params):
    curves = np.array(curves)
    return PricedAllocator(FROZEN, budget=budget, **params).fit(
        curves, np.zeros(curves.shape)
    )


# The price, by hand: CURVES in order are .8 .5 .4 .3 | .2 .2 .2 | .1 | 0 ...


@pytest.mark.parametrize(
    ("budget", "price", "budgets"),
    [
        (0.0, np.inf, [0, 0, 0, 0]),
        (0.25, 0.65, [1, 0, 0, 0]),
        (0.5, 0.45, [1, 1, 0, 0]),
        (1.0, 0.25, [1, 3, 0, 0]),
        (1.5, 0.25, [1, 3, 2, 0]),  # two of three equal steps
        (1.75, 0.15, [1, 3, 3, 0]),
        (2.0, 0.0, [2, 3, 3, 0]),  # nothing above zero is left
        (3.0, 0.0, [2, 3, 3, 0]),
    ],
)
def test_every_query_buys_what_is_worth_the_price(budget, price, budgets):
    allocator = fitted(budget)
    assert allocator.price_ == pytest.approx(price)
    assert_array_equal(allocator.predict(CURVES), budgets)
    assert allocator.realised_budget_ == np.mean(budgets)
    for row, alone in zip(CURVES, budgets, strict=True):
        assert_array_equal(allocator.predict([row]), [alone])


def test_mandatory_samples_count_as_spent():
    allocator = fitted(1.5, min_budget=1)  # pays for two steps beyond the first
    assert allocator.price_ == pytest.approx(0.25)  # .4 .3 | .2 .2 .1
    assert_array_equal(allocator.predict(CURVES), [1, 3, 1, 1])


def test_equal_queries_that_the_budget_cannot_treat_equally_share_it_out():
    allocator = fitted(0.5, [[0.4]] * 4)
    assert allocator.realised_budget_ == 0.5
    assert allocator.predict([[0.4]] * 4).sum() == 2
    assert_array_equal(allocator.predict([[0.3], [0.5]]), [0, 1])


@given(
    budget=st.floats(0, 6),
    min_budget=st.integers(0, 2),
    decimals=st.integers(1, 6),
    n_queries=st.integers(1, 30),
    seed=st.integers(0, 2**16),
)
def test_the_budget_is_kept_and_no_lower_price_would_keep_it(
    budget, min_budget, decimals, n_queries, seed
):
    budget = max(budget, min_budget)
    rng = np.random.default_rng(seed)
    marginals = -np.sort(-rng.normal(size=(n_queries, 6)).round(decimals), axis=1)
    price = price_of_budget(marginals, budget, min_budget=min_budget)
    spent = np.maximum((marginals > price).sum(axis=1), min_budget)
    assert spent.mean() <= budget
    offered = marginals[:, min_budget:]
    left = offered[(offered > 0) & (offered < price)]
    if left.size:  # otherwise all that is worth anything is bought
        lower = np.maximum((marginals >= left.max()).sum(axis=1), min_budget)
        assert lower.mean() > budget


@pytest.mark.parametrize("budget", [0.5, 2, 4])
def test_without_ties_it_is_the_joint_allocation_of_its_calibration_queries(budget):
    curves = -np.sort(-np.random.default_rng(0).random((200, 8)), axis=1)
    priced = fitted(budget, curves)
    joint = AdaptiveAllocator(FROZEN, budget=budget).fit(curves, np.zeros((200, 8)))
    assert_array_equal(priced.predict(curves), joint.predict(curves))


def test_new_queries_get_more_reward_than_from_equal_budgets():
    data = make_reward_table(4000, 16, random_state=0)
    X, rewards = data.data, data.rewards
    allocator = PricedAllocator(RewardRegressor(Ridge()), budget=4, random_state=0)
    allocator.fit(X[:2000], rewards[:2000])
    budgets = allocator.predict(X[2000:])
    assert allocator.realised_budget_ == pytest.approx(4, abs=0.01)
    assert budgets.mean() == pytest.approx(4, abs=0.5)
    uniform = DummyAllocator(budget=budgets.mean()).fit(X[:1], rewards[:1])
    equal = uniform.predict(X[2000:])
    gain = allocator.score(X[2000:], rewards[2000:]) - expected_reward_score(
        rewards[2000:], equal
    )
    assert gain > 0.01


# Budget and regressor after fit


def test_budget_and_max_budget_may_change_after_fit():
    allocator = fitted(0.25)
    assert_array_equal(allocator.set_params(budget=1.0).predict(CURVES), [1, 3, 0, 0])
    allocator.set_params(max_budget=1)  # .8 .5 .2 are on offer, the budget buys all
    assert_array_equal(allocator.predict(CURVES), [1, 1, 1, 0])
    with pytest.raises(ValueError, match=r"max_budget=4 is above the 3 steps.*Priced"):
        allocator.set_params(max_budget=4).predict(CURVES)


@pytest.mark.parametrize(("holdout", "n_held_out"), [(0.2, 20), (0.5, 50)])
def test_calibration_queries_are_kept_from_the_regressor(holdout, n_held_out):
    X, rewards = make_reward_table(100, 6, random_state=0, return_X_y=True)
    allocator = PricedAllocator(Curves(), holdout=holdout, random_state=0)
    allocator.fit(np.hstack([X, X]), rewards)
    assert allocator.regressor_.n_queries_ == 100 - n_held_out
    assert allocator.calibration_scores_.shape == (n_held_out, 6)


def test_routing():
    X, rewards = make_reward_table(
        200, 6, profile="routing", random_state=0, return_X_y=True
    )
    allocator = PricedAllocator(RewardRegressor(Ridge()), budget=0.4, random_state=0)
    allocator.fit(X, rewards)
    assert set(allocator.predict(X)) == {0, 1}
    assert allocator.realised_budget_ == 0.4


def test_one_seed_one_price():
    X, rewards = make_reward_table(100, 6, random_state=0, return_X_y=True)
    allocator = PricedAllocator(RewardRegressor(Ridge()), budget=2)
    first, again, other = (
        clone(allocator).set_params(random_state=seed).fit(X, rewards).price_
        for seed in (0, 0, 1)
    )
    assert first == again != other


# Bad input


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"holdout": 0}, r"holdout=0 is not accepted.*\(0, 1\)"),
        ({"budget": -1}, r"budget=-1 is not a mean budget"),
        ({"budget": 0.5, "min_budget": 1}, r"budget=0.5 is below min_budget=1"),
        ({"budget": 7}, r"budget=7 is above max_budget=6"),
    ],
)
def test_bad_parameters(params, match):
    X, rewards = make_reward_table(100, 6, random_state=0, return_X_y=True)
    with pytest.raises(ValueError, match=match):
        PricedAllocator(RewardRegressor(Ridge()), **params).fit(X, rewards)


def test_unfitted():
    allocator = PricedAllocator()
    for method in ("predict", "drift_report"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(allocator, method)([[0.0]])
    assert not hasattr(allocator, "realised_budget_")
    assert not hasattr(allocator, "price_")
    with pytest.raises(NotFittedError, match="not fitted yet"):
        allocator.price_  # noqa: B018
