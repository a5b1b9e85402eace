"""Reward curves: the expected reward of the chosen one of b samples."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_adaalloc.curves import (
    best_of_weights,
    expected_rewards,
    marginal_rewards,
    reward_curves,
)

NAN = np.nan


def samples(n_samples, seed=0):
    """One query's rewards: rounded, so that some are tied."""
    return np.random.default_rng(seed).normal(size=n_samples).round(1)


# Expected best of b


@pytest.mark.parametrize("n_samples", range(1, 7))
@pytest.mark.parametrize("seed", range(3))
def test_without_replacement_is_the_mean_over_all_subsets(n_samples, seed):
    rewards = samples(n_samples, seed)
    enumerated = [
        np.mean([max(subset) for subset in combinations(rewards, b)])
        for b in range(1, n_samples + 1)
    ]
    curve = reward_curves(rewards[None], n_samples, replacement="auto")[0]
    assert_allclose(curve, [0.0, *enumerated], atol=1e-12)


@pytest.mark.parametrize("n_samples", range(1, 7))
def test_with_replacement_is_the_mean_over_all_tuples(n_samples):
    rewards = samples(n_samples)
    enumerated = [
        np.mean([max(drawn) for drawn in product(rewards, repeat=b)])
        for b in range(1, 6)
    ]
    curve = reward_curves(rewards[None], 5, replacement=True)[0]
    assert_allclose(curve, [0.0, *enumerated], atol=1e-12)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("budget", [1, 3, 8])
def test_agrees_with_a_simulation(replacement, budget):
    rng = np.random.default_rng(budget)
    rewards = samples(10)
    n_draws = 100_000
    order = rng.random((n_draws, 10)).argsort(axis=1)  # a permutation for each draw
    independent = rng.integers(10, size=(n_draws, 10))
    drawn = rewards[(order, independent)[replacement][:, :budget]].max(axis=1)
    exact = expected_rewards(
        rewards[None], np.array([budget]), replacement=replacement
    )[0]
    assert abs(drawn.mean() - exact) < 4 * drawn.std() / np.sqrt(n_draws)


@pytest.mark.parametrize("n_right", [0, 1, 7, 39, 40])
def test_zero_one_rewards_give_pass_at_b(n_right):
    # Chen et al. 2021, Eq. 1: pass@b = 1 - C(m - c, b) / C(m, b).
    m = 40
    rewards = np.random.default_rng(0).permutation(np.arange(m) < n_right) * 1.0
    published = [1 - comb(m - n_right, b) / comb(m, b) for b in range(m + 1)]
    assert_allclose(reward_curves(rewards[None], m)[0], published, atol=1e-12)


@pytest.mark.parametrize("n_samples", [1, 2, 50, 1000])
def test_weights_are_distributions_that_move_upwards(n_samples):
    weights = best_of_weights(n_samples, n_samples + 5)
    assert (weights >= 0).all()
    assert_allclose(weights.sum(axis=0), 1)
    # The best of all m is the best of b drawn ones with chance b/m.
    assert_allclose(weights[-1, :n_samples], np.arange(1, n_samples + 1) / n_samples)


@pytest.mark.parametrize(("b", "expected"), [(1, 0.25), (2, 0.5), (4, 1.0)])
def test_curve_by_hand(b, expected):
    # One right answer of four: it is among b drawn ones with chance b/4.
    assert reward_curves(np.array([[0.0, 1, 0, 0]]), 4)[0, b] == pytest.approx(expected)


def test_seam_where_the_samples_run_out():
    # Up to m = 2 drawn without replacement, beyond with: 1 - (1/2)^3.
    curve = reward_curves(np.array([[0.0, 1.0]]), 3)
    assert_allclose(curve, [[0.0, 0.5, 1.0, 0.875]])
    assert_allclose(marginal_rewards(np.array([[0.0, 1.0]]), 3), [[0.5, 0.5, -0.125]])


def test_without_replacement_cannot_go_beyond_the_samples():
    with pytest.raises(
        ValueError, match=r"max_budget=3 cannot be drawn without.*2 samples.*'auto'"
    ):
        reward_curves(np.array([[0.0, 1.0]]), 3, replacement=False)


def test_ragged_rows_are_their_own_samples():
    ragged = np.array([[NAN, 2.0, NAN, 1.0], [3.0, 0.0, 1.0, 2.0], [NAN, 5, NAN, NAN]])
    curves = reward_curves(ragged, 4)
    for row, curve in zip(ragged, curves, strict=True):
        assert_allclose(curve, reward_curves(row[~np.isnan(row)][None], 4)[0])
    assert_allclose(curves[0, 1:3], [1.5, 2.0])
    assert_allclose(curves[2], [0.0, 5.0, 5.0, 5.0, 5.0])


def test_order_of_samples_and_missing_ones_do_not_matter():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(5, 8))
    rewards[:, ::3] = NAN
    shuffled = rng.permuted(rewards, axis=1)
    assert_allclose(reward_curves(shuffled, 8), reward_curves(rewards, 8))


def test_empty_reward_is_the_start_of_the_curve():
    curves = reward_curves(np.array([[1.0, 3.0]]), 2, empty_reward=-1.0)
    assert_allclose(curves, [[-1.0, 2.0, 3.0]])
    marginals = marginal_rewards(np.array([[1.0, 3.0]]), 2, empty_reward=-1.0)
    assert_allclose(marginals, [[3.0, 1.0]])


def test_routing_curve_is_weak_then_strong():
    rewards = np.array([[[0.0, 1.0], [1.0, NAN]], [[1.0, 1.0], [0.0, 0.5]]])
    assert_allclose(reward_curves(rewards, 1), [[0.5, 1.0], [1.0, 0.25]])
    assert_allclose(marginal_rewards(rewards, 1), [[0.5], [-0.75]])
    assert_allclose(expected_rewards(rewards, np.array([1, 0])), [1.0, 1.0])
    assert_allclose(expected_rewards(rewards, np.array([0, 1])), [0.5, 0.25])


@pytest.mark.parametrize("replacement", ["auto", True])
def test_expected_rewards_are_points_of_the_curves(replacement):
    rng = np.random.default_rng(1)
    rewards = rng.normal(size=(30, 6))
    rewards[rng.random((30, 6)) < 0.3] = NAN
    rewards[:, 0] = 0.5  # no empty row
    budgets = rng.integers(0, 10, size=30)
    options = {"empty_reward": -2.0, "replacement": replacement}
    curves = reward_curves(rewards, 9, **options)
    assert_allclose(
        expected_rewards(rewards, budgets, **options), curves[np.arange(30), budgets]
    )


def test_expected_rewards_without_any_sample():
    rewards = np.array([[1.0], [0.0]])
    none = np.zeros(2, dtype=int)
    assert_array_equal(expected_rewards(rewards, none, empty_reward=0.25), [0.25, 0.25])


def test_without_replacement_each_row_has_its_own_limit():
    ragged = np.array([[0.0, 1.0, NAN], [0.0, 1.0, 2.0]])
    expected = expected_rewards(ragged, np.array([1, 3]), replacement=False)
    assert_allclose(expected, [0.5, 2.0])
    with pytest.raises(ValueError, match=r"max_budget=3.*2 samples"):
        expected_rewards(ragged, np.array([3, 3]), replacement=False)


@given(
    arrays(float, (4, 6), elements=st.floats(-10, 10)),
    st.booleans(),
)
def test_curves_rise_and_are_concave(rewards, replacement):
    # The best of more samples is better, and by less and less, for each estimator.
    steps = np.diff(reward_curves(rewards, 6, replacement=replacement)[:, 1:], axis=1)
    assert (steps >= -1e-9).all()
    assert (np.diff(steps, axis=1) <= 1e-9).all()


def test_a_huge_budget_takes_no_table_as_wide():
    # Best of many draws with replacement: the largest reward.
    expected = expected_rewards(np.array([[0.0, 0.5, NAN]]), np.array([2**31 - 1]))
    assert_allclose(expected, [0.5])
