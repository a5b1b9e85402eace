"""Allocators inside scikit-learn's own machinery."""

import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_adaalloc
from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    MLPRewardRegressor,
    RewardRegressor,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    expected_reward_score,
    mean_budget_score,
    net_reward_score,
)

SCORING = {
    "reward": make_scorer(expected_reward_score),
    "spend": make_scorer(mean_budget_score),
}
BUDGETS = [0.5, 1, 2, 4]


class CountedRegressor(RewardRegressor):
    """A regressor on rewards that counts its fits."""

    n_fits = 0

    def fit(self, X, y):
        type(self).n_fits += 1
        return super().fit(X, y)


@pytest.fixture
def count_fits(monkeypatch):
    monkeypatch.setattr(CountedRegressor, "n_fits", 0)
    return lambda: CountedRegressor.n_fits


@pytest.fixture(scope="module")
def table():
    return make_reward_table(120, 8, random_state=0, return_X_y=True)


@pytest.fixture
def frozen(table, count_fits):
    """A frozen regressor, fitted once on scaled features."""
    X, rewards = table
    regressor = CountedRegressor(Ridge(), target="success_rate")
    return FrozenEstimator(regressor.fit(StandardScaler().fit_transform(X), rewards))


def policy(allocator):
    return Pipeline([("scale", StandardScaler()), ("allocator", allocator)])


# Grid search


def test_budgets_cost_no_refit_of_a_frozen_regressor(table, frozen, count_fits):
    search = GridSearchCV(
        policy(AdaptiveAllocator(frozen)),
        {"allocator__budget": BUDGETS},
        scoring=SCORING,
        refit="reward",
        cv=4,
    ).fit(*table)
    assert count_fits() == 1
    spend = search.cv_results_["mean_test_spend"]
    assert (spend <= BUDGETS).all()
    assert (np.diff(spend) > 0).all()
    # A larger budget buys all that a smaller one does, and more samples never hurt.
    assert (np.diff(search.cv_results_["mean_test_reward"]) > 0).all()
    assert search.best_params_ == {"allocator__budget": 4}
    assert search.predict(table[0]).mean() <= 4


def test_bins_cost_no_refit_of_a_frozen_regressor(table, frozen, count_fits):
    search = GridSearchCV(
        policy(BinnedAllocator(frozen)),
        {"allocator__budget": [1, 3], "allocator__n_bins": [1, 3, 6]},
        scoring=SCORING,
        refit="reward",
        cv=3,
    ).fit(*table)
    assert count_fits() == 1
    assert len(search.cv_results_["params"]) == 6
    fitted = search.best_estimator_["allocator"]
    assert fitted.bin_sizes_.sum() == 120
    assert fitted.realised_budget_ <= 3


def test_a_regressor_that_is_not_frozen_is_fitted_each_time(table, count_fits):
    allocator = AdaptiveAllocator(CountedRegressor(Ridge(), target="success_rate"))
    search = GridSearchCV(
        policy(allocator),
        {"allocator__budget": [1, 2]},
        scoring=SCORING,
        refit="reward",
        cv=3,
    )
    search.fit(*table)
    assert count_fits() == 2 * 3 + 1


def test_the_score_method_is_the_default_scoring(table, frozen):
    grid = {"allocator__budget": BUDGETS}
    own = GridSearchCV(policy(AdaptiveAllocator(frozen)), grid, cv=4).fit(*table)
    named = GridSearchCV(
        policy(AdaptiveAllocator(frozen)), grid, scoring=SCORING["reward"], cv=4
    ).fit(*table)
    assert_array_equal(
        own.cv_results_["mean_test_score"], named.cv_results_["mean_test_score"]
    )


def test_a_price_per_sample_finds_an_inner_budget(table, frozen):
    search = GridSearchCV(
        policy(AdaptiveAllocator(frozen)),
        {"allocator__budget": [0, 1, 2, 4, 8]},
        scoring=make_scorer(net_reward_score, price=0.1),
        cv=4,
    ).fit(*table)
    assert 0 < search.best_params_["allocator__budget"] < 8


def test_allocators_and_their_baselines_compete_in_one_search(table, frozen):
    allocators = [
        DummyAllocator(budget=2),
        AdaptiveAllocator(frozen, budget=2),
        DummyAllocator(
            "shuffled", 2, allocator=AdaptiveAllocator(frozen), random_state=0
        ),
    ]
    search = GridSearchCV(
        policy("passthrough"),
        {"allocator": allocators},
        scoring=SCORING,
        refit="reward",
        cv=4,
    ).fit(*table)
    uniform, adaptive, shuffled = search.cv_results_["mean_test_reward"]
    assert adaptive > uniform
    assert adaptive > shuffled
    assert_array_equal(search.cv_results_["mean_test_spend"], [2, 2, 2])


def test_parameters_of_the_regressor_are_searched_too(table):
    search = GridSearchCV(
        policy(AdaptiveAllocator(RewardRegressor(Ridge()), budget=2)),
        {"allocator__regressor__regressor__alpha": [1.0, 1e9]},
        cv=3,
    ).fit(*table)
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0
    fitted = search.best_estimator_["allocator"].regressor_.regressor_
    assert {
        "allocator__regressor__regressor__alpha": fitted.alpha
    } == search.best_params_


# Cross-validation of every kind of table


@pytest.mark.parametrize("profile", ["math", "code", "chat", "routing"])
def test_cross_validation(profile):
    X, rewards = make_reward_table(
        60, 5, profile=profile, random_state=0, return_X_y=True
    )
    allocator = AdaptiveAllocator(RewardRegressor(Ridge()), budget=0.5)
    results = cross_validate(policy(allocator), X, rewards, scoring=SCORING, cv=3)
    assert (results["test_spend"] <= 0.5).all()
    assert np.isfinite(results["test_reward"]).all()


def test_cross_validation_of_a_ragged_list(table):
    X, rewards = table
    ragged = [list(row[: 4 + i % 5]) for i, row in enumerate(rewards)]
    padded = rewards.copy()
    padded[np.arange(8) >= 4 + np.arange(120)[:, None] % 5] = np.nan
    allocator = AdaptiveAllocator(
        RewardRegressor(Ridge(), target="success_rate"), budget=1, max_budget=4
    )
    scores = cross_val_score(allocator, X, ragged, cv=3)
    assert_array_equal(scores, cross_val_score(allocator, X, padded, cv=3))


# Parameters, clones, containers


@pytest.mark.parametrize(
    "allocator",
    [
        AdaptiveAllocator(RewardRegressor(Ridge()), budget=3, min_budget=1),
        BinnedAllocator(MLPRewardRegressor(hidden_units=8), n_bins=4),
        DummyAllocator("random", 2, random_state=0),
    ],
    ids=lambda allocator: type(allocator).__name__,
)
def test_parameters_survive_a_clone(allocator):
    copy = clone(allocator)
    assert copy is not allocator
    assert str(copy.get_params()) == str(allocator.get_params())
    assert copy.set_params(budget=7).budget == 7
    assert allocator.budget != 7


def test_a_clone_keeps_the_frozen_regressor(frozen):
    original = policy(BinnedAllocator(frozen))
    assert clone(original)["allocator"].regressor is frozen


def test_fit_leaves_the_parameters_alone(table):
    allocator = AdaptiveAllocator(RewardRegressor(Ridge()), budget=2)
    before = dict(allocator.get_params())
    allocator.fit(*table).predict(table[0])
    after = allocator.get_params()
    assert all(after[name] is value for name, value in before.items())


def test_pandas_in_a_pipeline(table):
    X, rewards = table
    frame = pd.DataFrame(X).add_prefix("feature ")
    model = policy(AdaptiveAllocator(RewardRegressor(Ridge()), budget=2))
    expected = clone(model).fit(X, rewards).predict(X)
    model.fit(frame, pd.DataFrame(rewards))
    assert_array_equal(model.predict(frame), expected)
    assert_array_equal(model.feature_names_in_, frame.columns)


def test_a_pipeline_serves_at_another_budget(table):
    X, rewards = table
    model = policy(BinnedAllocator(RewardRegressor(Ridge()), random_state=0))
    model.fit(X, rewards)
    low = model.predict(X)
    high = model.set_params(allocator__budget=4).predict(X)
    assert low.sum() < high.sum()


# Persistence


@pytest.mark.slow
@pytest.mark.parametrize(
    "allocator",
    [
        AdaptiveAllocator(
            MLPRewardRegressor(max_epochs=5, random_state=0), budget=2, min_budget=1
        ),
        BinnedAllocator(RewardRegressor(Ridge()), budget=2, n_bins=4, random_state=0),
        DummyAllocator("random", 1.5, random_state=0),
    ],
    ids=lambda allocator: type(allocator).__name__,
)
def test_a_fresh_process_predicts_the_same(table, tmp_path, allocator):
    X, rewards = table
    model = make_pipeline(StandardScaler(), allocator).fit(X, rewards)
    joblib.dump((model, X), tmp_path / "policy.joblib")
    script = (
        "import joblib, numpy\n"
        "model, X = joblib.load('policy.joblib')\n"
        "numpy.save('budgets.npy', model.predict(X))\n"
        "model[-1].set_params(budget=3)\n"
        "numpy.save('more.npy', model.predict(X))\n"
    )
    package = Path(sklearn_adaalloc.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package)},
        check=True,
    )
    assert_array_equal(np.load(tmp_path / "budgets.npy"), model.predict(X))
    model[-1].set_params(budget=3)
    assert_array_equal(np.load(tmp_path / "more.npy"), model.predict(X))
