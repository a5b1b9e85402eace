"""Pipelines, searches and frozen estimators around what decides."""

import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_adaalloc._utils.estimators import unwrap

X, Y = [[0.0], [1.0], [3.0], [4.0]], [0.0, 1.0, 2.0, 4.0]
GRID = {"alpha": [1.0]}


def pipeline(last):
    return make_pipeline(StandardScaler(), last)


SEARCH = GridSearchCV(Ridge(), GRID, cv=2)
WRAPPED = {
    "nothing": (Ridge(), 0),
    "pipeline": (pipeline(Ridge()), 1),
    "only step": (make_pipeline(Ridge()), 0),
    "passthrough": (make_pipeline("passthrough", StandardScaler(), Ridge()), 1),
    "none": (Pipeline([("off", None), ("ridge", Ridge())]), 1),
    "nested pipelines": (pipeline(pipeline(Ridge())), 2),
    "search": (SEARCH, 0),
    "random search": (RandomizedSearchCV(Ridge(), GRID, n_iter=1, cv=2), 0),
    "search in a pipeline": (pipeline(SEARCH), 1),
    "pipeline in a search": (GridSearchCV(pipeline(Ridge()), {}, cv=2), 1),
    "frozen": (FrozenEstimator(Ridge().fit(X, Y)), 0),
    "frozen pipeline": (FrozenEstimator(pipeline(Ridge()).fit(X, Y)), 1),
    "all": (pipeline(GridSearchCV(pipeline(Ridge()), {}, cv=2)), 2),
}


@pytest.mark.parametrize(("policy", "n_before"), WRAPPED.values(), ids=WRAPPED)
def test_what_is_inside_predicts_as_the_whole(policy, n_before):
    policy = policy.fit(X, Y)
    before, inside = unwrap(policy)
    assert len(before) == n_before
    assert isinstance(inside, Ridge)
    transformed = X
    for steps in before:
        transformed = steps.transform(transformed)
    assert inside.predict(transformed).tolist() == policy.predict(X).tolist()


def test_a_search_that_is_not_fitted():
    with pytest.raises(NotFittedError, match="GridSearchCV"):
        unwrap(pipeline(GridSearchCV(Ridge(), GRID)))


def test_a_search_without_a_best_estimator():
    search = GridSearchCV(Ridge(), GRID, cv=2, refit=False).fit(X, Y)
    with pytest.raises(ValueError, match=r"no best_estimator_.*refit=True"):
        unwrap(search)
