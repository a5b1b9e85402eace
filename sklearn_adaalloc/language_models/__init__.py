"""Language models of transformers: found, loaded once per process, and fed."""

from sklearn_adaalloc.language_models._checkpoints import fingerprint
from sklearn_adaalloc.language_models._model import load_language_model

__all__ = ["fingerprint", "load_language_model"]
