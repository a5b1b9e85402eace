"""What needs no policy, and intervals of what a policy gains over it."""

import numpy as np
import pytest

from sklearn_adaalloc.command_line.report.fixed import (
    equal_budgets,
    growing_plans,
    mixed,
    stopped,
    surpassed,
)
from sklearn_adaalloc.command_line.report.intervals import (
    Fixed,
    Played,
    compare,
    share_saved,
)
from sklearn_adaalloc.curves import reward_curves
from sklearn_adaalloc.curves._menus import expected_menu_rewards


def verdicts(n_queries, n_samples, seed):
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.4, 0.8, n_queries)
    return (rng.random((n_queries, n_samples)) < rates[:, None]).astype(float)


def test_intervals_of_gains_cover_them():
    # A query that is hard costs more, if it stops at its first right answer.
    whole = verdicts(4000, 20, seed=0)
    curves, tried = reward_curves(whole, 20), stopped(whole, np.ones(whole.shape))
    spend, reward = tried.spend[8], tried.reward[8]
    ones = np.ones(len(whole))

    def gain(rows):
        same = equal_budgets(curves[rows], ones[rows], spend[rows].mean())
        return compare(spend[rows], reward[rows], same, random_state=0)

    true = gain(np.arange(len(whole)))["gain"]
    rng = np.random.default_rng(1)
    parts = [gain(rng.choice(len(whole), 200, replace=False)) for _ in range(200)]
    covered = [part["gain_low"] <= true <= part["gain_high"] for part in parts]
    assert 0.91 <= np.mean(covered) <= 0.99


def test_a_resample_is_compared_at_its_own_spend():
    rng = np.random.default_rng(0)
    spend = rng.uniform(0, 8, 100)
    line = Fixed(np.full(100, spend.mean()), np.full(100, 0.1 * spend.mean()), 0.1)
    figures = compare(spend, 0.1 * spend + 0.2, line, random_state=0)
    # On a line of that slope, a policy that spends more earns more, and gains nothing.
    for name in ("gain", "gain_low", "gain_high"):
        assert figures[name] == pytest.approx(0.2)


def test_the_slope_of_equal_budgets_is_that_of_their_curve():
    curves = reward_curves(verdicts(50, 6, seed=2), 6)
    costs = np.linspace(1, 3, 50)
    own = equal_budgets(curves, costs, 2 * 2.5)
    assert own.spend.mean() == pytest.approx(5)
    assert own.reward == pytest.approx((curves[:, 2] + curves[:, 3]) / 2)
    around = [equal_budgets(curves, costs, spend).reward.mean() for spend in (4, 6)]
    assert own.slope == pytest.approx((around[1] - around[0]) / 2)


def test_what_is_beyond_the_last_useful_budget_is_not_spent():
    own = Played(np.arange(2), np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]]))
    _, fixed = mixed({"a": own}, 7.0)
    assert (fixed.spend.mean(), fixed.slope) == (2.0, 0.0)


def test_without_anything_to_gain_nothing_is_asked():
    own = Played(np.arange(2), np.array([[0.0], [2.0]]), np.array([[0.0], [-1.0]]))
    names, fixed = mixed({"a": own}, 1.0)
    assert (names, fixed.reward.tolist()) == ([], [0.0])


def test_plans_grow_by_what_gains_most_per_cost():
    rng = np.random.default_rng(3)
    rewards = rng.normal(2, 1, (30, 3, 2)) + np.array([[[0.0], [0.5], [0.7]]])
    costs = np.broadcast_to(np.array([[[1.0], [1.0], [4.0]]]), rewards.shape)
    plans = growing_plans(rewards, costs, 0.0, 6.0)
    taken = np.zeros((30, 3), dtype=int)
    for number, decoder in enumerate(plans.steps):
        before = expected_menu_rewards(rewards, taken).mean()
        ratios = [
            (expected_menu_rewards(rewards, taken + step).mean() - before) / cost
            for step, cost in zip(np.eye(3, dtype=int), (1.0, 1.0, 4.0), strict=True)
            if (taken + step <= 2).all()
        ]
        taken[:, decoder] += 1
        gain = expected_menu_rewards(rewards, taken).mean() - before
        assert gain / (4.0 if decoder == 2 else 1.0) == pytest.approx(max(ratios))
        assert plans.played.reward[number + 1].mean() == pytest.approx(before + gain)
    assert plans.played.spend[-1].mean() >= 6 or taken.sum() == 180


def test_savings_start_where_no_policy_decides():
    # Every query gets one answer. The policy was played at a spend of 3 only, and
    # what equal budgets earn at 2 it earns between both.
    ones = np.ones(9)
    played = Played(np.array([3.0]), 3 * ones[None], 0.9 * ones[None])
    played = played.after(1.0, ones, 0.5 * ones)
    equal = Fixed(2 * ones, 0.6 * ones, 0.1)
    figures = share_saved(played, equal, random_state=0)
    assert figures["saved_spend"] == pytest.approx(1.5)
    assert figures["saved"] == pytest.approx(0.25)


def test_stopping_is_compared_at_the_spend_of_the_policy():
    rewards = verdicts(40, 8, seed=4)
    tried = stopped(rewards, np.ones(rewards.shape))
    figures = surpassed(tried, tried.spend[3], tried.reward[3], random_state=0)
    assert figures["reward"] == pytest.approx(tried.reward[3].mean())
    assert figures["gain"] == pytest.approx(0, abs=1e-12)
    # By counting: an answer is drawn if all before it are wrong.
    wrong = 8 - rewards.sum(axis=1)
    drawn = 1 + wrong / 8 + wrong * (wrong - 1) / 56
    assert tried.spend[3] == pytest.approx(drawn)
