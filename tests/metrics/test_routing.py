import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    average_gap_recovered,
    cost_to_recover,
    routing_report,
)


def table(weak, strong):
    return np.stack([weak, strong], axis=1)[:, :, None].astype(float)


# Gains of the strong decoder: 1, 1, 0, 0, -1; the gap is 1/5.
REWARDS = table([0, 0, 1, 0, 1], [1, 1, 1, 0, 0])
GOOD = [0.9, 0.8, 0.5, 0.4, 0.1]


def test_average_gap_recovered_by_hand():
    # Recovered after 0..5 calls: 0, 1, 2, 2, 2, 1; trapezoids of width 1/5.
    assert average_gap_recovered(REWARDS, GOOD, n_thresholds=None) == pytest.approx(1.5)
    # The worst order first loses the -1: 0, -1, -1, -1, 0, 1.
    worst = average_gap_recovered(REWARDS, np.negative(GOOD), n_thresholds=None)
    assert worst == pytest.approx(-0.5)


def test_cost_to_recover_by_hand():
    cost = {
        share: cost_to_recover(REWARDS, GOOD, share, n_thresholds=None)
        for share in (0.5, 0.8, 1)
    }
    assert cost == pytest.approx({0.5: 0.1, 0.8: 0.16, 1: 0.2})
    last = cost_to_recover(REWARDS, np.negative(GOOD), 0.5, n_thresholds=None)
    assert last == pytest.approx(0.9)


@pytest.mark.parametrize("n_thresholds", [None, 1, 10])
def test_a_router_that_cannot_tell_queries_apart_is_a_coin_toss(n_thresholds):
    flat = np.full(5, 0.3)
    apgr = average_gap_recovered(REWARDS, flat, n_thresholds=n_thresholds)
    assert apgr == pytest.approx(0.5)
    cost = cost_to_recover(REWARDS, flat, 0.8, n_thresholds=n_thresholds)
    assert cost == pytest.approx(0.8)


@pytest.mark.parametrize("n_thresholds", [None, 10])
def test_random_routers_average_one_half(n_thresholds):
    rewards = make_reward_table(400, 4, profile="routing", random_state=0).rewards
    rng = np.random.default_rng(0)
    scores = [
        average_gap_recovered(rewards, rng.random(400), n_thresholds=n_thresholds)
        for _ in range(300)
    ]
    assert abs(np.mean(scores) - 0.5) < 4 * np.std(scores) / np.sqrt(300)


def test_only_the_order_of_preferences_counts():
    rng = np.random.default_rng(0)
    rewards = make_reward_table(50, 4, profile="routing", random_state=0).rewards
    scores = rng.normal(size=50)
    exact = average_gap_recovered(rewards, scores, n_thresholds=None)
    stretched = average_gap_recovered(rewards, 100 * scores - 7, n_thresholds=None)
    assert exact == pytest.approx(stretched)


def test_order_of_the_queries_does_not_matter_even_among_ties():
    rewards = make_reward_table(60, 4, profile="routing", random_state=0).rewards
    rng = np.random.default_rng(0)
    preferences = rng.integers(0, 5, 60)
    shuffled = rng.permutation(60)
    for function in (average_gap_recovered, cost_to_recover):
        assert function(rewards, preferences) == pytest.approx(
            function(rewards[shuffled], preferences[shuffled])
        )


def test_many_thresholds_approach_the_integral():
    rewards = make_reward_table(300, 8, profile="routing", random_state=0).rewards
    preferences = np.random.default_rng(0).random(300)
    exact = average_gap_recovered(rewards, preferences, n_thresholds=None)
    coarse, fine = (
        average_gap_recovered(rewards, preferences, n_thresholds=n) for n in (2, 3000)
    )
    assert fine == pytest.approx(exact, abs=2e-3)
    assert abs(coarse - exact) > abs(fine - exact)


def test_deciles_as_in_the_published_evaluation():
    # 20 queries with preferences 0..19: the k-th decile, 1.9 k, has 20 - 2 k queries at
    # or above it, so the curve has points at 0, 10 %, ..., 100 % of calls.
    gains = np.array([1, 0] * 10)
    rewards = table(np.zeros(20), gains)
    preferences = np.arange(20)[::-1]
    # Every second query gains 1, the highest first: recovered equals the calls at each
    # tenth. At every twentieth it runs ahead by 1/20 every other time.
    deciles = average_gap_recovered(rewards, preferences, n_thresholds=10)
    every = average_gap_recovered(rewards, preferences, n_thresholds=None)
    assert deciles == pytest.approx(0.5)
    assert every == pytest.approx(0.5 + 10 * 0.05 / 20)


def test_missing_samples_and_real_rewards():
    rewards = [[[0.5, 1.5], [3.0, np.nan]], [[1.0, np.nan], [1.0, 1.0]]]
    assert average_gap_recovered(rewards, [1, 0]) == pytest.approx(0.75)


@pytest.mark.parametrize("function", [average_gap_recovered, cost_to_recover])
def test_without_a_gap_there_is_nothing_to_recover(function):
    with pytest.warns(UndefinedMetricWarning, match="is not above the weak") as caught:
        score = function(table([1, 0], [0, 1]), [0.4, 0.6])
    assert np.isnan(score)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("function", [average_gap_recovered, cost_to_recover])
@pytest.mark.parametrize(
    ("rewards", "preferences", "match"),
    [
        ([[0, 1], [1, 1]], [0.1, 0.2], r"shape \(2, 2\). .*give rewards\[:, :, None\]"),
        (REWARDS, [0.5], r"preferences has shape \(1,\). Expected .* shape \(5,\)"),
        (REWARDS, [0.5, 0.1, np.nan, 0, 0], "has nan in row 2. Expected finite"),
        (np.zeros((0, 2, 1)), [], "rewards is empty"),
    ],
)
def test_bad_input(function, rewards, preferences, match):
    with pytest.raises(ValueError, match=match):
        function(rewards, preferences)


@pytest.mark.parametrize("n_thresholds", [0, 1.5, "all"])
def test_bad_number_of_thresholds(n_thresholds):
    with pytest.raises(ValueError, match=r"n_thresholds=.* is not accepted"):
        average_gap_recovered(REWARDS, GOOD, n_thresholds=n_thresholds)


@pytest.mark.parametrize("share", [0, 1.1, np.nan, 50])
def test_bad_share(share):
    with pytest.raises(ValueError, match=r"share=.* number in \(0, 1\]"):
        cost_to_recover(REWARDS, GOOD, share)


def test_report_of_a_router_is_apgr_and_cpt_of_its_preferences():
    rng = np.random.default_rng(3)
    rewards = rng.random((40, 2, 1)) + np.array([[0.0], [0.3]])
    preferences = rng.permutation(40)
    calls = np.arange(41) / 40
    order = np.argsort(-preferences)
    gains = (rewards[:, 1, 0] - rewards[:, 0, 0])[order]
    weak, strong = rewards.mean(axis=(0, 2))
    reward = weak + np.r_[0, np.cumsum(gains)] / 40
    # A call to the weak decoder costs 2, and one to the strong decoder 7.
    report = routing_report(2 + 5 * calls, reward, weak=(2, weak), strong=(7, strong))
    options = {"n_thresholds": None}
    apgr = average_gap_recovered(rewards, preferences, **options)
    assert report.gap_recovered == pytest.approx(apgr)
    cpt = cost_to_recover(rewards, preferences, **options)
    assert report.cost_to_recover == pytest.approx(cpt)


def test_improvement_in_quality_is_the_mean_of_the_hull():
    # The hull goes from (1, 0.2) over (2, 0.8) to (4, 0.9), and stays level.
    spend, reward = [1, 2, 3, 4, 5], [0.2, 0.8, 0.5, 0.9, 0.6]
    report = routing_report(spend, reward, weak=(1, 0.2), strong=(6, 0.9))
    assert report.improvement_in_quality == pytest.approx(
        (0.5 + 2 * 0.85 + 2 * 0.9) / 5
    )
    # Between 0.2 and 0.9, the curve itself reaches one half at 0.55.
    assert report.cost_to_recover == pytest.approx((0.55 - 0.2) / 0.6 / 5)


def test_report_of_a_policy_below_the_weak_cost_or_never_good_enough():
    cheap = routing_report([0.5, 2], [0.7, 0.9], weak=(1, 0.2), strong=(2, 0.9))
    assert cheap.cost_to_recover == pytest.approx(-0.5)
    poor = routing_report([1, 2], [0.2, 0.3], weak=(1, 0.2), strong=(2, 0.9))
    assert np.isnan(poor.cost_to_recover)


@pytest.mark.parametrize("strong", [(1, 0.9), (2, 0.1), (2, np.nan), (2,)])
def test_report_needs_a_dearer_and_better_decoder(strong):
    with pytest.raises(ValueError, match="weak"):
        routing_report([1, 2], [0.2, 0.3], weak=(1, 0.2), strong=strong)


@pytest.mark.parametrize("reward", [[0.2], [[0.2, 0.3]], [0.2, np.nan]])
def test_report_needs_a_curve(reward):
    with pytest.raises(ValueError, match=r"spend of shape .* not accepted"):
        routing_report([1, 2], reward, weak=(1, 0.2), strong=(2, 0.9))
