"""What is refused at loading: damage, crafted folders, other versions."""

import functools
import hashlib
import io
import json
import operator
import os
import pickle
import zipfile
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from numpy.testing import assert_array_equal
from policies import BOOSTING, MLP, data_file
from safetensors.numpy import save
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sklearn_adaalloc
from sklearn_adaalloc import DummyAllocator, HiddenStateFeaturizer, RewardRegressor
from sklearn_adaalloc.persistence import load_policy


def edit_manifest(folder, **changes):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


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


def write_folder(folder, content, files):
    """Write files and a manifest that vouches for them."""
    folder.mkdir(exist_ok=True)
    entries = {}
    for kind, data in files.items():
        name = kind.replace(".", f"-{16 * 'c'}.")
        (folder / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        entries[kind] = {"name": name, "bytes": len(data), "sha256": digest}
    manifest = {"format": "sklearn-adaalloc policy", "schema": 1, **content}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": entries}))


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
        ids=["system", "eval", "joblib", "pickle", "methodcaller", "partial", "path"],
    )
    def test_functions_are_not_called(self, tmp_path, value):
        craft(tmp_path, FunctionTransformer(value))
        with pytest.raises(ValueError, match=r"holds a policy with .* are not trusted"):
            load_policy(tmp_path)

    def test_what_is_no_estimator(self, tmp_path):
        craft(tmp_path, {"policy": 1})
        with pytest.raises(
            ValueError, match="damaged policy: it is a dict, not an estimat"
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
        with pytest.raises(ValueError, match="with categorical features"):
            load_policy(tmp_path)

    def test_a_random_state_that_points_outside(self, tmp_path):
        random_state = np.random.RandomState(0)
        state = random_state.get_state(legacy=False)
        state["state"]["pos"] = 623
        random_state.set_state(state)
        policy = DummyAllocator("random", random_state=random_state)
        # Edited once saved: from 2.5 on NumPy itself refuses such a state.
        edited = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(skops.io.dumps(policy))) as saved,
            zipfile.ZipFile(edited, "w") as target,
        ):
            for name in saved.namelist():
                content = saved.read(name)
                target.writestr(name, content.replace(b'"623"', b'"1000000"'))
        craft(tmp_path, policy, estimator_skops=edited.getvalue())
        refused = r"a random state points outside itself|state position must be"
        with pytest.raises(ValueError, match=refused):
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
