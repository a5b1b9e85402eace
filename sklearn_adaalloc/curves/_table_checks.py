"""Checks of what a reward table knows of its samples."""

from collections.abc import Mapping, Set
from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.numbers import LARGEST, check_numbers
from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.curves._ragged import pad


def check_decoders(decoders, rewards):
    """Names of the decoders as a list, or None."""
    if decoders is None:
        return None
    n_decoders = rewards.shape[1] if has_decoders(rewards) else 1
    names = list(decoders) if not isinstance(decoders, str | Mapping | Set) else []
    distinct = {name for name in names if isinstance(name, str)}
    if len(distinct) != n_decoders or len(names) != n_decoders:
        raise ValueError(
            f"decoders={short_repr(decoders)} is not accepted. Expected {n_decoders} "
            f"different names, for rewards of shape {rewards.shape}."
        )
    return names


def check_costs(costs, missing):
    """Costs of every sample; NaN where there is none."""
    shape = missing.shape
    # Shapes that are accepted, and how each stands in the shape of the rewards.
    if len(shape) == 2:
        places = {(): (1, 1), shape[:1]: (-1, 1), shape: shape}
        expected = f"one number, or one per query {shape[:1]} or sample {shape}"
    else:
        places = {
            **{(): (1, 1, 1), shape[:1]: (-1, 1, 1), shape[1:2]: (1, -1, 1)},
            **{shape[:2]: (*shape[:2], 1), shape: shape},
        }
        expected = (
            f"one number, or one per decoder {shape[1:2]}, query {shape[:1]}, query "
            f"and decoder {shape[:2]}, or sample {shape}"
        )
    costs = _numbers_like(costs, "costs", expected, shape)
    if costs.shape not in places:
        raise ValueError(f"costs has shape {costs.shape}. Expected {expected}.")
    costs = _blank(costs.reshape(places[costs.shape]), missing)
    fine = costs >= 1 / LARGEST
    fine &= costs <= LARGEST
    fine |= missing
    if not fine.all():
        place = np.argwhere(~fine)[0]
        whose = f" for decoder {place[1]}" if len(shape) == 3 else ""
        raise ValueError(
            f"costs has {costs[tuple(place)]:g} in row {place[0]}{whose}, where there "
            f"is a reward. Expected a positive number of at most {LARGEST:g}, and at "
            f"least {1 / LARGEST:g}: what that sample cost."
        )
    return costs


def check_scores(scores, missing):
    """Scores in the shape of the rewards, NaN where there is no sample, or None."""
    expected = f"one score per sample, shape {missing.shape}"
    scores = _numbers_like(scores, "scores", expected, missing.shape)
    if scores.shape != missing.shape:
        raise ValueError(f"scores has shape {scores.shape}. Expected {expected}.")
    known = np.isfinite(scores)
    if (known != missing).all():  # a score wherever there is a reward, no others
        return _blank(scores, missing)
    if (known & missing).any():
        raise ValueError(
            f"row {np.argwhere(known & missing)[0, 0]} has a score without a reward. "
            "Expected rewards for all samples with a score: grade them, or leave the "
            "score out."
        )
    row = np.argwhere(~known & ~missing)[0]
    raise ValueError(
        f"scores has {scores[tuple(row)]} in row {row[0]}, where there is a reward. "
        "Expected a finite score for each sample that has a reward."
    )


def _blank(values, missing):
    """NaN where there is no sample. Like rewards, complete arrays are not copied."""
    if values.shape == missing.shape and not missing.any():
        return values
    return np.where(missing, np.nan, values)


def _numbers_like(values, name, expected, shape):
    """Numbers, ragged rows filled up with NaN to the shape of the rewards."""
    try:
        return check_numbers(values, name, expected).astype(np.float64, copy=False)
    except ValueError:
        padded = pad(values, shape, np.nan)
        if padded is None:
            raise
    return check_numbers(padded, name, expected).astype(np.float64, copy=False)
