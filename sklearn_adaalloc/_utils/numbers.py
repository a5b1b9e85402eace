"""Convert what users pass in to numbers, or explain why this is not possible.

Only real numbers are accepted: no text, no dates, no complex numbers.
"""

from collections.abc import Mapping, Set

import numpy as np

LARGEST = 1e30
"""Largest absolute value of rewards, marginals and features: squares stay finite."""


def real_array(values):
    """Convert to floats. float32 is kept, everything else becomes float64.

    Parameters
    ----------
    values : array-like
        What should be numbers.

    Returns
    -------
    array : ndarray of any shape, float32 or float64

    Raises
    ------
    ValueError
        If they are not real numbers, or are lists of different lengths.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.numbers import real_array
    >>> real_array([[2, 1], [True, None]])
    array([[ 2.,  1.],
           [ 1., nan]])
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biufO":
            single = array.dtype == np.float32
            return array if single else array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(str(error)) from error
    first = f": {array.flat[0]!r}" if array.size else ""
    raise ValueError(f"{array.dtype} is not real{first}")


def check_numbers(values, name, expected):
    """Convert to floats, or raise an error that says what was expected.

    Parameters
    ----------
    values : array-like
        What should be numbers.
    name : str
        Name of the parameter, for the message.
    expected : str
        What is accepted, for the message.

    Returns
    -------
    array : ndarray of any shape, float32 or float64
        Not yet checked for NaN, infinity and size.

    Raises
    ------
    ValueError
        As :func:`real_array`.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.numbers import check_numbers
    >>> check_numbers([0, 1], "rates", "one rate per query")
    array([0., 1.])
    """
    try:
        return real_array(values)
    except ValueError as error:
        raise ValueError(
            f"{name} could not be read as numbers: {error}. Expected {expected}."
        ) from error


def check_sizes(values, name):
    """Check that numbers are small enough: their sums and squares must not overflow.

    Parameters
    ----------
    values : ndarray of any shape
        Finite numbers.
    name : str
        Name of the parameter, for the message.

    Raises
    ------
    ValueError
        If the absolute value of a number is above `LARGEST`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._utils.numbers import check_sizes
    >>> check_sizes(np.array([-3.0, 1e30]), "X")
    """
    if values.size and not -LARGEST <= values.min() <= values.max() <= LARGEST:
        raise ValueError(
            f"{name} has values from {values.min():g} to {values.max():g}. Expected "
            f"sizes of at most {LARGEST:g}, whose sums and squares do not overflow. "
            "Rescale them."
        )


def is_plain_batch(X, n_features):
    """Whether the usual checks of features would return `X` as it is.

    For a single query, these checks take longer than a prediction.

    Parameters
    ----------
    X : object
        Features.
    n_features : int
        Number of features that there must be.

    Returns
    -------
    is_plain : bool
        True only for a NumPy array of finite floats of the right shape.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._utils.numbers import is_plain_batch
    >>> is_plain_batch(np.ones((1, 2)), 2), is_plain_batch([[1.0, np.nan]], 2)
    (True, False)
    """
    return (
        type(X) is np.ndarray
        and X.dtype in (np.float64, np.float32)
        and X.ndim == 2
        and X.size > 0
        and X.shape[1] == n_features
        and bool(-LARGEST <= X.min() <= X.max() <= LARGEST)
    )


def reward_array(rewards, name="rewards"):
    """Convert rewards to float64; missing samples and the ends of short rows are NaN.

    Parameters
    ----------
    rewards : array-like
        An array, a data frame, a masked array, or a sequence of rows of different
        lengths.
    name : str, default="rewards"
        What they are, for the message.

    Returns
    -------
    array : ndarray of any shape, float64

    Raises
    ------
    ValueError
        If they cannot be read as real numbers.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.numbers import reward_array
    >>> reward_array([[1, 0], [1]])
    array([[ 1.,  0.],
           [ 1., nan]])
    """
    try:
        return _without_gaps(rewards).astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        if isinstance(rewards, np.ndarray) and rewards.dtype.kind != "O":
            raise ValueError(
                f"{name} has dtype {rewards.dtype}: Complex data not supported, nor "
                "text. Expected real numbers."
            ) from error
    try:
        return _pad(rewards)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} could not be read as numbers: {error}. Expected an array of "
            "shape (n_queries, n_samples), or a list of one list per query."
        ) from error


def _without_gaps(rewards):
    """Read an array whose missing values may be marked by pandas or by a mask."""
    if hasattr(rewards, "iloc") and np.asarray(rewards).dtype.kind == "O":
        return rewards.to_numpy(np.float64, na_value=np.nan)  # pandas' own NA
    if np.ma.isMaskedArray(rewards):
        values = real_array(rewards.data).astype(np.float64)
        values[np.ma.getmaskarray(rewards)] = np.nan
        return values
    return real_array(rewards)


def _pad(rewards):
    """Read a sequence of rows of different lengths."""
    if isinstance(rewards, Mapping | Set) or not hasattr(rewards, "__len__"):
        raise ValueError(f"{type(rewards).__name__} is not a sequence")
    rows = [np.atleast_1d(real_array(row)) for row in rewards]
    if any(row.ndim > 1 for row in rows):
        raise ValueError("rows of different lengths must have one axis; pad with NaN")
    table = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


def as_json(value):
    """A number or text of NumPy as JSON has it; NaN is None.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._utils.numbers import as_json
    >>> as_json(np.float64("nan")), as_json(np.int64(2)), as_json("why")
    (None, 2, 'why')
    """
    value = value.item() if hasattr(value, "item") else value
    return None if value != value else value
