import pickle
from functools import partial
from itertools import product

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import make_scorer
from sklearn.model_selection import cross_validate

from sklearn_adaalloc.metrics import (
    bootstrap_scorer,
    expected_reward_interval,
    expected_reward_score,
    paired_difference,
)


class Fixed(BaseEstimator):
    """Hand out the budgets that stand in the first column of X."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0]


RAGGED = np.array([[0.3, -1.0, 2.5], [1.0, 4.0, np.nan], [-2.0, np.nan, np.nan]])


def score(scorer, rewards, budgets):
    return scorer(Fixed(), np.asarray(budgets)[:, None], rewards)


@pytest.mark.parametrize("budgets", [[1, 1, 1], [3, 2, 1], [4, 5, 6]])
def test_default_is_the_mean_over_all_sequences_of_draws(budgets):
    rows = ([0.3, -1.0, 2.5], [1.0, 4.0], [-2.0])
    by_enumeration = np.mean(
        [
            np.mean([max(drawn) for drawn in product(row, repeat=budget)])
            for row, budget in zip(rows, budgets, strict=True)
        ]
    )
    assert score(bootstrap_scorer(), RAGGED, budgets) == pytest.approx(by_enumeration)


def test_monte_carlo_agrees_with_its_exact_limit():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(20, 5))
    rewards[::3, 3:] = np.nan
    budgets = np.arange(20) % 9
    exact = score(bootstrap_scorer(empty_reward=-1), rewards, budgets)
    scorers = [
        bootstrap_scorer(empty_reward=-1, n_bootstrap=500, random_state=seed)
        for seed in range(200)
    ]
    draws = np.array([score(scorer, rewards, budgets) for scorer in scorers])
    assert abs(draws.mean() - exact) < 4 * draws.std() / np.sqrt(len(draws))


def test_monte_carlo_routing_agrees_with_its_exact_limit():
    rewards = np.random.default_rng(0).normal(size=(6, 2, 4))
    rewards[0, 1, 2:] = np.nan
    budgets = [1, 0, 1, 0, 1, 0]
    exact = score(bootstrap_scorer(), rewards, budgets)
    assert exact == pytest.approx(expected_reward_score(rewards, budgets))
    scorer = bootstrap_scorer(n_bootstrap=20_000, random_state=0)
    assert score(scorer, rewards, budgets) == pytest.approx(exact, abs=0.02)


def test_nothing_sampled_is_the_empty_reward_exactly():
    scorer = bootstrap_scorer(empty_reward=0.25, n_bootstrap=3, random_state=0)
    assert score(scorer, RAGGED, [0, 0, 0]) == 0.25


def test_int_random_state_repeats_itself():
    scorer = bootstrap_scorer(n_bootstrap=2, random_state=0)
    assert score(scorer, RAGGED, [1, 1, 1]) == score(scorer, RAGGED, [1, 1, 1])
    other = bootstrap_scorer(n_bootstrap=2, random_state=1)
    assert score(scorer, RAGGED, [1, 1, 1]) != score(other, RAGGED, [1, 1, 1])


@pytest.mark.parametrize(
    "copy",
    [partial(clone, safe=False), lambda scorer: pickle.loads(pickle.dumps(scorer))],
    ids=["clone", "pickle"],
)
def test_scorer_survives_copying(copy):
    scorer = bootstrap_scorer(n_bootstrap=5, random_state=0)
    assert score(copy(scorer), RAGGED, [2, 1, 1]) == score(scorer, RAGGED, [2, 1, 1])


def test_repr_says_how_it_was_made():
    scorer = bootstrap_scorer(empty_reward=-1.0, n_bootstrap=100, random_state=0)
    assert "bootstrap_reward" in repr(scorer)
    assert "n_bootstrap=100, random_state=0" in repr(scorer)


def test_scorers_stand_side_by_side_in_cross_validation():
    rewards = np.tile([0.0, 1.0], (10, 3))
    scoring = {
        "unbiased": make_scorer(expected_reward_score),
        "bootstrap": bootstrap_scorer(),
    }
    result = cross_validate(
        Fixed(), np.full((10, 1), 2), rewards, scoring=scoring, cv=2
    )
    # 3 of 6 right: 1 - C(3, 2) / C(6, 2) without, 1 - 1/4 with replacement.
    np.testing.assert_allclose(result["test_unbiased"], 0.8)
    np.testing.assert_allclose(result["test_bootstrap"], 0.75)


@pytest.mark.parametrize("n_bootstrap", [0, -1, 2.5, "many"])
def test_bad_number_of_repetitions(n_bootstrap):
    scorer = bootstrap_scorer(n_bootstrap=n_bootstrap)
    with pytest.raises(ValueError, match=r"n_bootstrap=.* is not accepted"):
        score(scorer, RAGGED, [1, 1, 1])


@pytest.mark.parametrize(
    ("budgets", "match"),
    [
        ([1, 1], "inconsistent numbers of queries: 3 and 2"),
        ([-1, 1, 1], "has -1 in row 0"),
    ],
)
def test_scorer_checks_budgets(budgets, match):
    with pytest.raises(ValueError, match=match):
        score(bootstrap_scorer(), RAGGED, budgets)


def test_interval_has_the_score_inside_and_the_width_of_theory():
    rewards = np.random.default_rng(0).normal(size=(2000, 1))
    point, low, high = expected_reward_interval(
        rewards, 1, confidence=0.9, random_state=0
    )
    assert point == pytest.approx(expected_reward_score(rewards, 1))
    # 2 * 1.645 standard errors of a mean of 2000 standard Gaussians.
    half_width = 1.645 * rewards.std() / np.sqrt(2000)
    assert point - low == pytest.approx(half_width, rel=0.1)
    assert high - point == pytest.approx(half_width, rel=0.1)


@pytest.mark.slow
def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 0.8, size=100_000)
    truth = 0.5 / 1.3
    tables = (
        rng.random((300, 4)) < rng.choice(rates, 300)[:, None] for _ in range(400)
    )
    intervals = [
        expected_reward_interval(table, 1, n_bootstrap=400, random_state=i)
        for i, table in enumerate(tables)
    ]
    coverage = np.mean([low <= truth <= high for _, low, high in intervals])
    assert 0.92 < coverage < 0.98


def test_interval_widens_with_confidence():
    rewards = np.random.default_rng(1).random((50, 4))
    narrow = expected_reward_interval(rewards, 2, confidence=0.5, random_state=0)
    wide = expected_reward_interval(rewards, 2, confidence=0.99, random_state=0)
    assert wide.low < narrow.low < narrow.score < narrow.high < wide.high


def test_alike_queries_leave_nothing_uncertain():
    assert expected_reward_interval([[1, 0]] * 5, 1, random_state=0) == (0.5, 0.5, 0.5)


def test_difference_of_a_policy_with_itself_is_zero_and_not_significant():
    rewards = np.random.default_rng(0).random((30, 4))
    budgets = np.arange(30) % 5
    assert paired_difference(rewards, budgets, budgets, random_state=0) == (0, 0, 0, 1)


def test_difference_changes_sign_with_the_order():
    rewards = np.random.default_rng(0).random((40, 4))
    a, b = np.random.default_rng(1).integers(0, 5, (2, 40))
    one = paired_difference(rewards, a, b, random_state=0)
    other = paired_difference(rewards, b, a, random_state=0)
    scores = expected_reward_score(rewards, a), expected_reward_score(rewards, b)
    assert one.difference == pytest.approx(scores[0] - scores[1])
    assert other.difference == pytest.approx(-one.difference)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
    assert other.p_value == one.p_value


def test_pairing_finds_a_small_gain_that_hides_in_the_spread_of_difficulty():
    rng = np.random.default_rng(0)
    level = rng.normal(scale=10, size=(200, 1))
    rewards = level + rng.normal(scale=0.5, size=(200, 8))
    gain = paired_difference(rewards, 2, 1, random_state=0)
    assert 0 < gain.low < gain.difference < gain.high
    assert gain.p_value == pytest.approx(2 / 2001)
    two = expected_reward_interval(rewards, 2, random_state=0)
    one = expected_reward_interval(rewards, 1, random_state=0)
    assert two.low < one.high  # unpaired intervals overlap


@pytest.mark.slow
def test_p_values_are_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(0)
    p_values = []
    for seed in range(300):
        rewards = rng.normal(size=(100, 2, 1))
        difference = paired_difference(
            rewards, 1, 0, n_bootstrap=400, random_state=seed
        )
        p_values.append(difference.p_value)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.04)
    assert np.mean(np.array(p_values) < 0.5) == pytest.approx(0.5, abs=0.1)


def test_difference_from_uniform_at_equal_realised_spend():
    rewards = [[0, 1], [1, 1], [0, 1], [1, 1]]
    budgets = [2, 1, 2, 1]
    gain = paired_difference(rewards, budgets, np.mean(budgets), random_state=0)
    # Uniform at 1.5: (1/2 + 1) / 2 on the mixed rows, 1 on the others.
    assert gain.difference == pytest.approx(1 - 0.875)


@pytest.mark.parametrize("confidence", [0, 1, 95, np.nan, "95%"])
@pytest.mark.parametrize("function", [expected_reward_interval, paired_difference])
def test_bad_confidence(function, confidence):
    budgets = {expected_reward_interval: [1], paired_difference: [1, 1]}[function]
    with pytest.raises(ValueError, match=r"confidence=.* number in \(0, 1\)"):
        function([[0, 1]], *budgets, confidence=confidence)


@pytest.mark.parametrize("n_bootstrap", [0, 1.5, True])
def test_bad_number_of_resamples(n_bootstrap):
    with pytest.raises(ValueError, match=r"n_bootstrap=.* is not accepted"):
        expected_reward_interval([[0, 1]], 1, n_bootstrap=n_bootstrap)


def test_two_calls_with_one_seed_agree():
    rewards = np.random.default_rng(0).random((30, 4))
    first, again = (
        paired_difference(rewards, 2, 1, n_bootstrap=50, random_state=3)
        for _ in range(2)
    )
    assert first == again
