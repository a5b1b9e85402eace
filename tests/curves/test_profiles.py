"""Rate profiles: fitting, choosing their number, and what one decoder must agree to."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from sklearn_adaalloc.curves._menus import expected_menu_rewards
from sklearn_adaalloc.curves._profiles import (
    choose_profiles,
    count_verdicts,
    cut_into_parts,
    fit_profiles,
    posterior_shares,
    profile_log_likelihoods,
)
from sklearn_adaalloc.curves._rates import RATES, log_likelihoods
from sklearn_adaalloc.curves._reward_curves import expected_rewards


def mixture(n_queries, n_samples, seed=0):
    """Verdicts of three decoders with three profiles, one of them hopeless."""
    random = np.random.default_rng(seed)
    profiles = np.array([[0.9, 0.8, 0.95], [0.5, 0.1, 0.7], [0.01, 0.02, 0.3]])
    rates = profiles[random.integers(3, size=n_queries)]
    right = random.binomial(n_samples, rates)
    return right, n_samples - right, profiles


def held_out(right, wrong, profiles, weights):
    joint = right @ np.log(profiles).T + wrong @ np.log1p(-profiles).T
    return logsumexp(joint + np.log(weights), axis=1).mean()


def test_true_profiles_are_found():
    right, wrong, truth = mixture(3000, 20)
    profiles, weights = fit_profiles(right, wrong, 3)
    order = np.argsort(-profiles[:, 0])
    assert_allclose(profiles[order], truth, atol=0.02)
    assert_allclose(weights, 1 / 3, atol=0.03)


@pytest.mark.parametrize("n_samples", [1, 10])
def test_few_samples_do_not_overfit(n_samples):
    right, wrong, truth = mixture(250, n_samples)
    chosen = choose_profiles(right, wrong)
    later = mixture(2000, n_samples, seed=1)[:2]
    best = held_out(*later, truth, np.full(3, 1 / 3))
    average = held_out(*later, right.mean(axis=0)[None] / n_samples, np.ones(1))
    share = (held_out(*later, *chosen) - average) / (best - average)
    assert share > 0.9


def test_likelihood_of_one_decoder_is_that_of_the_rate_grid():
    rewards = (np.random.default_rng(0).random((40, 7)) < 0.4) * 1.0
    counts = count_verdicts(rewards[:, None])
    inner = RATES[1:-1, None]
    ours = profile_log_likelihoods(*counts, inner)
    grid = log_likelihoods(rewards)[:, 1:-1]
    assert_allclose(ours, grid - grid.max(axis=1, keepdims=True), atol=1e-9)


def test_posterior_by_hand():
    profiles = np.array([[0.5, 0.2], [0.1, 0.8]])
    right, wrong = np.array([[1, 0], [0, 0]]), np.array([[1, 2], [0, 0]])
    joint = np.array([0.3 * 0.25 * 0.64, 0.7 * 0.09 * 0.04])
    shares = posterior_shares(right, wrong, profiles, np.array([0.3, 0.7]))
    assert_allclose(shares, [joint / joint.sum(), [0.3, 0.7]])


def test_a_decoder_that_never_succeeded_has_no_chance():
    right, wrong, _ = mixture(200, 10)
    right[:, 1], wrong[:, 1] = 0, 10
    profiles, _ = choose_profiles(right, wrong)
    assert profiles[:, 1].max() < 1e-9
    assert np.isfinite(profile_log_likelihoods(right, wrong, profiles)).all()


def test_missing_cells_teach_nothing():
    right, wrong, truth = mixture(3000, 20)
    missing = np.random.default_rng(2).random(right.shape) < 0.3
    missing[:, 0] = False
    profiles, _ = fit_profiles(
        np.where(missing, 0, right), np.where(missing, 0, wrong), 3
    )
    assert_allclose(profiles[np.argsort(-profiles[:, 0])], truth, atol=0.03)


def test_there_are_no_more_profiles_than_different_queries():
    right = np.array([[1, 0], [0, 1], [1, 0]])
    profiles, weights = fit_profiles(right, 1 - right, 8)
    assert len(profiles) == len(weights) == 2
    assert len(choose_profiles(right, 1 - right)[0]) == 1


def test_parts_are_even_in_spread():
    points = np.random.default_rng(0).random((1000, 2))
    part = cut_into_parts(points, 64)
    assert_array_equal(np.unique(part), np.arange(64))
    widths = [np.ptp(points[part == each], axis=0).max() for each in range(64)]
    assert max(widths) < 0.3
    assert_array_equal(cut_into_parts(np.full((9, 2), 0.1 + 0.2), 4), np.zeros(9))


# Expected rewards


def test_expected_rewards_of_one_decoder_are_those_of_a_plain_table():
    random = np.random.default_rng(0)
    rewards = random.normal(size=(30, 6))
    rewards[:10, 4:] = np.nan
    budgets = random.integers(0, 9, size=30)  # also more than there are samples
    assert_allclose(
        expected_menu_rewards(rewards[:, None], budgets[:, None], empty_reward=-3.0),
        expected_rewards(rewards, budgets, empty_reward=-3.0),
    )


def test_expected_rewards_by_all_choices():
    from itertools import combinations, product

    random = np.random.default_rng(1)
    rewards = random.integers(0, 4, size=(5, 2, 4)) * 1.0  # with ties
    budgets = np.array([[1, 2], [0, 3], [4, 0], [2, 2], [1, 1]])
    exact = [
        np.mean(
            [
                max(first + second)
                for first, second in product(
                    combinations(row[0], each[0]), combinations(row[1], each[1])
                )
            ]
        )
        for row, each in zip(rewards.tolist(), budgets, strict=True)
    ]
    assert_allclose(expected_menu_rewards(rewards, budgets), exact)


def test_a_missing_decoder_gives_no_reward():
    rewards = np.array([[[1.0, 0.0], [np.nan, np.nan]]] * 2)
    budgets = np.array([[1, 3], [0, 3]])
    assert_allclose(
        expected_menu_rewards(rewards, budgets, empty_reward=0.2), [0.5, 0.2]
    )
