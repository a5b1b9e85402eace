import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sklearn_adaalloc import AdaptiveAllocator, MLPRewardRegressor, RewardRegressor
from sklearn_adaalloc.datasets import make_reward_table

RATES = np.array([[0.5], [0.9], [0.0], [0.11]])
TABLE = np.tile([0.0, 1.0, 0.0, 1.0], (4, 1))  # four samples: max_budget is 4


class Rates(RegressorMixin, BaseEstimator):
    """Takes the only feature for the success rate; counts its fits."""

    n_fits = 0

    def fit(self, X, y):
        type(self).n_fits += 1
        self.n_queries_ = len(y)
        return self

    def predict_marginals(self, X, max_budget):
        rates = np.asarray(X, dtype=float)[:, :1]
        return rates * (1 - rates) ** np.arange(max_budget)


class Columns(Rates):
    """Takes the features for the marginal rewards."""

    def predict_marginals(self, X, max_budget):
        return np.asarray(X, dtype=float)[:, :max_budget]


class Digits(Rates):
    """Reads the success rate in a text such as "easy 0.9"."""

    def predict_marginals(self, X, max_budget):
        rates = np.array([[float(text.split()[1])] for text in X])
        return super().predict_marginals(rates, max_budget)


def frozen(regressor):
    return FrozenEstimator(regressor.fit([[0.0]], [[0.0]]))


@pytest.fixture
def count_fits(monkeypatch):
    monkeypatch.setattr(Rates, "n_fits", 0)
    return lambda: Rates.n_fits


def table(n_queries=60, n_samples=6, profile="math"):
    return make_reward_table(
        n_queries, n_samples, profile=profile, random_state=0, return_X_y=True
    )


# The allocation


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (0.0, [0, 0, 0, 0]),
        (0.25, [0, 1, 0, 0]),  # 0.9
        (0.5, [1, 1, 0, 0]),  # 0.5
        (0.75, [2, 1, 0, 0]),  # 0.25
        (1.0, [3, 1, 0, 0]),  # 0.125
        (1.5, [3, 1, 0, 2]),  # 0.11 and 0.0979, before 0.09 of query 1
        (4.0, [4, 4, 0, 4]),  # nothing is worth spending on query 2
    ],
)
def test_by_hand(budget, expected):
    allocator = AdaptiveAllocator(Rates(), budget=budget).fit(RATES, TABLE)
    budgets = allocator.predict(RATES)
    assert_array_equal(budgets, np.array(expected, dtype=np.int64), strict=True)


@pytest.mark.parametrize("seed", range(3))
def test_no_allocation_within_the_budget_expects_more(seed):
    rng = np.random.default_rng(seed)
    X = np.sort(rng.normal(size=(4, 3)), axis=1)[:, ::-1]
    allocator = AdaptiveAllocator(Columns(), budget=1.25).fit(X, TABLE[:, :3])
    curves = np.cumsum(np.column_stack([np.zeros(4), X]), axis=1)

    def value(budgets):
        return curves[range(4), list(budgets)].sum()

    every = [b for b in product(range(4), repeat=4) if sum(b) <= 5]
    assert value(allocator.predict(X)) == pytest.approx(max(map(value, every)))


@given(
    budget=st.floats(0, 6),
    n_queries=st.integers(1, 30),
    min_budget=st.integers(0, 2),
    seed=st.integers(0, 2**16),
)
def test_never_over_budget(budget, n_queries, min_budget, seed):
    budget = max(budget, min_budget)
    X = np.random.default_rng(seed).random((n_queries, 1)).round(1)
    allocator = AdaptiveAllocator(
        Rates(), budget=budget, min_budget=min_budget, max_budget=None
    )
    allocator.fit(X, np.ones((n_queries, 6)))
    budgets = allocator.predict(X)
    assert budgets.mean() <= budget
    assert budgets.min() >= min_budget
    assert budgets.max() <= 6


@pytest.mark.parametrize("n_queries", [1, 3, 10, 100])
@pytest.mark.parametrize("budget", [0.1, 0.29, 1 / 3, 1.1, 2.3])
def test_what_the_budget_pays_for_is_spent(n_queries, budget):
    X = np.full((n_queries, 1), 0.1)
    allocator = AdaptiveAllocator(Rates(), budget=budget).fit(
        X, np.ones((n_queries, 5))
    )
    spent = int(allocator.predict(X).sum())
    assert spent == math.floor(budget * n_queries)


def test_equal_queries_get_equal_budgets():
    X = np.full((8, 1), 0.3)
    allocator = AdaptiveAllocator(Rates(), budget=3).fit(X, np.ones((8, 5)))
    assert_array_equal(allocator.predict(X), [3] * 8)


def test_order_of_queries_does_not_matter():
    rng = np.random.default_rng(0)
    X = rng.random((30, 1))
    order = rng.permutation(30)
    allocator = AdaptiveAllocator(Rates(), budget=2).fit(X, np.ones((30, 6)))
    assert_array_equal(allocator.predict(X[order]), allocator.predict(X)[order])


def test_batch_mates_compete():
    allocator = AdaptiveAllocator(Rates(), budget=1).fit(RATES, TABLE)
    assert allocator.predict([[0.5]])[0] == 1
    assert allocator.predict([[0.5], [0.0], [0.0]])[0] == 3


def test_nothing_is_spent_where_nothing_is_gained():
    X = np.array([[0.5, 0.1, -0.1], [0.0, 0.0, 0.0], [-0.2, -0.3, -0.4]])
    allocator = AdaptiveAllocator(Columns(), budget=3).fit(X, TABLE[:3, :3])
    assert_array_equal(allocator.predict(X), [2, 0, 0])


def test_min_budget_is_given_all_the_same():
    X = np.array([[0.5, 0.1, -0.1], [0.0, 0.0, 0.0], [-0.2, -0.3, -0.4]])
    allocator = AdaptiveAllocator(Columns(), budget=3, min_budget=1)
    assert_array_equal(allocator.fit(X, TABLE[:3, :3]).predict(X), [2, 1, 1])


def test_max_budget_is_the_most_for_any_query():
    allocator = AdaptiveAllocator(Rates(), budget=1, max_budget=2).fit(RATES, TABLE)
    assert_array_equal(allocator.predict(RATES), [2, 1, 0, 1])
    assert allocator.predict_marginals(RATES).shape == (4, 2)


def test_max_budget_is_the_number_of_samples_by_default():
    allocator = AdaptiveAllocator(Rates(), budget=4).fit(RATES, TABLE)
    assert allocator.n_steps_ == 4
    assert allocator.predict([[0.5], [0.5]]).max() == 4


def test_budget_may_change_after_fit():
    allocator = AdaptiveAllocator(Rates(), budget=0.25).fit(RATES, TABLE)
    assert allocator.predict(RATES).sum() == 1
    assert allocator.set_params(budget=1.0).predict(RATES).sum() == 4
    assert allocator.set_params(budget=2.0, min_budget=2).predict(RATES).min() == 2


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"budget": -1}, r"budget=-1 is not a mean budget"),
        ({"budget": 5}, r"budget=5 is above max_budget=4"),
        ({"budget": 1, "min_budget": 2}, r"budget=1 is below min_budget=2"),
    ],
)
def test_a_bad_budget_after_fit(params, match):
    allocator = AdaptiveAllocator(Rates()).fit(RATES, TABLE).set_params(**params)
    with pytest.raises(ValueError, match=match):
        allocator.predict(RATES)


# Routing


def test_routing_sends_the_preferred_share_to_the_strong_decoder():
    X, rewards = table(100, profile="routing")
    regressor = RewardRegressor(Ridge(), "preference")
    allocator = AdaptiveAllocator(regressor, budget=0.3, max_budget=1)
    budgets = allocator.fit(X, rewards).predict(X)
    preference = allocator.regressor_.predict(X)
    assert_array_equal(budgets == 1, preference > np.sort(preference)[-31])
    assert budgets.sum() == 30


def test_routing_spares_the_strong_decoder_where_the_weak_one_is_preferred():
    X, rewards = table(100, profile="routing")
    allocator = AdaptiveAllocator(RewardRegressor(Ridge()), budget=1.0).fit(X, rewards)
    preference = allocator.regressor_.predict(X)
    assert_array_equal(allocator.predict(X), preference > 0.5)
    assert 0 < allocator.predict(X).mean() < 1


@pytest.mark.parametrize("max_budget", [2, 64])
def test_routing_has_one_step(max_budget):
    X, rewards = table(profile="routing")
    allocator = AdaptiveAllocator(RewardRegressor(Ridge()), max_budget=max_budget)
    with pytest.raises(
        ValueError, match=f"max_budget={max_budget} is not accepted for routing"
    ):
        allocator.fit(X, rewards)


# The regressor


def test_a_frozen_regressor_is_used_as_it_is(count_fits):
    regressor = frozen(Rates())
    before = count_fits()
    allocator = AdaptiveAllocator(regressor, budget=1).fit(RATES, TABLE)
    assert count_fits() == before
    assert allocator.regressor_ is regressor
    assert_array_equal(allocator.predict(RATES), [3, 1, 0, 0])


def test_another_regressor_is_fitted_on_a_copy(count_fits):
    regressor = Rates()
    allocator = AdaptiveAllocator(regressor, budget=1).fit(RATES, TABLE)
    assert count_fits() == 1
    assert allocator.regressor_.n_queries_ == 4
    assert not hasattr(regressor, "n_queries_")


def test_a_plain_regressor_has_to_be_wrapped():
    X, rewards = table()
    with pytest.raises(
        ValueError, match=r"Ridge\(\) has no method predict_marginals.*RewardRegressor"
    ):
        AdaptiveAllocator(Ridge()).fit(X, rewards)


def test_rising_marginals_of_a_foreign_regressor_are_refused():
    X = np.array([[0.1, 0.5], [0.2, 0.1]])
    allocator = AdaptiveAllocator(Columns(), budget=1).fit(X, TABLE[:2, :2])
    with pytest.raises(
        ValueError, match=r"row 0\. Expected.*non-increasing.*concave_repair"
    ):
        allocator.predict(X)


def test_rising_predictions_of_a_wrapped_regressor_are_repaired():
    X, rewards = table(profile="chat")
    allocator = AdaptiveAllocator(RewardRegressor(Ridge()), budget=2).fit(X, rewards)
    far = 20 * X
    assert (np.diff(allocator.regressor_.predict(far), axis=1) > 0).any()
    assert allocator.predict(far).mean() <= 2


def test_too_few_steps_learnt_for_the_table():
    X, rewards = table()
    regressor = RewardRegressor(Ridge(), max_budget=3)
    allocator = AdaptiveAllocator(regressor).fit(X, rewards)
    with pytest.raises(ValueError, match=r"max_budget=6 is above the 3 steps"):
        allocator.predict(X)


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["math", "chat", "routing"])
def test_the_default_regressor(profile):
    X, rewards = table(profile=profile)
    first, again = (
        AdaptiveAllocator(budget=0.5, random_state=0).fit(X, rewards) for _ in "ab"
    )
    assert isinstance(first.regressor_, MLPRewardRegressor)
    assert first.n_features_in_ == 16
    assert_array_equal(first.predict_marginals(X), again.predict_marginals(X))
    assert first.predict(X).mean() <= 0.5


@pytest.mark.parametrize("profile", ["math", "chat", "routing"])
def test_ragged_tables_need_no_warning(profile):
    X, rewards = table(profile=profile)
    rewards[::2, ..., 2:] = np.nan
    regressor = MLPRewardRegressor(max_epochs=2, random_state=0)
    padded = AdaptiveAllocator(regressor, budget=0.5).fit(X, rewards).predict(X)
    assert 0 < padded.mean() <= 0.5
    turned = AdaptiveAllocator(regressor, budget=0.5).fit(X, rewards[..., ::-1])
    assert_array_equal(turned.predict(X), padded)


def test_texts_go_to_a_regressor_that_reads_them():
    texts = ["even 0.5", "easy 0.9", "hopeless 0", "hard 0.1"]
    allocator = AdaptiveAllocator(Digits(), budget=1).fit(texts, TABLE)
    assert_array_equal(allocator.predict(texts), [3, 1, 0, 0])


def test_pandas():
    X, rewards = table()
    frame = pd.DataFrame(X).add_prefix("feature ")
    allocator = AdaptiveAllocator(RewardRegressor(Ridge()), budget=2)
    plain = clone(allocator).fit(X, rewards)
    allocator.fit(frame, pd.DataFrame(rewards))
    assert_array_equal(allocator.predict(frame), plain.predict(X))
    assert_array_equal(allocator.feature_names_in_, frame.columns)


# The score


def test_score_is_the_expected_reward_by_hand():
    # Budgets 3, 1, 0, 0 on rows with two right answers of four: best of 3 is right
    # always, best of 1 half the time, and the others have no answer.
    allocator = AdaptiveAllocator(Rates(), budget=1).fit(RATES, TABLE)
    assert allocator.score(RATES, TABLE) == pytest.approx((1 + 0.5) / 4)
    allocator.set_params(empty_reward=-1.0)
    assert allocator.score(RATES, TABLE) == pytest.approx((1 + 0.5 - 2) / 4)


def test_score_says_when_a_table_has_too_few_samples():
    allocator = AdaptiveAllocator(Rates(), budget=1).fit(RATES, TABLE)
    with pytest.warns(UserWarning, match=r"budgets exceeds.*with-replacement"):
        score = allocator.score(RATES, TABLE[:, :2])
    assert score == pytest.approx((7 / 8 + 0.5) / 4)


def test_score_of_a_table_of_another_kind():
    allocator = AdaptiveAllocator(Rates(), budget=1).fit(RATES, TABLE)
    with pytest.raises(ValueError, match=r"\(4, 2, 3\) have 3 axes, .* with 2"):
        allocator.score(RATES, np.ones((4, 2, 3)))


def test_gain_over_uniform_with_known_rates():
    truth = make_reward_table(500, 16, random_state=0)
    X = truth.rates[:, None]
    allocator = AdaptiveAllocator(Rates(), budget=4).fit(X, truth.rewards)
    uniform = np.mean(1 - (1 - truth.rates) ** 4)
    assert allocator.score(X, truth.rewards) > uniform + 0.02
    # The rule knows the rates: what it expects is what it gets, within sampling noise.
    expected = np.mean(1 - (1 - truth.rates) ** allocator.predict(X))
    assert allocator.score(X, truth.rewards) == pytest.approx(expected, abs=0.02)


# Bad input


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"budget": -1}, r"budget=-1 is not a mean budget"),
        ({"budget": np.nan}, r"budget=nan is not a mean budget"),
        ({"budget": np.inf}, r"budget=inf is not a mean budget"),
        ({"budget": 0.5, "min_budget": 1}, r"budget=0.5 is below min_budget=1"),
        ({"budget": 7}, r"budget=7 is above max_budget=6"),
        ({"budget": 4, "max_budget": 3}, r"budget=4 is above max_budget=3"),
        ({"min_budget": -1}, r"min_budget=-1 is not accepted"),
        ({"max_budget": 0}, r"max_budget=0 is not accepted"),
        ({"max_budget": 1.5}, r"max_budget=1.5 is not accepted"),
    ],
)
def test_bad_budgets(params, match):
    X, rewards = table()
    with pytest.raises(ValueError, match=match):
        AdaptiveAllocator(RewardRegressor(Ridge()), **params).fit(X, rewards)


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        ([[0.0]], None, r"requires y to be passed.*reward table"),
        (np.empty((0, 1)), np.empty((0, 3)), r"rewards is empty"),
        ([[0.0]], [[1], [0]], r"X and rewards have inconsistent.*1 and 2"),
        ([[0.0], [1.0]], [[1, 0], [np.nan, np.nan]], r"no sample in row 1"),
        ([[0.0], [1.0]], [[1, 0], [np.inf, 0]], r"infinity \(inf\) in row 1"),
        ([[0.0], [np.nan]], [[1, 0], [1, 0]], r"Input X contains NaN"),
        ([[0.0], [np.inf]], [[1, 0], [1, 0]], r"Input X contains infinity"),
    ],
)
def test_bad_input(X, y, match):
    with pytest.raises(ValueError, match=match):
        AdaptiveAllocator(RewardRegressor(Ridge())).fit(X, y)


def test_empty_batch():
    X, rewards = table()
    allocator = AdaptiveAllocator(RewardRegressor(Ridge())).fit(X, rewards)
    with pytest.raises(ValueError, match=r"0 sample"):
        allocator.predict(X[:0])


def test_a_table_too_short_for_max_budget_is_announced():
    with pytest.warns(UserWarning, match=r"max_budget.*4.*with-replacement estimator"):
        AdaptiveAllocator(Rates(), max_budget=5).fit(RATES, TABLE)


def test_unfitted():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        AdaptiveAllocator().predict([[0.0]])
    with pytest.raises(NotFittedError, match="not fitted yet"):
        AdaptiveAllocator().predict_marginals([[0.0]])


def test_marginals_are_the_regressor_s():
    allocator = AdaptiveAllocator(Rates(), budget=1).fit(RATES, TABLE)
    assert_allclose(allocator.predict_marginals([[0.5]]), [[0.5, 0.25, 0.125, 0.0625]])
