"""All targets, a module for each part of the package."""

from benchmarks.fuzz.entries import (
    allocators,
    collecting,
    datasets,
    decoding,
    metrics,
    policies,
    regressors,
    texts,
)

__all__ = [
    "allocators",
    "collecting",
    "datasets",
    "decoding",
    "metrics",
    "policies",
    "regressors",
    "texts",
]
