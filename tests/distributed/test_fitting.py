"""Grid searches with joblib's Ray backend: scores of one process."""

import joblib
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor
from sklearn_adaalloc.datasets import make_reward_table

pytest.importorskip("ray", reason="needs Ray: `make test-distributed` has it")
pytestmark = pytest.mark.usefixtures("cluster")


def test_a_grid_search_on_the_cluster():
    from ray.util.joblib import register_ray

    X, rewards = make_reward_table(300, 8, random_state=0, return_X_y=True)
    grid = {"regressor__regressor__alpha": [0.1, 10.0], "budget": [2, 4]}
    search = GridSearchCV(AdaptiveAllocator(RewardRegressor(Ridge())), grid, cv=2)
    alone = search.fit(X, rewards).cv_results_["mean_test_score"]
    register_ray()
    with joblib.parallel_backend("ray"):
        shared = search.set_params(n_jobs=2).fit(X, rewards)
    assert_array_equal(shared.cv_results_["mean_test_score"], alone)
