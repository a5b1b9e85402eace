"""Allocators whose samples differ in cost, and whose budget counts cost."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.planning import allocate

X, REWARDS = make_reward_table(200, 8, random_state=0, return_X_y=True)
COSTS = np.random.default_rng(0).lognormal(4, 1, 200)
QUERIES = np.column_stack([X, np.log(COSTS)])
RIDGE = RewardRegressor(Ridge())


class ByCost(AdaptiveAllocator):
    """The last feature is the logarithm of what a sample costs."""

    def _fit_costs(self, X, table):
        """There is nothing to learn."""

    def _predict_costs(self, X):
        return np.exp(X[:, -1])


class ByCostOfEachSample(ByCost):
    """Later samples cost more."""

    def _predict_costs(self, X):
        return np.exp(X[:, -1:]) * 1.1 ** np.arange(REWARDS.shape[1])


@pytest.mark.parametrize("budget", [0, 1.5, 20, 150, 1e6])
def test_the_predicted_cost_stays_within_the_budget(budget):
    policy = ByCost(RIDGE, unit="cost", budget=budget).fit(QUERIES, REWARDS)
    budgets = policy.predict(QUERIES)
    assert (budgets * COSTS).mean() <= budget
    expected, _ = allocate(policy.predict_marginals(QUERIES), budget, costs=COSTS)
    assert_array_equal(budgets, expected)
    if budget == 1e6:  # more than all samples cost
        assert_array_equal(budgets, (policy.predict_marginals(QUERIES) > 0).sum(axis=1))


@pytest.mark.parametrize("budget", [20, 150])
def test_each_sample_may_have_its_own_cost(budget):
    policy = ByCostOfEachSample(RIDGE, unit="cost", budget=budget).fit(QUERIES, REWARDS)
    budgets = policy.predict(QUERIES)
    bought = np.arange(8) < budgets[:, None]
    costs = COSTS[:, None] * 1.1 ** np.arange(8)
    spent = (bought * costs).sum() / len(budgets)
    assert 0.9 * budget < spent <= budget


def test_a_cheap_query_gets_more_than_an_equal_one_that_is_dear():
    policy = ByCost(RIDGE, unit="cost", budget=100).fit(QUERIES, REWARDS)
    pair = np.repeat(QUERIES[:1], 2, axis=0)
    pair[:, -1] = np.log([20, 2000])
    # The regressor sees the cost, too: equal but for what it makes of it.
    policy.regressor_.regressor_.coef_[..., -1] = 0
    cheap, dear = policy.predict(pair)
    assert cheap > dear


def test_equal_costs_change_only_the_unit():
    in_samples = AdaptiveAllocator(RIDGE, budget=2).fit(X, REWARDS).predict(X)

    class Tens(ByCost):
        def _predict_costs(self, X):
            return np.full(len(X), 10.0)

    in_cost = clone(Tens(RIDGE, unit="cost", budget=20)).fit(X, REWARDS).predict(X)
    assert_array_equal(in_cost, in_samples)


def test_a_budget_of_samples_is_bounded_by_the_table_and_one_of_cost_is_not():
    with pytest.raises(ValueError, match=r"budget=20"):
        AdaptiveAllocator(RIDGE, budget=20).fit(X, REWARDS)
    assert ByCost(RIDGE, unit="cost", budget=20).fit(QUERIES, REWARDS).budget == 20
