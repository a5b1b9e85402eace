"""The closed form for success rates against the solver on their marginals."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_adaalloc._curves import rate_marginals
from sklearn_adaalloc._rate_solver import allocate_rates
from sklearn_adaalloc._solvers import allocate


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    rates=st.lists(
        st.sampled_from([0.0, 1e-15, 0.02, 0.25, 0.5, 0.9, 1 - 1e-9, 1.0]),
        min_size=1,
        max_size=12,
    ),
    eighths=st.integers(0, 40),
    min_budget=st.integers(0, 2),
    max_budget=st.integers(2, 60),
)
def test_rates_equal_their_explicit_marginals(rates, eighths, min_budget, max_budget):
    rates, budget = np.array(rates), eighths / 8 + min_budget
    budgets, price = allocate_rates(
        rates, budget, min_budget=min_budget, max_budget=max_budget
    )
    marginals = rate_marginals(rates, max_budget)
    expected, expected_price = allocate(marginals, budget, min_budget=min_budget)
    np.testing.assert_array_equal(budgets, expected)
    assert price == pytest.approx(expected_price, rel=1e-12)


@pytest.mark.parametrize("decimals", [1, 2, 16])
@pytest.mark.parametrize("budget", [0.01, 1.0, 7.77, 31.0, 64.0])
def test_many_rates_equal_their_explicit_marginals(decimals, budget):
    rates = np.random.default_rng(6).beta(0.4, 0.9, 20_000).round(decimals)
    budgets, price = allocate_rates(rates, budget, max_budget=64)
    expected, expected_price = allocate(rate_marginals(rates, 64), budget)
    np.testing.assert_array_equal(budgets, expected)
    assert price == pytest.approx(expected_price, rel=1e-12)


@pytest.mark.parametrize("rate", [0.0, 1e-300, 1e-15, 1e-3, 0.5, 1 - 1e-12, 1.0])
def test_constant_rates(rate):
    rates = np.full(1000, rate)
    budgets, price = allocate_rates(rates, 3.5, max_budget=40)
    worthwhile = (rate_marginals(rates[:1], 40) > 0).sum()
    expected = np.where(np.arange(1000) < 500, 4, 3)
    np.testing.assert_array_equal(budgets, np.minimum(expected, worthwhile))
    np.testing.assert_allclose(price, rate * (1 - rate) ** 3, rtol=1e-12)


def test_rates_do_not_buy_marginals_that_underflow():
    # The 61st sample of the first would bring exp(-745.6), which floats round to 0.
    rates = np.array([1 - np.exp(-745.6 / 60), 0.5])
    budgets, price = allocate_rates(rates, 64.0, max_budget=64)
    expected, expected_price = allocate(rate_marginals(rates, 64), 64.0)
    assert budgets.tolist() == expected.tolist() == [60, 64]
    assert price == expected_price == 0.0


def test_rates_take_no_matrix_of_tied_steps():
    # All steps of the smaller rate are worth the same, 64 for each of 50,000 queries.
    rates = np.repeat([1e-15, 0.5], [50_000, 100])
    budgets, _ = allocate_rates(rates, 10.0, max_budget=64)
    assert budgets.sum() == 10 * 50_100
    tracemalloc.start()
    allocate_rates(rates, 10.0, max_budget=64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * rates.nbytes
