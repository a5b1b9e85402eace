"""Fixed cascades, single decoders and the oracle, against all orders of samples."""

from itertools import permutations, product

import numpy as np
import pytest

from sklearn_adaalloc import RewardTable
from sklearn_adaalloc.metrics import (
    best_fixed_cascades,
    cascade_cost_curve,
    decoder_cost_curves,
    expected_reward_score,
    mean_budget_score,
    oracle_cost_curve,
)
from sklearn_adaalloc.metrics._fixed_cascades import concave_hull, query_cascades

RNG = np.random.default_rng(1)
REWARDS = RNG.integers(0, 2, (5, 3, 3)).astype(float)
REWARDS[0, 1, 2] = REWARDS[3, 2] = np.nan  # one sample, and one decoder of a query
COSTS = np.where(np.isnan(REWARDS), np.nan, RNG.uniform(0.5, 4, REWARDS.shape))
TABLE = RewardTable(REWARDS, costs=COSTS, decoders=["small", "middle", "large"])


def played(rewards, costs, decoders, tries):
    """Mean cost and reward of a cascade over all orders of one query's samples."""
    samples = [
        [pair for pair in zip(*own, strict=True) if not np.isnan(pair[0])]
        for own in zip(rewards.tolist(), costs.tolist(), strict=True)
    ]
    outcomes = []
    for orders in product(*(permutations(samples[d]) for d in decoders)):
        asked = [order[:n] for order, n in zip(orders, tries, strict=True)]
        cost = solved = 0
        for reward, price in sum(asked, ()):
            cost += price
            solved = reward
            if solved:
                break
        outcomes.append((cost, solved))
    return np.mean(outcomes, axis=0)


@pytest.mark.parametrize(
    "cascade",
    [((0,), (2,)), ((2, 0), (1, 3)), ((1, 2, 0), (2, 1, 2)), ((0, 1, 2), (3, 3, 3))],
)
def test_cascades_are_exact_means_over_all_orders(cascade):
    cost, reward = query_cascades(TABLE, [cascade])
    expected = [played(*own, *cascade) for own in zip(REWARDS, COSTS, strict=True)]
    np.testing.assert_allclose(np.transpose([cost[0], reward[0]]), expected)


def test_the_best_cascades_are_the_hull_of_all():
    every = [
        (order, tries)
        for length in (1, 2, 3)
        for order in permutations(range(3), length)
        for tries in product((1, 2, 3), repeat=length)
    ]
    everywhere = cascade_cost_curve(TABLE, every)
    best = best_fixed_cascades(TABLE)
    curve = cascade_cost_curve(TABLE, best)
    assert best[0] == ((), ())
    assert (np.diff(curve.spend) > 0).all()
    assert (np.diff(curve.reward) > 0).all()
    slopes = np.diff(curve.reward) / np.diff(curve.spend)
    assert (np.diff(slopes) < 1e-12).all()
    hull = np.interp(everywhere.spend, *curve)
    assert (everywhere.reward <= hull + 1e-12).all()
    few = best_fixed_cascades(TABLE, n_decoders=2, max_tries=1)
    assert max(len(cascade.decoders) for cascade in few) <= 2
    assert max(max(cascade.tries, default=0) for cascade in few) == 1


def test_one_decoder_in_sequence_is_a_cascade_of_one():
    curves = decoder_cost_curves(TABLE)
    assert list(curves) == ["small", "middle", "large"]
    for decoder, curve in enumerate(curves.values()):
        alone = cascade_cost_curve(TABLE, [((decoder,), (n,)) for n in (1, 2, 3)])
        np.testing.assert_allclose(curve.spend, np.r_[0, alone.spend])
        np.testing.assert_allclose(curve.reward, np.r_[0, alone.reward])


@pytest.mark.parametrize("rewards", [REWARDS, np.where(REWARDS == 1, 0.7, REWARDS)])
def test_one_decoder_without_verdicts_is_an_equal_budget(rewards):
    table = RewardTable(rewards, costs=COSTS)
    curves = decoder_cost_curves(table, sequential=False)
    given = np.isfinite(rewards).sum(axis=2)
    for decoder, curve in enumerate(curves.values()):
        for n in range(4):
            budgets = np.zeros((5, 3), dtype=int)
            budgets[:, decoder] = np.minimum(n, given[:, decoder])
            assert curve.reward[n] == pytest.approx(
                expected_reward_score(table, budgets)
            )
            assert curve.spend[n] == pytest.approx(
                mean_budget_score(table, budgets, unit="cost")
            )


def most(rewards, costs, price, failures=()):
    """Most reward less price times cost of one query, by a dynamic programme."""
    failures = failures or (0,) * len(rewards)
    values = [0.0]
    for decoder, failed in enumerate(failures):
        own = rewards[decoder][~np.isnan(rewards[decoder])]
        n_left = len(own) - failed
        if n_left <= 0:
            continue
        chance = min(own.sum() / n_left, 1.0)
        value = chance - price * costs[decoder]
        if chance < 1:
            after = (*failures[:decoder], failed + 1, *failures[decoder + 1 :])
            value += (1 - chance) * most(rewards, costs, price, after)
        values.append(value)
    return max(values)


@pytest.mark.parametrize("price", [0.05, 0.2, 0.5, 1.0])
def test_oracle_is_the_optimum_at_every_price(price):
    costs = np.array([1.0, 1.4, 2.5])
    spend, reward = oracle_cost_curve(RewardTable(REWARDS, costs=costs))
    optimum = np.mean([most(own, costs, price) for own in REWARDS])
    assert (reward - price * spend).max() == pytest.approx(optimum)


def test_oracle_counts_the_costs_of_wrong_and_right_samples():
    table = RewardTable([[[0, 0, 1], [0, 0, 0]]], costs=[[[5, 7, 2], [1, 1, 1]]])
    spend, _ = oracle_cost_curve(table)
    # On average one of two wrong samples comes before the right one.
    np.testing.assert_allclose(spend, [0, 6 + 2])


def test_oracle_without_verdicts_chooses_one_answer():
    rewards = [[[1], [1], [1]], [[0], [0], [1]], [[0], [0], [0]]]
    table = RewardTable(rewards, costs=[1.0, 2.0, 5.0])
    spend, reward = oracle_cost_curve(table, sequential=False)
    np.testing.assert_allclose(spend, [0, 1 / 3, 2])
    np.testing.assert_allclose(reward, [0, 1 / 3, 2 / 3])
    real = RewardTable([[[0.4], [0.6]]], costs=[1.0, 2.0])
    spend, reward = oracle_cost_curve(real, sequential=False)
    np.testing.assert_allclose([spend, reward], [[0, 1, 2], [0, 0.4, 0.6]])


def test_without_costs_each_sample_costs_one():
    ones = RewardTable(REWARDS, costs=np.where(np.isnan(REWARDS), np.nan, 1.0))
    for curve, expected in zip(
        decoder_cost_curves(REWARDS).values(),
        decoder_cost_curves(ones).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(curve.spend, expected.spend)
    assert list(decoder_cost_curves(REWARDS)) == ["decoder 0", "decoder 1", "decoder 2"]


def test_hull_of_points_with_ties_and_falls():
    spend = np.array([2.0, 0.0, 1.0, 1.0, 3.0, 4.0])
    reward = np.array([0.8, 0.0, 0.5, 0.1, 0.8, 0.7])
    np.testing.assert_array_equal(concave_hull(spend, reward), [1, 2, 0])
    np.testing.assert_array_equal(concave_hull(np.array([1.0]), np.array([0.3])), [0])


@pytest.mark.parametrize(
    "function", [decoder_cost_curves, best_fixed_cascades, oracle_cost_curve]
)
def test_stopping_at_a_success_needs_verdicts(function):
    with pytest.raises(ValueError, match="rewards has values other than 0 and 1"):
        function(REWARDS / 2)


@pytest.mark.parametrize(
    "function", [decoder_cost_curves, best_fixed_cascades, oracle_cost_curve]
)
@pytest.mark.parametrize("rewards", [REWARDS[:3, 0], REWARDS[:3, :1]])
def test_one_decoder_is_no_menu(function, rewards):
    with pytest.raises(ValueError, match=r"one decoder\. Expected a table of several"):
        function(rewards)


@pytest.mark.parametrize("cascade", [((3,), (1,)), ((0,), (4,)), ((-1,), (1,))])
def test_cascade_of_another_table(cascade):
    with pytest.raises(ValueError, match=r"cascades has decoders .* but rewards has"):
        cascade_cost_curve(TABLE, [cascade])


@pytest.mark.parametrize("n_decoders", [0, 4, 1.5])
def test_number_of_decoders_in_a_cascade(n_decoders):
    with pytest.raises(ValueError, match=f"n_decoders={n_decoders}"):
        best_fixed_cascades(TABLE, n_decoders=n_decoders)


def test_number_of_tries_in_a_cascade():
    with pytest.raises(ValueError, match="max_tries=0"):
        best_fixed_cascades(TABLE, max_tries=0)
