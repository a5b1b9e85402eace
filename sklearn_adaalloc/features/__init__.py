"""Features of queries: hidden states of a language model."""

from sklearn_adaalloc.features._hidden_states import HiddenStateFeaturizer

__all__ = ["HiddenStateFeaturizer"]
