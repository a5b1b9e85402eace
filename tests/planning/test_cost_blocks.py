"""What money buys of queries in several blocks: the same as of one array."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc.planning._blocks import answer
from sklearn_adaalloc.planning._cost_blocks import (
    CostRows,
    buy_cost_steps,
    cost_purchases,
)
from sklearn_adaalloc.planning._solvers import allocate


def in_blocks(marginals, costs, edges, budget, *, min_budget=0, most=None):
    """Budgets of an array that is cut into blocks of rows."""
    parts = zip(np.split(marginals, edges), np.split(costs, edges), strict=True)
    blocks = [CostRows(part[:, min_budget:], paid) for part, paid in parts]
    sizes = [len(block.costs) for block in blocks]
    width = marginals.shape[1] - min_budget
    search = cost_purchases(sizes, width, budget, min_budget, most=most)
    purchase, left = answer(search, blocks)
    bought = [
        buy_cost_steps(b, purchase, own) for b, own in zip(blocks, left, strict=True)
    ]
    return min_budget + np.concatenate(bought)


@pytest.mark.parametrize("most", [None, 4])
@pytest.mark.parametrize("decimals", [1, 12])
def test_budgets_are_those_of_one_array(decimals, most):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shape = rng.integers(1, 60), 7
        marginals = rng.normal(0.3, 0.5, shape).round(decimals)
        marginals = np.sort(marginals, axis=1)[:, ::-1]
        costs = np.exp(rng.normal(0, 1, len(marginals))).round(decimals) + 0.1
        costs = np.ceil(costs) if seed % 3 == 0 else costs
        edges = np.sort(rng.integers(0, len(marginals) + 1, size=3))
        least = int(rng.integers(0, 3))
        budget = rng.uniform(least, 7) * costs.mean() * 1.01
        expected, _ = allocate(marginals, budget, min_budget=least, costs=costs)
        found = in_blocks(marginals, costs, edges, budget, min_budget=least, most=most)
        assert_array_equal(found, expected)


def test_equal_queries_of_different_costs_are_bought_in_their_order():
    # All ratios are 1/2, so step and row decide: 3 + 1 + 2 for first steps, then 3.
    costs = np.array([3.0, 1.0, 2.0, 5.0])
    marginals = np.repeat(costs[:, None] / 2, 2, axis=1)
    for budget, expected in ((6 / 4, [1, 1, 1, 0]), (14.5 / 4, [2, 1, 1, 1])):
        for edges in ([], [1, 2], [3]):
            found = in_blocks(marginals, costs, edges, budget, most=1)
            assert_array_equal(found, expected)


def test_money_that_does_not_pay_for_mandatory_samples():
    marginals, costs = np.ones((4, 2)), np.full(4, 3.0)
    with pytest.raises(ValueError, match="which takes 3 per query"):
        in_blocks(marginals, costs, [2], 2.5, min_budget=1)
