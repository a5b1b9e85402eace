"""Beliefs: what verdicts do to plans."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc.curves import rate_marginals
from sklearn_adaalloc.planning._beliefs import RewardBelief, SuccessBelief

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
