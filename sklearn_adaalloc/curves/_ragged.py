"""Rows of different lengths, as arrays."""

import numpy as np


def pad(values, shape, filler):
    """Rows of different lengths as an array of objects; None if they do not fit."""
    padded = np.full(shape, filler, dtype=object)
    try:
        cells = _cells(values, shape)
        for row, given in zip(padded.reshape(-1, shape[-1]), cells, strict=True):
            row[: len(given)] = list(given)
    except (TypeError, ValueError):
        return None
    return padded


def _cells(values, shape):
    """The samples of each query, or of each decoder of each query, in order."""
    if len(values) != shape[0]:
        raise ValueError
    if len(shape) == 2:
        return values
    return [cell for row in values for cell in row]
