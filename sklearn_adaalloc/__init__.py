"""Learn how much decoding compute each query deserves."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sklearn_adaalloc._utils import moved
from sklearn_adaalloc._version import __version__

if TYPE_CHECKING:
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

_ROOMS = {
    "allocators": [name for name in __all__ if name.endswith("Allocator")],
    "collect": ["collect_rewards"],
    "curves": ["RewardTable"],
    "features": ["HiddenStateFeaturizer"],
    "persistence": ["load_policy", "save_policy"],
    "regressors": [name for name in __all__ if name.endswith("RewardRegressor")],
}


def __getattr__(name):
    """Import a public name or a room when it is first asked for.

    scikit-learn and SciPy take seconds to import. Who only asks the command line for
    help does not need them.
    """
    for room, names in _ROOMS.items():
        if name in names:
            globals()[name] = getattr(import_module(f"{__name__}.{room}"), name)
            return globals()[name]
    if not name.startswith("__") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__, *_ROOMS})
