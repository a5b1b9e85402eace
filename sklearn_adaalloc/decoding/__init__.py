"""Decoders answer queries with the budgets of a policy."""

from sklearn_adaalloc.decoding._best_of_k import BestOfK
from sklearn_adaalloc.decoding._cascade import Cascade
from sklearn_adaalloc.decoding._router import Router

__all__ = ["BestOfK", "Cascade", "Router"]
