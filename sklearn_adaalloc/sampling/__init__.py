"""Samplers: prompts and budgets in, that many answers to each out."""

from sklearn_adaalloc.sampling._openai import OpenAISampler
from sklearn_adaalloc.sampling._protocol import TokenUsage
from sklearn_adaalloc.sampling._transformers import TransformersSampler
from sklearn_adaalloc.sampling._value_augmented import ValueAugmentedSampler

__all__ = [
    "OpenAISampler",
    "TokenUsage",
    "TransformersSampler",
    "ValueAugmentedSampler",
]
