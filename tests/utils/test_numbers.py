import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from sklearn_adaalloc._utils.numbers import (
    check_numbers,
    check_sizes,
    real_array,
    reward_array,
)

NAN = np.nan


@pytest.mark.parametrize(
    "values",
    [
        "1",
        b"1",
        1j,
        ["1", "0"],
        np.array([], dtype="U3"),
        [[1], [1, 2]],
        [10**400],
        np.array(["2026-01-01"], dtype="M8[D]"),
        np.array([5], dtype="m8[s]"),
        np.zeros(2, dtype="V8"),
        {"a": 1},
        object(),
        sparse.csr_matrix(np.eye(2)),
    ],
)
def test_what_is_no_number_is_no_array(values):
    with pytest.raises(ValueError, match=r"."):
        real_array(values)
    with pytest.raises(ValueError, match=r"rates could not be read .*Expected a rate"):
        check_numbers(values, "rates", "a rate")


@pytest.mark.parametrize(
    ("given", "dtype"), [("f4", "f4"), ("f8", "f8"), ("i1", "f8"), ("?", "f8")]
)
def test_single_precision_is_kept_and_all_else_doubled(given, dtype):
    assert real_array(np.ones(2, dtype=given)).dtype == dtype


@pytest.mark.parametrize(
    "rewards",
    [
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [0.0, 1.0]}),
        np.ma.masked_array([[1, 0], [5, 1]], [[0, 0], [1, 0]]),
        [[1, 0], [None, 1]],
    ],
)
def test_what_is_missing_is_nan(rewards):
    assert_array_equal(reward_array(rewards), [[1.0, 0.0], [NAN, 1.0]])


def test_missing_values_of_a_series():
    series = pd.Series(pd.array([1, None], dtype="Int64"))
    assert_array_equal(reward_array(series), [1.0, NAN])


@pytest.mark.parametrize(
    "rewards",
    [
        {1: 0.5, 2: 1.0},
        {1, 0},
        iter([[1], [1, 0]]),
        pd.DataFrame({"a": ["x", "y"]}),
        [[10**400], [1, 0]],
        np.ma.masked_array(["a"], [True]),
    ],
)
def test_rewards_without_order_or_numbers(rewards):
    with pytest.raises(ValueError, match=r"^rewards (could not be read|has dtype)"):
        reward_array(rewards)


@pytest.mark.parametrize("value", [1.1e30, -1e300])
def test_sizes_that_would_overflow(value):
    check_sizes(np.array([1e30, -1e30]), "X")
    check_sizes(np.empty((0, 2)), "X")
    with pytest.raises(ValueError, match=r"X has values from .* at most 1e\+30"):
        check_sizes(np.array([0.0, value]), "X")
