"""Allocators: queries in, budgets out."""

from sklearn_adaalloc.allocators._adaptive import AdaptiveAllocator
from sklearn_adaalloc.allocators._binned import BinnedAllocator
from sklearn_adaalloc.allocators._dummy import DummyAllocator
from sklearn_adaalloc.allocators._sequential import SequentialAllocator

__all__ = [
    "AdaptiveAllocator",
    "BinnedAllocator",
    "DummyAllocator",
    "SequentialAllocator",
]
