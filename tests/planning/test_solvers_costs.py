"""The budget problem with costs, and with one budget per bin of queries."""

import itertools
import math

import numpy as np
import pytest
from reference_solvers import mixed_integer_optimum, objective, random_rows

from sklearn_adaalloc.planning import allocate, allocate_bins

# --- costs -----------------------------------------------------------------------


@pytest.mark.parametrize("costs", [1.0, np.ones(40), np.ones((40, 6))])
@pytest.mark.parametrize("budget", [0.0, 1.3, 2.5, 6.0])
@pytest.mark.parametrize("min_budget", [0, 1])
def test_unit_costs_change_nothing(costs, budget, min_budget):
    marginals = random_rows(np.random.default_rng(5), 40, 6)
    budget = max(budget, min_budget)
    expected, expected_price = allocate(marginals, budget, min_budget=min_budget)
    budgets, price = allocate(marginals, budget, min_budget=min_budget, costs=costs)
    np.testing.assert_array_equal(budgets, expected)
    assert price == expected_price


def test_costs_by_hand():
    marginals = np.array([[0.6, 0.3], [0.8, 0.7]])
    # Per cost: 0.6, 0.3 against 0.2, 0.175; after row 0, six units pay two of row 1.
    budgets, price = allocate(marginals, 4.0, costs=[1.0, 4.0])
    assert budgets.tolist() == [2, 1]
    assert price == 0.2
    budgets, price = allocate(marginals, 5.0, costs=[1.0, 4.0])
    assert budgets.tolist() == [2, 2]
    assert price == 0.175
    budgets, price = allocate(marginals, 6.0, costs=[1.0, 4.0])
    assert price == 0.0


def test_sums_of_decimal_costs_lose_no_step():
    budgets, _ = allocate(np.ones((1, 5)), 0.3, costs=0.1)  # 0.1 + 0.1 + 0.1 > 0.3
    assert budgets.tolist() == [3]


def test_what_brings_nothing_is_not_bought_however_its_cost_grows():
    marginals = np.array([[0.5, -0.1, -0.1], [0.2, 0.0, -0.3]])
    costs = np.array([[1.0, 2.0, 4.0], [1.0, 1.0, 9.0]])  # -0.1 / 2 < -0.1 / 4
    budgets, price = allocate(marginals, 10.0, costs=costs)
    assert budgets.tolist() == [1, 1]
    assert price == 0.0


@pytest.mark.parametrize("seed", range(40))
def test_costs_lose_less_than_the_first_step_not_paid(seed):
    rng = np.random.default_rng(seed)
    costs = rng.integers(1, 8, 5) / 4
    marginals = np.abs(random_rows(rng, 5, 4)[:, ::-1])[:, :1] * 0.7 ** np.arange(4)
    budget = rng.uniform(0.5, 4)
    min_budget = int(costs.mean() <= budget)
    budgets, _ = allocate(marginals, budget, min_budget=min_budget, costs=costs)
    assert budgets @ costs <= budget * 5
    assert budgets.min() >= min_budget
    best = mixed_integer_optimum(marginals, budget, min_budget, costs[:, None])
    achieved = objective(marginals, budgets)
    assert achieved <= best + 1e-8
    per_cost = np.pad(marginals, ((0, 0), (0, 1))) / costs[:, None]
    unpaid = np.argmax(per_cost[np.arange(5), budgets])
    step = np.pad(marginals, ((0, 0), (0, 1)))[unpaid, budgets[unpaid]]
    assert best <= achieved + step + 1e-8


@pytest.mark.parametrize(
    ("costs", "match"),
    [
        ([1.0, 2.0, 3.0], r"costs has shape \(3,\).*one per query \(2,\).*\(2, 4\)"),
        ([1.0, 0.0], r"values from 0\.0 to 1\.0\. Expected positive"),
        ([1.0, -2.0], r"costs has values from -2\.0 to 1\.0"),
        (np.nan, r"costs has values from nan to nan"),
        ([1.0, np.inf], r"costs has values from 1\.0 to inf"),
        # Falling costs make the later samples the better bargain.
        (
            np.tile([8.0, 4.0, 2.0, 1.0], (2, 1)),
            r"in row 0\. Expected finite, non-increasing",
        ),
    ],
)
def test_bad_costs(costs, match):
    with pytest.raises(ValueError, match=match):
        allocate(np.ones((2, 4)), 1.0, costs=costs)


def test_budget_below_mandatory_costs():
    with pytest.raises(ValueError, match=r"min_budget=1, which takes 3 per query"):
        allocate(np.ones((2, 4)), 2.0, min_budget=1, costs=[2.0, 4.0])


# --- bins ------------------------------------------------------------------------


def brute_force_bins(marginals, sizes, budget):
    n_bins, max_budget = marginals.shape
    limit = math.floor(budget * sizes.sum())
    return max(
        objective(marginals * sizes[:, None], choice)
        for choice in itertools.product(range(max_budget + 1), repeat=n_bins)
        if sizes @ choice <= limit
    )


@pytest.mark.parametrize("seed", range(60))
def test_bins_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    marginals = random_rows(rng, 3, 3)
    sizes = rng.integers(1, 9, 3)
    budget = rng.integers(0, 26) / 8
    budgets = allocate_bins(marginals, sizes, budget)
    assert sizes @ budgets <= math.floor(budget * sizes.sum())
    assert (budgets <= (marginals > 0).sum(axis=1)).all()
    gains = marginals * sizes[:, None]
    best = brute_force_bins(marginals, sizes, budget)
    assert objective(gains, budgets) <= best + 1e-12
    assert best - objective(gains, budgets) <= max(gains.max(), 0) + 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_bins_of_equal_size_are_optimal(seed):
    rng = np.random.default_rng(seed)
    marginals, sizes = random_rows(rng, 3, 3), np.full(3, 5)
    budget = rng.integers(0, 26) / 8
    budgets = allocate_bins(marginals, sizes, budget)
    best = brute_force_bins(marginals, sizes, budget)
    assert objective(marginals * 5, budgets) == pytest.approx(best, abs=1e-12)


def test_bins_of_one_query_are_queries():
    marginals = random_rows(np.random.default_rng(7), 30, 5)
    for budget in (0.0, 0.4, 1.7, 5.0):
        np.testing.assert_array_equal(
            allocate_bins(marginals, np.ones(30, dtype=int), budget),
            allocate(marginals, budget)[0],
        )


def test_bins_go_on_with_a_smaller_bin():
    marginals = np.array([[0.9, 0.8], [0.5, 0.4]])
    # 14 samples: after the first step of the large bin only the small one fits.
    budgets = allocate_bins(marginals, np.array([10, 2]), 14 / 12)
    assert budgets.tolist() == [1, 2]
    # The large bin, stopped once, is not taken up again.
    budgets = allocate_bins(marginals, np.array([10, 2]), 19 / 12)
    assert budgets.tolist() == [1, 2]


def test_bins_pay_min_budget_first():
    marginals = np.array([[0.1, 0.05, 0.0], [0.0, 0.0, 0.0]])
    budgets = allocate_bins(marginals, np.array([3, 4]), 1.5, min_budget=1)
    assert budgets.tolist() == [2, 1]
