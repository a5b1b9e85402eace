"""Questions whose first word says how often they are answered right."""

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor

from sklearn_adaalloc import RewardRegressor

LEVELS = {"never": 0.0, "rarely": 0.2, "often": 0.7, "always": 1.0}


def questions(numbers):
    return [f"{level} {i}" for i in numbers for level in LEVELS]


def rates(asked):
    return np.array([LEVELS[question.split()[0]] for question in asked])


def outcomes(asked, n_samples, seed):
    """0/1 rewards (n_questions, n_samples)."""
    draws = np.random.default_rng(seed).random((len(asked), n_samples))
    return (draws < rates(asked)[:, None]).astype(int)


def tree():
    """A regressor of rewards that can tell the levels apart."""
    return RewardRegressor(DecisionTreeRegressor(max_depth=4, random_state=0))


def fitted(allocator, table=None):
    """A policy on texts."""
    asked = questions(range(1000, 1100))
    policy = make_pipeline(CountVectorizer(vocabulary=list(LEVELS)), allocator)
    return policy.fit(asked, outcomes(asked, 16, 0) if table is None else table(asked))
