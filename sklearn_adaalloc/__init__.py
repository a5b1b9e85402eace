"""Learn how much decoding compute each query deserves."""

from sklearn_adaalloc._utils import moved
from sklearn_adaalloc._version import __version__
from sklearn_adaalloc.allocators import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    PricedAllocator,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.collect import collect_rewards
from sklearn_adaalloc.curves import RewardTable
from sklearn_adaalloc.features import HiddenStateFeaturizer
from sklearn_adaalloc.persistence import load_policy, save_policy
from sklearn_adaalloc.regressors import (
    LoRARewardRegressor,
    MLPRewardRegressor,
    RewardRegressor,
)

moved.install()

__all__ = [
    "AdaptiveAllocator",
    "BinnedAllocator",
    "DummyAllocator",
    "HiddenStateFeaturizer",
    "LoRARewardRegressor",
    "MLPRewardRegressor",
    "PricedAllocator",
    "RewardRegressor",
    "RewardTable",
    "SequentialAllocator",
    "StreamAllocator",
    "__version__",
    "collect_rewards",
    "load_policy",
    "save_policy",
]
