"""What Displays ask of estimators, and how they draw it."""

import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc.metrics import BudgetCurveDisplay, budget_curve


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
TABLE = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
ROUTING = np.zeros((2, 2, 4))


def draw(estimator, rewards=TABLE, **options):
    return BudgetCurveDisplay.from_estimator(estimator, X, rewards, **options)


@pytest.mark.parametrize(
    ("estimator", "rewards", "options", "max_budget"),
    [
        (Allocator(), TABLE, {}, 2),
        (Regressor(), TABLE, {}, 3),
        (Regressor(), TABLE, {"max_budget": 2}, 2),
        (Regressor(), ROUTING, {}, 1),
    ],
)
def test_allocators_fix_max_budget_and_regressors_are_told(
    estimator, rewards, options, max_budget
):
    assert draw(estimator, rewards, **options).uniform.spend[-1] == max_budget


@pytest.mark.parametrize(
    "estimator", [Allocator(), FrozenEstimator(Allocator().fit(X))]
)
def test_the_end_of_a_pipeline_sees_what_came_before(estimator):
    turn = FunctionTransformer(lambda values: 1 / values)  # the order is another one
    alone, turned = make_pipeline(estimator).fit(X), make_pipeline(turn, estimator)
    curves = draw({"alone": alone, "turned": turned.fit(X)}).curves
    for name, values in (("alone", X), ("turned", 1 / X)):
        expected = budget_curve(TABLE, values * [1.0, 0.5])
        np.testing.assert_array_equal(curves[name], expected)
    assert not np.array_equal(curves["alone"], curves["turned"])


def test_policies_are_called_by_their_class():
    assert list(draw(Allocator()).curves) == ["Allocator"]
    pipeline = make_pipeline(FunctionTransformer(), Regressor())
    assert list(draw(pipeline).curves) == ["Regressor"]


def test_an_estimator_without_marginals_is_refused():
    with pytest.raises(
        ValueError, match=r"FunctionTransformer\(\) has no predict_marg"
    ):
        draw(FunctionTransformer())


def test_thinning_keeps_the_ends_and_the_order():
    rng = np.random.default_rng(0)
    marginals = np.sort(rng.random((400, 6)))[:, ::-1]
    rewards = rng.integers(0, 2, (400, 6))
    drawn = BudgetCurveDisplay.from_predictions(rewards, marginals)
    whole = np.column_stack(drawn.curves["policy"])
    line = drawn.lines_["policy"].get_xydata()
    assert len(whole) == 2401
    assert len(line) == 1000
    np.testing.assert_array_equal(line[[0, -1]], whole[[0, -1]])
    assert (np.diff(line[:, 0]) > 0).all()
    few = BudgetCurveDisplay.from_predictions(rewards[:5], marginals[:5])
    np.testing.assert_array_equal(
        few.lines_["policy"].get_xydata(), np.column_stack(few.curves["policy"])
    )


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(
        ImportError,
        match=r"matplotlib is needed.*pip install 'sklearn-adaalloc\[plot\]'",
    ) as caught:
        draw(Allocator())
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
