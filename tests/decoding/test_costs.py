"""BestOfK reports what its answers cost, and passes it on to sessions."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc import (
    AdaptiveAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
)
from sklearn_adaalloc.decoding import BestOfK
from sklearn_adaalloc.sampling import TokenUsage

QUERIES = ["a", "bb", "ccc", "dddd"]


class Lengths:
    """Answers of twice as many tokens as the query has characters; prompts of 10."""

    def __init__(self, failing=()):
        self.failing = failing

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        answers = [
            [None if prompt in self.failing else "?"] * budget
            for prompt, budget in zip(prompts, budgets, strict=True)
        ]
        tokens = [
            np.full(budget, 2.0 * len(prompt))
            for prompt, budget in zip(prompts, budgets, strict=True)
        ]
        return answers, TokenUsage(np.full(len(prompts), 10.0), tokens)


def silent(prompts, budgets):
    """A sampler that reports no tokens."""
    return [["?"] * budget for budget in budgets]


def unknowing(prompts, budgets, return_usage):
    """A sampler that reports tokens, but knows none."""
    unknown = TokenUsage(
        np.full(len(prompts), np.nan), [np.full(budget, np.nan) for budget in budgets]
    )
    return silent(prompts, budgets), unknown


def wrong(queries, answers):
    return [np.zeros(len(row)) for row in answers]


def lengths(queries):
    return np.array([[len(query)] for query in queries], dtype=float)


def fitted(allocator, **parameters):
    regressor = RewardRegressor(DummyRegressor(), target="rate_distribution")
    queries = ["a", "bb", "ccc", "dddd"] * 10
    costs = np.array([[2.0 * len(query)] for query in queries]) * np.ones(8)
    rewards = np.random.default_rng(0).integers(0, 2, (40, 8)).astype(float)
    policy = make_pipeline(
        FunctionTransformer(lengths), allocator(regressor, unit="cost", **parameters)
    )
    return policy.fit(queries, RewardTable(rewards, costs=costs))


def test_tokens_of_answers_are_costs(given):
    decoded = BestOfK(given([0, 1, 2, 3]), Lengths(), wrong).decode(QUERIES)
    assert_array_equal(decoded.costs, [0, 4, 12, 24])
    assert decoded.total_cost == 40
    assert decoded.cost_spread == np.std([0, 4, 12, 24])
    assert np.isnan(decoded.budget_share)  # the policy has no budget


def test_prices_make_dollars_of_tokens(given):
    decoder = BestOfK(given([0, 1, 2, 3]), Lengths(), wrong, price=(0.1, 2.0))
    assert_array_equal(decoder.decode(QUERIES).costs, [1, 9, 25, 49])


def test_costs_are_not_known_without_tokens(given):
    decoded = BestOfK(given([0, 1, 2, 3]), silent, wrong).decode(QUERIES)
    assert_array_equal(np.isnan(decoded.costs), [False, True, True, True])


@pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
def test_the_budget_in_cost_is_kept_and_its_share_reported(allocator):
    policy = fitted(allocator, budget=12)
    decoded = BestOfK(policy, Lengths(), wrong).decode(QUERIES * 5)
    assert_array_equal(decoded.costs, decoded.budgets * np.array([2, 4, 6, 8] * 5))
    assert decoded.budget_share == decoded.costs.mean() / 12
    assert 0.8 < decoded.budget_share <= 1


def test_the_share_of_a_budget_in_samples():
    regressor = RewardRegressor(DummyRegressor(), target="rate_distribution")
    policy = make_pipeline(
        FunctionTransformer(lengths), AdaptiveAllocator(regressor, budget=2)
    )
    policy.fit(QUERIES, [[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]])
    decoded = BestOfK(policy, Lengths(), wrong).decode(QUERIES)
    assert decoded.budget_share == decoded.budgets.mean() / 2


def test_a_session_hears_real_costs():
    cheap = fitted(SequentialAllocator, budget=12)
    once = BestOfK(cheap, Lengths(), wrong).decode(QUERIES * 5)
    dear = BestOfK(cheap, Lengths(), wrong, price=(0, 3.0)).decode(QUERIES * 5)
    assert dear.budgets.sum() < once.budgets.sum()


def test_failed_samples_count_with_their_predicted_cost():
    policy = fitted(SequentialAllocator, budget=12)
    decoder = BestOfK(policy, Lengths(failing=["a"]), wrong)
    with pytest.warns(UserWarning, match="failed for good"):
        decoded = decoder.decode(QUERIES * 5)
    assert_array_equal(decoded.costs[::4], 0)  # nothing is known to be paid
    assert 0.5 < decoded.budget_share < 1


@pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
@pytest.mark.parametrize("sampler", [silent, unknowing])
def test_a_budget_in_cost_needs_tokens(allocator, sampler):
    decoder = BestOfK(fitted(allocator, budget=12), sampler, wrong)
    with pytest.raises(ValueError, match=r"reports no tokens, but the budget of the"):
        decoder.decode(QUERIES)


@pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
def test_a_price_of_answers_needs_no_tokens(allocator):
    decoder = BestOfK(fitted(allocator, budget=12), silent, wrong, price=3.0)
    decoded = decoder.decode(QUERIES * 5)
    assert_array_equal(decoded.costs, 3 * decoded.budgets)


@pytest.mark.parametrize(
    "price", [-1.0, 0, (1.0,), (-1.0, 1.0), (0.0, 0.0), (np.nan, 1)]
)
def test_price_is_checked(given, price):
    with pytest.raises(ValueError, match=r"price=.* is not accepted"):
        BestOfK(given([1] * 4), Lengths(), wrong, price=price).decode(QUERIES)
