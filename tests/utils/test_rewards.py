import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc._utils.budgets import check_budget, check_budgets
from sklearn_adaalloc._utils.rewards import (
    check_marginals,
    check_rates,
    check_rewards,
    has_one_value_per_query,
    is_binary,
)

NAN, INF = np.nan, np.inf


# Reward tables


@pytest.mark.parametrize(
    ("rewards", "table"),
    [
        pytest.param([1, 0, 1], [[1], [0], [1]], id="one value per query"),
        pytest.param([[1, 0], [0, 0]], [[1, 0], [0, 0]], id="list of lists"),
        pytest.param([[True], [False]], [[1], [0]], id="booleans"),
        pytest.param([[1, 0, 1], [0]], [[1, 0, 1], [0, NAN, NAN]], id="ragged"),
        pytest.param([[1, None], [0, 1]], [[1, NAN], [0, 1]], id="None is missing"),
        pytest.param([1, [0, 1]], [[1, NAN], [0, 1]], id="bare number in a list"),
        pytest.param(
            [np.array([0.5]), np.array([1.0, 2.0])],
            [[0.5, NAN], [1.0, 2.0]],
            id="list of arrays",
        ),
        pytest.param(
            pd.DataFrame({"a": [1, 0], "b": [0.0, NAN]}), [[1, 0], [0, NAN]], id="frame"
        ),
        pytest.param(pd.Series([1, 0]), [[1], [0]], id="series"),
        pytest.param(
            pd.Series([[1, 0], [1]]), [[1, 0], [1, NAN]], id="series of ragged lists"
        ),
        pytest.param(
            pd.DataFrame({0: [1, pd.NA, 1], 1: [0, 1, 0]}, dtype="Int64"),
            [[1, 0], [NAN, 1], [1, 0]],
            id="frame with pandas' own missing value",
        ),
        pytest.param(
            np.ma.array([[1, 0], [1, 1]], mask=[[False, True], [False, False]]),
            [[1, NAN], [1, 1]],
            id="masked array",
        ),
        pytest.param([[[0], [1]]], [[[0], [1]]], id="routing"),
    ],
)
def test_rewards_are_read_as_a_table(rewards, table):
    checked = check_rewards(rewards)
    assert checked.dtype == np.float64
    assert_array_equal(checked, np.array(table, dtype=np.float64), strict=True)


def test_rewards_in_float64_are_neither_copied_nor_changed():
    rewards = np.array([[1.0, NAN], [0.0, 1.0]])
    before = rewards.copy()
    assert np.shares_memory(check_rewards(rewards), rewards)
    assert_array_equal(rewards, before)


@pytest.mark.parametrize(
    ("rewards", "match"),
    [
        pytest.param([], r"rewards is empty.*at least one query", id="no query"),
        pytest.param(np.empty((3, 0)), r"rewards is empty.*\(3, 0\)", id="no sample"),
        pytest.param(5.0, r"rewards has shape \(\).*n_queries, n_samples", id="number"),
        pytest.param(np.zeros((2, 3, 4)), r"shape \(2, 3, 4\).*weak", id="3 decoders"),
        pytest.param(np.zeros((1, 2, 1, 1)), r"shape \(1, 2, 1, 1\)", id="4 axes"),
        pytest.param([[1, 0], [INF, 0]], r"infinity \(inf\) in row 1", id="inf"),
        pytest.param([[1, -INF]], r"infinity \(inf\) in row 0.*NaN", id="minus inf"),
        pytest.param([[1], [NAN]], r"no sample in row 1.*only NaN", id="NaN row"),
        pytest.param([[1, 0], []], r"no sample in row 1", id="empty list"),
        pytest.param(
            [[[1, 0], [NAN, NAN]]],
            r"no sample in row 0.*each decoder",
            id="NaN decoder",
        ),
        pytest.param([["right"]], r"could not be read as numbers: .*right", id="text"),
        pytest.param([["1", "0"]], r"could not be read as numbers.*'1'", id="digits"),
        pytest.param(np.array([["a"]]), r"dtype <U1.*real numbers", id="text array"),
        pytest.param(np.array([[1j]]), r"complex128: Complex data not", id="complex"),
        pytest.param(
            [[[1, 0], [1, 1]], [[1], [0]]],
            r"read as numbers: rows of different lengths must have one axis",
            id="ragged routing, equal within queries",
        ),
        pytest.param(
            [[[1, 0], [1]]], r"could not be read as numbers", id="ragged routing"
        ),
    ],
)
def test_bad_rewards(rewards, match):
    with pytest.raises(ValueError, match=match):
        check_rewards(rewards)


def test_rewards_of_another_length_than_the_queries():
    assert len(check_rewards([[1], [0]], n_queries=2)) == 2
    with pytest.raises(ValueError, match=r"inconsistent.*: 3 and 2. Give one row"):
        check_rewards([[1], [0]], n_queries=3)


@pytest.mark.parametrize(
    "rewards", [[[1, 0], [0.5, 1]], [[1, 0], [NAN, 0.5]], [[[1], [0]], [[1], [0.5]]]]
)
def test_binary_names_the_row_and_the_way_out(rewards):
    with pytest.raises(
        ValueError, match=r"has 0\.5 in row 1\. Expected 0 or 1.*'marginal_rewards'"
    ):
        check_rewards(rewards, binary=True)


def test_binary_accepts_missing_samples():
    table = check_rewards([[1, 0], [1]], binary=True)
    assert is_binary(table)
    assert not is_binary(np.array([[0.5, NAN]]))


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([1, 0], True),
        ([[1], [0]], False),
        ([[1, 0], [1]], False),
        ([[[1], [0]]], False),
    ],
)
def test_has_one_value_per_query(rewards, expected):
    assert has_one_value_per_query(rewards) is expected


# Rates and marginals


def test_rates_are_kept():
    assert_array_equal(check_rates([0, 1, 0.25]), [0.0, 1.0, 0.25])


@pytest.mark.parametrize(
    ("rates", "match"),
    [
        ([0.5, 1.01], r"success rate in row 1 is 1\.01\. Expected one in \[0, 1\]"),
        ([-0.1, 0.5], r"in row 0 is -0\.1"),
        ([0.5, NAN], "in row 1 is nan"),
        ([[0.5]], r"rates has shape \(1, 1\).*one success rate per query"),
        ([], r"rates has shape \(0,\).*at least one query"),
    ],
)
def test_bad_rates(rates, match):
    with pytest.raises(ValueError, match=match):
        check_rates(rates)


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("float32", "float32"), ("float64", "float64"), ("int32", "float64")],
)
def test_marginals_keep_their_precision(dtype, kept):
    marginals = check_marginals(np.array([[2, 1]], dtype=dtype))
    assert_array_equal(marginals, np.array([[2, 1]], dtype=kept), strict=True)


@pytest.mark.parametrize(
    ("marginals", "match"),
    [
        ([[1.0, 0.5], [1.0, NAN]], r"marginals is not finite in row 1, step 2"),
        ([[1.0, 0.5], [-INF, 0.0]], r"marginals is not finite in row 1, step 1"),
        ([[INF, 0.5], [-INF, 0.0]], r"marginals is not finite in row 0, step 1"),
        ([1.0, 0.5], r"shape \(2,\).*marginals\[:, None\]"),
        (np.empty((0, 3)), r"shape \(0, 3\).*at least one query"),
        (np.empty((3, 0)), r"shape \(3, 0\).*one step"),
    ],
)
def test_bad_marginals(marginals, match):
    with pytest.raises(ValueError, match=match):
        check_marginals(marginals)


def test_large_marginals_are_kept_and_huge_ones_refused():
    assert_array_equal(check_marginals([[1e30, -1e30]]), [[1e30, -1e30]])
    with pytest.raises(ValueError, match=r"row 1, step 2, or above 1e\+30"):
        check_marginals([[1.0, 0.0], [1.0, -1e31]])


def test_marginals_of_another_length_than_the_rewards():
    with pytest.raises(ValueError, match=r"inconsistent.*: 2 and 1"):
        check_marginals([[1.0]], n_queries=2)


# Budgets


@pytest.mark.parametrize(
    ("budget", "bounds", "expected"),
    [
        (4, {}, (4.0, 0, None)),
        (0, {"max_budget": 1}, (0.0, 0, 1)),
        (np.float32(1.5), {"min_budget": np.int64(1), "max_budget": 2}, (1.5, 1, 2)),
        (2, {"min_budget": 2, "max_budget": 2}, (2.0, 2, 2)),
    ],
)
def test_budget_and_bounds_are_normalised(budget, bounds, expected):
    checked = check_budget(budget, **bounds)
    assert checked == expected
    assert isinstance(checked[0], float)
    assert isinstance(checked[1], int)


@pytest.mark.parametrize(
    ("budget", "bounds", "match"),
    [
        (-1, {}, r"budget=-1 is not a mean budget.*at least 0"),
        (NAN, {}, r"budget=nan is not a mean budget.*finite"),
        (INF, {}, r"budget=inf is not a mean budget"),
        ("4", {}, r"budget='4' is not a mean budget"),
        (None, {}, r"budget=None is not a mean budget"),
        (True, {}, r"budget=True is not a mean budget"),
        (0.5, {"min_budget": 1}, r"budget=0.5 is below min_budget=1.*lower min_budget"),
        (9, {"max_budget": 8}, r"budget=9 is above max_budget=8.*raise max_budget"),
        (2, {"min_budget": -1}, r"min_budget=-1 is not accepted.*at least 0"),
        (2, {"min_budget": 0.5}, r"min_budget=0.5 is not accepted.*whole number"),
        (2, {"max_budget": 2.5}, r"max_budget=2.5 is not accepted.*whole number"),
        (0, {"max_budget": 0}, r"max_budget=0 is not accepted.*at least 1"),
    ],
)
def test_bad_budget(budget, bounds, match):
    with pytest.raises(ValueError, match=match):
        check_budget(budget, **bounds)


def test_whole_floats_are_budgets():
    budgets = check_budgets([2.0, 0.0], n_queries=2, max_budget=2)
    assert_array_equal(budgets, np.array([2, 0], dtype=np.int64), strict=True)


@pytest.mark.parametrize(
    ("budgets", "options", "match"),
    [
        ([1, -1], {}, r"budgets has -1 in row 1. Expected whole numbers"),
        ([1.5], {}, r"has 1\.5 in row 0.*whole numbers"),
        ([1.0, NAN], {}, "has nan in row 1.*whole numbers"),
        ([1.0, INF], {}, "has inf in row 1.*whole numbers"),
        ([1, 3], {"max_budget": 2}, r"budgets has 3 in row 1. Expected at most 2"),
        ([1, 3], {"n_queries": 3}, r"inconsistent.*: 3 and 2. Give one budget"),
        ([[1]], {}, r"shape \(1, 1\).*shape \(n_queries,\)"),
        (["1"], {}, "budgets could not be read as numbers: <U1 is not real"),
        ([[1], [1, 2]], {}, r"could not be read as numbers.*shape \(n_queries,\)"),
        ([2**31], {}, r"has 2\.14748e\+09 in row 0.*at most 2147483647"),
        ([1e300], {}, r"has 1e\+300 in row 0"),
        ([10**400], {}, r"budgets could not be read as numbers"),
    ],
)
def test_bad_budgets(budgets, options, match):
    with pytest.raises(ValueError, match=match):
        check_budgets(budgets, **options)


def test_huge_rewards():
    assert check_rewards([[1e30, -1e30]]).shape == (1, 2)
    with pytest.raises(ValueError, match=r"sizes above 1e\+30 in row 1.*Rescale"):
        check_rewards([[1.0], [-1.1e30]])


def test_a_budget_that_no_array_could_hold():
    with pytest.raises(ValueError, match=r"budget=1e\+300 .* at most 2147483647"):
        check_budget(1e300)
    with pytest.raises(ValueError, match=r"budget=1000.* is not a mean budget"):
        check_budget(10**400)


@pytest.mark.parametrize("values", [[[1], [1, 2]], ["a"], [10**400], {"a": 1}])
def test_rates_and_marginals_that_are_no_numbers(values):
    with pytest.raises(ValueError, match=r"rates could not be read as numbers"):
        check_rates(values)
    with pytest.raises(ValueError, match=r"marginals could not be read as numbers"):
        check_marginals(values)
