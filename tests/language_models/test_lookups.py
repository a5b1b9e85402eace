"""A model is looked up when it is first loaded, and never again."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hub_cache import add_commit, look_ups
from policies import run
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import (
    AdaptiveAllocator,
    HiddenStateFeaturizer,
    LoRARewardRegressor,
    RewardRegressor,
)
from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.decoding import BestOfK
from sklearn_adaalloc.persistence import load_policy, save_policy
from sklearn_adaalloc.rewards import RewardModel
from sklearn_adaalloc.sampling import TransformersSampler, ValueAugmentedSampler

TEXTS = ["1+1=", "23*41=", "gcd 84 30=", "9-4="]
REWARDS = np.array([[1, 1], [0, 0], [0, 1], [1, 1]])
SAMPLING = {"max_new_tokens": 4, "device": "cpu"}


def policy_of(model):
    return make_pipeline(
        HiddenStateFeaturizer(model, layer=1, device="cpu"),
        AdaptiveAllocator(RewardRegressor(Ridge()), budget=1.5),
    ).fit(TEXTS, REWARDS)


def featurizer(weak, reward):
    return HiddenStateFeaturizer(weak, layer=1, device="cpu").fit(TEXTS).transform


def unpickled_featurizer(weak, reward):
    fitted = HiddenStateFeaturizer(weak, layer=1, device="cpu").fit(TEXTS)
    return pickle.loads(pickle.dumps(fitted)).transform


def sampler(weak, reward):
    drawn = TransformersSampler(weak, **SAMPLING)
    return lambda texts: drawn.sample(texts, 2)


def settings_of_a_sampler(weak, reward):
    drawn = TransformersSampler(weak, **SAMPLING)
    return lambda texts: (drawn.settings, drawn.prefill(texts).decode(1))


def value_augmented(weak, reward):
    drawn = ValueAugmentedSampler(weak, reward, top_k=2, **SAMPLING)
    return lambda texts: (drawn.sample(texts, 1), drawn.settings, drawn.cost)


def reward_model(weak, reward):
    score = RewardModel(reward, device="cpu")
    return lambda texts: (score(texts, [["1", "22"]] * len(texts)), score.settings)


def lora(weak, reward):
    regressor = LoRARewardRegressor(weak, max_epochs=1, random_state=0, device="cpu")
    return regressor.fit(TEXTS, REWARDS).predict


def unpickled_lora(weak, reward):
    return pickle.loads(pickle.dumps(lora(weak, reward).__self__)).predict


def best_of_k(weak, reward):
    decoder = BestOfK(
        policy_of(weak),
        TransformersSampler(weak, **SAMPLING),
        RewardModel(reward, device="cpu"),
    )
    return decoder.decode


def loaded_policy(weak, reward):
    save_policy(policy_of(weak), "policy")
    return load_policy("policy").predict


@pytest.fixture(params=["folder", "hub"])
def models(request, tmp_path, monkeypatch):
    """Names of a language model and of a reward model that nobody has loaded."""
    monkeypatch.chdir(tmp_path)
    if request.param == "folder":
        return tuple(
            str(shutil.copytree(embedded_model_path(kind), tmp_path / kind))
            for kind in ("weak", "reward")
        )
    root = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root))
    names = tuple(f"{tmp_path.name}/{kind}" for kind in ("weak", "reward"))
    for name, kind in zip(names, ("weak", "reward"), strict=True):
        add_commit(root, name, "a", embedded_model_path(kind))
    return names


@pytest.mark.parametrize(
    "make",
    [
        featurizer,
        unpickled_featurizer,
        sampler,
        settings_of_a_sampler,
        value_augmented,
        reward_model,
        lora,
        unpickled_lora,
        best_of_k,
        loaded_policy,
    ],
    ids=lambda make: make.__name__,
)
def test_no_look_up_after_the_first_load(models, make):
    call = make(*models)
    call(TEXTS[:2])
    with look_ups() as found:
        for _ in range(2):
            call(TEXTS[1:])
    assert found == []


def test_the_first_load_is_seen(models):
    with look_ups() as found:
        featurizer(*models)(TEXTS)
    assert len(found) > 2


def test_refitting_looks_nothing_up(models):
    featurizer(*models)(TEXTS)
    with look_ups() as found:
        HiddenStateFeaturizer(models[0], layer=2, device="cpu").fit_transform(TEXTS)
    assert found == []


def test_a_fresh_process_loads_once(models):
    save_policy(policy_of(models[0]), "policy")
    script = (
        "import os, sys; from huggingface_hub import constants;"
        "constants.HF_HUB_CACHE = os.path.abspath('hub');"
        "sys.path.insert(0, sys.argv[1]);"
        "from hub_cache import look_ups;"
        "from sklearn_adaalloc.persistence import load_policy;"
        "policy = load_policy('policy');"
        f"budgets = policy.predict({TEXTS}).tolist();"
        "found = look_ups(); calls = found.__enter__();"
        f"again = policy.predict({TEXTS}).tolist();"
        "found.__exit__(None, None, None);"
        "print(budgets == again, len(calls))"
    )
    support = str(Path(__file__).parents[1] / "support")
    assert run(script, ".", support).split() == ["True", "0"]
