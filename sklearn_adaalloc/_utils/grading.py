"""Checks on the return value of reward functions."""

from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.numbers import real_array


class RewardError(ValueError):
    """An error of a reward function."""


def check_graded(rewards, queries, answers):
    """Check the return value of a reward function.

    Parameters
    ----------
    rewards : sequence of n_queries sequences of float
        Rewards of the answers to each query.
    queries : list of n_queries str or lists of dict
        Queries that were graded.
    answers : list of n_queries lists of str
        Their answers.

    Returns
    -------
    rewards : list of n_queries ndarrays of shape (n_answers,), float64

    Raises
    ------
    RewardError
        If there is not one number per answer, finite or NaN. NaN says that the answer
        cannot be graded. The message names the query.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.grading import check_graded
    >>> check_graded([[1, 0]], ["27+48="], [["75", "65"]])
    [array([1., 0.])]
    """
    try:
        n_rows = len(rewards)
    except TypeError:  # a number has no length
        n_rows = None
    if n_rows != len(queries):
        raise RewardError(
            f"reward returned {short_repr(rewards)} for {len(queries)} queries, the "
            f"first of them {short_repr(queries[0])}. Expected a list with one array "
            "of rewards per query."
        )
    checked = []
    for query, row, given in zip(queries, answers, rewards, strict=True):
        try:
            values = real_array(given)
            valid = values.shape == (len(row),) and not np.isinf(values).any()
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise RewardError(
                f"reward returned {short_repr(given)} for the {len(row)} answers to "
                f"query {short_repr(query)}. Expected one finite number per answer, or "
                "NaN if it cannot be graded."
            )
        checked.append(values)
    return checked
