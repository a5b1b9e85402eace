"""Two decoders, a cheap and a dear one, and policies that chose between them."""

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc import RewardRegressor, RewardTable, SequentialAllocator
from sklearn_adaalloc.sampling import TokenUsage

QUERIES = [f"{row}" for row in range(12)]
NAMES = ["cheap", "dear"]


class Answering:
    """Sampler whose answers name it; each has so many tokens, and prompts have 10."""

    def __init__(self, name, n_tokens=1.0, failing=()):
        self.name, self.n_tokens, self.failing = name, n_tokens, failing
        self.asked = []

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        self.asked.append((list(budgets), list(first_sample)))
        answers = [
            [
                None if prompt in self.failing else f"{self.name}:{prompt}:{first + j}"
                for j in range(budget)
            ]
            for prompt, budget, first in zip(
                prompts, budgets, first_sample, strict=True
            )
        ]
        tokens = [np.full(budget, self.n_tokens) for budget in budgets]
        prompt = np.where(np.array(budgets) > 0, 10.0, 0.0)
        return answers, TokenUsage(prompt, tokens)


def silent(prompts, budgets):
    """A sampler that reports no tokens."""
    return [["?"] * budget for budget in budgets]


def wrong(queries, answers):
    return [np.zeros(len(row)) for row in answers]


def zeros(queries):
    return np.zeros((len(queries), 1))


def fitted(
    allocator=SequentialAllocator, *, names=NAMES, noise=0.0, unit="cost", **parameters
):
    """A policy that learnt: one decoder solves a third, the other three quarters."""
    rng = np.random.default_rng(0)
    rewards = (rng.random((40, 2, 8)) < [[[0.3], [0.75]]]).astype(float)
    regressor = RewardRegressor(DummyRegressor(), target="rate_profiles")
    policy = make_pipeline(
        FunctionTransformer(zeros), allocator(regressor, unit=unit, **parameters)
    )
    costs = np.array([[[1.0], [5.0]]]) * rng.uniform(1 - noise, 1 + noise, (40, 2, 8))
    table = RewardTable(rewards, costs=costs, decoders=names)
    return policy.fit([""] * 40, table)


def both(**options):
    return {
        "cheap": Answering("cheap", **options),
        "dear": Answering("dear", n_tokens=5.0, **options),
    }
