"""Decoders: budgets carried out, queries in and answers out."""

from sklearn_adaalloc.decoding._best_of_k import BestOfK
from sklearn_adaalloc.decoding._router import Router

__all__ = ["BestOfK", "Router"]
