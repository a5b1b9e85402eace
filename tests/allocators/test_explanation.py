"""Why each query gets its budget, in numbers and words."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    MLPRewardRegressor,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
)
from sklearn_adaalloc.allocators import RegressorAllocator
from sklearn_adaalloc.allocators._explanation import (
    price_paid,
    reward_range,
    success_range,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.planning import allocate

MLP = MLPRewardRegressor(max_epochs=3, random_state=0)
RIDGE = RewardRegressor(Ridge())
X, REWARDS = make_reward_table(200, 8, n_features=5, random_state=0, return_X_y=True)
COSTS = np.random.default_rng(0).uniform(50, 150, size=(200, 1)) * np.ones(8)
IN_COST = RewardTable(REWARDS, costs=COSTS)
ONE_SHOT = (AdaptiveAllocator, PricedAllocator, BinnedAllocator, SequentialAllocator)


class Told(RegressorMixin, BaseEstimator):
    """Predicts the marginal rewards that it is given as features."""

    def fit(self, X, y):
        self.is_fitted_ = True
        return self

    def predict_marginals(self, X, max_budget):
        return np.asarray(X, dtype=float)[:, :max_budget]


def why(marginals, allocator=AdaptiveAllocator, **parameters):
    """Sentences for queries with these predicted marginal rewards."""
    rewards = np.resize([0, 1, 1], np.shape(marginals))
    return explained(marginals, rewards, allocator, **parameters).why.tolist()


def explained(marginals, rewards, allocator=AdaptiveAllocator, **parameters):
    policy = allocator(Told(), **parameters).fit(marginals, rewards)
    return policy.explain(marginals)


# Numbers


@pytest.mark.parametrize("allocator", ONE_SHOT)
def test_numbers_follow_from_the_predictions(allocator):
    policy = allocator(MLP, budget=2, empty_reward=0.1).fit(X, REWARDS)
    frame = policy.explain(X)
    budgets, marginals = policy.predict(X), policy.predict_marginals(X)
    assert_array_equal(frame.budget, budgets)
    sums = [
        0.1 + row[:budget].sum() for row, budget in zip(marginals, budgets, strict=True)
    ]
    assert_allclose(frame.expected_reward, sums)
    assert_array_equal(frame.cost, budgets)
    assert frame.price.nunique() == 1
    assert list(frame.columns) == [
        *("budget", "expected_reward", "low", "high"),
        *("next_value", "cost", "price", "why"),
    ]


@pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
def test_the_price_is_that_of_the_batch(allocator):
    policy = allocator(MLP, budget=2, min_budget=1).fit(X, REWARDS)
    frame, marginals = policy.explain(X), policy.predict_marginals(X)
    _, price = allocate(marginals, 2, min_budget=1)
    assert_allclose(frame.price, price)
    following = np.pad(marginals, ((0, 0), (0, 1)), constant_values=np.nan)
    assert_allclose(frame.next_value, following[range(len(X)), frame.budget])
    assert np.nanmax(frame.next_value) <= price


def test_the_price_of_a_calibrated_rule_is_the_same_in_every_batch():
    priced = PricedAllocator(MLP, budget=2, random_state=0).fit(X, REWARDS)
    binned = BinnedAllocator(MLP, budget=2, random_state=0).fit(X, REWARDS)
    assert (priced.explain(X[:3]).price == priced.price_).all()
    assert binned.explain(X[:3]).price[0] == binned.explain(X).price[0]


def test_a_bin_counts_for_its_queries():
    policy = BinnedAllocator(MLP, budget=2, n_bins=4, random_state=0).fit(X, REWARDS)
    frame = policy.explain(X)
    bins = np.digitize(policy.predict_marginals(X)[:, 0], policy.bin_edges_)
    for bin_ in range(4):
        rows = frame[(bins == bin_) & (frame.budget == policy.bin_budgets_[bin_])]
        following = policy.bin_marginals_[bin_, policy.bin_budgets_[bin_]]
        assert_allclose(rows.next_value, following)
        assert rows.why.str.contains("on average in its bin of similar queries").all()


@pytest.mark.parametrize(
    "allocator", [AdaptiveAllocator, PricedAllocator, BinnedAllocator]
)
def test_with_costs_prices_are_per_unit_of_cost(allocator):
    policy = allocator(MLP, budget=200, unit="cost").fit(X, IN_COST)
    frame = policy.explain(X)
    costs = policy.cost_regressor_.predict(X)
    assert_allclose(frame.cost, frame.budget * costs)
    assert frame.price[0] < 0.01
    assert frame.why.str.contains(r"\(0.00\d+ per unit of cost\)").all()


def test_the_range_holds_80_percent_of_the_predicted_distribution():
    policy = AdaptiveAllocator(MLP, budget=2).fit(X, REWARDS)
    frame = policy.explain(X)
    weights = policy.regressor_.predict_rate_distribution(X)
    chances = 1 - (1 - policy.regressor_.rates_) ** frame.budget.to_numpy()[:, None]
    low, high = frame.low.to_numpy()[:, None], frame.high.to_numpy()[:, None]
    within = ((chances >= low) & (chances <= high)) * weights
    assert within.sum(axis=1).min() >= 0.8
    assert ((chances < low) * weights).sum(axis=1).max() <= 0.1
    assert ((chances > high) * weights).sum(axis=1).max() <= 0.1
    assert frame.expected_reward.between(frame.low, frame.high).mean() > 0.9


def test_quantiles_of_a_distribution_that_is_known():
    weights = np.array([[0.2, 0.3, 0.5], [0.05, 0.9, 0.05]])
    low, high = success_range(weights, np.array([0.0, 0.5, 1.0]), np.array([1, 2]))
    assert_allclose(low, [0, 0.75])
    assert_allclose(high, [1, 0.75])


def test_real_valued_rewards_have_the_range_of_their_normal_model():
    low, high = reward_range(np.array([1.0]), np.array([2.0]), np.array([3]))
    # The best of three is below x if all three are.
    assert_allclose(norm(1, 2).cdf(low) ** 3, 0.1)
    assert_allclose(norm(1, 2).cdf(high) ** 3, 0.9)


def test_real_valued_rewards_are_in_their_range_as_often_as_promised():
    means = np.random.default_rng(0).normal(5, 1, size=2000)
    rewards = means[:, None] + np.random.default_rng(1).normal(size=(2000, 9))
    policy = AdaptiveAllocator(RIDGE, budget=3, min_budget=3).fit(
        means[:, None], rewards[:, :8]
    )
    frame = policy.explain(means[:, None])
    best = rewards[:, :3].max(axis=1)
    share = ((best >= frame.low) & (best <= frame.high)).mean()
    assert abs(share - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 2000) + 0.01


@pytest.mark.parametrize("allocator", ONE_SHOT)
def test_a_point_prediction_has_no_range_and_says_so(allocator):
    frame = allocator(RIDGE, budget=2).fit(X, REWARDS).explain(X)
    sampled = frame.budget > 0
    assert frame.low[sampled].isna().all()
    assert frame.high[sampled].isna().all()
    assert frame.why[sampled].str.contains("There is no range: the regressor").all()
    assert (frame.low[~sampled] == 0).all()


def test_a_vote_has_no_range_even_if_rewards_are_real():
    table = RewardTable(REWARDS + 0.5, answers=(REWARDS == 1).astype(int))
    frame = AdaptiveAllocator(RIDGE, budget=2, min_budget=1, selection="vote")
    assert frame.fit(X, table).explain(X).low.isna().all()


def test_a_query_without_a_sample_has_the_empty_reward_for_certain():
    frame = explained([[0.5, 0.4], [0.01, 0]], [[1, 1], [0, 1]], empty_reward=0.2)
    row = frame.iloc[1]
    assert (row.budget, row.expected_reward) == (0, 0.2)
    assert (row.low, row.high) == (0.2, 0.2)


@pytest.mark.parametrize(
    ("budgets", "min_budget", "price"),
    [
        ([2, 1], 0, 0.25),
        ([2, 1], 1, 0.25),
        ([1, 1], 1, 0.25),
        ([0, 0], 0, 0.9),
        ([2, 2], 0, 0.0),
    ],
)
def test_the_price_is_the_value_of_the_last_sample(budgets, min_budget, price):
    values = np.array([[0.5, 0.25, 0.0], [0.9, 0.09, -0.1]])
    assert price_paid(values, np.array(budgets), min_budget=min_budget) == price


# Words


def test_samples_above_the_price():
    assert why([[0.5, 0.4, 0.1], [0.3, 0.05, 0.0]], budget=1.5)[0].startswith(
        "Gets 2 samples: sample 2 raises the expected reward by 0.4, which is worth "
        "the price of 0.3; sample 3 would add only 0.1."
    )


def test_a_hopeless_query():
    [_, sentence] = why([[0.5, 0.4], [0.01, 0.0]], budget=1)
    assert sentence == (
        "Gets no sample: sample 1 would raise the expected reward by 0.01, less than "
        "the price of 0.4."
    )


def test_a_query_that_cannot_be_solved():
    [_, sentence] = why([[0.5, 0.4], [0.0, 0.0]], budget=1)
    assert sentence == "Gets no sample: sample 1 is not expected to add anything."


def test_an_answer_that_is_worse_than_none():
    [_, sentence] = why([[0.5, 0.4], [-0.2, -0.3]], budget=1)
    assert (
        sentence == "Gets no sample: sample 1 would lower the expected reward by 0.2."
    )


def test_samples_that_would_hurt():
    [sentence, _] = why([[0.5, -0.05], [0.3, 0.2]], budget=2)
    assert sentence.startswith(
        "Gets 1 sample: sample 1 raises the expected reward by 0.5, and the budget "
        "pays for all that adds something; sample 2 would lower it by 0.05."
    )


def test_max_budget_is_reached():
    [sentence, _] = why([[0.5, 0.4], [0.3, 0.1]], budget=1.5)
    assert sentence.startswith(
        "Gets 2 samples, which is max_budget: sample 2 raises the expected reward by "
        "0.4, which is worth the price of 0.3. There is no range"
    )


def test_min_budget_is_forced():
    [_, sentence] = why([[0.5, 0.4, 0.3], [0.1, 0.02, 0.0]], budget=2, min_budget=1)
    assert sentence.startswith(
        "Gets 1 sample, which is min_budget: sample 2 would raise the expected reward "
        "by 0.02, less than the price of 0.3."
    )


def test_no_choice_is_left():
    [sentence, _] = why([[0.5, 0.4], [0.1, 0.02]], budget=2, min_budget=2)
    assert "which is max_budget: min_budget leaves no choice." in sentence


def test_the_budget_is_spent_on_equal_queries():
    [first, second] = why([[0.5, 0.1], [0.5, 0.1]], budget=0.5)
    assert first.startswith("Gets 1 sample: sample 1 raises the expected reward by 0.5")
    assert second == (
        "Gets no sample: sample 1 would raise the expected reward by 0.5, but the "
        "budget is spent."
    )


def test_a_budget_that_pays_for_nothing():
    [sentence, _] = why([[0.5], [0.4]], allocator=PricedAllocator, budget=0)
    assert sentence == (
        "Gets no sample: sample 1 would raise the expected reward by 0.5, but the "
        "budget is spent."
    )


def test_a_coin_decides_between_equal_queries():
    rows = [[0.5, 0.1]] * 20 + [[0.3, 0.1]] * 20
    rewards = np.resize([0, 1], (40, 2))
    options = {"budget": 0.75, "random_state": 0}
    frame = explained(rows, rewards, allocator=PricedAllocator, **options)
    assert frame.price[0] == pytest.approx(0.4)
    assert set(frame.budget[20:]) == {0, 1}
    given = frame.why[20:][frame.budget[20:] == 1]
    assert given.str.contains(
        "by 0.3, less than the price of 0.4, but a coin gave it some of the rest of "
        "the budget; sample 2 would add only 0.1"
    ).all()


def test_rounds_may_change_the_plan():
    [sentence, _] = why([[0.5, 0.4], [0.3, 0.1]], SequentialAllocator, budget=1)
    assert sentence.startswith(
        "Gets 2 samples in the one-shot plan, before any round, "
    )


def test_costs_are_named():
    table = RewardTable([[1, 1], [0, 1]], costs=[10.0, 10.0])
    policy = AdaptiveAllocator(Told(), budget=10, unit="cost")
    marginals = np.array([[0.5, 0.3], [0.2, 0.1]])
    [sentence, _] = policy.fit(marginals, table).explain(marginals).why
    assert sentence.startswith(
        "Gets 2 samples, which is max_budget: sample 2 raises the expected reward by "
        "0.3 (0.03 per unit of cost), which is worth the price of 0.03."
    )


def test_numbers_read_well():
    [first, second] = why([[12345.6, 12345.6, 0.0], [1e-12, -1.0, -1.0]], budget=3)
    assert "sample 2 raises the expected reward by 12,346, and the budget pays" in first
    assert "sample 3 is not expected to add anything." in first
    assert "sample 2 would lower it by 1." in second


# Routing


def route(marginals, **parameters):
    rewards = np.resize([0, 1, 1], (len(marginals), 2, 3))
    return explained(marginals, rewards, **parameters)


def test_routing_names_the_decoder():
    frame = route([[0.3], [0.1], [-0.2]], budget=0.34)
    assert frame.decoder.tolist() == ["strong", "weak", "weak"]
    assert frame.why.tolist() == [
        "Goes to the strong decoder: that adds 0.3, which is worth the price of 0.3.",
        "Goes to the weak decoder: the strong one would add 0.1, less than the price "
        "of 0.3.",
        "Goes to the weak decoder: the strong one is not expected to be better.",
    ]
    assert frame.expected_reward.isna().all()


def test_all_must_go_to_the_strong_decoder():
    frame = route([[0.3], [-0.2]], budget=1, min_budget=1)
    sentence = "Goes to the strong decoder: min_budget leaves no choice."
    assert frame.why.tolist() == [sentence] * 2


def test_routing_predicts_the_preference_for_the_chosen_decoder():
    table = np.stack([REWARDS[:, :4], REWARDS[:, 4:]], axis=1)
    policy = AdaptiveAllocator(MLP, budget=0.5).fit(X, table)
    frame, strong = policy.explain(X), policy.regressor_.predict(X)
    chosen = np.where(frame.budget == 1, strong, 1 - strong)
    assert_allclose(frame.expected_reward, chosen)
    assert frame.low.isna().all()


# Rules without a price


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        ("uniform", "as all queries do, up to rounding."),
        ("random", "drawn at random."),
        ("shuffled", "the budget of a query drawn at random."),
    ],
)
def test_baselines_name_their_rule(strategy, reason):
    policy = DummyAllocator(strategy, budget=2, random_state=0).fit(X, REWARDS)
    frame = policy.explain(X)
    assert_array_equal(frame.budget, policy.predict(X))
    assert frame.why.str.endswith(reason).all()
    assert frame[["low", "high", "price"]].isna().all(axis=None)
    sums = np.append(0, policy.mean_marginals_.cumsum())
    assert_allclose(frame.expected_reward, sums[frame.budget])


def test_a_baseline_knows_no_reward_of_a_decoder():
    table = np.stack([REWARDS[:, :4], REWARDS[:, 4:]], axis=1)
    frame = DummyAllocator(budget=0.5).fit(X, table).explain(X[:2])
    assert frame.expected_reward.isna().all()
    assert (
        frame.why[0] == "Goes to the weak decoder, as all queries do, up to rounding."
    )


def test_an_allocator_of_your_own_is_explained():
    class First(RegressorAllocator):
        min_budget, max_budget, empty_reward, random_state = 0, None, 0.0, 0

        def __init__(self, regressor=None, budget=1.0):
            self.regressor = regressor
            self.budget = budget

        def _allocate(self, marginals, costs=None):
            return np.array([1, 0])

    frame = explained([[0.3, 0.1], [0.5, 0.2]], [[1, 0], [0, 1]], First)
    assert frame.price[0] == 0.3
    assert frame.why[1] == (
        "Gets no sample: sample 1 would raise the expected reward by 0.5, but the "
        "budget is spent."
    )


@pytest.mark.parametrize("allocator", [*ONE_SHOT, DummyAllocator])
def test_fit_comes_first(allocator):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        allocator().explain(X)


def test_queries_are_checked():
    policy = AdaptiveAllocator(MLP, budget=2).fit(X, REWARDS)
    with pytest.raises(ValueError, match="X has 2 features, but"):
        policy.explain(X[:, :2])


def test_pandas_is_asked_for(monkeypatch):
    policy = DummyAllocator(budget=2).fit(X, REWARDS)
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match="pandas"):
        policy.explain(X)
