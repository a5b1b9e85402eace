import copy
import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import sklearn_adaalloc
from sklearn_adaalloc import MLPRewardRegressor
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import prediction_report

torch.set_num_threads(1)

# Enough to move away from the start, not enough to take long.
SHORT = {"max_epochs": 5, "learning_rate": 0.01, "random_state": 0}
PROFILES = [
    ("math", "auto", "rate_distribution"),
    ("math", "success_rate", "success_rate"),
    ("math", "marginal_rewards", "marginal_rewards"),
    ("chat", "auto", "marginal_rewards"),
    ("routing", "auto", "preference"),
]


def table(n_queries=80, n_samples=6, profile="math", seed=0):
    return make_reward_table(
        n_queries, n_samples, profile=profile, random_state=seed, return_X_y=True
    )


@pytest.fixture(scope="module")
def fitted():
    X, rewards = table()
    return MLPRewardRegressor(**SHORT).fit(X, rewards), X


# What it learns


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_queries", "n_features"), [(100, 20), (100, 1000), (300, 100), (1000, 50)]
)
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_mistaken_for_signal(n_queries, n_features, seed):
    rng = np.random.default_rng(seed)
    _, rewards = table(n_queries + 1000, 16, seed=seed)
    X = rng.normal(size=(len(rewards), n_features))
    train, test = slice(n_queries), slice(n_queries, None)
    model = MLPRewardRegressor(random_state=seed).fit(X[train], rewards[train])
    ours = prediction_report(rewards[test], model.predict(X[test])).ours
    constant = np.full(1000, rewards[train].mean())
    average = prediction_report(rewards[test], constant).ours
    assert ours < 1.01 * average


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "least"),
    [("math", 0.5), ("code", 0.4), ("chat", 0.6), ("routing", 0.4)],
)
def test_a_known_relation_is_learnt(profile, least):
    X, rewards = table(1400, 16, profile=profile)
    model = MLPRewardRegressor(random_state=0).fit(X[:400], rewards[:400])
    assert model.score(X[400:], rewards[400:]) > least


@pytest.mark.slow
def test_predicted_rates_follow_the_true_ones():
    truth = make_reward_table(1200, 32, random_state=0)
    model = MLPRewardRegressor(random_state=0).fit(
        truth.data[:600], truth.rewards[:600]
    )
    predicted = model.predict(truth.data[600:])
    assert np.corrcoef(predicted, truth.rates[600:])[0, 1] > 0.75
    assert predicted.mean() == pytest.approx(truth.rates[600:].mean(), abs=0.04)


def test_loss_falls():
    X, rewards = table(200)
    options = {**SHORT, "max_epochs": 20}
    history = MLPRewardRegressor(**options).fit(X, rewards).history_
    assert [row["epoch"] for row in history] == list(range(1, 21))
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["out_of_fold_loss"] < history[0]["out_of_fold_loss"]


# Targets and shapes


@pytest.mark.parametrize(("profile", "target", "resolved"), PROFILES)
def test_every_target(profile, target, resolved):
    X, rewards = table(profile=profile)
    model = MLPRewardRegressor(target, **SHORT).fit(X, rewards)
    n_steps = {"preference": 1}.get(resolved, 6)
    native = {"marginal_rewards": (10, 6)}.get(resolved, (10,))
    assert model.target_ == resolved
    assert model.n_steps_ == n_steps
    assert model.predict(X[:10]).shape == native
    marginals = model.predict_marginals(X[:10])
    assert marginals.shape == (10, n_steps)
    assert marginals.dtype == np.float64
    assert (np.diff(marginals, axis=1) <= 0).all()
    assert np.ptp(model.predict(X), axis=0).max() > 0  # it has learnt something
    assert np.isfinite(model.score(X, rewards))


@pytest.mark.parametrize(
    ("target", "max_budget"),
    [("rate_distribution", 1), ("success_rate", 40), ("marginal_rewards", 2)],
)
def test_marginals_of_any_length(target, max_budget):
    X, rewards = table()
    model = MLPRewardRegressor(target, **SHORT).fit(X, rewards)
    assert model.predict_marginals(X, max_budget).shape == (80, max_budget)


def test_rate_distribution_is_where_the_other_predictions_come_from(fitted):
    model, X = fitted
    weights = model.predict_rate_distribution(X)
    assert weights.shape == (80, len(model.rates_))
    assert_allclose(weights.sum(axis=1), 1)
    assert_allclose(model.predict(X), weights @ model.rates_)
    # The first marginal is the mean rate; all of them sum to P(rate > 0).
    marginals = model.predict_marginals(X, 5000)
    assert_allclose(marginals[:, 0], model.predict(X))
    assert_allclose(marginals.sum(axis=1), 1 - weights[:, 0], atol=1e-6)


def test_prediction_is_the_mean_over_the_nets(fitted):
    model, X = fitted
    single = [copy.deepcopy(model) for _ in range(5)]
    for member, one in enumerate(single):
        one.weights_ = [array[member : member + 1] for array in model.weights_]
    predicted = [one.predict_rate_distribution(X) for one in single]
    assert np.ptp(predicted, axis=0).max() > 1e-3
    assert_allclose(model.predict_rate_distribution(X), np.mean(predicted, axis=0))


@pytest.mark.parametrize("target", ["success_rate", "marginal_rewards"])
def test_other_targets_have_no_rate_distribution(target):
    X, rewards = table()
    model = MLPRewardRegressor(target, **SHORT).fit(X, rewards)
    assert model.rates_ is None
    assert not hasattr(model, "predict_rate_distribution")
    with pytest.raises(AttributeError, match="predict_rate_distribution"):
        model.predict_rate_distribution(X)


def test_ready_made_rates():
    truth = make_reward_table(80, 6, random_state=0)
    model = MLPRewardRegressor("success_rate", **SHORT).fit(truth.data, truth.rates)
    predicted = model.predict(truth.data)
    assert predicted.shape == (80,)
    assert np.corrcoef(predicted, truth.rates)[0, 1] > 0.5


@pytest.mark.parametrize("profile", ["math", "chat"])
def test_one_sample_as_a_vector_or_a_column(profile):
    X, rewards = table(n_samples=1, profile=profile)
    vector = MLPRewardRegressor(**SHORT).fit(X, rewards[:, 0])
    column = MLPRewardRegressor(**SHORT).fit(X, rewards)
    assert_array_equal(vector.predict_marginals(X), column.predict_marginals(X))
    assert vector.predict(X).shape == (80,)
    assert vector.score(X, rewards[:, 0]) == column.score(X, rewards)


@pytest.mark.parametrize("profile", ["math", "chat", "routing"])
def test_ragged_tables(profile):
    X, rewards = table(profile=profile)
    rewards[::2, ..., 2:] = np.nan
    padded = MLPRewardRegressor(**SHORT).fit(X, rewards).predict_marginals(X)
    missing_first = MLPRewardRegressor(**SHORT).fit(X, rewards[..., ::-1])
    assert_array_equal(missing_first.predict_marginals(X), padded)
    if profile != "routing":  # whose lists must be of equal length
        ragged = [row[np.isfinite(row)].tolist() for row in rewards]
        model = MLPRewardRegressor(**SHORT).fit(X, ragged)
        assert_array_equal(model.predict_marginals(X), padded)


def test_order_of_samples_does_not_matter():
    X, rewards = table()
    permuted = np.random.default_rng(0).permuted(rewards, axis=1)
    first = MLPRewardRegressor(**SHORT).fit(X, rewards)
    second = MLPRewardRegressor(**SHORT).fit(X, permuted)
    assert_array_equal(first.predict(X), second.predict(X))


def test_empty_reward_lowers_the_first_marginal():
    X, rewards = table()
    plain = MLPRewardRegressor(**SHORT).fit(X, rewards)
    other = MLPRewardRegressor(empty_reward=-0.5, **SHORT).fit(X, rewards)
    difference = other.predict_marginals(X) - plain.predict_marginals(X)
    assert_allclose(difference, [[0.5, 0, 0, 0, 0, 0]] * 80, atol=1e-12)


# Inputs


def test_sparse_features_equal_dense_ones():
    X, rewards = table()
    X = np.where(np.abs(X) > 0.7, X, 0.0)
    dense = MLPRewardRegressor(**SHORT).fit(X, rewards)
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        model = MLPRewardRegressor(**SHORT).fit(kind(X), rewards)
        assert_array_equal(model.predict(kind(X)), dense.predict(X))
        assert_array_equal(dense.predict(kind(X)), dense.predict(X))


def test_float32_features_nearly_equal_float64_ones():
    X, rewards = table()
    single = X.astype(np.float32)
    double = single.astype(np.float64)
    model = MLPRewardRegressor(**SHORT).fit(single, rewards)
    same = MLPRewardRegressor(**SHORT).fit(double, rewards)
    assert_allclose(model.predict(single), same.predict(double), atol=1e-5)
    assert model.predict(single).dtype == np.float64


def test_prediction_does_not_depend_on_the_batch(fitted):
    model, X = fitted
    together = model.predict(np.tile(X, (60, 1)))  # more than one internal batch
    alone = np.concatenate([model.predict(row[None]) for row in X])
    assert_allclose(together, np.tile(alone, 60), rtol=1e-10)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
def test_a_constant_feature_changes_nothing_later(constant):
    X, rewards = table()
    X = np.column_stack([X, np.full(len(X), constant)])
    model = MLPRewardRegressor(**SHORT).fit(X, rewards)
    moved = X.copy()
    moved[:, -1] += 1.0  # was never seen to vary: no reason to believe it matters
    assert_allclose(model.predict(moved), model.predict(X), atol=0.01)


def test_features_of_any_scale():
    X, rewards = table()
    model = MLPRewardRegressor(**SHORT).fit(X, rewards)
    scaled = MLPRewardRegressor(**SHORT).fit(X * 1e8 - 1e9, rewards)
    assert_allclose(scaled.predict(X * 1e8 - 1e9), model.predict(X), atol=1e-3)


@pytest.mark.parametrize(
    ("rewards", "target"),
    [
        (np.zeros((30, 4)), "rate_distribution"),
        (np.ones((30, 4)), "rate_distribution"),
        (np.zeros((30, 4)), "success_rate"),
        (np.ones((30, 4)), "success_rate"),
        (np.full((30, 4), 7.3), "marginal_rewards"),
        (np.full((30, 2, 4), 7.3), "preference"),
    ],
)
def test_constant_rewards_are_predicted(rewards, target):
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = MLPRewardRegressor(target, **SHORT).fit(X, rewards)
    marginals = model.predict_marginals(X)
    first = {"preference": 0.0}.get(target, rewards.flat[0])
    assert_allclose(marginals[:, 0], first, atol=0.01)
    assert_allclose(marginals[:, 1:], 0, atol=0.01)


@pytest.mark.parametrize("n_queries", [2, 3, 5, 6])
def test_very_few_queries(n_queries):
    X, rewards = table(n_queries)
    marginals = MLPRewardRegressor(**SHORT).fit(X, rewards).predict_marginals(X)
    assert marginals.shape == rewards.shape
    assert (marginals >= 0).all()
    assert (marginals.sum(axis=1) <= 1).all()


@pytest.mark.parametrize("n_members", [1, 2, 9])
def test_any_number_of_members(n_members):
    X, rewards = table()
    model = MLPRewardRegressor(n_members=n_members, **SHORT).fit(X, rewards)
    assert len(model.weights_[0]) == n_members


# Randomness and persistence


@pytest.mark.parametrize(("profile", "target", "resolved"), PROFILES)
def test_one_seed_one_model(profile, target, resolved):
    X, rewards = table(profile=profile)
    first, again = (MLPRewardRegressor(target, **SHORT).fit(X, rewards) for _ in "ab")
    other = clone(first).set_params(random_state=1).fit(X, rewards)
    assert_array_equal(first.predict(X), again.predict(X))
    assert (first.predict(X) != other.predict(X)).any()


def test_refitting_forgets(fitted):
    _, X = fitted
    _, rewards = table(seed=1)
    fresh = MLPRewardRegressor(**SHORT).fit(X, rewards)
    refitted = MLPRewardRegressor(**SHORT).fit(X[:40], rewards[:40]).fit(X, rewards)
    assert_array_equal(refitted.predict(X), fresh.predict(X))


def test_global_random_states_are_left_alone():
    X, rewards = table()
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the global state is what is tested
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    MLPRewardRegressor(**SHORT).fit(X, rewards)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_the_seed_counts_not_the_global_state(fitted):
    model, X = fitted
    _, rewards = table()
    torch.manual_seed(12345)
    torch.rand(7)
    again = MLPRewardRegressor(**SHORT).fit(X, rewards)
    assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.slow
def test_a_fresh_process_predicts_the_same(fitted, tmp_path):
    model, X = fitted
    joblib.dump((model, X), tmp_path / "model.joblib")
    script = (
        "import joblib, numpy, sys\n"
        "model, X = joblib.load('model.joblib')\n"
        "numpy.save('marginals.npy', model.predict_marginals(X))\n"
        "assert 'torch' not in sys.modules, 'predicting needs no torch'\n"
    )
    package = Path(sklearn_adaalloc.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package)},
        check=True,
    )
    assert_array_equal(np.load(tmp_path / "marginals.npy"), model.predict_marginals(X))


# Errors


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"target": "rate"}, r"target='rate' is not accepted.*'rate_distribution'"),
        ({"hidden_units": 0}, r"hidden_units=0 is not accepted.*at least 1"),
        ({"hidden_units": 3.0}, r"hidden_units=3.0 is not accepted.*whole"),
        ({"n_members": 0}, r"n_members=0 is not accepted"),
        ({"batch_size": -1}, r"batch_size=-1 is not accepted"),
        ({"max_epochs": 0}, r"max_epochs=0 is not accepted"),
        ({"patience": 0}, r"patience=0 is not accepted"),
        ({"dropout": 1.0}, r"dropout=1.0 is not accepted.*\[0, 1\)"),
        ({"dropout": -0.1}, r"dropout=-0.1 is not accepted"),
        ({"learning_rate": 0}, r"learning_rate=0 is not accepted.*\(0, inf\)"),
        ({"learning_rate": np.nan}, r"learning_rate=nan is not accepted"),
        ({"weight_decay": -1}, r"weight_decay=-1 is not accepted.*\[0, inf\)"),
        ({"max_budget": 0}, r"max_budget=0 is not accepted.*at least 1"),
        ({"max_budget": 2.5}, r"max_budget=2.5 is not accepted"),
        ({"random_state": "zero"}, r"'zero' cannot be used to seed"),
    ],
)
def test_bad_parameters(params, match):
    X, rewards = table(10)
    with pytest.raises(ValueError, match=match):
        MLPRewardRegressor(**params).fit(X, rewards)


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        (np.ones((4, 1)), None, r"requires y to be passed.*Give the reward table"),
        (np.ones((0, 1)), np.ones((0, 1)), r"0 sample"),
        (np.ones((1, 1)), np.ones((1, 1)), r"1 sample.*minimum of 2"),
        (np.ones((4, 1)), np.ones((3, 2)), r"inconsistent.*4 and 3"),
        (np.full((4, 1), np.nan), np.ones((4, 2)), r"Input X contains NaN"),
        (np.ones((2, 1)), [[1, 0], [np.nan, np.nan]], r"no sample in row 1"),
        (np.ones((2, 1)), [[1, np.inf], [0, 1]], r"infinity \(inf\) in row 0"),
        (np.ones(4), np.ones((4, 2)), r"Expected 2D array"),
    ],
)
def test_bad_input(X, y, match):
    with pytest.raises(ValueError, match=match):
        MLPRewardRegressor().fit(X, y)


def test_real_rewards_for_a_target_on_rates():
    X, rewards = table(10, profile="chat")
    with pytest.raises(
        ValueError, match=r"in row 0\. Expected 0 or 1.*'marginal_rewards'"
    ):
        MLPRewardRegressor("rate_distribution").fit(X, rewards)


@pytest.mark.parametrize("max_budget", [0, -2, 1.5])
def test_bad_length_of_marginals(fitted, max_budget):
    model, X = fitted
    with pytest.raises(ValueError, match=f"max_budget={max_budget} is not accepted"):
        model.predict_marginals(X, max_budget)


def test_more_steps_than_were_learnt():
    X, rewards = table()
    model = MLPRewardRegressor("marginal_rewards", **SHORT).fit(X, rewards)
    with pytest.raises(ValueError, match=r"max_budget=7 is above the 6 steps"):
        model.predict_marginals(X, 7)


def test_more_steps_than_samples_are_announced():
    X, rewards = table()
    model = MLPRewardRegressor("marginal_rewards", max_budget=8, **SHORT)
    with pytest.warns(UserWarning, match=r"max_budget.*with-replacement"):
        model.fit(X, rewards)
    assert model.predict(X).shape == (80, 8)


def test_other_features_at_prediction(fitted):
    model, X = fitted
    with pytest.raises(ValueError, match=r"X has 3 features, but MLPRewardRegressor"):
        model.predict(X[:, :3])


def test_unfitted():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        MLPRewardRegressor().predict([[0.0]])
    assert not hasattr(MLPRewardRegressor(), "predict_rate_distribution")


def test_features_that_would_overflow():
    X, rewards = table()
    X[3, 0] = 1e200
    with pytest.raises(ValueError, match=r"X has values from .*1e\+200.*Rescale"):
        MLPRewardRegressor(**SHORT).fit(X, rewards)


def test_features_too_small_to_divide_by_count_as_constant():
    X, rewards = table()
    X[:, 0] *= 1e-300
    model = MLPRewardRegressor(**SHORT).fit(X, rewards)
    constant = X.copy()
    constant[:, 0] = 0
    expected = MLPRewardRegressor(**SHORT).fit(constant, rewards).predict(constant)
    assert_allclose(model.predict(X), expected, rtol=1e-6)
    X[0, 0] = 1e30
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("device", ["nonsense", 0, None, "meta", "cuda:99", 10**30])
def test_a_device_that_is_not_there(device):
    X, rewards = table()
    with pytest.raises(ValueError, match=r"device=.* is not a torch device of this"):
        MLPRewardRegressor(**{**SHORT, "device": device}).fit(X, rewards)
