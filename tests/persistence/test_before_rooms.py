"""Policies and pickles of the package as it was before its modules had rooms."""

import importlib
import pickle
import warnings
from pathlib import Path

import faulty_server as faulty
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning

from sklearn_adaalloc._utils.moved import MOVED_CLASSES, earlier_names
from sklearn_adaalloc.allocators import SequentialSession
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.persistence import load_policy, save_policy
from sklearn_adaalloc.persistence._estimator_files import _TRUSTED

FILES = Path(__file__).parent / "data" / "before_rooms"
QUERIES = ["1+1=", "23*41=", "9-4="]
PROFILES = {
    "rate_distribution": "math",
    "success_rate": "math",
    "marginal_rewards": "chat",
    "preference": "routing",
}
SESSIONS = {"verdicts": "rate_distribution", "values": "marginal_rewards"}


def table(target):
    return make_reward_table(
        60,
        6,
        n_features=3,
        profile=PROFILES[target],
        random_state=0,
        return_X_y=True,
    )


@pytest.fixture(autouse=True)
def any_version():
    """Files of a certain version of scikit-learn are read with any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        warnings.filterwarnings("ignore", "path=.* was saved with sklearn-adaalloc")
        yield


@pytest.fixture(scope="module")
def expected():
    with np.load(FILES / "expected.npz") as arrays:
        return dict(arrays)


def unpickled(name):
    return pickle.loads((FILES / f"{name}.pickle").read_bytes())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("_beliefs", "planning._beliefs"),
        ("_improvement", "planning._rewards"),
        ("_reward_store", "collect._store"),
        ("_targets", "curves._targets"),
        ("decoding._routing", "decoding._router"),
        ("sampling._dispatch", "sampling._openai.dispatch"),
        ("sampling._transformers", "sampling._local.sampler"),
        ("sampling._value_augmented", "sampling._local.value_augmented"),
        ("sampling._value_guidance", "sampling._local.values"),
    ],
)
def test_an_old_name_is_the_very_module(old, new):
    if "_local" in new:
        pytest.importorskip("torch", reason="needs torch")
    module = importlib.import_module(f"sklearn_adaalloc.{new}")
    assert importlib.import_module(f"sklearn_adaalloc.{old}") is module
    assert module.__spec__.name == module.__name__ == f"sklearn_adaalloc.{new}"


@pytest.mark.parametrize("new", MOVED_CLASSES)
def test_a_class_is_still_found_where_it_was(new):
    module, _, name = new.rpartition(".")
    cls = getattr(importlib.import_module(f"sklearn_adaalloc.{module}"), name)
    old = [f"sklearn_adaalloc.{place}.{name}" for place in MOVED_CLASSES[new]]
    assert old == earlier_names(cls)[-len(old) :]
    assert set(old) <= _TRUSTED
    for place in MOVED_CLASSES[new]:
        module = importlib.import_module(f"sklearn_adaalloc.{place}")
        assert getattr(module, name) is cls


def test_other_names_are_not_found():
    with pytest.raises(ModuleNotFoundError, match="_no_such_module"):
        importlib.import_module("sklearn_adaalloc._no_such_module")


@pytest.mark.parametrize("target", PROFILES)
def test_a_regressor_of_each_target(expected, target):
    X, rewards = table(target)
    regressor = unpickled(target)
    assert_allclose(regressor.predict(X), expected[target])
    marginals = regressor.predict_marginals(X)
    assert_allclose(marginals, expected[f"{target}_marginals"])
    assert np.isfinite(regressor.score(X, rewards))
    again = clone(regressor).fit(X, rewards)
    assert_allclose(again.predict(X), expected[target], atol=1e-9)


@pytest.mark.parametrize("read", ["pickle", "folder"])
def test_a_policy_with_a_net(expected, tmp_path, read):
    X, rewards = table("rate_distribution")
    policy = load_policy(FILES / "mlp") if read == "folder" else unpickled("mlp")
    marginals = policy.predict_marginals(X)
    assert_allclose(marginals, expected["mlp_marginals"], atol=1e-5)
    assert_array_equal(policy.predict(X), expected["mlp"])
    assert 0 < policy.score(X, rewards) < 1
    save_policy(policy, tmp_path / "again")
    again = load_policy(tmp_path / "again").predict_marginals(X)
    assert_array_equal(again, marginals)


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_goes_on_in_the_middle_of_its_rounds(expected, name):
    X, rewards = table(SESSIONS[name])
    policy, session = unpickled(name)
    assert isinstance(session, SequentialSession)
    assert session.rounds_taken == 1
    assert_array_equal(session.budgets, expected[f"{name}_first"])
    assert_array_equal(session.ask(), expected[f"{name}_second"])
    while (asked := session.ask()) is not None:
        taken = session.budgets
        session.tell(
            [r[t : t + n] for r, t, n in zip(rewards, taken, asked, strict=True)]
        )
    assert 1 < session.rounds_taken <= 3
    assert session.best_rewards.mean() == pytest.approx(expected[f"{name}_score"])
    assert policy.score(X, rewards) == pytest.approx(expected[f"{name}_score"])
    assert_array_equal(policy.predict(X), expected[f"{name}_predict"])
    assert policy.selection == "reward"


def test_what_carries_a_policy_out(expected):
    pytest.importorskip("transformers", reason="needs torch")
    sampler, best_of_k, router = map(unpickled, ["sampler", "best_of_k", "router"])
    assert_array_equal(sampler.sample(QUERIES, 2), expected["sampled"])
    assert best_of_k.decode(QUERIES).answers == expected["decoded"].tolist()
    assert router.decode(QUERIES).answers == expected["routed"].tolist()


def test_a_sampler_that_remembers_its_server(expected):
    pytest.importorskip("aiohttp", reason="needs the extra openai")
    sampler = unpickled("openai")
    with faulty.serving() as server:
        sampler.set_params(base_url=server.base_url)
        assert_array_equal(sampler.sample(QUERIES, 2), expected["served"])


def test_answers_that_were_kept(expected):
    answers = unpickled("answers")
    assert answers.answers == expected["decoded"].tolist()
    assert answers.rounds_taken == 1
