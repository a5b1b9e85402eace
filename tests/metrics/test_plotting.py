import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc.metrics._estimators import policy_name, predict_marginals
from sklearn_adaalloc.metrics._plotting import new_axes, thin


class Allocator(BaseEstimator):
    """Knows its max_budget, like the allocators."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def predict_marginals(self, X):
        return np.asarray(X) * [1.0, 0.5]


class Regressor(Allocator):
    """Is told max_budget, like the reward regressors."""

    def predict_marginals(self, X, max_budget=None):
        return np.tile(X, max_budget)


X = np.array([[1.0], [2.0]])
TABLE = np.zeros((2, 3))


def test_allocators_fix_max_budget_and_regressors_are_told():
    assert predict_marginals(Allocator(), X, TABLE).shape == (2, 2)
    assert predict_marginals(Regressor(), X, TABLE).shape == (2, 3)
    assert predict_marginals(Regressor(), X, TABLE, max_budget=5).shape == (2, 5)
    assert predict_marginals(Regressor(), X, np.zeros((2, 2, 4))).shape == (2, 1)


@pytest.mark.parametrize(
    "estimator", [Allocator(), FrozenEstimator(Allocator().fit(X))]
)
def test_the_end_of_a_pipeline_sees_what_came_before(estimator):
    double = FunctionTransformer(lambda values: 2 * values)
    pipeline = make_pipeline(double, estimator).fit(X)
    expected = Allocator().predict_marginals(2 * X)
    np.testing.assert_array_equal(predict_marginals(pipeline, X, TABLE), expected)
    alone = make_pipeline(estimator).fit(X)
    np.testing.assert_array_equal(2 * predict_marginals(alone, X, TABLE), expected)


def test_policies_are_called_by_their_class():
    assert policy_name(Allocator()) == "Allocator"
    assert policy_name(make_pipeline(FunctionTransformer(), Regressor())) == "Regressor"


def test_an_estimator_without_marginals_is_refused():
    with pytest.raises(
        ValueError, match=r"FunctionTransformer\(\) has no predict_marg"
    ):
        predict_marginals(FunctionTransformer(), X, TABLE)


def test_thinning_keeps_the_ends():
    np.testing.assert_array_equal(thin(5), np.arange(5))
    indices = thin(123_457)
    assert len(indices) == 1000
    assert (indices[0], indices[-1]) == (0, 123_456)
    assert (np.diff(indices) > 0).all()


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"sklearn-adaalloc\[plot\]"):
        new_axes(None)
