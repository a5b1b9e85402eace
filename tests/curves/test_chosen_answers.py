"""Curves of votes and scores, against every draw and against simulation."""

from itertools import combinations, product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_adaalloc import RewardTable
from sklearn_adaalloc.curves import expected_rewards, reward_curves

M = 7


def vote(rewards, codes, drawn):
    """Reward of the most frequent answer of one draw; ties shared."""
    votes = [code for code in codes[list(drawn)] if code >= 0]
    if not votes:
        return rewards[codes < 0].mean()
    counts = np.bincount(votes)
    leaders = np.flatnonzero(counts == counts.max())
    return np.mean([rewards[codes == leader].mean() for leader in leaders])


def best_score(rewards, scores, drawn):
    """Mean reward of all that have the highest score of one draw."""
    own = scores[list(drawn)]
    return rewards[scores == own.max()].mean()


def draws(n_samples, budget, replacement):
    if replacement:
        return product(range(n_samples), repeat=budget)
    return combinations(range(n_samples), budget)


def tables():
    rng = np.random.default_rng(0)
    for m in range(1, M + 1):
        for n_labels in (1, 2, 4):
            codes = rng.integers(-1, n_labels, m)
            yield rng.integers(0, 2, m).astype(float), codes, rng.integers(0, 3, m)
    yield np.ones(5), np.full(5, -1), np.zeros(5)  # nobody answers
    yield np.zeros(5), np.zeros(5, int), np.zeros(5)  # all wrong
    yield np.ones(5), np.zeros(5, int), np.zeros(5)  # all right
    yield np.array([1.0, 0, 0.5]), np.array([0, 1, 2]), np.arange(3.0)  # all differ


@pytest.mark.parametrize(("rewards", "codes", "scores"), list(tables()))
@pytest.mark.parametrize("replacement", [False, True])
def test_every_draw(rewards, codes, scores, replacement):
    m = len(rewards)
    most = min(m, 4) if replacement else m
    table = RewardTable(rewards[None], answers=codes[None], scores=scores[None])
    for selection, chosen, by in (("vote", vote, codes), ("score", best_score, scores)):
        expected = [
            np.mean([chosen(rewards, by, d) for d in draws(m, b, replacement)])
            for b in range(1, most + 1)
        ]
        options = {"selection": selection, "replacement": replacement}
        curves = reward_curves(table, most, empty_reward=-1.0, **options)
        assert_allclose(curves, [[-1.0, *expected]], atol=1e-12)
        budgets = np.array([most])
        at = expected_rewards(table, budgets, **options)
        assert_allclose(at, expected[-1:], atol=1e-12)


@pytest.mark.parametrize("m", [30, 80])
def test_simulated_votes(m):
    rng = np.random.default_rng(m)
    codes = np.concatenate(
        [rng.choice(6, m - 3, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05]), [-1] * 3]
    )
    rewards = (codes == 1).astype(float)
    table = RewardTable(rewards[None], answers=codes[None])
    curves = reward_curves(table, m, selection="vote")[0]
    for budget in (2, 5, 12, m // 2, m - 1):
        simulated = [
            vote(rewards, codes, rng.permutation(m)[:budget]) for _ in range(2000)
        ]
        error = np.std(simulated) / np.sqrt(2000)
        assert abs(np.mean(simulated) - curves[budget]) <= 4 * error + 1e-12


def test_beyond_the_samples_draws_are_with_replacement():
    table = RewardTable([[1.0, 0.0, 0.0]], answers=[["a", "b", "b"]])
    both = reward_curves(table, 5, selection="vote")[0]
    again = reward_curves(table, 5, selection="vote", replacement=True)[0]
    assert_array_equal(both[4:], again[4:])
    assert both[3] == 0  # all three are there, and b leads


def test_a_majority_of_wrong_answers_makes_a_curve_fall():
    table = RewardTable([[1.0, 0.0, 0.0]], answers=[["a", "b", "b"]])
    assert_allclose(reward_curves(table, 3, selection="vote"), [[0, 1 / 3, 1 / 3, 0]])


def test_scores_equal_to_rewards_choose_the_best():
    rng = np.random.default_rng(1)
    rewards = rng.normal(size=(20, 8))
    rewards[3, 5:] = np.nan
    table = RewardTable(rewards, scores=rewards)
    ours = reward_curves(table, 8, selection="score")
    assert_allclose(ours, reward_curves(rewards, 8))


def test_ragged_rows_count_their_own_samples():
    table = RewardTable(
        [[1.0, 0.0, 0.0], [1.0]],
        answers=[["a", "b", "b"], ["a"]],
        scores=[[1, 2, 3], [1]],
    )
    alone = RewardTable([[1.0]], answers=[["a"]], scores=[[1]])
    for selection in ("vote", "score"):
        both = reward_curves(table, 3, selection=selection)
        assert_array_equal(both[1:], reward_curves(alone, 3, selection=selection))
