"""Policies on disk: what comes back, what is refused, and what a crash leaves."""

import functools
import json
import operator
import os
import pickle
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import joblib
import numpy as np
import pytest
import skops.io
from numpy.testing import assert_array_equal
from safetensors.numpy import load_file, save
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
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
    RewardRegressor,
    SequentialAllocator,
)
from sklearn_adaalloc._manifest import write_folder
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.persistence import load_policy, save_policy

RIDGE = RewardRegressor(Ridge())
BOOSTING = RewardRegressor(
    HistGradientBoostingRegressor(max_iter=2, max_leaf_nodes=4, min_samples_leaf=5)
)
MLP = MLPRewardRegressor(hidden_units=4, n_members=2, max_epochs=2, random_state=0)
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
    "sequential": lambda regressor: SequentialAllocator(
        regressor, budget=2, n_rounds=2
    ),
    "shuffled": lambda regressor: DummyAllocator(
        "shuffled", 2, allocator=AdaptiveAllocator(regressor), random_state=0
    ),
}
TEXTS = ["1+1=", "23*41=", "gcd 84 30=", "9-4=", "748*963=", "max 3 41 7=", "8*7="]
TEXT_REWARDS = np.array([[1, 1], [0, 0], [0, 1], [1, 1], [0, 0], [1, 0], [1, 1]])


@pytest.fixture(scope="module")
def table():
    return make_reward_table(40, 4, n_features=5, random_state=0, return_X_y=True)


@pytest.fixture(scope="module")
def policy(table):
    return AdaptiveAllocator(MLP, budget=2).fit(*table)


@pytest.fixture
def saved(policy, tmp_path):
    """Folder of a saved policy."""
    save_policy(policy, tmp_path / "policy")
    return tmp_path / "policy"


def data_file(folder, kind):
    return (
        folder
        / json.loads((folder / "manifest.json").read_text())["files"][kind]["name"]
    )


def edit_manifest(folder, **changes):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


def predictions(policy, X):
    """Budgets at the budget of fit, and marginals."""
    return policy.predict(X), policy.predict_marginals(X)


# What comes back


class TestRoundTrip:
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


def run(script, folder, *arguments):
    package = Path(sklearn_adaalloc.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


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


# What is not saved


def double(X):
    return 2 * X


class OwnScaler(StandardScaler):
    """A class that nobody but this file knows."""


class NotAPolicy(BaseEstimator):
    """It cannot predict."""


class TestRefusedAtSaving:
    @pytest.mark.parametrize(
        ("transformer", "name"),
        [
            (FunctionTransformer(double), "double"),
            (FunctionTransformer(lambda X: X), "<lambda>"),
            (FunctionTransformer(np.random.default_rng(0).permuted), "permuted"),
            (FunctionTransformer(kw_args={"own": double}), "double"),
            (FunctionTransformer(kw_args={"x": np.array([double])}), "double"),
            (FunctionTransformer(kw_args={"x": os.system}), "system"),
            (OwnScaler(), "OwnScaler"),
        ],
        ids=["function", "lambda", "method", "in dict", "in array", "system", "class"],
    )
    def test_what_is_not_scikit_learns(self, table, tmp_path, transformer, name):
        policy = make_pipeline(transformer, AdaptiveAllocator(RIDGE).fit(*table))
        with pytest.raises(ValueError, match=f"{name}.*load_policy would not trust"):
            save_policy(policy, tmp_path / "policy")
        assert not (tmp_path / "policy").exists()

    def test_trees_whose_indices_are_not_checked(self, table, tmp_path):
        forest = RewardRegressor(RandomForestRegressor(2, random_state=0)).fit(*table)
        with pytest.raises(ValueError, match=r"_tree\.Tree.*would not trust.*no trees"):
            save_policy(forest, tmp_path)

    def test_categories(self, table, tmp_path):
        X = np.round(table[0] + 10)
        model = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0])
        policy = RewardRegressor(model).fit(X, table[1])
        with pytest.raises(
            ValueError, match=r"has categorical features\. Expected numb"
        ):
            save_policy(policy, tmp_path)

    def test_a_search_as_a_whole(self, table, tmp_path):
        policy = AdaptiveAllocator(RIDGE)
        search = GridSearchCV(policy, {"budget": [1, 2]}, cv=2).fit(*table)
        with pytest.raises(ValueError, match="of a search, save best_estimator_"):
            save_policy(search, tmp_path)

    def test_what_skops_does_not_know(self, table, tmp_path):
        transformer = FunctionTransformer(kw_args={"own": iter([])})
        policy = make_pipeline(transformer, clone(RIDGE).fit(*table))
        with pytest.raises(ValueError, match=r"Pipeline holds .*list_iterator"):
            save_policy(policy, tmp_path)

    @pytest.mark.parametrize(
        "policy", [None, AdaptiveAllocator, NotAPolicy(), StandardScaler(), "policy"]
    )
    def test_what_is_no_policy(self, tmp_path, policy):
        with pytest.raises(ValueError, match=r"policy=.* is no policy. Expected a fit"):
            save_policy(policy, tmp_path)

    def test_before_fit(self, tmp_path):
        with pytest.raises(NotFittedError, match="not fitted"):
            save_policy(AdaptiveAllocator(RIDGE), tmp_path)


class TestWhereToSave:
    def test_folders_are_made(self, policy, table, tmp_path):
        save_policy(policy, tmp_path / "new" / "policy")
        restored = load_policy(str(tmp_path / "new" / "policy"))
        assert_array_equal(restored.predict(table[0]), policy.predict(table[0]))

    def test_a_policy_is_replaced_and_nothing_of_it_stays(self, saved, table):
        save_policy(DummyAllocator(budget=3).fit(*table), saved)
        assert load_policy(saved).budget == 3
        assert sorted(file.name for file in saved.iterdir()) == sorted(
            [data_file(saved, "estimator.skops").name, "manifest.json"]
        )

    def test_files_of_others_in_a_policy_are_left_alone(self, saved, policy):
        (saved / "README.md").write_text("Serves the first 10 %.")
        save_policy(policy, saved)
        assert (saved / "README.md").read_text() == "Serves the first 10 %."

    def test_a_folder_of_somebody_else(self, policy, tmp_path):
        (tmp_path / "thesis.tex").write_text("Chapter 1")
        with pytest.raises(ValueError, match=r"holds 'thesis.tex' and is no policy"):
            save_policy(policy, tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]

    @pytest.mark.parametrize("text", ["{}", "[]", '{"format": "web extension"}'])
    def test_a_manifest_of_somebody_else(self, policy, tmp_path, text):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match=r"manifest\.json is another program's"):
            save_policy(policy, tmp_path)
        assert (tmp_path / "manifest.json").read_text() == text

    def test_a_file(self, policy, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match=r"is a file\. Expected a folder"):
            save_policy(policy, tmp_path / "file")

    def test_a_link_to_a_policy_is_followed(self, saved, table, tmp_path):
        (tmp_path / "current").symlink_to(saved)
        save_policy(DummyAllocator(budget=3).fit(*table), tmp_path / "current")
        assert (tmp_path / "current").is_symlink()
        assert (
            load_policy(tmp_path / "current").budget == load_policy(saved).budget == 3
        )

    def test_a_full_disk_leaves_the_old_policy(self, saved, table, monkeypatch):
        before = sorted(saved.iterdir())

        def fail(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            save_policy(DummyAllocator(budget=3).fit(*table), saved)
        assert sorted(saved.iterdir()) == before
        assert load_policy(saved).budget == 2

    def test_what_a_killed_save_left_is_removed_an_hour_later(self, saved, policy):
        old = saved / "estimator-0123456789abcdef.skops"
        new = saved / "tensors-0123456789abcdef.safetensors"
        for file in (old, new):
            file.write_bytes(b"half")
        os.utime(old, (0, 0))
        save_policy(policy, saved)
        assert not old.exists()
        assert new.exists()  # may belong to a save that is under way


# What is not loaded


class TestRefusedAtLoading:
    def test_no_policy(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"is not a policy: it has no manifest\.js"
        ):
            load_policy(tmp_path / "absent")
        with pytest.raises(
            ValueError, match=r"is not a policy: it has no manifest\.js"
        ):
            load_policy(tmp_path)

    def test_a_file(self, saved):
        with pytest.raises(
            ValueError, match=r"is not a policy: it has no manifest\.js"
        ):
            load_policy(saved / "manifest.json")

    def test_a_newer_schema(self, saved):
        edit_manifest(saved, schema=2)
        with pytest.raises(
            ValueError, match=r"schema 2, newer than.*at most 1\. Upgrade"
        ):
            load_policy(saved)

    @pytest.mark.parametrize("schema", [None, 0, True, "1", 1.0])
    def test_no_schema(self, saved, schema):
        edit_manifest(saved, schema=schema)
        with pytest.raises(
            ValueError, match=f"damaged policy: its schema is {schema!r}"
        ):
            load_policy(saved)

    @pytest.mark.parametrize("kind", ["estimator.skops", "tensors.safetensors"])
    def test_a_missing_file(self, saved, kind):
        file = data_file(saved, kind)
        file.unlink()
        with pytest.raises(ValueError, match=f"its file '{file.name}' is missing"):
            load_policy(saved)

    @pytest.mark.parametrize("kind", ["estimator.skops", "tensors.safetensors"])
    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[:-1],
            lambda data: data + b"\0",
            lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:],
            lambda data: b"",
        ],
        ids=["shorter", "longer", "one bit", "empty"],
    )
    def test_a_damaged_file(self, saved, kind, damage):
        file = data_file(saved, kind)
        file.write_bytes(damage(file.read_bytes()))
        with pytest.raises(ValueError, match=rf"{file.name}' \({kind}\) differs from"):
            load_policy(saved)

    def test_a_manifest_cut_anywhere(self, saved):
        whole = (saved / "manifest.json").read_bytes()
        for length in range(0, len(whole) - 2, 97):
            (saved / "manifest.json").write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"manifest\.json is no JSON"):
                load_policy(saved)

    def test_a_manifest_nested_too_deeply(self, saved):
        (saved / "manifest.json").write_text("[" * 200_000)
        with pytest.raises(ValueError, match=r"manifest\.json is no JSON"):
            load_policy(saved)

    @pytest.mark.parametrize(
        "files",
        [None, [], {}, {"tensors.safetensors": {}}],
    )
    def test_no_files(self, saved, files):
        edit_manifest(saved, files=files)
        with pytest.raises(ValueError, match="names no file of the estimator"):
            load_policy(saved)

    @pytest.mark.parametrize(
        "name",
        [
            "../estimator-0123456789abcdef.skops",
            "/etc/passwd",
            "manifest.json",
            "estimator-0123456789abcdef.skops/..",
            "",
            None,
            3,
        ],
    )
    def test_a_path_that_leaves_the_folder(self, saved, name):
        entry = {"name": name, "sha256": 64 * "0", "bytes": 0}
        edit_manifest(saved, files={"estimator.skops": entry})
        with pytest.raises(
            ValueError, match="which is no file of a policy in this fold"
        ):
            load_policy(saved)

    @pytest.mark.parametrize(
        "change", [{"sha256": "0"}, {"bytes": "1"}, {"bytes": None}]
    )
    def test_no_hash_or_size(self, saved, change):
        entry = {"name": "estimator-0123456789abcdef.skops", "sha256": 64 * "0"}
        entry |= {"bytes": 1, **change}
        edit_manifest(saved, files={"estimator.skops": entry})
        with pytest.raises(ValueError, match="has no hash or size for 'estimator-01"):
            load_policy(saved)

    @pytest.mark.parametrize(
        "find",
        [
            lambda folder: folder / "manifest.json",
            lambda folder: data_file(folder, "estimator.skops"),
        ],
        ids=["manifest", "estimator"],
    )
    def test_links(self, saved, tmp_path, find):
        file = find(saved)
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(
            ValueError, match=f"'{file.name}' is a link or another thing"
        ):
            load_policy(saved)

    def test_a_pipe_does_not_hang(self, saved):
        file = data_file(saved, "estimator.skops")
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(
            ValueError, match=f"'{file.name}' is a link or another thing"
        ):
            load_policy(saved)


class Trap:
    """Leaves a trace where somebody builds it."""

    built = False

    def __init__(self):
        type(self).built = True

    def __setstate__(self, state):
        type(self).built = True


def craft(folder, estimator, **files):
    """Write a folder as somebody might who knows the format, hashes included."""
    versions = {
        "scikit-learn": version("scikit-learn"),
        "sklearn-adaalloc": sklearn_adaalloc.__version__,
    }
    data = skops.io.dumps(estimator)
    files = {name.replace("_", "."): content for name, content in files.items()}
    write_folder(folder, {"versions": versions}, {"estimator.skops": data, **files})


class TestCrafted:
    def test_types_that_are_not_trusted_are_not_built(self, tmp_path):
        craft(tmp_path, make_pipeline(FunctionTransformer(kw_args={"x": Trap()})))
        Trap.built = False
        with pytest.raises(
            ValueError, match=r"with \['.*Trap'\], which are not trusted"
        ):
            load_policy(tmp_path)
        assert not Trap.built

    @pytest.mark.parametrize(
        "value",
        [
            os.system,
            eval,
            joblib.load,
            pickle.loads,
            operator.methodcaller("fit"),
            functools.partial(os.system, "true"),
            Path("here"),
        ],
        ids=str,
    )
    def test_functions_are_not_called(self, tmp_path, value):
        craft(tmp_path, FunctionTransformer(value))
        with pytest.raises(ValueError, match=r"holds a policy with .* are not trusted"):
            load_policy(tmp_path)

    def test_what_is_no_estimator(self, tmp_path):
        craft(tmp_path, {"policy": 1})
        with pytest.raises(
            ValueError, match="damaged policy: it is a dict, no estimat"
        ):
            load_policy(tmp_path)

    def test_what_is_no_skops_file(self, saved, tmp_path):
        pickled = pickle.dumps(Trap())
        write_folder(tmp_path / "crafted", {}, {"estimator.skops": pickled})
        edit_manifest(
            tmp_path / "crafted",
            versions=json.loads((saved / "manifest.json").read_text())["versions"],
        )
        with pytest.raises(ValueError, match="its estimators cannot be read"):
            load_policy(tmp_path / "crafted")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("left", 2**31),
            ("left", 0),
            ("right", 7),
            ("feature_idx", 2**40),
            ("feature_idx", -1),
            ("is_categorical", 1),
        ],
    )
    def test_trees_that_lead_outside(self, table, tmp_path, field, value):
        policy = clone(BOOSTING).fit(*table)
        tree = policy.regressor_.estimators_[0]._predictors[0][0]
        assert tree.nodes[0]["is_leaf"] == 0
        tree.nodes[field][0] = value
        craft(tmp_path, policy)
        with pytest.raises(ValueError, match="a tree leads outside itself"):
            load_policy(tmp_path)

    def test_trees_hidden_in_an_array(self, table, tmp_path):
        policy = clone(BOOSTING).fit(*table)
        models = policy.regressor_.estimators_
        models[0]._predictors[0][0].nodes["left"][0] = 2**31
        policy.regressor_.estimators_ = np.array(models, dtype=object)
        craft(tmp_path, policy)
        with pytest.raises(ValueError, match="a tree leads outside itself"):
            load_policy(tmp_path)

    def test_nodes_of_another_type(self, table, tmp_path):
        policy = clone(BOOSTING).fit(*table)
        policy.regressor_.estimators_[0]._predictors[0][0].nodes.shape = (1, -1)
        craft(tmp_path, policy)
        with pytest.raises(ValueError, match="a tree's nodes are of another type"):
            load_policy(tmp_path)

    def test_trees_that_nobody_can_check(self, table, tmp_path):
        craft(tmp_path, RewardRegressor(RandomForestRegressor(2)).fit(*table))
        with pytest.raises(ValueError, match=r"_tree\.Tree'\], which are not trusted"):
            load_policy(tmp_path)

    def test_trees_behind_a_preprocessor(self, table, tmp_path):
        policy = clone(BOOSTING).fit(*table)
        policy.regressor_.estimators_[0]._preprocessor = FunctionTransformer()
        craft(tmp_path, policy)
        with pytest.raises(ValueError, match="has categorical features"):
            load_policy(tmp_path)

    def test_a_random_state_that_points_outside(self, tmp_path):
        random_state = np.random.RandomState(0)
        state = random_state.get_state(legacy=False)
        state["state"]["pos"] = 10**6
        random_state.set_state(state)
        craft(tmp_path, DummyAllocator("random", random_state=random_state))
        with pytest.raises(ValueError, match="a random state points outside itself"):
            load_policy(tmp_path)

    @pytest.mark.parametrize("model", [None, ["gpt2"], Ridge()], ids=str)
    def test_a_language_model_without_a_name(self, tmp_path, model):
        craft(tmp_path, HiddenStateFeaturizer(model))
        with pytest.raises(ValueError, match="a language model has no name"):
            load_policy(tmp_path)

    @pytest.mark.parametrize("tensors", [b"", b"no tensors", save({})])
    def test_tensors_that_do_not_fit(self, table, tmp_path, tensors):
        policy = clone(MLP).fit(*table)
        policy.weights_ = ["0.weights_.0"]
        craft(tmp_path, policy, tensors_safetensors=tensors)
        with pytest.raises(ValueError, match="its content does not fit together"):
            load_policy(tmp_path)


class TestOtherVersions:
    def test_scikit_learn_warns_as_when_unpickling(self, saved, policy, table):
        versions = json.loads((saved / "manifest.json").read_text())["versions"]
        edit_manifest(saved, versions={**versions, "scikit-learn": "1.5.0"})
        with pytest.warns(InconsistentVersionWarning, match=r"from version 1\.5\.0"):
            restored = load_policy(saved)
        assert_array_equal(restored.predict(table[0]), policy.predict(table[0]))

    @pytest.mark.parametrize("versions", [None, [], "1.0"])
    def test_no_versions(self, saved, versions):
        edit_manifest(saved, versions=versions)
        with pytest.raises(
            ValueError, match="damaged policy: its manifest names no ver"
        ):
            load_policy(saved)

    def test_this_package_warns(self, saved):
        versions = json.loads((saved / "manifest.json").read_text())["versions"]
        edit_manifest(saved, versions={**versions, "sklearn-adaalloc": "0.0.1"})
        with pytest.warns(UserWarning, match=r"saved with sklearn-adaalloc '0\.0\.1'"):
            load_policy(saved)


# Crashes

CRASHES = """
import os, signal, sys, time
import joblib, safetensors.numpy, skops.io
from sklearn_adaalloc.persistence import load_policy, save_policy

old, new = joblib.load("policies.joblib")
save_policy(old, "warm-up")
path = os.path.abspath("policy")

def killed(step):
    # Whether a save of the new policy was killed before its given step on the disk.
    pid = os.fork()
    if pid == 0:
        left = [step]
        def hook(event, arguments):
            if event in STEPS and path in str(arguments[0]):
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
        sys.addaudithook(hook)
        save_policy(new, path)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == signal.SIGKILL

def killed_after(seconds):
    pid = os.fork()
    if pid == 0:
        save_policy(new, path)
        os._exit(0)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.listdir", "os.scandir"}
"""


@pytest.fixture
def two_policies(table, tmp_path):
    """Folder with the old policy, of budget 1, and the new one, of budget 2."""
    policies = [AdaptiveAllocator(MLP, budget=b).fit(*table) for b in (1, 2)]
    joblib.dump(policies, tmp_path / "policies.joblib")
    return tmp_path


@pytest.mark.slow
class TestCrashes:
    def test_at_every_step_the_old_policy_or_the_new_one_is_left(self, two_policies):
        script = """
step = 0
while True:
    save_policy(old, path)
    if not killed(step):
        break
    print(load_policy(path).budget)
    step += 1
print(load_policy(path).budget)
"""
        left = [int(budget) for budget in run(CRASHES + script, two_policies).split()]
        assert set(left) == {1, 2}
        assert sorted(left) == left  # the old one up to some step, then the new one
        assert len(left) >= 10

    def test_the_first_save_leaves_a_policy_or_none(self, two_policies):
        script = """
import shutil
step = 0
while True:
    shutil.rmtree(path, ignore_errors=True)
    if not killed(step):
        break
    try:
        print(load_policy(path).budget)
    except ValueError as error:
        assert "is not a policy: it has no manifest.json" in str(error), error
        print(0)
    save_policy(new, path)
    assert load_policy(path).budget == 2
    step += 1
"""
        left = [int(budget) for budget in run(CRASHES + script, two_policies).split()]
        assert set(left) == {0, 2}
        assert sorted(left) == left

    def test_at_any_time_the_old_policy_or_the_new_one_is_left(self, two_policies):
        script = """
start = time.perf_counter()
save_policy(new, path)
duration = time.perf_counter() - start
for i in range(60):
    save_policy(old, path)
    killed_after(1.5 * duration * i / 60)
    print(load_policy(path).budget)
"""
        left = [int(budget) for budget in run(CRASHES + script, two_policies).split()]
        assert len(left) == 60
        assert set(left) == {1, 2}

    def test_readers_and_writers_at_once(self, two_policies):
        script = """
save_policy(old, path)
writers = []
for policy in (old, new):
    pid = os.fork()
    if pid == 0:
        for i in range(30):
            save_policy(policy, path)
        os._exit(0)
    writers.append(pid)
for i in range(100):
    print(load_policy(path).budget)
for pid in writers:
    assert os.waitpid(pid, 0)[1] == 0
print(load_policy(path).budget)
"""
        read = [int(budget) for budget in run(CRASHES + script, two_policies).split()]
        assert set(read) == {1, 2}
