"""Policies and pickles of the package as it was before commits were kept."""

import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from policies import data_file
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer, RewardRegressor
from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.persistence import load_policy, save_policy

EARLIER = Path(__file__).parent / "data"
TEXTS = ["1+1=", "23*41=", "gcd 84 30=", "9-4=", "748*963=", "max 3 41 7=", "8*7="]


@pytest.fixture(autouse=True)
def any_version():
    """Files of a certain version of scikit-learn are read with any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        warnings.filterwarnings("ignore", "path=.* was saved with sklearn-adaalloc")
        yield


@pytest.fixture(scope="module")
def expected():
    with np.load(EARLIER / "expected.npz") as arrays:
        return dict(arrays)


def unpickled():
    return pickle.loads((EARLIER / "featurizer.pickle").read_bytes())


def test_a_policy_with_a_featurizer(expected):
    policy = load_policy(EARLIER / "featurizer")
    assert_array_equal(policy.predict(TEXTS), expected["budgets"])


@pytest.mark.parametrize("name", ["BinnedAllocator", "PricedAllocator"])
def test_a_rule_for_single_queries(expected, name):
    policy = load_policy(EARLIER / name)
    X = np.linspace(0, 1, 60)[:, None]
    assert_array_equal(policy.predict(X), expected[name])
    # Ties had no coins then: another budget is spent all the same, as nearly as queries
    # can be told apart.
    policy.set_params(budget=1.7)
    assert policy.predict(X).mean() == pytest.approx(1.7, abs=0.3)
    assert policy.drift_report(X).promised_budget == pytest.approx(1.7, abs=0.1)


def test_a_lora_regressor(expected):
    regressor = load_policy(EARLIER / "lora")
    assert_allclose(regressor.predict(TEXTS), expected["lora"], atol=1e-5)


def test_a_layer_chosen_by_an_earlier_rule_stays(tmp_path):
    """Of six layers, "auto" was the fifth, and now is the fourth."""
    model = embedded_model_path("strong")
    featurizer = HiddenStateFeaturizer(model, device="cpu").fit(TEXTS)
    assert featurizer.layers_ == (4,)
    featurizer.layers_ = (5,)  # as fitted then
    fixed = HiddenStateFeaturizer(model, layer=5, device="cpu")
    features = fixed.fit_transform(TEXTS)
    rewards = np.eye(7)[:, :4]
    policy = make_pipeline(
        featurizer,
        AdaptiveAllocator(RewardRegressor(Ridge()), budget=1).fit(features, rewards),
    )
    save_policy(policy, tmp_path / "policy")
    for loaded in (
        load_policy(tmp_path / "policy"),
        pickle.loads(pickle.dumps(policy)),
    ):
        assert loaded[0].layers_ == (5,)
        assert_allclose(loaded[0].transform(TEXTS), features, rtol=0, atol=1e-5)


def test_saved_again_it_has_todays_fingerprint(expected, tmp_path):
    save_policy(load_policy(EARLIER / "lora"), tmp_path / "again")
    (before, after) = (
        json.loads((folder / "manifest.json").read_text())["language_models"][0]
        for folder in (EARLIER / "lora", tmp_path / "again")
    )
    assert before["fingerprint"] != after["fingerprint"]
    assert after["commit"] is None
    restored = load_policy(tmp_path / "again")
    assert_allclose(restored.predict(TEXTS), expected["lora"], atol=1e-5)


def test_a_moved_model(expected, tmp_path):
    moved = shutil.copytree(embedded_model_path("weak"), tmp_path / "moved")
    policy = load_policy(EARLIER / "featurizer", models={"embedded": moved})
    assert_array_equal(policy.predict(TEXTS), expected["budgets"])


@pytest.mark.parametrize("name", ["featurizer", "lora"])
def test_another_model(name):
    strong = embedded_model_path("strong")
    with pytest.raises(ValueError, match=r"is not the model used in fit.*fit again"):
        load_policy(EARLIER / name, models={"embedded": strong})


def test_a_pickled_featurizer(expected):
    features = unpickled().transform(TEXTS)
    assert_allclose(features[:, :8], expected["features"], rtol=0, atol=1e-5)


def test_a_pickled_featurizer_with_a_cache(expected, tmp_path):
    first, again = (unpickled().set_params(cache=str(tmp_path)) for _ in range(2))
    assert_array_equal(first.transform(TEXTS), again.transform(TEXTS))
    assert first.settings["model"] != unpickled().fingerprint_


def test_a_pickled_featurizer_with_another_model():
    featurizer = unpickled().set_params(model=embedded_model_path("strong"))
    with pytest.raises(ValueError, match=r"is not the model used in fit.*fit again"):
        featurizer.transform(TEXTS)


def test_the_files_are_those_of_an_earlier_version():
    assert not hasattr(unpickled(), "commit_")
    assert data_file(EARLIER / "lora", "tensors.safetensors").exists()
    for name in ("featurizer", "lora"):
        manifest = json.loads((EARLIER / name / "manifest.json").read_text())
        assert "commit" not in manifest["language_models"][0]
