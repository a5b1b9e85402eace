"""Language models of transformers: find, identify, load and run them."""

from sklearn_adaalloc.language_models._checkpoints import fingerprint
from sklearn_adaalloc.language_models._model import load_language_model

__all__ = ["fingerprint", "load_language_model"]
