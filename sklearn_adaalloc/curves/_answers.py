"""Answers to vote on: which are the same, and which are none."""

from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc.curves._ragged import pad

NO_ANSWER = -1
"""Code of a sample that holds no answer to vote for."""


def group_answers(key, answers, row):
    """Number answers such that those with equal keys have the same number.

    Parameters
    ----------
    key : callable
        Takes the list of distinct answers to one query and returns as many keys.
    answers : list
        Distinct answers to one query.
    row : int
        Row of the query, for the error message.

    Returns
    -------
    numbers : list of int
        Number of each answer, from 0 on; -1 if its key says that it is none.
    distinct : tuple
        The first answer of each number.

    Raises
    ------
    ValueError
        If `key` is no function, if there are not as many keys as answers, or if a key
        cannot be hashed.

    Examples
    --------
    >>> from sklearn_adaalloc.curves._answers import group_answers
    >>> group_answers(lambda answers: [float(a) for a in answers], ["0.5", ".5"], 0)
    ([0, 0], ('0.5',))
    """
    if not callable(key):
        raise ValueError(
            f"key={key!r} is not accepted. Expected a function that takes the list of "
            "answers to one query and returns as many keys."
        )
    keys = key(answers)
    if not np.iterable(keys):
        raise ValueError(
            f"key returned {short_repr(keys)} for the answers of row {row}. Expected a "
            "list of one key for each answer."
        )
    keys = list(keys)
    if len(keys) != len(answers):
        raise ValueError(
            f"key returned {len(keys)} keys for the {len(answers)} answers of "
            f"row {row}. Expected one key for each answer."
        )
    label = {}  # of each key: the first of its answers
    for own, answer in zip(keys, answers, strict=True):
        if not is_no_answer(own):
            try:
                label.setdefault(own, answer)
            except TypeError as error:
                raise ValueError(
                    f"key returned {short_repr(own)} for an answer of row {row}. "
                    "Expected keys that can be compared and hashed, such as text, "
                    "numbers or tuples."
                ) from error
    number = dict(zip(label, range(len(label)), strict=True))
    return [number.get(own, NO_ANSWER) for own in keys], tuple(label.values())


def encode_answers(answers, missing):
    """Codes (the shape of the rewards) and the labels behind them, row by row.

    Whole numbers in an array are codes already, and there are no labels.
    """
    answers = frame_cells(answers)
    if isinstance(answers, np.ndarray) and answers.dtype.kind in "iu":
        return _check_codes(answers, missing), None
    array = np.asarray(answers, dtype=object) if _is_even(answers) else None
    if array is None or array.shape != missing.shape:
        array = pad(answers, missing.shape, None) if array is None else array
    if array is None or array.shape != missing.shape:
        shape = "of ragged rows" if array is None else f"of shape {array.shape}"
        raise ValueError(
            f"answers are {shape}. Expected one per sample, shape {missing.shape}."
        )
    flat, absent = array.reshape(len(array), -1), missing.reshape(len(array), -1)
    codes = np.full(flat.shape, NO_ANSWER, dtype=np.int32)
    labels = np.empty(len(array), dtype=object)
    for row, given in enumerate(flat.tolist()):
        known = {}
        for column, answer in enumerate(given):
            if is_no_answer(answer):
                continue
            if not isinstance(answer, str | int | np.integer):
                raise ValueError(
                    f"answers has {short_repr(answer)} in row {row}. Expected a str or "
                    "an int; None, '' or -1 for no answer."
                )
            if absent[row, column]:
                raise ValueError(
                    f"row {row} has an answer without a reward. Expected rewards for "
                    "all samples with an answer: grade them, or leave the answer out."
                )
            codes[row, column] = known.setdefault(answer, len(known))
        labels[row] = tuple(known)
    return codes.reshape(missing.shape), labels


def _check_codes(codes, missing):
    if codes.shape != missing.shape:
        raise ValueError(
            f"answers are of shape {codes.shape}. Expected one per sample, shape "
            f"{missing.shape}."
        )
    most = np.iinfo(np.int32).max
    if codes.size and not -1 <= codes.min() <= codes.max() <= most:
        raise ValueError(
            f"answers has numbers from {codes.min()} to {codes.max()}. Expected whole "
            f"numbers from -1, for no answer, to {most}; give other labels as str."
        )
    return np.where(missing, NO_ANSWER, codes).astype(np.int32)


def _is_even(answers):
    return isinstance(answers, np.ndarray) or hasattr(answers, "to_numpy")


def frame_cells(answers):
    """Answers in a data frame as an array of objects, None where one is missing.

    The same goes for a masked array. Anything else is returned as it is.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_adaalloc.curves._answers import frame_cells
    >>> frame_cells(pd.DataFrame({"first": pd.array([7, None], dtype="Int64")}))
    array([[7],
           [None]], dtype=object)
    """
    if hasattr(answers, "iloc"):  # pandas has markers of its own
        return answers.to_numpy(object, na_value=None)
    if hasattr(answers, "rows"):  # polars makes whole numbers beside gaps floats
        return np.array(answers.rows(), dtype=object)
    if np.ma.isMaskedArray(answers):
        return np.where(np.ma.getmaskarray(answers), None, answers.data)
    return answers


def is_no_answer(answer):
    """Whether a sample holds no answer to vote for: None, NaN, "" or -1.

    Examples
    --------
    >>> from sklearn_adaalloc.curves._answers import is_no_answer
    >>> [is_no_answer(answer) for answer in (None, "", -1, "7", 0)]
    [True, True, True, False, False]
    """
    if answer is None or (isinstance(answer, float) and np.isnan(answer)):
        return True
    return isinstance(answer, str | int | np.integer) and answer in ("", -1)
