"""The budget solvers against independent ones: HiGHS, a heap greedy, brute force."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_solvers import (
    budgets_in_eighths,
    heap_greedy,
    mixed_integer_optimum,
    objective,
    properties,
    random_rows,
    tables,
)

from sklearn_adaalloc.curves import rate_marginals
from sklearn_adaalloc.planning import allocate, allocate_bins, allocation_path


def peak_memory(function):
    """Peak of the memory that a call allocates, in bytes."""
    tracemalloc.start()
    function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


# --- optimality ------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_objective_equals_mixed_integer_optimum(seed):
    # 600 instances: ties, negative and zero marginals, min_budget, odd budgets.
    rng = np.random.default_rng(seed)
    for _ in range(100):
        n_queries, max_budget = rng.integers(1, 7), rng.integers(1, 6)
        min_budget = rng.integers(0, max_budget + 1)
        budget = min_budget + rng.integers(0, 12 * max_budget) / 8
        marginals = random_rows(rng, n_queries, max_budget)
        budgets, _ = allocate(marginals, budget, min_budget=min_budget)
        assert budgets.sum() <= math.floor(budget * n_queries)
        assert budgets.min() >= min_budget
        best = mixed_integer_optimum(marginals, budget, min_budget)
        assert objective(marginals, budgets) == pytest.approx(best, abs=1e-8)


@properties
@given(marginals=tables(max_queries=3, max_steps=3), budget=budgets_in_eighths)
def test_equals_brute_force(marginals, budget):
    n_queries, max_budget = marginals.shape
    budgets, _ = allocate(marginals, budget)
    feasible = [
        choice
        for choice in itertools.product(range(max_budget + 1), repeat=n_queries)
        if sum(choice) <= budget * n_queries
    ]
    best = max(objective(marginals, choice) for choice in feasible)
    assert objective(marginals, budgets) == pytest.approx(best, abs=1e-12)


@properties
@given(marginals=tables(max_queries=8), budget=budgets_in_eighths)
def test_equals_heap_greedy_with_its_ties(marginals, budget):
    budgets, _ = allocate(marginals, budget)
    n_steps = math.floor(budget * len(marginals))
    np.testing.assert_array_equal(budgets, heap_greedy(marginals, n_steps))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("budget", [0.003, 0.7, 3.0, 7.9, 30.0])
def test_large_batch_equals_heap_greedy(dtype, budget):
    rng = np.random.default_rng(0)
    rates = rng.beta(0.4, 1.2, 5000)
    marginals = rate_marginals(rates, 12).astype(dtype)
    budgets, price = allocate(marginals, budget)
    np.testing.assert_array_equal(budgets, heap_greedy(marginals, int(budget * 5000)))
    assert ((marginals > price).sum(axis=1) <= budgets).all()
    assert (budgets <= (marginals >= price).sum(axis=1)).all()


# --- what a budget buys ----------------------------------------------------------


@properties
@given(marginals=tables(), budget=budgets_in_eighths)
def test_never_overspends_nor_buys_what_brings_nothing(marginals, budget):
    budgets, _ = allocate(marginals, budget)
    assert budgets.dtype == np.int64
    assert budgets.sum() <= math.floor(budget * len(marginals))
    assert (budgets <= (marginals > 0).sum(axis=1)).all()


@properties
@given(marginals=tables(max_queries=8), budgets=st.tuples(*[budgets_in_eighths] * 2))
def test_no_query_loses_when_the_budget_grows(marginals, budgets):
    smaller, larger = sorted(budgets)
    assert (allocate(marginals, smaller)[0] <= allocate(marginals, larger)[0]).all()
    assert allocate(marginals, smaller)[1] >= allocate(marginals, larger)[1]


@properties
@given(marginals=tables(max_queries=8), budget=budgets_in_eighths, random=st.randoms())
def test_permuted_queries_get_permuted_budgets_up_to_ties(marginals, budget, random):
    order = list(range(len(marginals)))
    random.shuffle(order)
    budgets, price = allocate(marginals, budget)
    permuted, permuted_price = allocate(marginals[order], budget)
    assert permuted_price == price
    # Only steps at the price may change hands: values bought stay the same multiset.
    bought = np.arange(marginals.shape[1]) < budgets[:, None]
    bought_permuted = np.arange(marginals.shape[1]) < permuted[:, None]
    np.testing.assert_array_equal(
        np.sort(marginals[bought]), np.sort(marginals[order][bought_permuted])
    )
    above = (marginals > price).sum(axis=1)
    assert (above <= budgets).all()
    assert (above[order] <= permuted).all()


@properties
@given(
    row=tables(max_queries=1),
    n_queries=st.integers(1, 9),
    budget=budgets_in_eighths,
    level=st.sampled_from([None, 0.5]),
)
def test_equal_curves_get_uniform_budgets(row, n_queries, budget, level):
    marginals = np.repeat(np.full_like(row, level) if level else row, n_queries, axis=0)
    budgets, _ = allocate(marginals, budget)
    worthwhile = (marginals[0] > 0).sum()
    whole, rest = divmod(math.floor(budget * n_queries), n_queries)
    expected = whole + (np.arange(n_queries) < rest)
    np.testing.assert_array_equal(budgets, np.minimum(expected, worthwhile))


@pytest.mark.parametrize(
    ("n_queries", "budget", "n_bought"),
    [
        (100, 0.29, 28),  # 0.29 * 100 is 28.999999999999996
        (10, 0.1, 1),
        (10, 0.7, 7),
        (3, 2 / 3, 2),
        (49, 1 / 49, 0),  # 1 / 49 * 49 is 0.9999999999999999
        (3, 0.99, 2),
        (10, np.nextafter(0.9, 0), 8),  # times 10 it is 9.0, and 0.9 is above it
        (7, 0.0, 0),
    ],
)
def test_spend_is_the_rounded_product_rounded_down(n_queries, budget, n_bought):
    budgets, _ = allocate(np.ones((n_queries, 3)), budget)
    assert budgets.sum() == n_bought
    assert budgets.mean() <= budget


@pytest.mark.parametrize(
    ("budget", "min_budget", "budgets", "price"),
    [
        (0.5, 0, [0, 1], 0.9),
        (1.5, 0, [2, 1], 0.25),
        (2.0, 0, [2, 1], 0.0),  # three steps are worth buying: money is left over
        (0.0, 0, [0, 0], 0.9),  # nothing bought: the best offer
        (1.0, 1, [1, 1], 0.25),  # the mandatory steps take all
        (1.5, 1, [2, 1], 0.25),
        (2.0, 2, [2, 2], 0.0),  # mandatory even where it brings nothing
        (3.0, 3, [3, 3], 0.0),
    ],
)
def test_budgets_and_price_by_hand(budget, min_budget, budgets, price):
    marginals = np.array([[0.5, 0.25, 0.0], [0.9, -0.1, -0.2]])
    result, result_price = allocate(marginals, budget, min_budget=min_budget)
    assert result.tolist() == budgets
    assert result_price == price
    assert isinstance(result_price, float)


def test_marginals_of_mandatory_steps_are_not_looked_at():
    # A first sample may bring less than the second, as where empty_reward is high.
    marginals = np.array([[-3.0, 0.5, 0.1], [0.0, 0.4, 0.3]])
    budgets, price = allocate(marginals, 2.5, min_budget=1)
    assert budgets.tolist() == [2, 3]
    assert price == 0.3


@pytest.mark.parametrize("fill", [0.5, 0.0, -1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (3000, 1), (3000, 7)])
def test_constant_marginals(fill, shape):
    budgets, price = allocate(np.full(shape, fill, dtype=np.float32), shape[1] / 2)
    n_bought = math.floor(shape[1] / 2 * shape[0]) * (fill > 0)
    whole, rest = divmod(n_bought, shape[0])
    np.testing.assert_array_equal(budgets, whole + (np.arange(shape[0]) < rest))
    assert price == max(fill, 0.0)


class SamplesOneRow:
    """A random generator that only ever draws row 0."""

    def integers(self, high, size):
        return np.zeros(size, dtype=int)


@pytest.mark.parametrize("sign", [-1, 1], ids=["worst row", "best row"])
@pytest.mark.parametrize("budget", [0.001, 0.5, 4.0, 7.5, 20.0])
def test_exact_whatever_rows_the_sample_holds(monkeypatch, sign, budget):
    rng = np.random.default_rng(1)
    rates = np.sort(rng.beta(0.3, 3.0, 3000))[::sign]
    marginals = rate_marginals(rates, 10)
    expected = heap_greedy(marginals, math.floor(budget * 3000))
    monkeypatch.setattr(np.random, "default_rng", lambda seed: SamplesOneRow())
    np.testing.assert_array_equal(allocate(marginals, budget)[0], expected)


def test_exact_on_heavy_tails():
    # Nearly all of the budget goes to a handful of rows that a sample rarely holds.
    rng = np.random.default_rng(2)
    marginals = np.zeros((20_000, 30), dtype=np.float32)
    rare = rng.choice(20_000, size=5, replace=False)
    marginals[rare] = -np.sort(-rng.pareto(0.5, (5, 30)), axis=1)
    for n_steps in (1, 17, 149, 150, 151):
        budgets, price = allocate(marginals, n_steps / 20_000)
        np.testing.assert_array_equal(budgets, heap_greedy(marginals, n_steps))
        assert (price > 0) == (n_steps <= 150)


def test_array_layouts_agree():
    rng = np.random.default_rng(3)
    marginals = random_rows(rng, 500, 20)
    expected, price = allocate(marginals, 3.3)
    for layout in (np.asfortranarray(marginals), np.repeat(marginals, 2, axis=0)[::2]):
        budgets, layout_price = allocate(layout, 3.3)
        np.testing.assert_array_equal(budgets, expected)
        assert layout_price == price


def test_memory_stays_below_that_of_the_marginals():
    rates = np.random.default_rng(4).beta(0.5, 1.5, 50_000)
    marginals = rate_marginals(rates, 64).astype(np.float32)
    constant = np.full_like(marginals, 0.5)
    assert peak_memory(lambda: allocate(marginals, 8)) < marginals.nbytes / 2
    assert peak_memory(lambda: allocate(constant, 8)) < constant.nbytes / 2


# --- path ------------------------------------------------------------------------


@properties
@given(marginals=tables(max_queries=8))
def test_path_holds_the_allocation_at_every_budget(marginals):
    queries, steps = allocation_path(marginals)
    n_queries = len(marginals)
    assert sorted(zip(queries, steps, strict=True)) == list(np.ndindex(marginals.shape))
    values = marginals[queries, steps]
    assert (np.diff(values) <= 0).all()
    for n_steps in range(marginals.size + 1):
        worthwhile = queries[:n_steps][values[:n_steps] > 0]
        np.testing.assert_array_equal(
            np.bincount(worthwhile, minlength=n_queries),
            allocate(marginals, n_steps / n_queries)[0],
        )


def test_path_breaks_ties_by_step_then_row():
    queries, steps = allocation_path(np.array([[0.5, 0.5], [0.5, 0.1], [0.7, 0.5]]))
    assert queries.tolist() == [2, 0, 1, 0, 2, 1]
    assert steps.tolist() == [0, 0, 0, 1, 1, 1]


# --- bad input -------------------------------------------------------------------


@pytest.mark.parametrize("solve", [allocate, lambda rows, _: allocation_path(rows)])
@pytest.mark.parametrize("bad", [[0.1, 0.2], [0.5, np.nan], [np.inf, 0], [0, -np.inf]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bad_row_is_named(solve, bad, dtype):
    marginals = np.tile(np.array([0.5, 0.25], dtype=dtype), (70_000, 1))
    marginals[[40_123, 60_000]] = bad
    with pytest.raises(
        ValueError, match=r"in row 40123\. Expected .* Repair them with"
    ):
        solve(marginals, 1.0)


def test_extreme_finite_marginals_are_accepted():
    largest = np.finfo(np.float32).max
    marginals = np.array([[largest, -largest]], dtype=np.float32)
    assert allocate(marginals, 1.0) == (np.array([1]), largest)


@pytest.mark.parametrize(
    "solve",
    [
        lambda **bounds: allocate(np.ones((4, 3)), **bounds),
        lambda **bounds: allocate_bins(np.ones((2, 3)), np.array([2, 2]), **bounds),
        lambda **bounds: allocate(np.ones((4, 3)), costs=1.0, **bounds),
    ],
)
def test_budget_below_min_budget(solve):
    with pytest.raises(
        ValueError,
        match=r"budget=1\.5 does not pay for min_budget=2, which takes 2 per",
    ):
        solve(budget=1.5, min_budget=2)
