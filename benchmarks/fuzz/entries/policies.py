"""Policies on disk: what is saved, where, and what is loaded after damage."""

import io
import json
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.fuzz.damage import damages
from benchmarks.fuzz.outcomes import REFUSED, attempt
from benchmarks.fuzz.strategies import number, rarely, scalars, texts
from benchmarks.fuzz.targets import target
from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    MLPRewardRegressor,
    RewardRegressor,
    load_policy,
    save_policy,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.persistence._manifest import read_folder, write_folder

X, REWARDS = make_reward_table(40, 4, n_features=5, random_state=0, return_X_y=True)


@cache
def _policies():
    """Fitted policies of three kinds."""
    net = MLPRewardRegressor(hidden_units=4, n_members=2, max_epochs=2, random_state=0)
    binned = BinnedAllocator(RewardRegressor(Ridge()), n_bins=3, random_state=0)
    unfitted = [
        make_pipeline(StandardScaler(), binned),
        AdaptiveAllocator(net),
        DummyAllocator(budget=1.5),
    ]
    return [policy.fit(X, REWARDS) for policy in unfitted]


@cache
def _saved(place):
    """Names and bytes of the files of a saved policy."""
    with TemporaryDirectory() as folder:
        save_policy(_policies()[place], folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _write(folder, files):
    for name, data in files.items():
        Path(folder, name).write_bytes(data)


def _use(folder, place):
    """Load; what loads is whole and predicts as before, or was changed by somebody."""
    policy = attempt(load_policy, folder)
    if policy is not REFUSED:
        assert (policy.predict(X) == _policies()[place].predict(X)).all()


places = st.integers(0, 2)


@target(
    "persistence.damaged_files",
    inputs=2500,
    place=places,
    which=st.integers(0, 2),
    damage=damages,
)
def damaged_files(place, which, damage):
    files = dict(_saved(place))
    name = sorted(files)[which % len(files)]
    files[name] = damage(files[name])
    with TemporaryDirectory() as folder:
        _write(folder, files)
        if name == "manifest.json":  # a budget in it may have changed: people read it
            attempt(load_policy, folder)
        else:
            _use(folder, place)
        assert {p.name: p.read_bytes() for p in Path(folder).iterdir()} == files


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "size", "sha256"]), inner, max_size=3
        )
    ),
    max_leaves=4,
)


@target(
    "persistence.hostile_manifest",
    inputs=1500,
    place=places,
    path=st.lists(st.integers(0, 20), min_size=1, max_size=3),
    value=_json | scalars.filter(lambda v: isinstance(v, int | str)),
    remove=st.booleans(),
)
def hostile_manifest(place, path, value, remove):
    files = dict(_saved(place))
    manifest = json.loads(files["manifest.json"])
    _replace(manifest, path, value, remove)
    files["manifest.json"] = json.dumps(manifest).encode()
    with TemporaryDirectory() as folder:
        _write(folder, files)
        attempt(load_policy, folder)


def _replace(node, path, value, remove):
    """Replace or remove what is at a path of positions."""
    for step in path:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = keys[step % len(keys)]
        if not isinstance(node[key], dict | list) or step is path[-1]:
            break
        node = node[key]
    if remove:
        del node[key]
    else:
        node[key] = value


@target(
    "persistence.hostile_estimator",
    inputs=1500,
    place=places,
    member=st.integers(0, 9),
    damage=damages,
    edits=st.lists(
        st.tuples(st.lists(st.integers(0, 20), min_size=1, max_size=9), _json),
        max_size=2,
    ),
)
def hostile_estimator(place, member, damage, edits):
    with TemporaryDirectory() as folder:
        _write(folder, _saved(place))
        manifest, files = read_folder(folder)
        files["estimator.skops"] = _tamper(
            files["estimator.skops"], member, damage, edits
        )
        kept = {"format", "schema", "files"}
        # The hashes are right: somebody has made this on purpose.
        content = {k: v for k, v in manifest.items() if k not in kept}
        write_folder(folder, content, files)
        attempt(load_policy, folder)


def _tamper(data, member, damage, edits):
    """Change the zip's schema by edits, and damage one of its members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    for path, value in edits:
        _replace(schema, path, value, remove=False)
    members["schema.json"] = json.dumps(schema).encode()
    name = list(members)[member % len(members)]
    members[name] = damage(members[name])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@target(
    "persistence.save_policy",
    inputs=300,
    policy=rarely(scalars, places),
    path=rarely(scalars | texts, st.just("policy")),
    budget=number(st.floats(0, 4)),
    there=st.sampled_from(["nothing", "policy", "file", "other folder"]),
    models=rarely(scalars, st.none()),
)
def save_and_load(policy, path, budget, there, models):
    if isinstance(policy, int) and 0 <= policy <= 2:
        policy = _policies()[policy]
        if not hasattr(policy, "steps"):
            policy = type(policy)(**policy.get_params(deep=False))
            policy = policy.set_params(budget=budget)
            if attempt(policy.fit, X, REWARDS) is REFUSED:
                return
    with TemporaryDirectory() as home:
        folder = path
        if isinstance(path, str):
            folder = f"{home}/{path.replace('/', '')[:60]}"
        before = _prepare(folder, there) if path == "policy" else None
        saved = attempt(save_policy, policy, folder)
        if saved is REFUSED:
            assert before is None or _content(folder) == before
            attempt(load_policy, folder)
            return
        loaded = attempt(load_policy, folder, models=models)
        if loaded is not REFUSED:
            assert (loaded.predict(X) == policy.predict(X)).all()


def _prepare(folder, there):
    """Put something where the policy is to go."""
    folder = Path(folder)
    if there == "file":
        folder.write_bytes(b"mine")
    elif there != "nothing":
        folder.mkdir()
        _write(folder, _saved(0) if there == "policy" else {"mine.txt": b"mine"})
    return _content(folder)


def _content(folder):
    folder = Path(folder)
    if not folder.is_dir():
        return folder.read_bytes() if folder.exists() else None
    return {path.name: path.read_bytes() for path in folder.iterdir()}
