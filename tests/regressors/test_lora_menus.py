"""LoRA on a table of several decoders: trained for real, under allocators."""

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator

from sklearn_adaalloc import (
    AdaptiveAllocator,
    LoRARewardRegressor,
    PricedAllocator,
    RewardTable,
    SequentialAllocator,
    load_policy,
    save_policy,
)

RANDOM = np.random.default_rng(0)
# A text's last letter says who solves it: both models, the dear one, or none.
TEXTS = ["".join(RANDOM.choice(list("defgh"), 4)) + "abc"[i % 3] for i in range(90)]
RATES = {"a": (0.9, 0.95), "b": (0.05, 0.9), "c": (0.02, 0.02)}
SOLVING = np.array([RATES[text[-1]] for text in TEXTS])
REWARDS = (RANDOM.random((90, 2, 8)) < SOLVING[:, :, None]) * 1.0
TABLE = RewardTable(REWARDS, costs=[1.0, 5.0], decoders=["weak", "strong"])
KINDS = np.array([text[-1] for text in TEXTS])


@pytest.fixture(scope="module")
def regressor(tiny_models):
    return LoRARewardRegressor(
        tiny_models["llama"],
        target="rate_profiles",
        learning_rate=0.01,
        batch_size=8,
        max_epochs=4,
        random_state=0,
        device="cpu",
    ).fit(TEXTS, TABLE)


def test_rates_of_all_decoders_are_learnt(regressor):
    assert regressor.score(TEXTS, TABLE) > 0.8
    rates = regressor.predict(TEXTS)
    assert rates.shape == (90, 2)
    for kind, expected in RATES.items():
        assert_allclose(rates[kind == KINDS].mean(axis=0), expected, atol=0.12)
    weights = regressor.predict_profiles(TEXTS)
    assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert_allclose(weights @ regressor.profiles_, rates, rtol=1e-6)
    assert regressor.predict_marginals(TEXTS, 4).shape == (90, 2, 4)


@pytest.mark.parametrize("Allocator", [AdaptiveAllocator, PricedAllocator])
def test_budgets_go_to_the_model_that_solves_a_query(regressor, Allocator):
    policy = Allocator(FrozenEstimator(regressor), unit="cost", budget=2.2)
    budgets = policy.fit(TEXTS, TABLE).predict(TEXTS)
    assert (budgets @ [1, 5]).mean() <= 2.2
    mean = {kind: budgets[kind == KINDS].mean(axis=0) for kind in "abc"}
    assert mean["a"][0] >= 1
    assert mean["b"][1] >= 0.9
    assert mean["a"][1] + mean["b"][0] < 0.2
    assert mean["c"].sum() < 0.7


def test_the_target_is_chosen_by_the_table_and_policies_are_saved(
    tiny_models, tmp_path
):
    unfitted = LoRARewardRegressor(
        tiny_models["llama"], max_epochs=1, random_state=0, device="cpu"
    )
    policy = SequentialAllocator(unfitted, unit="cost", budget=4.0, random_state=0)
    policy.fit(TEXTS[:40], TABLE[:40])
    assert policy.regressor_.target_ == "rate_profiles"
    assert policy.regressor.target == "auto"
    budgets, score = policy.predict(TEXTS), policy.score(TEXTS, TABLE)
    first = policy.start(TEXTS).ask()
    joblib.dump(policy, tmp_path / "pickle")
    save_policy(policy, tmp_path / "policy")
    for loaded in (joblib.load(tmp_path / "pickle"), load_policy(tmp_path / "policy")):
        assert_array_equal(loaded.predict(TEXTS), budgets)
        assert_array_equal(loaded.start(TEXTS).ask(), first)
        assert loaded.score(TEXTS, TABLE) == score
    assert loaded._decoder_names == ["weak", "strong"]


def test_in_rounds_hopeless_queries_get_less(regressor):
    frozen = FrozenEstimator(regressor)
    policy = SequentialAllocator(frozen, unit="cost", budget=4.0, random_state=0)
    session = policy.fit(TEXTS, TABLE)._replay(TEXTS, TABLE)
    assert session.costs.sum() <= 4.0 * 90
    assert session.best_rewards[KINDS != "c"].mean() > 0.9
    alone = SequentialAllocator(unit="cost", budget=4.0, random_state=0)
    features = np.zeros((90, 1))  # nothing is known of a query
    assert policy.score(TEXTS, TABLE) > alone.fit(features, TABLE).score(
        features, TABLE
    )
