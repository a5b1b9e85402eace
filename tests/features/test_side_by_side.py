"""Features of several models side by side, for a policy over several decoders."""

import json

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline

from sklearn_adaalloc import (
    AdaptiveAllocator,
    HiddenStateFeaturizer,
    MLPRewardRegressor,
    RewardTable,
    SequentialAllocator,
    load_policy,
    save_policy,
)
from sklearn_adaalloc.decoding import Cascade
from sklearn_adaalloc.sampling import TransformersSampler

RANDOM = np.random.default_rng(0)
TEXTS = ["".join(RANDOM.choice(list("defgh"), 5)) + "abc"[i % 3] for i in range(60)]
RATES = {"a": (0.9, 0.95), "b": (0.1, 0.9), "c": (0.05, 0.05)}
SOLVING = np.array([RATES[text[-1]] for text in TEXTS])
TABLE = RewardTable(
    (RANDOM.random((60, 2, 6)) < SOLVING[:, :, None]) * 1.0,
    costs=[1.0, 5.0],
    decoders=["weak", "strong"],
)


@pytest.fixture(scope="module")
def models(tiny_models):
    return {"weak": tiny_models["llama"], "strong": tiny_models["qwen2"]}


@pytest.fixture(scope="module")
def unfitted(models):
    features = [
        (name, HiddenStateFeaturizer(model, device="cpu"))
        for name, model in models.items()
    ]
    regressor = MLPRewardRegressor(n_members=1, max_epochs=8, random_state=0)
    allocator = AdaptiveAllocator(regressor, unit="cost", budget=2.0)
    return Pipeline([("features", FeatureUnion(features)), ("allocator", allocator)])


@pytest.fixture(scope="module")
def policy(unfitted):
    return clone(unfitted).fit(TEXTS, TABLE)


def test_rows_are_the_features_of_one_model_after_the_other(policy, models):
    X = policy[0].transform(TEXTS)
    alone = [
        HiddenStateFeaturizer(model, device="cpu").fit_transform(TEXTS)
        for model in models.values()
    ]
    assert_allclose(X, np.hstack(alone), atol=1e-6)
    assert policy[-1].n_features_in_ == X.shape[1]
    assert policy[-1].regressor_.target_ == "rate_profiles"


def test_it_decides_for_each_decoder(policy):
    budgets = policy.predict(TEXTS)
    assert budgets.shape == (60, 2)
    assert (budgets @ [1, 5]).mean() <= 2.0
    assert_array_equal(policy.predict(np.array(TEXTS, dtype=object)), budgets)
    assert 0 < policy.score(TEXTS, TABLE) < 1


def test_clones_fit_the_same(policy, unfitted):
    again = clone(unfitted).fit(TEXTS, TABLE)
    assert_array_equal(again.predict(TEXTS), policy.predict(TEXTS))


def test_searches_choose_among_models_and_budgets(unfitted):
    grid = {
        "features__strong": ["drop", unfitted["features"].transformer_list[1][1]],
        "allocator__budget": [0.5, 2.0],
    }
    search = GridSearchCV(unfitted, grid, cv=2).fit(TEXTS, TABLE)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_params_["allocator__budget"] == 2.0
    assert search.predict(TEXTS).shape == (60, 2)


def test_pickles_hold_no_model(policy, tmp_path):
    joblib.dump(policy, tmp_path / "pickle")
    assert (tmp_path / "pickle").stat().st_size < 600_000
    loaded = joblib.load(tmp_path / "pickle")
    assert_array_equal(loaded.predict(TEXTS), policy.predict(TEXTS))


def test_policy_files_name_both_models_and_check_them(
    policy, models, make_tiny_model, tmp_path
):
    save_policy(policy, tmp_path / "policy")
    manifest = json.loads((tmp_path / "policy" / "manifest.json").read_text())
    described = manifest["language_models"]
    fitted = dict(policy[0].transformer_list)
    assert [each["fingerprint"] for each in described] == [
        fitted[name].fingerprint_ for name in models
    ]
    assert len({each["fingerprint"] for each in described}) == 2
    loaded = load_policy(tmp_path / "policy")
    assert_array_equal(loaded.predict(TEXTS), policy.predict(TEXTS))
    other = make_tiny_model("qwen2", tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match=r"(?s)other.* is not the model"):
        load_policy(tmp_path / "policy", models={models["strong"]: other})


def test_cascades_carry_it_out(policy, models):
    samplers = {
        name: TransformersSampler(model, max_new_tokens=2, device="cpu")
        for name, model in models.items()
    }
    rounds = SequentialAllocator(
        policy[-1].regressor, unit="cost", budget=3.0, random_state=0
    )
    informed = Pipeline([policy.steps[0], ("allocator", rounds)]).fit(TEXTS, TABLE)
    cascade = Cascade(
        informed,
        samplers,
        lambda queries, answers: [np.zeros(len(row)) for row in answers],
        prices={"weak": 1.0, "strong": 5.0},
    )
    with pytest.warns(UserWarning, match="were cut off at the token limit"):
        decoded = cascade.decode(TEXTS[:6])
    assert decoded.budgets.any()
    assert decoded.costs.sum() <= 3.0 * 6
