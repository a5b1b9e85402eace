import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import (
    ColumnTransformer,
    make_column_selector,
    make_column_transformer,
)
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    PricedAllocator,
    RewardRegressor,
    SequentialAllocator,
)
from sklearn_adaalloc.datasets import make_reward_table

TREES = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5)
TARGETS = [
    ("math", "success_rate"),
    ("math", "rate_distribution"),
    ("math", "marginal_rewards"),
    ("chat", "marginal_rewards"),
    ("routing", "preference"),
]


def table(n_queries=80, n_samples=4, profile="math"):
    return make_reward_table(
        n_queries, n_samples, profile=profile, random_state=0, return_X_y=True
    )


@pytest.mark.parametrize(("profile", "target"), TARGETS)
@pytest.mark.parametrize(
    "regressor",
    [
        Ridge(),
        TREES,
        KNeighborsRegressor(3),
        RandomForestRegressor(3, random_state=0),
        make_pipeline(StandardScaler(), Ridge()),
    ],
    ids=["ridge", "trees", "neighbours", "forest", "pipeline"],
)
def test_every_target_with_every_kind_of_regressor(regressor, profile, target):
    X, rewards = table(profile=profile)
    model = RewardRegressor(regressor, target).fit(X, rewards)
    n_steps = {"preference": 1}.get(target, 4)
    native = {"marginal_rewards": (80, 4)}.get(target, (80,))
    assert model.target_ == target
    assert model.predict(X).shape == native
    marginals = model.predict_marginals(X)
    assert marginals.shape == (80, n_steps)
    assert (np.diff(marginals, axis=1) <= 0).all()
    assert model.score(X, rewards) > 0


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("math", "marginal_rewards"),
        ("chat", "marginal_rewards"),
        ("routing", "preference"),
    ],
)
def test_auto(profile, expected):
    X, rewards = table(profile=profile)
    assert RewardRegressor(Ridge()).fit(X, rewards).target_ == expected


def test_least_squares_on_the_marginal_rewards():
    X, rewards = table(profile="chat")
    model = RewardRegressor(Ridge()).fit(X, rewards)
    # Best of 1 is the mean, best of all 4 the maximum: their fit is Ridge's own.
    mean, best = rewards.mean(axis=1), rewards.max(axis=1)
    curve = np.cumsum(model.predict(X), axis=1)
    assert_allclose(curve[:, 0], Ridge().fit(X, mean).predict(X))
    assert_allclose(curve[:, 3], Ridge().fit(X, best).predict(X))


def test_least_squares_on_the_success_rate():
    X, rewards = table()
    model = RewardRegressor(Ridge(), "success_rate").fit(X, rewards)
    expected = np.clip(Ridge().fit(X, rewards.mean(axis=1)).predict(X), 0, 1)
    assert_allclose(model.predict(X), expected)


class CountingRegressor(RegressorMixin, BaseEstimator):
    """Predicts the mean of one number and counts how often it is fitted."""

    shapes = ()

    def fit(self, X, y):
        type(self).shapes += (np.shape(y),)
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


@pytest.mark.parametrize(
    ("target", "n_fits"),
    [("success_rate", 1), ("marginal_rewards", 4), ("rate_distribution", 33)],
)
def test_a_regressor_of_one_number_is_fitted_once_per_step(monkeypatch, target, n_fits):
    monkeypatch.setattr(CountingRegressor, "shapes", ())
    X, rewards = table()
    RewardRegressor(CountingRegressor(), target).fit(X, rewards)
    assert CountingRegressor.shapes == ((80,),) * n_fits


def test_boosting_is_wrapped_once_per_step():
    X, rewards = table()
    wrapped = RewardRegressor(TREES, "marginal_rewards").fit(X, rewards).regressor_
    assert isinstance(wrapped, MultiOutputRegressor)
    assert len(wrapped.estimators_) == 4
    single = RewardRegressor(TREES, "success_rate").fit(X, rewards).regressor_
    assert isinstance(single, HistGradientBoostingRegressor)


def test_the_given_regressor_is_not_fitted():
    X, rewards = table()
    ridge = Ridge()
    model = RewardRegressor(ridge).fit(X, rewards)
    assert not hasattr(ridge, "coef_")
    assert model.regressor is ridge


@pytest.mark.parametrize(
    "regressor",
    [Ridge(), KNeighborsRegressor(3), DummyRegressor(), Ridge(alpha=1e-8)],
    ids=str,
)
def test_predicted_distributions_lie_on_the_simplex(regressor):
    X, rewards = table()
    model = RewardRegressor(regressor, "rate_distribution").fit(X, rewards)
    far = np.concatenate([X, 10 * X])  # least squares leaves the simplex out there
    weights = model.predict_rate_distribution(far)
    assert weights.shape == (len(far), len(model.rates_))
    assert_array_equal(model.rates_[[0, -1]], [0, 1])
    assert (weights >= 0).all()
    assert_allclose(weights.sum(axis=1), 1)
    assert_allclose(model.predict(far), weights @ model.rates_)


@pytest.mark.parametrize("target", ["success_rate", "marginal_rewards"])
def test_other_targets_have_no_rate_distribution(target):
    model = RewardRegressor(Ridge(), target).fit(*table())
    assert model.rates_ is None
    with pytest.raises(AttributeError, match="predict_rate_distribution"):
        model.predict_rate_distribution(np.zeros((1, 16)))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_features_go_where_the_regressor_takes_them(kind):
    X, rewards = table()
    X = np.where(np.abs(X) > 0.7, X, 0.0)
    ridge = Ridge(solver="sparse_cg", tol=1e-12)
    dense = RewardRegressor(ridge).fit(X, rewards)
    thin = RewardRegressor(ridge).fit(kind(X), rewards)
    assert_allclose(thin.predict(kind(X)), dense.predict(X), atol=1e-6)
    assert get_tags(RewardRegressor(Ridge())).input_tags.sparse
    assert not get_tags(RewardRegressor(TREES)).input_tags.sparse
    with pytest.raises(TypeError, match="Sparse data was passed"):
        RewardRegressor(TREES).fit(kind(X), rewards)


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_max_budget_shortens_the_vector(n_steps):
    X, rewards = table()
    model = RewardRegressor(Ridge(), max_budget=n_steps).fit(X, rewards)
    whole = RewardRegressor(Ridge()).fit(X, rewards)
    assert model.n_steps_ == n_steps
    assert_allclose(model.predict(X), whole.predict(X)[:, :n_steps])


def test_empty_reward_is_learnt_in_the_first_step():
    X, rewards = table(profile="chat")
    plain = RewardRegressor(Ridge()).fit(X, rewards).predict(X)
    other = RewardRegressor(Ridge(), empty_reward=-2.0).fit(X, rewards).predict(X)
    assert_allclose(other - plain, [[2.0, 0, 0, 0]] * 80, atol=1e-9)


@pytest.mark.parametrize("profile", ["math", "chat"])
def test_one_sample_as_a_vector_or_a_column(profile):
    X, rewards = table(n_samples=1, profile=profile)
    vector = RewardRegressor(Ridge()).fit(X, rewards[:, 0])
    column = RewardRegressor(Ridge()).fit(X, rewards)
    assert_array_equal(vector.predict(X), column.predict(X)[:, 0])
    assert_array_equal(vector.predict_marginals(X), column.predict_marginals(X))


def test_score_of_squared_error_is_the_share_of_variance():
    X, rewards = table(profile="chat")
    model = RewardRegressor(Ridge()).fit(X, rewards)
    mean = rewards.mean(axis=1)
    one_step = RewardRegressor(Ridge(), max_budget=1).fit(X, rewards)
    assert one_step.score(X, rewards) == pytest.approx(
        Ridge().fit(X, mean).score(X, mean)
    )
    assert 0 < model.score(X, rewards) < 1
    constant = RewardRegressor(DummyRegressor()).fit(X, rewards)
    assert constant.score(X, rewards) == pytest.approx(0)


@pytest.mark.parametrize("max_budget", [0, "4"])
def test_bad_max_budget(max_budget):
    with pytest.raises(ValueError, match=r"max_budget=.* is not accepted"):
        RewardRegressor(Ridge(), max_budget=max_budget).fit(*table())


def test_bad_target():
    with pytest.raises(ValueError, match=r"target='rank' is not accepted"):
        RewardRegressor(Ridge(), "rank").fit(*table())


@pytest.mark.parametrize("min_budget", [-1, 4, 0.5, None])
def test_min_budget_of_marginals_lies_within_the_steps(min_budget):
    regressor = RewardRegressor(Ridge()).fit([[0.0], [1.0]], [[1, 0, 1], [0, 0, 1]])
    with pytest.raises(ValueError, match=r"min_budget=.* is not accepted"):
        regressor.predict_marginals([[0.0]], min_budget=min_budget)


# Data frames


def mixed_frame(n_queries=120):
    """A number and a category, of which the category alone says anything."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "length": rng.normal(size=n_queries),
            "kind": pd.Categorical(rng.choice(["easy", "hard"], n_queries)),
        }
    )
    rates = np.where(frame["kind"] == "easy", 0.8, 0.2)
    return frame, (rng.random((n_queries, 4)) < rates[:, None]) * 1.0


BY_NAME = make_pipeline(
    ColumnTransformer([("kind", OneHotEncoder(), ["kind"])], remainder="passthrough"),
    Ridge(),
)
BY_TYPE = make_pipeline(
    make_column_transformer(
        (OneHotEncoder(), make_column_selector(dtype_exclude="number")),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    ),
    Ridge(),
)
BOOSTED = HistGradientBoostingRegressor(
    categorical_features="from_dtype", max_iter=20, min_samples_leaf=5
)
CHOOSING = {"by name": BY_NAME, "by type": BY_TYPE, "boosted": BOOSTED}


@pytest.mark.parametrize("target", ["marginal_rewards", "success_rate", "auto"])
@pytest.mark.parametrize("regressor", CHOOSING.values(), ids=CHOOSING)
def test_frames_reach_a_regressor_that_chooses_columns(regressor, target):
    X, rewards = mixed_frame()
    model = RewardRegressor(regressor, target).fit(X, rewards)
    marginals = model.predict_marginals(X)
    easy = X["kind"] == "easy"
    assert marginals[easy, 0].min() > 0.5 > marginals[~easy, 0].max()
    assert model.n_features_in_ == 2
    assert model.feature_names_in_.tolist() == ["length", "kind"]
    assert_array_equal(model.predict_marginals(X[:1]), marginals[:1])
    assert model.score(X, rewards) > 0.2


@pytest.mark.parametrize(
    "allocator",
    [
        AdaptiveAllocator,
        BinnedAllocator,
        PricedAllocator,
        SequentialAllocator,
        lambda model, **options: DummyAllocator(
            "shuffled", allocator=AdaptiveAllocator(model), **options
        ),
    ],
)
@pytest.mark.parametrize("regressor", CHOOSING.values(), ids=CHOOSING)
def test_frames_pass_through_every_allocator(regressor, allocator):
    X, rewards = mixed_frame()
    policy = allocator(RewardRegressor(regressor), budget=1, random_state=0)
    budgets = policy.fit(X, rewards).predict(X)
    assert 0 < budgets.mean() <= 1.2
    assert policy.score(X, rewards) > 0


def test_frames_made_inside_a_pipeline():
    X, rewards = mixed_frame()
    encode = make_column_transformer(
        (StandardScaler(), ["length"]),
        ("passthrough", ["kind"]),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    policy = make_pipeline(encode, AdaptiveAllocator(RewardRegressor(BY_NAME)))
    assert policy.fit(X, rewards).predict(X).sum() <= len(X)
    scores = cross_val_score(policy, X, rewards, cv=3)
    assert np.isfinite(scores).all()


def test_polars_frames():
    pl = pytest.importorskip("polars")
    X, rewards = mixed_frame()
    frame = pl.DataFrame(
        {"length": X["length"].to_numpy(), "kind": X["kind"].astype(str).tolist()}
    )
    # Nothing is passed through: scikit-learn stacks such polars columns from 1.8 on.
    columns = make_column_transformer(
        (OneHotEncoder(), ["kind"]), (StandardScaler(), ["length"])
    )
    by_name = make_pipeline(columns, Ridge())
    model = RewardRegressor(by_name).fit(frame, rewards)
    expected = RewardRegressor(by_name).fit(X, rewards).predict_marginals(X)
    assert_allclose(model.predict_marginals(frame), expected)
    for allocator in (AdaptiveAllocator, BinnedAllocator, PricedAllocator):
        policy = allocator(RewardRegressor(by_name), random_state=0)
        assert policy.fit(frame, rewards).predict(frame).mean() <= 1.2


def test_frames_of_numbers_equal_arrays():
    X, rewards = table()
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    by_frame = RewardRegressor(Ridge()).fit(frame, rewards)
    by_array = RewardRegressor(Ridge()).fit(X, rewards)
    assert_allclose(by_frame.predict(frame), by_array.predict(X))  # another layout


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda X: X[["kind", "length"]], "feature names should match"),
        (lambda X: X.rename(columns={"kind": "sort"}), "feature names should match"),
        (lambda X: X[["length"]], "feature names should match"),
        (lambda X: X[:0], "at least 1 queries"),
        (lambda X: X.assign(length=np.inf), "values from inf"),
        (lambda X: X.assign(length=-1e31), r"values from -1e\+31"),
    ],
)
def test_frames_that_are_refused(change, match):
    X, rewards = mixed_frame()
    model = RewardRegressor(BY_NAME).fit(X, rewards)
    with pytest.raises(ValueError, match=match):
        model.predict(change(X))
    if "names" not in match:
        with pytest.raises(ValueError, match="X"):
            RewardRegressor(BY_NAME).fit(change(X), rewards[: len(change(X))])


def test_what_a_regressor_refuses_stays_refused():
    X, rewards = mixed_frame()
    with pytest.raises(ValueError, match="convert string to float"):
        RewardRegressor(Ridge()).fit(X, rewards)
    with pytest.raises(ValueError, match="NaN"):
        RewardRegressor(BY_NAME).fit(X.assign(length=np.nan), rewards)
    with pytest.raises(ValueError, match="at least 2 queries"):
        RewardRegressor(BY_NAME).fit(X[:1], rewards[:1])
    with pytest.raises(ValueError, match="column"):
        RewardRegressor(Ridge()).fit(X[[]], rewards)
