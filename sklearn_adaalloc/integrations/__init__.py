"""Drop-ins for the tools that people use: DSPy, inspect_ai and its_hub.

Each is one file, imported when its name is first asked for, and an extra of its own.
"""

from importlib import import_module

__all__ = ["AdaptiveBestOfN", "AdaptiveEpochs", "AdaptiveScaling"]

_FILES = {
    "AdaptiveBestOfN": "_dspy",
    "AdaptiveEpochs": "_inspect",
    "AdaptiveScaling": "_its_hub",
}


def __getattr__(name):
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
    return globals()[name]


def __dir__():
    return sorted({*globals(), *__all__})
