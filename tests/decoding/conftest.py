import numpy as np
import pytest
from sklearn.base import BaseEstimator

from sklearn_adaalloc.sampling import TokenUsage


class Numbers:
    """Sampler whose sample j of a query reads "query:j"; it keeps what was asked."""

    def __init__(self):
        self.asked = []

    def sample(self, prompts, budgets, *, first_sample=None, return_usage=False):
        first = np.zeros(len(budgets), int) if first_sample is None else first_sample
        self.asked.append((list(budgets), list(first)))
        answers = [
            [f"{prompt}:{j}" for j in range(start, start + budget)]
            for prompt, budget, start in zip(prompts, budgets, first, strict=True)
        ]
        usage = TokenUsage(
            np.full(len(prompts), 10), [np.full(len(row), 3) for row in answers]
        )
        return answers, usage


class Given(BaseEstimator):
    """Policy that gives the budgets it was made with."""

    def __init__(self, budgets):
        self.budgets = budgets

    def predict(self, X):
        return np.array(self.budgets)


@pytest.fixture
def make_sampler():
    """Make a sampler that needs no model."""
    return Numbers


@pytest.fixture
def sampler():
    """One such sampler."""
    return Numbers()


@pytest.fixture
def given():
    """Make a policy from the budgets that it is to give."""
    return Given
