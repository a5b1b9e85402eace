"""What one sample of a query will cost."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from sklearn_adaalloc.regressors import CostRegressor


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 5))
    costs = np.exp(5 + X[:, [0]] + rng.normal(0, 0.8, (2000, 6)))
    costs[::7, 3:] = np.nan
    return X, costs


def test_predicted_and_observed_costs_have_one_mean(world):
    X, costs = world
    regressor = CostRegressor().fit(X, costs)
    means = np.nanmean(costs, axis=1)
    assert_allclose(regressor.predict(X).mean(), means.mean(), rtol=0.02)
    fresh = np.random.default_rng(1).normal(size=(20_000, 5))
    expected = np.exp(5 + 1 / 2 + 0.8**2 / 2)  # mean of a lognormal
    assert_allclose(regressor.predict(fresh).mean(), expected, rtol=0.05)


def test_predictions_stay_in_the_range_seen(world):
    X, costs = world
    predicted = CostRegressor().fit(X, costs).predict(100 * X)
    means = np.nanmean(costs, axis=1)
    assert predicted.min() >= means.min()
    assert predicted.max() <= means.max()


def test_one_cost_per_query_and_sparse_features(world):
    X, costs = world
    means = np.nanmean(costs, axis=1)
    table, single = (CostRegressor().fit(X, y).predict(X) for y in (costs, means))
    assert_array_equal(table, single)
    sparse = CostRegressor().fit(csr_array(X), costs).predict(csr_array(X))
    assert_allclose(sparse, table, rtol=1e-3)


def test_texts_cost_by_their_length():
    texts = ["a" * n for n in (5, 50, 500)] * 10
    costs = np.array([len(text) for text in texts], dtype=float)[:, None]
    short, _, long = CostRegressor().fit(texts, costs).predict(texts[:3])
    assert short < long


@pytest.mark.filterwarnings("error")
def test_one_query_is_predicted_without_a_warning():
    regressor = CostRegressor().fit([[1.0, 2.0]], [[3.0, 5.0]])
    assert_allclose(regressor.predict([[0.0, 0.0], [9.0, 1.0]]), 4.0)
