"""Features of queries: texts in, hidden states of a language model out."""

from sklearn_adaalloc.features._hidden_states import HiddenStateFeaturizer

__all__ = ["HiddenStateFeaturizer"]
