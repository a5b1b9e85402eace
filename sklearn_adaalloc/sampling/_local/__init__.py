"""Sampling with transformers, in this process."""

from sklearn_adaalloc.sampling._local.sampler import TransformersSampler
from sklearn_adaalloc.sampling._local.value_augmented import ValueAugmentedSampler

__all__ = ["TransformersSampler", "ValueAugmentedSampler"]
