"""Budgets that pay for nothing, and budgets that pay for everything."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    StreamAllocator,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(160, 3))
RATES = 1 / (1 + np.exp(-2 * X[:, :1] - [-1.5, 0.0]))
REWARDS = (RANDOM.random((160, 2, 5)) < RATES[:, :, None]) * 1.0
COSTS = np.array([2.0, 7.0])
MENU = RewardTable(REWARDS, costs=COSTS)
PLAIN = RewardTable(REWARDS[:, 0], costs=2.0)
ALONE = [
    AdaptiveAllocator,
    PricedAllocator,
    SequentialAllocator,
    BinnedAllocator,
    StreamAllocator,
]
OF_MENUS = [AdaptiveAllocator, PricedAllocator, SequentialAllocator]
CASES = [(each, PLAIN, "auto") for each in ALONE]
CASES += [(each, MENU, "rate_profiles") for each in OF_MENUS]
of_all = pytest.mark.parametrize(
    ("Allocator", "table", "target"),
    CASES,
    ids=[f"{each.__name__}-{target}" for each, _, target in CASES],
)
in_both_units = pytest.mark.parametrize("unit", ["samples", "cost"])


def fitted(Allocator, table, target, **options):
    regressor = RewardRegressor(Ridge(10.0), target=target)
    policy = Allocator(regressor, random_state=0, **options)
    return policy.fit(X[:80], table[:80])


def bought_in_rounds(policy):
    """Samples that are asked for in the first round, by whichever way it opens."""
    if hasattr(policy, "open"):
        with policy.open() as stream, stream.start(X[80:]) as session:
            return session.ask()
    return policy.start(X[80:]).ask()


@of_all
@in_both_units
def test_a_budget_of_nothing_buys_nothing(Allocator, table, target, unit):
    policy = fitted(Allocator, table, target, unit=unit, budget=0)
    # Among these queries are some that promise more than all that were learnt from.
    assert not policy.predict(X[80:]).any()
    assert policy.score(X[80:], table[80:]) == 0
    frame = policy.explain(X[80:])
    assert not frame.budget.any()
    assert (frame[["cost", "expected_reward"]] == 0).all(axis=None)
    assert frame.why.str.contains("no sample").all()
    if hasattr(policy, "start") or hasattr(policy, "open"):
        assert bought_in_rounds(policy) is None


@pytest.mark.parametrize(
    ("Allocator", "table", "target"),
    [case for case in CASES if case[0] is not StreamAllocator],
)
def test_money_that_pays_for_no_sample_at_all(Allocator, table, target):
    budget = 1.9 / 80  # of each query; the cheapest sample costs 2
    policy = fitted(Allocator, table, target, unit="cost", budget=budget)
    assert not policy.predict(X[80:]).any()
    if hasattr(policy, "start"):
        assert bought_in_rounds(policy) is None


@of_all
@in_both_units
def test_a_budget_for_everything_buys_everything(Allocator, table, target, unit):
    budget = 1e30 if unit == "cost" else 5.0 if table is PLAIN else 10.0
    policy = fitted(Allocator, table, target, unit=unit, budget=budget)
    budgets = policy.predict(X[80:])
    promising = policy.predict_marginals(X[80:]) > 0
    if Allocator is StreamAllocator:  # what adds next to nothing is left
        assert budgets.mean() > 4
    elif Allocator is BinnedAllocator:
        assert (budgets == 5).all()
    else:
        assert_array_equal(budgets, promising.sum(axis=-1))
    assert budgets.max() == 5
    assert np.isfinite(policy.explain(X[80:]).drop(columns="next_value").cost).all()


@of_all
@in_both_units
def test_mandatory_samples_and_nothing_else(Allocator, table, target, unit):
    least = 1 if table is PLAIN else [1, 0]
    budget = 1.0 if unit == "samples" else 2.0
    options = {"unit": unit, "budget": budget, "min_budget": least}
    budgets = fitted(Allocator, table, target, **options).predict(X[80:])
    assert_array_equal(budgets, np.zeros_like(budgets) + least)


@pytest.mark.parametrize("strategy", ["uniform", "random", "shuffled"])
def test_baselines(strategy):
    policy = DummyAllocator(strategy, budget=0, random_state=0).fit(X, REWARDS[:, 0])
    assert not policy.predict(X).any()
    assert policy.score(X, REWARDS[:, 0]) == 0


@pytest.mark.parametrize("Allocator", OF_MENUS)
@in_both_units
@pytest.mark.parametrize("budget", [1e31, np.inf, -1.0, np.nan])
def test_budgets_that_are_none(Allocator, unit, budget):
    with pytest.raises(ValueError, match=r"budget=.* is not a mean budget.*at least 0"):
        fitted(Allocator, MENU, "rate_profiles", unit=unit, budget=budget)
