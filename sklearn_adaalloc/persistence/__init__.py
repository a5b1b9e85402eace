"""Save and load policies without pickle."""

from sklearn_adaalloc.persistence._policy import load_policy, save_policy

__all__ = ["load_policy", "save_policy"]
