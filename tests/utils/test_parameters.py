"""Checks of single parameters, and of what is read as numbers."""

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
from sklearn_adaalloc._utils.parameters import (
    check_choice,
    check_flag,
    check_in_interval,
    check_path,
    check_whole,
    is_number,
)

NAN = np.nan

# Parameters


@pytest.mark.parametrize("value", [0, -3, 1.0, True, "1", None])
def test_not_a_whole_number(value):
    with pytest.raises(ValueError, match=r"n_bins=.* is not accepted.*at least 1"):
        check_whole(value, "n_bins", least=1)


def test_whole_number_becomes_int():
    assert type(check_whole(np.int32(3), "n_bins", least=1)) is int


@pytest.mark.parametrize("value", ["unifrom", None, 3, ["uniform"]])
def test_not_a_choice(value):
    with pytest.raises(ValueError, match=r"strategy=.*one of \['uniform', 'random'\]"):
        check_choice(value, "strategy", ("uniform", "random"))


@pytest.mark.parametrize(
    ("closed", "values"),
    [
        ("neither", [0.5]),
        ("left", [0, 0.5]),
        ("right", [0.5, 1]),
        ("both", [0, 0.5, 1]),
    ],
)
def test_in_the_interval(closed, values):
    checked = [check_in_interval(v, "share", 0, 1, closed=closed) for v in values]
    assert checked == values


@pytest.mark.parametrize(
    ("closed", "value", "interval"),
    [
        ("neither", 0, r"\(0, 1\)"),
        ("neither", 1, r"\(0, 1\)"),
        ("left", 1, r"\[0, 1\)"),
        ("right", 0, r"\(0, 1\]"),
        ("both", 1.1, r"\[0, 1\]"),
        ("both", -0.1, r"\[0, 1\]"),
    ],
)
def test_outside_the_interval(closed, value, interval):
    with pytest.raises(ValueError, match=f"share={value}.*a number in {interval}"):
        check_in_interval(value, "share", 0, 1, closed=closed)


@pytest.mark.parametrize("value", [0, 1, np.nan, "0.5", None, True])
def test_not_in_the_interval(value):
    with pytest.raises(ValueError, match=r"holdout=.*a number in \(0, 1\)"):
        check_in_interval(value, "holdout", 0, 1)


@pytest.mark.parametrize("value", [2**31, 10**30, 10**400, np.uint64(2**64 - 1)])
def test_too_large_a_whole_number(value):
    assert check_whole(2**31 - 1, "n_bins", least=1) == 2147483647
    with pytest.raises(ValueError, match=r"n_bins=.*at most 2147483647"):
        check_whole(value, "n_bins", least=1)


@pytest.mark.parametrize("value", [10**400, -(10**400), np.inf, np.float32("nan"), 3j])
def test_what_is_no_finite_number(value):
    assert not is_number(value)
    with pytest.raises(ValueError, match=r"noise=.* is not accepted"):
        check_in_interval(value, "noise", -np.inf, np.inf)


@pytest.mark.parametrize("value", [0, 1, "yes", None, -(10**30)])
def test_what_is_neither_true_nor_false(value):
    assert check_flag(np.bool_(True), "chat_template") is True
    with pytest.raises(ValueError, match=r"chat_template=.*Expected True or False"):
        check_flag(value, "chat_template")


@pytest.mark.parametrize("value", [0, None, b"a", "a\0b", "\ud800", ["a"]])
def test_what_is_no_path(value):
    with pytest.raises(ValueError, match=r"store=.*Expected a str or path"):
        check_path(value, "store")


# Arrays of numbers


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
