"""What comes back from a folder, here and in a fresh process, and its manifest."""

import json
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from policies import BOOSTING, MLP, RIDGE, data_file, run
from safetensors.numpy import load_file
from sklearn.base import clone
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import sklearn_adaalloc
from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    HiddenStateFeaturizer,
    LoRARewardRegressor,
    MLPRewardRegressor,
    PricedAllocator,
    RewardTable,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.persistence import load_policy, save_policy

LORA = LoRARewardRegressor(max_epochs=1, random_state=0, device="cpu")
FEATURIZER = HiddenStateFeaturizer(device="cpu")

REGRESSORS = {
    "ridge": RIDGE,
    "boosting": BOOSTING,
    "mlp rate distribution": clone(MLP).set_params(target="rate_distribution"),
    "mlp success rate": clone(MLP).set_params(target="success_rate"),
    "mlp marginal rewards": clone(MLP).set_params(target="marginal_rewards"),
}
ALLOCATORS = {
    "adaptive": lambda regressor: AdaptiveAllocator(regressor, budget=2, min_budget=1),
    "binned": lambda regressor: BinnedAllocator(
        regressor, budget=2, n_bins=3, random_state=0
    ),
    "priced": lambda regressor: PricedAllocator(regressor, budget=2, random_state=0),
    "sequential": lambda regressor: SequentialAllocator(
        regressor, budget=2, n_rounds=2
    ),
    "stream": lambda regressor: StreamAllocator(regressor, budget=2, random_state=0),
    "shuffled": lambda regressor: DummyAllocator(
        "shuffled", 2, allocator=AdaptiveAllocator(regressor), random_state=0
    ),
}
TEXTS = ["1+1=", "23*41=", "gcd 84 30=", "9-4=", "748*963=", "max 3 41 7=", "8*7="]
TEXT_REWARDS = np.array([[1, 1], [0, 0], [0, 1], [1, 1], [0, 0], [1, 0], [1, 1]])


def predictions(policy, X):
    """Budgets at the budget of fit, and marginals."""
    return policy.predict(X), policy.predict_marginals(X)


class TestRoundTrip:
    @pytest.mark.parametrize(
        "kind",
        [AdaptiveAllocator, BinnedAllocator, PricedAllocator, StreamAllocator],
    )
    def test_budgets_in_cost_and_votes(self, kind, tmp_path):
        X, rewards = make_reward_table(200, 6, random_state=0, return_X_y=True)
        costs = np.exp(3 + X[:, [0]]) * np.ones(6)
        answers = rewards.astype(int)
        table = RewardTable(rewards, costs=costs, answers=answers)
        options = {"unit": "cost", "selection": "vote", "budget": 60}
        policy = kind(RIDGE, **options).fit(X, table)
        save_policy(policy, tmp_path / "policy")
        again = load_policy(tmp_path / "policy")
        assert_array_equal(again.predict(X), policy.predict(X))
        again.set_params(budget=30)
        policy.set_params(budget=30)
        assert_array_equal(again.predict(X), policy.predict(X))

    @pytest.mark.parametrize("regressor", REGRESSORS)
    @pytest.mark.parametrize("allocator", ALLOCATORS)
    def test_every_allocator_over_every_regressor(
        self, table, tmp_path, allocator, regressor
    ):
        policy = ALLOCATORS[allocator](REGRESSORS[regressor]).fit(*table)
        expected = predictions(policy, table[0])
        save_policy(policy, tmp_path)
        for found, wanted in zip(
            predictions(load_policy(tmp_path), table[0]), expected, strict=True
        ):
            assert_array_equal(found, wanted)

    @pytest.mark.parametrize("regressor", [RIDGE, BOOSTING, MLP], ids=str)
    def test_routing(self, tmp_path, regressor):
        X, rewards = make_reward_table(
            40, 4, profile="routing", random_state=0, return_X_y=True
        )
        policy = AdaptiveAllocator(regressor, budget=0.3).fit(X, rewards)
        save_policy(policy, tmp_path)
        restored = load_policy(tmp_path)
        assert restored.regressor_.target_ == "preference"
        assert_array_equal(restored.predict_marginals(X), policy.predict_marginals(X))

    @pytest.mark.parametrize("strategy", ["uniform", "random"])
    def test_baselines(self, table, tmp_path, strategy):
        policy = DummyAllocator(strategy, 1.5, random_state=0).fit(*table)
        save_policy(policy, tmp_path)
        assert_array_equal(
            load_policy(tmp_path).predict(table[0]), policy.predict(table[0])
        )

    @pytest.mark.parametrize("regressor", REGRESSORS.values(), ids=REGRESSORS)
    def test_a_regressor_alone(self, table, tmp_path, regressor):
        policy = clone(regressor).fit(*table)
        save_policy(policy, tmp_path)
        restored = load_policy(tmp_path)
        assert type(restored) is type(policy)
        assert_array_equal(restored.predict(table[0]), policy.predict(table[0]))

    def test_inside_scikit_learn(self, table, tmp_path):
        pipeline = make_pipeline(
            FunctionTransformer(np.tanh),
            StandardScaler(),
            SelectKBest(f_regression, k="all"),
            AdaptiveAllocator(RIDGE, random_state=np.random.RandomState(0)),
        )
        # SelectKBest takes one number per query.
        X, rewards = table[0], table[1][:, 0]
        search = GridSearchCV(pipeline, {"adaptiveallocator__budget": [0.5, 1]}, cv=2)
        policy = search.fit(X, rewards).best_estimator_
        save_policy(policy, tmp_path)
        assert_array_equal(load_policy(tmp_path).predict(X), policy.predict(X))

    def test_a_frozen_regressor_stays_one_object(self, table, tmp_path):
        frozen = FrozenEstimator(clone(MLP).fit(*table))
        policy = BinnedAllocator(frozen, budget=2, n_bins=3).fit(*table)
        save_policy(policy, tmp_path)
        restored = load_policy(tmp_path)
        assert restored.regressor is restored.regressor_
        assert_array_equal(restored.predict(table[0]), policy.predict(table[0]))
        assert_array_equal(
            restored.set_params(budget=3).predict(table[0]),
            clone(policy).set_params(budget=3).fit(*table).predict(table[0]),
        )

    def test_parameters_and_feature_names(self, table, tmp_path):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(table[0]).add_prefix("feature ")
        policy = AdaptiveAllocator(RIDGE, budget=np.float64(1.5)).fit(frame, table[1])
        save_policy(policy, tmp_path)
        restored = load_policy(tmp_path)
        assert str(restored.get_params()) == str(policy.get_params())
        assert_array_equal(restored.feature_names_in_, frame.columns)

    def test_it_can_be_fitted_saved_and_pickled_again(self, policy, table, tmp_path):
        save_policy(policy, tmp_path)
        restored = load_policy(tmp_path)
        save_policy(restored, tmp_path / "again")
        joblib.dump(restored, tmp_path / "policy.joblib")
        for copy in (
            load_policy(tmp_path / "again"),
            joblib.load(tmp_path / "policy.joblib"),
            clone(restored).fit(*table),
        ):
            assert_array_equal(copy.predict(table[0]), policy.predict(table[0]))

    def test_saving_leaves_the_policy_alone(self, table, tmp_path):
        policy = clone(AdaptiveAllocator(MLP)).fit(*table)
        weights = policy.regressor_.weights_
        before = joblib.hash(policy)
        save_policy(policy, tmp_path)
        assert joblib.hash(policy) == before
        assert policy.regressor_.weights_ is weights


@pytest.fixture(scope="module")
def text_policies():
    """Fitted policies from text, all on the embedded language model."""
    policies = {
        "featurizer": make_pipeline(FEATURIZER, AdaptiveAllocator(RIDGE, budget=1)),
        "featurizer and mlp": make_pipeline(
            FEATURIZER, SequentialAllocator(MLPRewardRegressor(max_epochs=2), budget=1)
        ),
        "lora": BinnedAllocator(LORA, n_bins=2, random_state=0),
    }
    return {name: p.fit(TEXTS, TEXT_REWARDS) for name, p in policies.items()}


class TestText:
    @pytest.mark.parametrize("name", ["featurizer", "featurizer and mlp", "lora"])
    def test_round_trip_in_less_than_a_megabyte(self, text_policies, tmp_path, name):
        policy = text_policies[name]
        save_policy(policy, tmp_path)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1_000_000
        assert_array_equal(load_policy(tmp_path).predict(TEXTS), policy.predict(TEXTS))

    @pytest.mark.parametrize("target", ["rate_distribution", "marginal_rewards"])
    def test_adapters_and_head_of_each_target(self, tmp_path, target):
        policy = clone(LORA).set_params(target=target).fit(TEXTS, TEXT_REWARDS)
        save_policy(policy, tmp_path)
        arrays = load_file(data_file(tmp_path, "tensors.safetensors"))
        assert len(arrays) == len(policy.adapter_) + 2
        assert_array_equal(load_policy(tmp_path).predict(TEXTS), policy.predict(TEXTS))

    def test_the_manifest_names_the_language_model(self, text_policies, tmp_path):
        save_policy(text_policies["featurizer"], tmp_path)
        (model,) = json.loads((tmp_path / "manifest.json").read_text())[
            "language_models"
        ]
        featurizer = text_policies["featurizer"][0]
        assert model.pop("fingerprint") == featurizer.fingerprint_
        assert model == {
            "estimator": "HiddenStateFeaturizer",
            "model": "embedded",
            "revision": None,
            "commit": None,
            "layers": [3],
            "pooling": "last",
            "max_length": None,
            "chat_template": False,
            "dtype": "float32",
        }

    @pytest.mark.parametrize(
        ("policy", "parameter"),
        [
            (make_pipeline(FEATURIZER, RIDGE), "hiddenstatefeaturizer__model"),
            (LORA, "model"),
        ],
        ids=["featurizer", "lora"],
    )
    def test_another_language_model_is_refused(
        self, tmp_path, make_tiny_model, policy, parameter
    ):
        folder = make_tiny_model("llama", tmp_path / "lm")
        policy = clone(policy).set_params(**{parameter: folder})
        save_policy(policy.fit(TEXTS, TEXT_REWARDS), tmp_path / "policy")
        make_tiny_model("llama", tmp_path / "lm", seed=1)
        with pytest.raises(ValueError, match="is not the model used in fit: its fing"):
            load_policy(tmp_path / "policy")
        with pytest.raises(ValueError, match="is not the model used in fit: its fing"):
            save_policy(policy, tmp_path / "policy")

    def test_a_language_model_that_moved(self, tmp_path, make_tiny_model):
        make_tiny_model("llama", tmp_path / "here")
        policy = make_pipeline(
            HiddenStateFeaturizer(tmp_path / "here", cache=tmp_path / "cache"), RIDGE
        ).fit(TEXTS, TEXT_REWARDS)
        expected = policy.predict(TEXTS)
        save_policy(policy, tmp_path / "policy")
        here, there = str(tmp_path / "here"), str(tmp_path / "there")
        Path(here).rename(there)
        with pytest.raises(ValueError, match="could not be loaded"):
            load_policy(tmp_path / "policy")
        for models in ({"elsewhere": there}, there, [here]):
            with pytest.raises(ValueError, match=r"models=.* Expected a dict from na"):
                load_policy(tmp_path / "policy", models=models)
        restored = load_policy(tmp_path / "policy", models={Path(here): Path(there)})
        assert_array_equal(restored.predict(TEXTS), expected)
        assert restored[0].get_params()["model"] == there
        assert restored[0].get_params()["cache"] is None


@pytest.mark.slow
def test_a_fresh_process_predicts_the_same(table, text_policies, tmp_path):
    X, rewards = table
    policies = {
        f"{allocator} {regressor}": ALLOCATORS[allocator](REGRESSORS[regressor])
        for allocator in ALLOCATORS
        for regressor in REGRESSORS
    }
    expected = {}
    for name, policy in policies.items():
        save_policy(policy.fit(X, rewards), tmp_path / name)
        expected[name] = policy.predict(X)
    for name, policy in text_policies.items():
        save_policy(policy, tmp_path / name)
        expected[name] = policy.predict(TEXTS)
    names = [list(policies), list(text_policies)]
    joblib.dump((names, [X, TEXTS]), tmp_path / "queries.joblib")
    script = (
        "import joblib\n"
        "from sklearn_adaalloc.persistence import load_policy\n"
        "groups, inputs = joblib.load('queries.joblib')\n"
        "found = {name: load_policy(name).predict(X)\n"
        "         for names, X in zip(groups, inputs) for name in names}\n"
        "joblib.dump(found, 'found.joblib')\n"
    )
    run(script, tmp_path)
    found = joblib.load(tmp_path / "found.joblib")
    assert found.keys() == expected.keys()
    for name, budgets in expected.items():
        assert_array_equal(found[name], budgets, err_msg=name)


# The manifest


def test_the_manifest_says_what_was_saved(table, tmp_path):
    policy = BinnedAllocator(RIDGE, budget=1.5, n_bins=3, random_state=0).fit(*table)
    save_policy(policy, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["format"] == "sklearn-adaalloc policy"
    assert manifest["schema"] == 1
    assert manifest["class"] == "sklearn_adaalloc.allocators._binned.BinnedAllocator"
    assert manifest["parameters"]["regressor__regressor__alpha"] == 1.0
    assert manifest["parameters"]["max_budget"] is None
    assert manifest["versions"]["sklearn-adaalloc"] == sklearn_adaalloc.__version__
    assert manifest["versions"]["torch"] == version("torch")
    assert manifest["calibration"] == [
        {
            "allocator": "BinnedAllocator",
            "n_queries": 40,
            "n_samples": 4,
            "budget": 1.5,
            "realised_budget": policy.realised_budget_,
        }
    ]
    assert list(manifest["files"]) == ["estimator.skops"]


def test_weights_of_nets_are_safetensors(saved, policy):
    arrays = load_file(data_file(saved, "tensors.safetensors"))
    assert sorted(arrays) == [f"0.weights_.{i}" for i in range(4)]
    for i, weights in enumerate(policy.regressor_.weights_):
        assert_array_equal(arrays[f"0.weights_.{i}"], weights)


def test_no_file_is_a_pickle(saved):
    with ZipFile(data_file(saved, "estimator.skops")) as archive:
        names = archive.namelist()
    assert {Path(name).suffix for name in names} == {".json", ".npy"}
