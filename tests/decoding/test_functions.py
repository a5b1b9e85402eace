"""Plain functions as samplers of the decoders."""

import functools

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from sklearn_adaalloc import SequentialAllocator
from sklearn_adaalloc.decoding import BestOfK, Router

QUERIES = ["a", "b", "c", "d"]


def plain(prompts, budgets):
    return [
        [f"{prompt}:{j}" for j in range(budget)]
        for prompt, budget in zip(prompts, budgets, strict=True)
    ]


def counting_on(prompts, budgets, first_sample):
    return [
        [f"{prompt}:{first + j}" for j in range(budget)]
        for prompt, budget, first in zip(prompts, budgets, first_sample, strict=True)
    ]


class Model:
    def answer(self, prompts, budgets):
        return plain(prompts, budgets)

    def __call__(self, prompts, budgets):
        return plain(prompts, budgets)


class OnlySample:
    def sample(self, prompts, budgets):
        return plain(prompts, budgets)


FUNCTIONS = {
    "function": plain,
    "lambda": lambda prompts, budgets: plain(prompts, budgets),
    "partial": functools.partial(lambda model, *asked: plain(*asked), "m"),
    "bound method": Model().answer,
    "callable object": Model(),
    "object with sample": OnlySample(),
    "with first_sample": counting_on,
}


def number(queries, answers):
    return [[float(a[2:]) for a in row] for row in answers]


@pytest.mark.parametrize("sampler", FUNCTIONS.values(), ids=FUNCTIONS)
def test_best_of_k(sampler, given):
    decoded = BestOfK(given([2, 0, 1, 3]), sampler, number).decode(QUERIES)
    assert decoded.answers == ["a:1", "I don't know.", "c:0", "d:2"]
    assert decoded.budgets.tolist() == [2, 0, 1, 3]
    assert decoded.errors == {}


@pytest.mark.parametrize("sampler", FUNCTIONS.values(), ids=FUNCTIONS)
def test_router(sampler, given):
    def strong(prompts, budgets):
        return [["strong"] * budget for budget in budgets]

    decoded = Router(given([0, 1, 1, 0]), sampler, strong).decode(QUERIES)
    assert decoded.answers == ["a:0", "strong", "strong", "d:0"]
    decoded = Router(given([1, 0, 0, 1]), strong, sampler).decode(QUERIES)
    assert decoded.answers == ["a:0", "strong", "strong", "d:0"]
    assert [len(row) for row in decoded.strong_usage.answers] == [1, 0, 0, 1]


class Half(BaseEstimator):
    """Regressor for which the success rate is 1/2, everywhere."""

    def fit(self, X, y):
        return self

    def predict_marginals(self, X, max_budget):
        return np.tile(0.5 ** np.arange(1, max_budget + 1), (len(X), 1))


def test_rounds_tell_the_first_sample_to_those_who_ask():
    policy = SequentialAllocator(Half(), budget=3, n_rounds=3)
    policy = policy.fit(QUERIES, np.tile([0.0, 1, 0, 1], (4, 2)))
    seen = []

    def never(queries, answers):
        seen.extend(answer for row in answers for answer in row)
        return [[0.0] * len(row) for row in answers]

    decoded = BestOfK(policy, counting_on, never).decode(QUERIES)
    assert decoded.rounds_taken > 1
    assert len(set(seen)) == len(seen) == decoded.budgets.sum()


@pytest.mark.parametrize(
    ("returned", "match"),
    [
        ("ab", "returned 'ab' to 2 queries"),
        ([["x"]], "to 2 queries"),
        ([["x"], "yz"], "returned 'yz' to query 'd'. Expected 2 answers"),
        ([["x"], ["y"]], r"returned \['y'\] to query 'd'. Expected 2 answers"),
        ([["x"], ["y", 3]], r"returned \['y', 3\] to query 'd'"),
        ([np.array([1.0]), ["y", "z"]], "to query 'a'"),
    ],
)
def test_what_a_function_must_not_return(returned, match, given):
    def sample(prompts, budgets):
        return returned

    with pytest.raises(ValueError, match=f"sampler sample .*{match}"):
        BestOfK(given([1, 0, 0, 2]), sample, number).decode(QUERIES)


def test_asynchronous_functions_are_refused(given):
    async def sample(prompts, budgets):
        return plain(prompts, budgets)

    with pytest.raises(ValueError, match=r"sampler sample is asynchronous.*asyncio"):
        BestOfK(given([1] * 4), sample, number).decode(QUERIES)


@pytest.mark.parametrize("sampler", [None, "gpt", 3, OnlySample])
def test_what_is_no_sampler(sampler, given):
    with pytest.raises(ValueError, match="Expected a function of prompts and budgets"):
        BestOfK(given([1] * 4), sampler, number).decode(QUERIES)
    with pytest.raises(ValueError, match="Expected a function of prompts and budgets"):
        Router(given([1] * 4), plain, sampler).decode(QUERIES)
