import numpy as np
import pytest

from sklearn_adaalloc._utils.parameters import (
    check_choice,
    check_flag,
    check_in_interval,
    check_path,
    check_whole,
    is_number,
)


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
