import inspect
import pickle
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV

from sklearn_adaalloc import RewardTable
from sklearn_adaalloc.metrics import (
    expected_reward_score,
    net_reward_score,
    paired_difference,
)


class _ConstantBudget(BaseEstimator):
    def __init__(self, budget=1):
        self.budget = budget

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.full(len(X), self.budget)


RAGGED = [[0.3, -1.0, 2.5], [1.0, 4.0, np.nan], [-2.0, np.nan, np.nan]]


def all_subsets(row, budget):
    return np.mean([max(subset) for subset in combinations(row, budget)])


def all_sequences(row, budget):
    return np.mean([max(sequence) for sequence in product(row, repeat=budget)])


@pytest.mark.parametrize("n_samples", [1, 2, 3, 6])
@pytest.mark.parametrize("values", ["binary", "real"])
def test_within_the_samples_it_is_the_mean_over_all_subsets(n_samples, values):
    rng = np.random.default_rng(n_samples)
    draw = {"binary": rng.integers(0, 2, n_samples), "real": rng.normal(size=n_samples)}
    row = draw[values].astype(float)
    for budget in range(1, n_samples + 1):
        expected = all_subsets(row, budget)
        assert expected_reward_score([row], [budget]) == pytest.approx(expected)


@pytest.mark.parametrize(("n_samples", "budget"), [(1, 2), (2, 3), (3, 5), (4, 6)])
def test_beyond_the_samples_it_is_the_mean_over_all_sequences(n_samples, budget):
    row = np.random.default_rng(0).normal(size=n_samples)
    with pytest.warns(UserWarning, match="with-replacement estimator"):
        score = expected_reward_score([row], [budget])
    assert score == pytest.approx(all_sequences(row, budget))


@pytest.mark.parametrize(("n_right", "budget"), [(0, 3), (1, 5), (7, 10), (20, 20)])
def test_binary_rewards_give_pass_at_b(n_right, budget):
    row = np.r_[np.ones(n_right), np.zeros(20 - n_right)]
    published = 1 - comb(20 - n_right, budget) / comb(20, budget)
    assert expected_reward_score([row], [budget]) == pytest.approx(published)


def test_agrees_with_simulation():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(4, 12))
    budgets = np.array([1, 3, 7, 12])
    order = rng.random((100_000, 4, 12)).argsort(axis=2)
    shuffled = np.take_along_axis(rewards[None], order, axis=2)
    taken = np.where(np.arange(12) < budgets[:, None], shuffled, -np.inf)
    draws = taken.max(axis=2).mean(axis=1)  # one mean over the queries per simulation
    standard_error = draws.std() / np.sqrt(len(draws))
    score = expected_reward_score(rewards, budgets)
    assert abs(score - draws.mean()) < 4 * standard_error


def test_each_query_counts_at_its_own_budget():
    rewards = [[0, 1], [0, 1], [0, 1]]
    assert expected_reward_score(rewards, [0, 1, 2]) == pytest.approx((0 + 0.5 + 1) / 3)


def test_empty_reward_is_paid_without_a_sample_only():
    rewards = [[1.0, 1.0], [1.0, 1.0]]
    assert expected_reward_score(rewards, [0, 1], empty_reward=-3) == -1.0


def test_missing_samples_are_left_out():
    # 2 of 3, 1 of 2 and 1 of 1 samples: pairs (0.3, -1), (0.3, 2.5), (-1, 2.5).
    by_hand = ((0.3 + 2.5 + 2.5) / 3 + 2.5 - 2.0) / 3
    assert expected_reward_score(RAGGED, [2, 1, 1]) == pytest.approx(by_hand)


def test_ragged_list_is_a_table():
    assert expected_reward_score([[1, 0, 1], [0]], [1, 1]) == pytest.approx(1 / 3)


def test_routing_takes_the_mean_of_the_decoder_called():
    rewards = [[[0.0, 1.0], [1.0, 1.0]], [[0.0, np.nan], [0.5, np.nan]]]
    assert expected_reward_score(rewards, [0, 1]) == pytest.approx((0.5 + 0.5) / 2)


def test_one_number_is_uniform_and_a_fraction_mixes_floor_and_ceiling():
    rewards = np.random.default_rng(0).normal(size=(5, 4))
    two, three = (expected_reward_score(rewards, np.full(5, b)) for b in (2, 3))
    assert expected_reward_score(rewards, 2) == pytest.approx(two)
    assert expected_reward_score(rewards, np.float64(2.25)) == pytest.approx(
        0.75 * two + 0.25 * three
    )


def test_one_number_in_routing_is_a_coin_toss():
    rewards = [[[0.0], [1.0]], [[1.0], [0.0]], [[0.0], [1.0]]]
    assert expected_reward_score(rewards, 0.5) == pytest.approx(0.5)
    assert expected_reward_score(rewards, 1) == pytest.approx(2 / 3)


def test_warning_names_the_row_and_blames_the_caller():
    with pytest.warns(
        UserWarning, match=r"of 2 of 3 queries \(row 1: 3 > 2\)"
    ) as caught:
        expected_reward_score(RAGGED, 3)
    assert caught[0].filename == __file__


def test_routing_never_runs_out_of_samples():
    one_answer_each = np.zeros((3, 2, 1))
    assert expected_reward_score(one_answer_each, [0, 1, 1]) == 0


def test_net_reward_subtracts_the_price_of_what_was_spent():
    rewards = [[0, 1], [1, 1]]
    assert net_reward_score(rewards, [2, 1], price=0) == 1.0
    assert net_reward_score(rewards, [2, 1], price=0.1) == pytest.approx(1 - 0.15)
    assert net_reward_score(rewards, 1.5, price=0.1) == pytest.approx(0.875 - 0.15)


def test_search_over_budgets_stops_where_samples_cost_more_than_they_bring():
    rewards = np.tile([0.0, 1.0], (12, 4))  # rate 1/2: gains of about 1/2, 1/4, 1/8
    scoring = make_scorer(net_reward_score, price=0.2)
    search = GridSearchCV(
        _ConstantBudget(), {"budget": range(6)}, scoring=scoring, cv=2
    )
    search.fit(np.zeros((12, 1)), rewards)
    assert search.best_params_ == {"budget": 2}


def test_scorer_pickles():
    scorer = pickle.loads(pickle.dumps(make_scorer(expected_reward_score)))
    assert scorer(_ConstantBudget(2), np.zeros((2, 1)), [[0, 1], [0, 0]]) == 0.5


def test_names_of_the_parameters_are_the_glossarys():
    assert list(inspect.signature(expected_reward_score).parameters) == [
        "rewards",
        "budgets",
        "empty_reward",
        "selection",
        "unit",
    ]


@pytest.mark.parametrize(
    ("rewards", "budgets", "match"),
    [
        ([], [], "rewards is empty"),
        ([[1, 0]], [1, 1], "inconsistent numbers of queries: 1 and 2"),
        ([[1, 0], [np.nan, np.nan]], [1, 1], "no sample in row 1"),
        ([[1, np.inf]], [1], r"infinity \(inf\) in row 0"),
        ([[1, 0]], [-1], "budgets has -1 in row 0. Expected whole numbers"),
        ([[1, 0]], [np.nan], "budgets has nan in row 0. Expected whole numbers"),
        ([[1, 0]], [0.5], r"has 0\.5 in row 0"),
        ([[1, 0]], -1, "budget=-1 is not a mean budget"),
        ([[1, 0]], np.nan, "budget=nan is not a mean budget"),
        ([[1, 0]], "8", "budgets could not be read as numbers.*'8'"),
        ([[[1], [0]]], [2], "budgets has 2 in row 0. Expected at most 1"),
        ([[[1], [0]]], 1.5, r"budget=1\.5 is above max_budget=1"),
        (np.zeros((2, 3, 4)), [1, 1], "weak decoder first"),
    ],
)
def test_bad_input(rewards, budgets, match):
    with pytest.raises(ValueError, match=match):
        expected_reward_score(rewards, budgets)


@pytest.mark.parametrize("empty_reward", [np.nan, np.inf, "0", None])
def test_bad_empty_reward(empty_reward):
    with pytest.raises(ValueError, match=r"empty_reward=.* is not accepted"):
        expected_reward_score([[1]], [0], empty_reward=empty_reward)


@pytest.mark.parametrize("price", [-0.1, np.nan, np.inf])
def test_bad_price(price):
    with pytest.raises(ValueError, match=r"price=.* Expected a number in \[0, 1e\+30"):
        net_reward_score([[1]], [1], price=price)


@pytest.mark.parametrize("budget", [-1, None, np.nan])
def test_an_error_about_a_mean_cost_has_the_value_that_was_given(budget):
    table = RewardTable([[1, 0], [0, 1]], costs=4)
    with pytest.raises(ValueError, match=rf"budget={budget!r} .* units of cost"):
        paired_difference(table, [1, 1], budget, unit="cost", random_state=0)
