"""Learn how much decoding compute each query deserves."""

from sklearn_adaalloc._version import __version__
from sklearn_adaalloc.allocators import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
)
from sklearn_adaalloc.regressors import MLPRewardRegressor, RewardRegressor

__all__ = [
    "AdaptiveAllocator",
    "BinnedAllocator",
    "DummyAllocator",
    "MLPRewardRegressor",
    "RewardRegressor",
    "__version__",
]
