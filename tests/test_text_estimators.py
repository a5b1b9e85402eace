"""scikit-learn's common checks, written for estimators that take texts.

Its own checks leave such estimators out, so passing them says nothing.
"""

import inspect
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from sklearn_adaalloc import (
    AdaptiveAllocator,
    HiddenStateFeaturizer,
    LoRARewardRegressor,
    MLPRewardRegressor,
)

TEXTS = ["1+1=", "23*41=", "gcd 84 30=", "9-4=", "748*963=", "max 3 41 7=", "8*7="]
CHATS = [[{"role": "user", "content": text}] for text in TEXTS]
REWARDS = np.array([[1, 1], [0, 0], [0, 1], [1, 1], [0, 0], [1, 0], [1, 1]])

FEATURIZER = HiddenStateFeaturizer(device="cpu")
MLP = MLPRewardRegressor(max_epochs=2, random_state=0)
LORA = LoRARewardRegressor(max_epochs=1, random_state=0, device="cpu")
ESTIMATORS = {
    "featurizer": FEATURIZER,
    "lora": LORA,
    "featurizer and regressor": make_pipeline(FEATURIZER, MLP),
    "allocator over lora": AdaptiveAllocator(LORA, budget=1),
}
SINGLE = {name: ESTIMATORS[name] for name in ("featurizer", "lora")}
# An allocator's predict is joint over its batch; its marginals are not.
OUTPUT = {
    "featurizer": "transform",
    "lora": "predict",
    "featurizer and regressor": "predict",
    "allocator over lora": "predict_marginals",
}


@pytest.fixture(params=ESTIMATORS)
def name(request):
    return request.param


@pytest.fixture
def estimator(name):
    return clone(ESTIMATORS[name])


@pytest.fixture
def output(name):
    """What an estimator says about texts."""
    return lambda estimator, X: getattr(estimator, OUTPUT[name])(X)


@pytest.fixture(scope="module")
def fitted_estimators():
    return {
        name: clone(estimator).fit(TEXTS, REWARDS)
        for name, estimator in ESTIMATORS.items()
    }


@pytest.fixture
def fitted(name, fitted_estimators):
    return fitted_estimators[name]


class TestParameters:
    @pytest.mark.parametrize("estimator", SINGLE.values(), ids=SINGLE)
    def test_init_stores_the_parameters_and_nothing_else(self, estimator):
        signature = inspect.signature(type(estimator)).parameters
        markers = {name: object() for name in signature}
        made = type(estimator)(**markers)
        assert vars(made) == markers

    @pytest.mark.parametrize("estimator", SINGLE.values(), ids=SINGLE)
    def test_all_but_model_and_target_are_keyword_only(self, estimator):
        signature = inspect.signature(type(estimator)).parameters
        positional = {n for n, p in signature.items() if p.kind is not p.KEYWORD_ONLY}
        assert positional <= {"model", "target"}

    def test_clone_and_set_params(self, estimator):
        copy = clone(estimator)
        assert (
            copy.get_params(deep=True).keys() == estimator.get_params(deep=True).keys()
        )
        for name, value in estimator.get_params(deep=False).items():
            copy.set_params(**{name: value})
        assert repr(copy) == repr(estimator)

    def test_repr_names_the_class(self, estimator):
        assert type(estimator).__name__ in repr(estimator)


class TestFit:
    def test_it_returns_the_estimator(self, estimator):
        assert estimator.fit(TEXTS, REWARDS) is estimator

    def test_parameters_are_left_alone(self, estimator):
        before = repr(estimator.get_params())
        estimator.fit(TEXTS, REWARDS)
        assert repr(estimator.get_params()) == before

    def test_inputs_are_left_alone(self, estimator):
        texts, rewards = list(TEXTS), REWARDS.copy()
        estimator.fit(texts, rewards)
        assert texts == TEXTS
        np.testing.assert_array_equal(rewards, REWARDS)

    def test_a_second_fit_changes_nothing(self, fitted, output):
        again = clone(fitted).fit(TEXTS, REWARDS)
        expected = output(again, TEXTS)
        np.testing.assert_array_equal(
            output(again.fit(TEXTS, REWARDS), TEXTS), expected
        )
        np.testing.assert_array_equal(output(fitted, TEXTS), expected)

    def test_a_fit_on_other_texts_forgets_the_first(self, estimator, output):
        expected = output(clone(estimator).fit(TEXTS[::2], REWARDS[::2]), TEXTS)
        estimator.fit(TEXTS, REWARDS).fit(TEXTS[::2], REWARDS[::2])
        np.testing.assert_array_equal(output(estimator, TEXTS), expected)

    @pytest.mark.parametrize("estimator", SINGLE.values(), ids=SINGLE)
    def test_new_attributes_end_with_an_underscore_or_are_private(self, estimator):
        fitted = clone(estimator).fit(TEXTS, REWARDS)
        new = vars(fitted).keys() - fitted.get_params().keys()
        assert all(name.endswith("_") or name.startswith("_") for name in new)

    def test_before_it_nothing_can_be_asked(self, estimator, output):
        with pytest.raises(NotFittedError, match="not fitted"):
            output(estimator, TEXTS)


class TestOutput:
    def test_there_is_one_finite_row_per_text(self, fitted, output):
        rows = output(fitted, TEXTS)
        assert len(rows) == len(TEXTS)
        assert np.isfinite(rows).all()

    def test_it_is_the_same_each_time(self, fitted, output):
        np.testing.assert_array_equal(output(fitted, TEXTS), output(fitted, TEXTS))

    def test_the_estimator_is_left_alone(self, fitted, output):
        before = pickle.dumps(fitted)
        output(fitted, TEXTS)
        assert pickle.dumps(fitted) == before

    def test_rows_do_not_depend_on_their_subset(self, fitted, output):
        together = output(fitted, TEXTS)
        alone = np.concatenate([output(fitted, [text]) for text in TEXTS])
        np.testing.assert_allclose(alone, together, atol=1e-5)

    def test_rows_do_not_depend_on_their_order(self, fitted, output):
        order = np.random.default_rng(0).permutation(len(TEXTS))
        shuffled = output(fitted, [TEXTS[row] for row in order])
        np.testing.assert_allclose(shuffled, output(fitted, TEXTS)[order], atol=1e-5)

    def test_a_repeated_text_gets_the_same_row(self, fitted, output):
        rows = output(fitted, [TEXTS[1], *TEXTS, TEXTS[1]])
        np.testing.assert_allclose(rows[[0, -1]], rows[[2, 2]], atol=1e-6)

    def test_chats_are_taken_too(self, fitted, output):
        np.testing.assert_allclose(
            output(fitted, CHATS), output(fitted, TEXTS), atol=1e-6
        )


class TestContainers:
    @pytest.mark.parametrize(
        "container",
        [
            tuple,
            np.array,
            lambda texts: np.array(texts, dtype=object),
            lambda texts: pd.Series(texts, index=range(7, 0, -1)),
            lambda texts: pd.Series(texts, dtype="category"),
            pl.Series,
        ],
        ids=["tuple", "str array", "object array", "pandas", "categorical", "polars"],
    )
    def test_all_hold_the_same_texts(self, estimator, fitted, output, container):
        estimator.fit(container(TEXTS), REWARDS)
        rows = output(estimator, container(TEXTS))
        np.testing.assert_array_equal(rows, output(fitted, TEXTS))

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            ([], "X is empty: 0 queries|numbers of queries: 0 and 7"),
            (np.ones((7, 3)), r"X has shape \(7, 3\). Expected one text per query"),
            (pd.DataFrame({"query": TEXTS}), r"X has shape \(7, 1\)"),
            ([*TEXTS[:6], 3], "query 6 is 3, neither a text nor a chat"),
            ([*TEXTS[:6], None], "query 6 is None, neither"),
            ([1.5] * 7, r"query 0 is 1\.5, neither"),
        ],
        ids=["empty", "features", "table", "number", "none", "numbers"],
    )
    def test_what_holds_no_texts_is_refused(
        self, estimator, fitted, output, X, message
    ):
        with pytest.raises(ValueError, match=message):
            output(fitted, X)
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, REWARDS[: len(X)] if len(X) else REWARDS)

    @pytest.mark.parametrize("estimator", SINGLE.values(), ids=SINGLE)
    def test_tags_say_that_texts_are_taken(self, estimator):
        tags = get_tags(estimator).input_tags
        assert tags.string
        assert not tags.two_d_array


class TestPersistence:
    @pytest.mark.parametrize("restore", ["pickle", "joblib"])
    def test_restored_ones_say_the_same(self, fitted, output, restore, tmp_path):
        if_joblib = tmp_path / "estimator.joblib"
        joblib.dump(fitted, if_joblib)
        restored = {
            "pickle": lambda: pickle.loads(pickle.dumps(fitted)),
            "joblib": lambda: joblib.load(if_joblib),
        }[restore]()
        np.testing.assert_array_equal(output(restored, TEXTS), output(fitted, TEXTS))

    def test_pickles_are_small(self, fitted):
        assert len(pickle.dumps(fitted)) < 1_000_000

    @pytest.mark.parametrize("estimator", SINGLE.values(), ids=SINGLE)
    def test_unfitted_ones_are_tiny(self, estimator):
        assert len(pickle.dumps(estimator)) < 10_000


class TestTransformerOutput:
    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_tables_carry_the_names(self, fitted_estimators, library):
        featurizer = clone(FEATURIZER).fit(TEXTS).set_output(transform=library)
        table = featurizer.transform(TEXTS)
        assert type(table).__module__.startswith(library)
        assert list(table.columns) == list(featurizer.get_feature_names_out())
        np.testing.assert_array_equal(
            table.to_numpy(), fitted_estimators["featurizer"].transform(TEXTS)
        )

    def test_fit_transform_is_fit_then_transform(self, fitted_estimators):
        np.testing.assert_array_equal(
            clone(FEATURIZER).fit_transform(TEXTS),
            fitted_estimators["featurizer"].transform(TEXTS),
        )

    def test_names_are_distinct_and_one_per_column(self, fitted_estimators):
        featurizer = fitted_estimators["featurizer"]
        names = featurizer.get_feature_names_out()
        assert len(set(names)) == featurizer.n_features_out_ == 128
        assert featurizer.transform(TEXTS[:1]).shape == (1, 128)
