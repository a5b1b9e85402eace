"""Settings: what answers and rewards depend on, and how functions are identified."""

import json
from contextlib import contextmanager

from sklearn_adaalloc._utils.identity import function_identity
from sklearn_adaalloc.sampling._protocol import as_sampler

# Identity of a function after a call -> before it. A function may change with calls,
# for example if it counts them.
_BEFORE = {}


def to_json(settings):
    """Write settings as JSON; equal settings give equal text."""
    try:
        return json.dumps(settings, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"settings={settings!r} cannot be written as JSON: {error}. Expected a "
            "dict of texts, numbers, lists and dicts."
        ) from error


@contextmanager
def keeping(*functions):
    """Recognise functions whose own data changes with calls, such as a counter."""
    before = [_identity_or_none(function) for function in functions]
    try:
        yield
    finally:
        for function, identity in zip(functions, before, strict=True):
            after = _identity_or_none(function)
            if None not in (identity, after) and after != identity:
                _BEFORE[to_json(after)] = identity


def _identity_or_none(function):
    try:
        return _identity(function)
    except ValueError:
        return None


def _identity(function):
    """Identity of a function, as of its first call if it has changed since."""
    identity = function_identity(function)
    return _BEFORE.get(to_json(identity), identity)


def sampler_identity(sampler, settings=None):
    """Everything that the answers of a sampler depend on, unless it is given."""
    if settings is None:
        as_sampler(sampler)  # raises if it is not a sampler
        settings = getattr(sampler, "settings", None)
    if settings is not None:
        return settings
    try:
        return _identity(sampler)
    except ValueError as error:
        raise ValueError(
            f"sampler {type(sampler).__name__} has no settings, and it cannot be "
            f"identified by its source text ({error}). Answers are stored together "
            "with everything they depend on: give settings=, a dict of it (model, "
            "temperature, seed, ...)."
        ) from None


def reward_identity(reward, settings=None):
    """Everything that the rewards of a function depend on, unless it is given."""
    if not callable(reward):
        raise ValueError(
            f"reward={reward!r} is not accepted. Expected a callable of queries and "
            "answers."
        )
    if settings is None:
        settings = getattr(reward, "settings", None)
    if settings is not None:
        return settings
    try:
        return _identity(reward)
    except ValueError as error:
        raise ValueError(
            f"reward {reward!r} has no settings, and it cannot be identified by its "
            f"source text ({error}). Rewards are stored together with everything they "
            "depend on: give reward_settings=, a dict of it."
        ) from None
