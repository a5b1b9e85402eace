"""What tests of single queries share: a policy on texts, samplers and rewards."""

import asyncio
import contextlib
import gc
import logging
import warnings

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator

from sklearn_adaalloc import StreamAllocator
from sklearn_adaalloc.sampling import TokenUsage
from sklearn_adaalloc.sampling._protocol import SampledAnswer


class EqualCurves(RegressorMixin, BaseEstimator):
    """Predicts the same curve for every text."""

    def __init__(self, rate=0.5):
        self.rate = rate

    def fit(self, X, y):
        self.n_queries_ = len(y)
        return self

    def predict_marginals(self, X, max_budget):
        steps = self.rate * (1 - self.rate) ** np.arange(max_budget)
        return np.tile(steps, (len(X), 1))


def stream_policy(max_budget=4, **parameters):
    """Samples until a query is solved, `max_budget` times at most."""
    parameters = {"target": "price", "price": 0.01, **parameters}
    frozen = FrozenEstimator(EqualCurves().fit(["a"], [0.0]))
    rewards = np.zeros((2, max_budget))
    rewards[0, 0] = 1
    return StreamAllocator(frozen, random_state=0, **parameters).fit(
        ["a", "b"], rewards
    )


class Awaited:
    """Answers "query:sample", each after a wait; it counts the calls that are open."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.asked = []
        self.n_open = self.most_open = 0

    async def asample_each(self, prompts, budgets, *, first_sample):
        for row, (prompt, first) in enumerate(zip(prompts, first_sample, strict=True)):
            for sample in range(first, first + budgets[row]):
                self.asked.append((prompt, sample))
                self.n_open += 1
                self.most_open = max(self.most_open, self.n_open)
                try:
                    await asyncio.sleep(self.seconds)
                finally:
                    self.n_open -= 1
                yield SampledAnswer(row, sample, f"{prompt}:{sample}", 5, 3)


class Blocking:
    """The same answers from a function that blocks, with counts of tokens."""

    def __init__(self, max_concurrency=1, work=lambda prompt: None):
        self.max_concurrency = max_concurrency
        self.work = work
        self.asked = []

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        answers = []
        for prompt, n, first in zip(prompts, budgets, first_sample, strict=True):
            self.asked += [(prompt, first + j) for j in range(n)]
            self.work(prompt)
            answers.append([f"{prompt}:{first + j}" for j in range(n)])
        tokens = [np.full(n, 3.0) for n in budgets]
        return answers, TokenUsage(np.full(len(prompts), 5.0), tokens)


def solved_by(number):
    """Reward function: the answer of the sample of this number is right."""
    return lambda queries, answers: [
        np.array([float(answer.endswith(f":{number}")) for answer in row])
        for row in answers
    ]


def run(decoder, queries):
    """Answers to queries that arrive at once; exceptions are returned."""

    async def main():
        async with decoder:
            asked = map(decoder.answer, queries)
            return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(main(), debug=True)


@contextlib.contextmanager
def no_complaints(caplog):
    """Fail on warnings, on errors that nobody retrieved, and on a loop that complains.

    Coroutines run in asyncio's debug mode, in which callbacks that block are logged;
    those of tests may take long on a busy machine, and are not what is looked for.
    """
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING, "asyncio"):
        warnings.simplefilter("error")
        warnings.simplefilter("always", ResourceWarning)
        caplog.clear()
        yield
        gc.collect()
    complaints = [
        record.getMessage()
        for record in caplog.records
        if record.name == "asyncio" and not record.getMessage().startswith("Executing")
    ]
    assert complaints == []
