"""What verdicts do to plans: beliefs, their correction, plans that queries share."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc.curves import mixture_marginals, rate_marginals
from sklearn_adaalloc.planning import failure_curves, next_chances, plan_round
from sklearn_adaalloc.planning._beliefs import RewardBelief, SuccessBelief
from sklearn_adaalloc.planning._rounds import group_curves
from sklearn_adaalloc.planning._success import (
    after_failures,
    correct_chances,
    cumulative_hazards,
    fit_correction,
)

NAN = np.nan


def known_rates(rates, max_budget=8, **options):
    marginals = rate_marginals(np.array(rates), max_budget)
    return SuccessBelief(marginals, np.full(len(rates), max_budget), **options)


def test_solved_queries_get_nothing_more():
    belief = known_rates([0.5, 0.5, 0.5])
    belief.update(np.array([[0.0, 1.0], [0.0, 0.0], [NAN, NAN]]))
    assert belief.plan(12, 1)[0] == 0
    assert belief.plan(12, None).tolist() == [0, 1, 1]
    assert belief.budgets.tolist() == [2, 2, 0]
    assert belief.best.tolist() == [1.0, 0.0, -np.inf]


def test_limits_hold_over_all_rounds():
    belief = SuccessBelief(rate_marginals(np.full(2, 0.5), 8), np.array([3, 1]))
    belief.update(np.array([[0.0, 0.0], [0.0, NAN]]))
    assert belief.plan(100, 1).tolist() == [1, 0]
    assert belief.plan(100, None).tolist() == [1, 0]


def test_verdicts_correct_the_prior_of_the_whole_batch():
    # All were expected to succeed at 0.8, none did: the untried are doubted too.
    belief = known_rates(np.full(200, 0.8))
    verdicts = np.full((200, 1), 0.0)
    verdicts[100:] = NAN
    belief.update(verdicts)
    belief.plan(100, 2)
    assert belief.correction[0] < 0.2
    uncorrected = known_rates(np.full(200, 0.8), corrected=False)
    uncorrected.update(verdicts)
    uncorrected.plan(100, 2)
    assert uncorrected.correction == (1.0, 1.0)


def test_verdicts_that_were_expected_correct_nothing():
    rng = np.random.default_rng(0)
    rates = rng.random(5000)
    belief = known_rates(rates)
    belief.update((rng.random((5000, 2)) < rates[:, None]).astype(float))
    belief.plan(5000, 2)
    assert belief.correction == pytest.approx((1.0, 1.0), abs=0.05)


def test_order_of_verdicts_counts_up_to_the_first_success():
    # 0, 1, 1 is one failure and a success; the third verdict says nothing new.
    one, other = known_rates([0.3, 0.3]), known_rates([0.3, 0.3])
    one.update(np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    other.update(np.array([[0.0, 1.0, NAN], [0.0, 0.0, 0.0]]))
    one.plan(3, 1)
    other.plan(3, 1)
    assert one.correction == other.correction


def test_wide_queries_get_more_than_narrow_ones():
    marginals = np.column_stack([np.full(2, 10.0), np.full((2, 7), 0.2)])
    belief = RewardBelief(marginals, np.full(2, 8))
    # Equal in mean and in best reward.
    belief.update(np.array([[11.0, 11.0, 9.0, 9.0], [11.0, 10.0, 10.0, 9.0]]))
    budgets = belief.plan(5, 1)
    assert budgets[0] > budgets[1]
    assert budgets.sum() == 5


def test_nothing_is_gained_above_the_highest_reward():
    marginals = np.column_stack([np.full(2, 5.0), np.full((2, 3), 1.0)])
    belief = RewardBelief(marginals, np.full(2, 4), highest=10.0)
    belief.update(np.array([[10.0, 2.0], [8.0, 2.0]]))
    assert belief.plan(2, 1).tolist() == [0, 2]


@pytest.mark.parametrize("n_rounds", [1, 2, 5, None])
@pytest.mark.parametrize("money", [20, 31, 200])
def test_reward_plans_keep_money_limits_and_min_budget(money, n_rounds):
    rng = np.random.default_rng(1)
    marginals = -np.sort(-rng.exponential(1.0, (20, 6)), axis=1)
    limits = rng.integers(1, 7, 20)
    belief = RewardBelief(marginals, limits)
    budgets = belief.plan(money, n_rounds, min_budget=1)
    assert budgets.min() >= 1
    assert budgets.sum() <= money
    assert (budgets <= limits).all()


def test_short_rows_of_rewards_below_zero():
    # Three samples are predicted to be worse than none; the row holds but one.
    belief = RewardBelief(
        np.array([[-3.0, -1.0, -1.0], [2.0, 1.0, 0.5]]), np.array([1, 3])
    )
    assert_array_equal(belief.plan(6, 1), [0, 3])


# The correction: parameters that made the verdicts are found


def draw_verdicts(chances, scale, shape, rng):
    """Hazards before and after the last verdict, drawn from a corrected prior."""
    true = correct_chances(chances, scale, shape)
    right = rng.random(true.shape) < true
    solved = right.any(axis=1)
    failures = np.where(solved, right.argmax(axis=1), chances.shape[1])
    hazards, rows = cumulative_hazards(chances), np.arange(len(chances))
    after = hazards[rows, failures + solved]
    return hazards[rows, failures], np.where(solved, after, np.inf)


def falling_chances(n_queries, rng):
    """Chances that fall like those of a Beta distribution of rates."""
    a, b = rng.uniform(0.2, 2.0, (2, n_queries, 1))
    return a / (a + b + np.arange(6))


@pytest.mark.parametrize(("scale", "shape"), [(1.0, 1.0), (0.5, 1.0), (1.5, 0.7)])
def test_parameters_are_found(scale, shape):
    rng = np.random.default_rng(0)
    before, after = draw_verdicts(falling_chances(20_000, rng), scale, shape, rng)
    assert fit_correction(before, after) == pytest.approx((scale, shape), rel=0.05)


def test_few_verdicts_change_little():
    # Three failures at even odds: likely enough.
    scale, shape = fit_correction(np.full(3, np.log(2)), np.full(3, np.inf))
    assert 0.5 < scale < 1.0
    assert shape == pytest.approx(1.0, abs=0.15)


def test_no_verdict_changes_nothing():
    assert fit_correction(np.zeros(5), np.full(5, np.inf)) == (1.0, 1.0)


def test_failure_and_success_pull_apart():
    # Each was expected with the same chance, one half.
    hazard = np.full(50, np.log(2))
    too_bright, _ = fit_correction(hazard, np.full(50, np.inf))
    too_dark, _ = fit_correction(np.zeros(50), hazard)
    assert too_bright < 1 < too_dark


def test_success_where_none_was_expected_is_survived():
    scale, shape = fit_correction(np.zeros(10), np.zeros(10))
    assert np.isfinite([scale, shape]).all()


def test_correction_scales_cumulative_hazards():
    chances = falling_chances(10, np.random.default_rng(1))
    corrected = correct_chances(chances, 0.7, 0.8)
    np.testing.assert_allclose(
        cumulative_hazards(corrected), 0.7 * cumulative_hazards(chances) ** 0.8
    )
    np.testing.assert_allclose(correct_chances(chances, 1.0, 1.0), chances)


def test_corrected_chances_never_rise():
    chances = np.full((1, 5), 0.3)
    corrected = correct_chances(chances, 1.0, 2.0)  # hazards would grow as squares
    np.testing.assert_allclose(corrected, corrected[0, 0])


# Queries that share a plan


def random_chances(rng, n_queries, max_budget):
    """Chances under random distributions over nine success rates, 0 and 1 included."""
    rates = np.linspace(0, 1, 9)
    weights = rng.dirichlet(np.full(9, rng.choice([0.3, 1.0, 3.0])), size=n_queries)
    return next_chances(mixture_marginals(weights, rates, max_budget))


def test_what_is_left_after_failures_is_the_conditional_curve():
    chances = random_chances(np.random.default_rng(6), 3, 6)
    left = after_failures(chances, np.array([0, 2, 5]), np.array([6, 3, 1]))
    whole, part = failure_curves(chances), failure_curves(left)
    np.testing.assert_allclose(part[1, :4], whole[1, 2:6] / whole[1, 2])
    assert left[1, 3:].tolist() == [0.0, 0.0, 0.0]  # beyond its limit
    assert left[2, 0] == chances[2, 5]


def test_few_queries_are_planned_alone_and_many_together():
    chances = random_chances(np.random.default_rng(9), 1000, 200)
    kind, own = group_curves(chances[:100])
    np.testing.assert_array_equal(own, chances[:100])
    assert kind.tolist() == list(range(100))
    kind, means = group_curves(chances)
    sizes = np.bincount(kind)
    assert len(means) == len(sizes) < 500
    assert sizes.max() <= 3  # 1000 queries, at least 415 kinds
    # The mean curve of a kind is that of its queries.
    members = failure_curves(chances[kind == 3]).mean(axis=0)
    np.testing.assert_allclose(failure_curves(means)[3], members)


def test_shared_plans_are_nearly_those_of_each_query():
    # Each query is hopeless with its own chance and has its own rate otherwise.
    rng = np.random.default_rng(10)
    rates, hopeless = rng.beta(0.5, 1.0, 9000), rng.random(9000)
    marginals = (1 - hopeless[:, None]) * rate_marginals(rates, 63)
    chances = next_chances(marginals)
    kind, means = group_curves(chances)
    assert len(means) < 4500
    shared = plan_round(means, 36_000, 2, kind=kind)
    own = plan_round(chances, 36_000, 2)
    assert shared.sum() == pytest.approx(own.sum(), rel=0.01)
    assert np.abs(shared - own).mean() < 0.05 * own.mean()


def test_kinds_never_mix_the_sure_the_hopeless_and_others():
    rng = np.random.default_rng(3)
    rates = rng.choice([0.0, 1e-9, 0.3, 0.999, 1.0], 6000, p=[0.3, 0.1, 0.1, 0.2, 0.3])
    kind, means = group_curves(next_chances(rate_marginals(rates, 64)))
    assert len(means) < 6000
    for value in np.unique(rates):
        np.testing.assert_allclose(means[kind[rates == value]], value, rtol=1e-6)


def test_the_mean_curve_of_a_kind_outlasts_rounding():
    # Twenty failures in a row of either have a chance below the smallest number there
    # is. Whoever comes that far is one of the slightly less sure.
    rates = np.repeat([1 - 1e-9, 1 - 2e-9], 4000)
    _, means = group_curves(next_chances(rate_marginals(rates, 64)))
    assert np.isfinite(means).all()
    assert ((means > 1 - 3e-9) & (means <= 1)).all()
