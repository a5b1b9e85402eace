"""Where every query gets a sample, what the first one earns decides nothing."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    PricedAllocator,
    RewardRegressor,
    SequentialAllocator,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    expected_reward_score,
    gap_recovered_score,
    oracle_budgets,
)

ALLOCATORS = [
    AdaptiveAllocator,
    BinnedAllocator,
    PricedAllocator,
    SequentialAllocator,
]
X, REWARDS = make_reward_table(900, 12, profile="chat", random_state=0, return_X_y=True)
TRAIN, TEST = slice(0, 600), slice(600, None)


def fitted(allocator, shift):
    options = {"budget": 3, "min_budget": 1, "random_state": 0}
    regressor = RewardRegressor(Ridge(), target="marginal_rewards")
    policy = allocator(regressor, **options)
    return policy.fit(X[TRAIN], REWARDS[TRAIN] + shift)


@pytest.mark.parametrize("shift", [-20, 20])
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_budgets_do_not_depend_on_where_rewards_have_their_zero(allocator, shift):
    here, there = fitted(allocator, 0), fitted(allocator, shift)
    assert_array_equal(there.predict(X[TEST]), here.predict(X[TEST]))
    scores = [
        policy.score(X[TEST], REWARDS[TEST] + added)
        for policy, added in ((here, 0), (there, shift))
    ]
    assert scores[1] == pytest.approx(scores[0] + shift)


@pytest.mark.parametrize("shift", [-20, 20])
def test_metrics_do_not_depend_on_it_either(shift):
    policy = fitted(AdaptiveAllocator, 0)
    marginals = policy.predict_marginals(X[TEST])
    shifted = marginals + np.eye(1, 12) * shift
    expected = gap_recovered_score(REWARDS[TEST], marginals, min_budget=1)
    found = gap_recovered_score(REWARDS[TEST] + shift, shifted, min_budget=1)
    assert found == pytest.approx(expected)
    assert_array_equal(
        oracle_budgets(REWARDS[TEST] + shift, 3, min_budget=1),
        oracle_budgets(REWARDS[TEST], 3, min_budget=1),
    )


@pytest.mark.parametrize(
    "allocator", [AdaptiveAllocator, PricedAllocator, SequentialAllocator]
)
def test_rewards_below_zero_gain_over_equal_budgets(allocator):
    policy = fitted(allocator, -20)
    budgets = policy.predict(X[TEST])
    assert budgets.min() >= 1
    rewards = REWARDS[TEST] - 20
    equal = expected_reward_score(rewards, budgets.mean())
    assert policy.score(X[TEST], rewards) > equal + 0.01


class Curves(RegressorMixin, BaseEstimator):
    """Takes the features for the marginal rewards; knows no mandatory samples."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict_marginals(self, X, max_budget):
        return np.asarray(X, dtype=float)[:, :max_budget]


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_a_regressor_that_knows_no_mandatory_samples_serves_as_well(allocator):
    curves = np.array([[-5.0, 2.0, 0.5], [-4.0, 1.0, 0.1]] * 10)
    regressor = FrozenEstimator(Curves().fit(None, None))
    policy = allocator(regressor, budget=2, min_budget=1)
    policy.fit(curves, curves.cumsum(axis=1))
    assert_allclose(policy.predict_marginals(curves), curves)
    # One free step of each is paid for: 2 and 1 predicted, 5/6 and 11/30 observed.
    assert_array_equal(policy.predict(curves), np.full(20, 2))


def test_mandatory_steps_do_not_use_up_a_price():
    # Beyond the first sample .9 .3 | .2 .1 are on offer, and the budget pays for two.
    curves = np.array([[-5.0, 0.9, 0.3], [-4.0, 0.2, 0.1]])
    regressor = FrozenEstimator(Curves().fit(None, None))
    policy = PricedAllocator(regressor, budget=2, min_budget=1)
    policy.fit(curves, np.zeros((2, 3)))
    assert policy.price_ == pytest.approx(0.25)
    assert_array_equal(policy.predict(curves), [3, 1])


def test_min_budget_may_be_lowered_after_fit():
    policy = clone(fitted(BinnedAllocator, 0)).fit(X[TRAIN], REWARDS[TRAIN] - 20)
    policy.set_params(min_budget=0)
    # An answer is now worth less than none, and no number of them makes up for it.
    assert_array_equal(policy.predict(X[TEST]), np.zeros(300))
