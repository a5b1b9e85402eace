"""Grid searches and cross-fitting with joblib's Ray backend: as in one process."""

import joblib
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict

from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor
from sklearn_adaalloc.datasets import make_reward_table

pytest.importorskip("ray", reason="needs Ray: `make test-distributed` has it")
pytestmark = pytest.mark.usefixtures("cluster")


def test_a_grid_search_and_cross_fitted_budgets():
    from ray.util.joblib import register_ray

    X, rewards = make_reward_table(300, 8, random_state=0, return_X_y=True)
    policy = AdaptiveAllocator(RewardRegressor(Ridge()))
    grid = {"regressor__regressor__alpha": [0.1, 10.0], "budget": [2, 4]}
    search = GridSearchCV(policy, grid, cv=2)

    def results(n_jobs):
        found = search.set_params(n_jobs=n_jobs).fit(X, rewards).cv_results_
        budgets = cross_val_predict(policy, X, rewards, cv=2, n_jobs=n_jobs)
        return found["mean_test_score"], budgets

    alone = results(n_jobs=None)
    register_ray()
    with joblib.parallel_backend("ray"):
        shared = results(n_jobs=2)
    for own, same in zip(alone, shared, strict=True):
        assert_array_equal(same, own)
