"""Samplers and rewards that remember what they were asked: for tests/collect."""

import numpy as np

from sklearn_adaalloc.collect import collect_rewards
from sklearn_adaalloc.sampling import TokenUsage
from sklearn_adaalloc.sampling._protocol import SampledAnswer


class Sampler:
    """Answers "prompt:sample", and remembers what it was asked for."""

    settings = {"sampler": "Sampler"}

    def __init__(self, write=lambda prompt, sample: f"{prompt}:{sample}"):
        self.asked = []
        self.calls = []
        self.write = write

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        self.calls.append(sum(budgets))
        answers = []
        for prompt, budget, first in zip(prompts, budgets, first_sample, strict=True):
            samples = range(first, first + budget)
            self.asked += [(str(prompt), sample) for sample in samples]
            answers.append([self.write(prompt, sample) for sample in samples])
        tokens = [np.full(budget, 3) for budget in budgets]
        return answers, TokenUsage(np.full(len(prompts), 5), tokens)


class EachSampler(Sampler):
    """The same, one by one; some samples fail for good, and then all."""

    def __init__(self, failing=(), n_before_the_end=np.inf):
        super().__init__()
        self.failing = failing
        self.n_before_the_end = n_before_the_end

    def sample_each(self, prompts, budgets, *, first_sample):
        for row, prompt in reversed(list(enumerate(prompts))):
            for sample in range(first_sample[row], first_sample[row] + budgets[row]):
                if len(self.asked) == self.n_before_the_end:
                    raise ConnectionError("the server has gone")
                self.asked.append((prompt, sample))
                if (prompt, sample) in self.failing:
                    error = ValueError("too long")
                    yield SampledAnswer(row, sample, None, np.nan, np.nan, error)
                else:
                    yield SampledAnswer(row, sample, f"{prompt}:{sample}", 5, 3)


def sample_number(queries, answers):
    """Reward: the number after the colon."""
    return [np.array([float(a.rpartition(":")[2]) for a in row]) for row in answers]


class Reward:
    """Gives `sample_number` plus an offset, and remembers what it graded."""

    def __init__(self, offset=0.0):
        self.settings = {"reward": "Reward", "offset": offset}
        self.offset = offset
        self.graded = []

    def __call__(self, queries, answers):
        self.graded += [answer for row in answers for answer in row]
        return [row + self.offset for row in sample_number(queries, answers)]


def collect(queries, sampler, reward, n_samples, store, **parameters):
    parameters = {"progress": False, **parameters}
    return collect_rewards(
        list(queries), sampler, reward, n_samples, store=store, **parameters
    )


def expected(n_queries, n_samples):
    return np.tile(np.arange(n_samples, dtype=float), (n_queries, 1))


def range_of_texts(n):
    return [f"q{i}" for i in range(n)]
