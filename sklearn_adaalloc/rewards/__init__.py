"""Reward functions: callables that grade sampled answers, query by query."""

from sklearn_adaalloc.rewards._code import CodeVerifier
from sklearn_adaalloc.rewards._equivalence import MathEquivalence
from sklearn_adaalloc.rewards._math import MathVerifier
from sklearn_adaalloc.rewards._reward_model import RewardModel

__all__ = ["CodeVerifier", "MathEquivalence", "MathVerifier", "RewardModel"]
