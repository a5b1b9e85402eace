"""Allocators: estimators that give each query a budget."""

from sklearn_adaalloc.allocators._adaptive import AdaptiveAllocator
from sklearn_adaalloc.allocators._binned import BinnedAllocator
from sklearn_adaalloc.allocators._drift import DriftReport
from sklearn_adaalloc.allocators._dummy import DummyAllocator
from sklearn_adaalloc.allocators._menu_session import MenuSession
from sklearn_adaalloc.allocators._open_stream import Stream
from sklearn_adaalloc.allocators._priced import PricedAllocator
from sklearn_adaalloc.allocators._regressor_allocator import RegressorAllocator
from sklearn_adaalloc.allocators._sequential import SequentialAllocator
from sklearn_adaalloc.allocators._session import (
    ScoreSession,
    SequentialSession,
    VoteSession,
)
from sklearn_adaalloc.allocators._stream import StreamAllocator
from sklearn_adaalloc.allocators._stream_cap import CapReachedError
from sklearn_adaalloc.allocators._stream_drift import StreamDriftReport
from sklearn_adaalloc.allocators._stream_session import StreamSession

__all__ = [
    "AdaptiveAllocator",
    "BinnedAllocator",
    "CapReachedError",
    "DriftReport",
    "DummyAllocator",
    "MenuSession",
    "PricedAllocator",
    "RegressorAllocator",
    "ScoreSession",
    "SequentialAllocator",
    "SequentialSession",
    "Stream",
    "StreamAllocator",
    "StreamDriftReport",
    "StreamSession",
    "VoteSession",
]
