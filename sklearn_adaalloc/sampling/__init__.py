"""Samplers take prompts and budgets, and return that many answers to each prompt."""

from sklearn_adaalloc.sampling._local import (
    TransformersSampler,
    ValueAugmentedSampler,
)
from sklearn_adaalloc.sampling._openai import OpenAISampler
from sklearn_adaalloc.sampling._protocol import TokenUsage

__all__ = [
    "OpenAISampler",
    "TokenUsage",
    "TransformersSampler",
    "ValueAugmentedSampler",
]
