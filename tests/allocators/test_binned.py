import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    MLPRewardRegressor,
    RewardRegressor,
)
from sklearn_adaalloc.curves import marginal_rewards
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.planning import bin_means


class Rates(RegressorMixin, BaseEstimator):
    """Takes the only feature for the success rate; counts its fits."""

    n_fits = 0

    def fit(self, X, y):
        type(self).n_fits += 1
        self.n_queries_ = len(y)
        return self

    def predict_marginals(self, X, max_budget):
        rates = np.asarray(X, dtype=float)[:, :1]
        return rates * (1 - rates) ** np.arange(max_budget)


class Digits(Rates):
    """Reads the success rate in a text such as "easy 0.9"."""

    def predict_marginals(self, X, max_budget):
        rates = np.array([[float(text.split()[1])] for text in X])
        return super().predict_marginals(rates, max_budget)


def frozen(regressor):
    return FrozenEstimator(regressor.fit([[0.0]], [[0.0]]))


def table(n_queries=100, n_samples=6, profile="math"):
    return make_reward_table(
        n_queries, n_samples, profile=profile, random_state=0, return_X_y=True
    )


# Twenty queries that look easy and have one right answer of four (marginals 1/4 each),
# twenty that look hard and have two right answers (marginals 1/2, 1/3, 1/6, 0).
LOOKS = np.repeat([[0.9], [0.1]], 20, axis=0)
TRUTH = np.repeat([[0.0, 0, 0, 1], [0.0, 1, 1, 0]], 20, axis=0)


# Bins and their budgets


@pytest.mark.parametrize(
    ("budget", "bin_budgets", "realised"),
    [
        (0.0, [0, 0], 0.0),
        (0.5, [1, 0], 0.5),
        (0.75, [1, 0], 0.75),  # ten of the twenty hard queries get a second sample
        (1.0, [2, 0], 1.0),
        (2.0, [2, 2], 2.0),
        (3.0, [2, 4], 3.0),
        (4.0, [3, 4], 3.5),  # the fourth sample of the hard ones brings nothing
    ],
)
def test_what_was_observed_decides(budget, bin_budgets, realised):
    allocator = BinnedAllocator(frozen(Rates()), budget=budget, n_bins=2)
    allocator.fit(LOOKS, TRUTH)
    assert_allclose(allocator.bin_edges_, [0.5])
    assert_array_equal(allocator.bin_sizes_, [20, 20])
    assert_allclose(
        allocator.bin_marginals_, [[1 / 2, 1 / 3, 1 / 6, 0], [1 / 4] * 4], atol=1e-12
    )
    assert_array_equal(allocator.bin_budgets_, bin_budgets)
    assert allocator.realised_budget_ == pytest.approx(realised)
    extra = allocator.predict([[0.2], [0.6], [0.0]]) - np.array(bin_budgets)[[0, 1, 0]]
    assert set(extra) <= ({0, 1} if budget == 0.75 else {0})


def test_bins_of_equally_many_queries():
    X = np.random.default_rng(0).permutation(np.linspace(0, 1, 100))[:, None]
    allocator = BinnedAllocator(frozen(Rates()), n_bins=10).fit(X, np.ones((100, 2)))
    assert_array_equal(allocator.bin_sizes_, [10] * 10)
    assert_allclose(allocator.bin_edges_, np.arange(9.5, 90, 10) / 99)


def test_bins_of_equal_width():
    X = np.array([[0.0], [0.1], [0.25], [0.9], [0.95], [1.0]])
    allocator = BinnedAllocator(frozen(Rates()), n_bins=5, strategy="uniform")
    allocator.fit(X, np.ones((6, 2)))
    assert_array_equal(allocator.bin_sizes_, [2, 1, 3])  # two of five are empty
    assert_allclose(allocator.bin_edges_, [0.175, 0.575])


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
@pytest.mark.parametrize("n_bins", [1, 2, 7, 50])
def test_tied_predictions_share_a_bin(strategy, n_bins):
    X = np.repeat([[0.1], [0.4], [0.8]], [50, 3, 7], axis=0)
    allocator = BinnedAllocator(
        frozen(Rates()), budget=1, n_bins=n_bins, strategy=strategy
    )
    allocator.fit(X, np.ones((60, 4)))
    assert len(allocator.bin_sizes_) <= min(n_bins, 3)
    assert allocator.bin_sizes_.sum() == 60
    assert set(np.cumsum(allocator.bin_sizes_)) <= {50, 53, 60}


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_equal_predictions_are_one_bin(strategy):
    X = np.full((30, 1), 0.3)
    allocator = BinnedAllocator(frozen(Rates()), budget=2, strategy=strategy)
    rewards = np.tile([1.0, 0, 0, 0], (30, 1))
    allocator.fit(X, rewards)
    assert_array_equal(allocator.bin_sizes_, [30])
    assert allocator.bin_edges_.size == 0
    assert_array_equal(allocator.predict([[0.0], [1.0]]), [2, 2])


def test_one_bin_is_uniform():
    X, rewards = table()
    allocator = BinnedAllocator(RewardRegressor(Ridge()), budget=2.5, n_bins=1)
    allocator.set_params(random_state=0)
    budgets = allocator.fit(X, rewards).predict(X)
    assert set(budgets) == {2, 3}  # as equal as a mean of 2.5 can be
    assert allocator.realised_budget_ == 2.5
    assert budgets.mean() == pytest.approx(2.5, abs=0.3)


@given(
    budget=st.floats(0, 5),
    min_budget=st.integers(0, 2),
    n_bins=st.integers(1, 12),
    strategy=st.sampled_from(["quantile", "uniform"]),
    decimals=st.integers(1, 4),
    seed=st.integers(0, 2**16),
)
def test_the_budget_is_kept_over_the_calibration_queries(
    budget, min_budget, n_bins, strategy, decimals, seed
):
    budget = max(budget, min_budget)
    rng = np.random.default_rng(seed)
    X = rng.random((25, 1)).round(decimals)  # with ties
    rewards = (rng.random((25, 5)) < X) * 1.0
    allocator = BinnedAllocator(
        frozen(Rates()),
        budget=budget,
        min_budget=min_budget,
        n_bins=n_bins,
        strategy=strategy,
    ).fit(X, rewards)
    assert allocator.realised_budget_ <= budget
    assert allocator.predict(X).mean() == pytest.approx(allocator.realised_budget_)
    assert (allocator.bin_sizes_ > 0).all()
    assert (np.diff(allocator.bin_edges_) > 0).all()
    assert len(allocator.bin_edges_) == len(allocator.bin_sizes_) - 1
    assert (np.diff(allocator.bin_marginals_, axis=1) <= 0).all()
    assert allocator.bin_budgets_.min() >= min_budget
    assert allocator.bin_budgets_.max() <= 5


def test_bounds_hold_in_every_bin():
    X, rewards = table()
    allocator = BinnedAllocator(
        RewardRegressor(Ridge()), budget=2, min_budget=1, max_budget=3
    ).fit(X, rewards)
    assert set(allocator.predict(10 * X)) <= {1, 2, 3}
    assert allocator.bin_marginals_.shape[1] == 3


def test_empty_reward_counts():
    # At an empty reward of 1/2 the first sample of the hard ones brings nothing.
    allocator = BinnedAllocator(
        frozen(Rates()), budget=4, n_bins=2, empty_reward=0.5
    ).fit(LOOKS, TRUTH)
    # Curves 1/2, 1/2, 5/6, 1, 1 and 1/2, 1/4, 1/2, 3/4, 1, the latter pooled to 1/8.
    assert_allclose(
        allocator.bin_marginals_, [[1 / 6, 1 / 6, 1 / 6, 0], [1 / 8] * 4], atol=1e-12
    )


# Each row alone


@pytest.mark.parametrize(
    "regressor",
    [
        RewardRegressor(Ridge()),
        MLPRewardRegressor(max_epochs=5, learning_rate=0.01, random_state=0),
    ],
    ids=["ridge", "mlp"],
)
@pytest.mark.parametrize("repeats", [1, 5])
@pytest.mark.parametrize("seed", range(3))
def test_budgets_do_not_depend_on_the_batch(regressor, repeats, seed):
    # The queries that set the edges are the ones that rounding would move across.
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.normal(size=(205 // repeats, 40)), repeats, axis=0)
    rewards = (rng.random((len(X), 8)) < expit(3 * X[:, :1])) * 1.0
    fitted = FrozenEstimator(clone(regressor).fit(X, rewards))
    allocator = BinnedAllocator(fitted, budget=2, n_bins=6).fit(X, rewards)
    together = allocator.predict(X)
    order = rng.permutation(len(X))
    alone = np.concatenate([allocator.predict(row[None]) for row in X])
    assert len(set(together)) > 1
    assert_array_equal(alone, together)
    assert_array_equal(allocator.predict(X[order]), together[order])
    assert_array_equal(allocator.predict(X[:7]), together[:7])


# Budget and regressor


def test_budget_may_change_after_fit():
    allocator = BinnedAllocator(frozen(Rates()), budget=0.5, n_bins=2)
    allocator.fit(LOOKS, TRUTH)
    fits = Rates.n_fits
    assert_array_equal(allocator.predict([[0.1], [0.9]]), [1, 0])
    allocator.set_params(budget=2.0)
    assert_array_equal(allocator.predict([[0.1], [0.9]]), [2, 2])
    assert_array_equal(allocator.bin_budgets_, [2, 2])
    assert allocator.realised_budget_ == 2
    assert Rates.n_fits == fits
    allocator.set_params(budget=5.0)
    with pytest.raises(ValueError, match=r"budget=5.0 is above max_budget=4"):
        allocator.predict([[0.1]])


@pytest.mark.parametrize(("holdout", "n_held_out"), [(0.2, 20), (0.5, 50)])
def test_calibration_queries_are_kept_from_the_regressor(holdout, n_held_out):
    X, rewards = table()
    allocator = BinnedAllocator(Rates(), holdout=holdout, n_bins=3, random_state=0)
    allocator.fit(np.abs(X[:, :1]), rewards)
    assert allocator.regressor_.n_queries_ == 100 - n_held_out
    assert allocator.bin_sizes_.sum() == n_held_out


def test_a_frozen_regressor_leaves_all_queries_for_calibration():
    regressor = frozen(Rates())
    fits = Rates.n_fits
    X, rewards = table()
    allocator = BinnedAllocator(regressor, n_bins=3).fit(np.abs(X[:, :1]), rewards)
    assert Rates.n_fits == fits
    assert allocator.regressor_ is regressor
    assert allocator.bin_sizes_.sum() == 100


def test_one_seed_one_allocator():
    X, rewards = table()
    allocator = BinnedAllocator(RewardRegressor(Ridge()), budget=2, random_state=0)
    first, again, other = (
        clone(allocator).set_params(random_state=seed).fit(X, rewards)
        for seed in (0, 0, 1)
    )
    assert_array_equal(first.bin_edges_, again.bin_edges_)
    assert_array_equal(first.bin_marginals_, again.bin_marginals_)
    assert first.bin_edges_[0] != other.bin_edges_[0]


@pytest.mark.slow
def test_the_default_regressor():
    X, rewards = table(200)
    allocator = BinnedAllocator(budget=2, random_state=0).fit(X, rewards)
    assert isinstance(allocator.regressor_, MLPRewardRegressor)
    assert allocator.realised_budget_ <= 2
    assert allocator.score(X, rewards) > 0


def test_a_plain_regressor_has_to_be_wrapped():
    with pytest.raises(ValueError, match=r"no method predict_marginals.*RewardRegr"):
        BinnedAllocator(Ridge()).fit(*table())


# Kinds of input


def test_routing():
    X, rewards = table(profile="routing")
    allocator = BinnedAllocator(RewardRegressor(Ridge()), budget=0.4, n_bins=4)
    budgets = allocator.fit(X, rewards).predict(X)
    assert set(budgets) == {0, 1}
    assert allocator.realised_budget_ <= 0.4
    with pytest.raises(ValueError, match=r"max_budget=3 is not accepted for routing"):
        allocator.set_params(max_budget=3).fit(X, rewards)


def test_texts_go_to_a_regressor_that_reads_them():
    texts = ["easy 0.9", "hard 0.1"] * 20
    truth = np.tile([[0.0, 0, 0, 1], [0.0, 1, 1, 0]], (20, 1))
    regressor = FrozenEstimator(Digits().fit(texts, truth))
    allocator = BinnedAllocator(regressor, budget=1, n_bins=2).fit(texts, truth)
    assert_array_equal(allocator.predict(["hard 0.2", "easy 0.7"]), [2, 0])
    inner = BinnedAllocator(Digits(), budget=1, n_bins=2, random_state=0)
    assert inner.fit(texts, truth).bin_sizes_.sum() == 8


def test_sparse_and_pandas_features_equal_dense_ones():
    X, rewards = table()
    X = np.where(np.abs(X) > 0.7, X, 0.0)
    ridge = RewardRegressor(Ridge(solver="sparse_cg", tol=1e-12))
    allocator = BinnedAllocator(ridge, budget=2, n_bins=4, random_state=0)
    dense = clone(allocator).fit(X, rewards).predict(X)
    frame = pd.DataFrame(X).add_prefix("feature ")
    for other in (sparse.csr_array(X), sparse.coo_matrix(X), frame):
        assert_array_equal(clone(allocator).fit(other, rewards).predict(other), dense)
    assert allocator.fit(frame, rewards).feature_names_in_[3] == "feature 3"


def test_ragged_tables():
    X, rewards = table()
    rewards[::2, 4:] = np.nan
    ragged = [row[np.isfinite(row)].tolist() for row in rewards]
    padded, listed = (
        BinnedAllocator(frozen(Rates()), budget=1, n_bins=3).fit(np.abs(X[:, :1]), y)
        for y in (rewards, ragged)
    )
    assert_array_equal(padded.bin_marginals_, listed.bin_marginals_)
    assert padded.realised_budget_ == listed.realised_budget_ <= 1


# Means of bins


def test_means_of_large_bins_are_the_observed_ones():
    rng = np.random.default_rng(0)
    bins = np.repeat([0, 1], 20_000)
    truth = np.array([[0.7, 0.2], [0.1, 0.05]])[bins]
    observed = truth + rng.normal(0, 0.3, size=truth.shape)
    means = bin_means(observed, np.zeros_like(observed), bins)
    assert_allclose(means, [[0.7, 0.2], [0.1, 0.05]], atol=0.01)


def test_means_without_noise_are_the_observed_ones():
    bins = np.array([0, 0, 1, 1, 1])
    observed = np.array([[1.0, 0.5], [2.0, 0.25]])[bins]
    means = bin_means(observed, np.full((5, 2), 7.0), bins)
    assert_allclose(means, [[1.0, 0.5], [2.0, 0.25]])


def test_means_of_exact_predictions_are_the_predicted_ones():
    bins = np.array([0, 0, 1, 1])
    predicted = np.array([[1.0, 0.4], [0.8, 0.4], [0.2, 0.1], [0.4, 0.1]])
    assert_allclose(bin_means(predicted, predicted, bins), [[0.9, 0.4], [0.3, 0.1]])
    # Errors that cancel in each bin are noise by all that one can tell.
    noise = np.array([[0.1, 0.0], [-0.1, 0.0], [0.1, 0.2], [-0.1, -0.2]])
    assert_allclose(
        bin_means(predicted + noise, predicted, bins), [[0.9, 0.4], [0.3, 0.1]]
    )


def test_means_of_single_queries_are_the_predicted_ones():
    predicted = np.array([[1.0], [0.2]])
    assert_allclose(bin_means(predicted + 5, predicted, np.array([0, 1])), predicted)


def test_means_lie_between_what_is_predicted_and_what_is_observed():
    rng = np.random.default_rng(0)
    bins = np.repeat([0, 1, 2], [5, 50, 500])
    predicted = np.full((555, 1), 0.3)
    observed = predicted + np.array([0.1, -0.1, 0.1])[bins, None]
    observed += rng.normal(0, 0.3, size=(555, 1))
    mean = np.array([observed[bins == b].mean() for b in range(3)])
    share = (bin_means(observed, predicted, bins)[:, 0] - 0.3) / (mean - 0.3)
    assert ((share > 0) & (share < 1)).all()
    assert (np.diff(share) > 0).all()  # larger bins are trusted more


def test_bins_hold_their_mean_marginals():
    X, rewards = table(profile="chat")
    scores = np.abs(X[:, :1])
    allocator = BinnedAllocator(frozen(Rates()), n_bins=1).fit(scores, rewards)
    observed = marginal_rewards(rewards, 6).mean(axis=0)
    predicted = Rates().predict_marginals(scores, 6).mean(axis=0)
    low, high = np.minimum(observed, predicted), np.maximum(observed, predicted)
    assert (allocator.bin_marginals_[0] >= low - 1e-9).all()
    assert (allocator.bin_marginals_[0] <= high + 1e-9).all()


# Bad input


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"n_bins": 0}, r"n_bins=0 is not accepted.*at least 1"),
        ({"n_bins": 2.0}, r"n_bins=2.0 is not accepted"),
        (
            {"strategy": "kmeans"},
            r"strategy='kmeans' is not.*\['quantile', 'uniform'\]",
        ),
        ({"holdout": 0}, r"holdout=0 is not accepted.*\(0, 1\)"),
        ({"holdout": 1.0}, r"holdout=1.0 is not accepted"),
        ({"budget": -1}, r"budget=-1 is not a mean budget"),
        ({"budget": np.nan}, r"budget=nan is not a mean budget"),
        ({"budget": 0.5, "min_budget": 1}, r"budget=0.5 is below min_budget=1"),
        ({"budget": 7}, r"budget=7 is above max_budget=6"),
    ],
)
def test_bad_parameters(params, match):
    with pytest.raises(ValueError, match=match):
        BinnedAllocator(RewardRegressor(Ridge()), **params).fit(*table())


def test_a_table_too_short_for_max_budget_is_announced():
    X, rewards = table()
    with pytest.warns(UserWarning, match=r"max_budget.*6.*with-replacement estimator"):
        BinnedAllocator(frozen(Rates()), max_budget=7).fit(np.abs(X[:, :1]), rewards)


def test_unfitted():
    allocator = BinnedAllocator()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        allocator.predict([[0.0]])
    assert not hasattr(allocator, "bin_budgets_")
    assert not hasattr(allocator, "realised_budget_")


def test_gain_over_uniform_with_known_rates():
    truth = make_reward_table(1000, 16, random_state=0)
    X = truth.rates[:, None]
    allocator = BinnedAllocator(frozen(Rates()), budget=4).fit(X, truth.rewards)
    uniform = np.mean(1 - (1 - truth.rates) ** 4)
    joint = AdaptiveAllocator(frozen(Rates()), budget=4).fit(X, truth.rewards)
    assert uniform + 0.02 < allocator.score(X, truth.rewards)
    assert allocator.score(X, truth.rewards) < joint.score(X, truth.rewards) + 0.005


def test_a_larger_max_budget_needs_a_new_fit():
    X, rewards = table()
    allocator = BinnedAllocator(RewardRegressor(Ridge())).fit(X, rewards)
    allocator.set_params(max_budget=7)
    with pytest.raises(ValueError, match="max_budget=7 is above the 6 steps"):
        allocator.predict(X)


@pytest.mark.parametrize("empty_reward", [np.nan, np.inf, "0"])
def test_empty_reward_must_be_a_finite_number(empty_reward):
    X, rewards = table()
    allocator = BinnedAllocator(RewardRegressor(Ridge()), empty_reward=empty_reward)
    with pytest.raises(ValueError, match=r"empty_reward=.* is not accepted"):
        allocator.fit(X, rewards)
