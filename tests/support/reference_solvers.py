"""Independent solvers of the budget problem, and tables to solve."""

import heapq

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

properties = settings(max_examples=150, deadline=None, derandomize=True)


def objective(marginals, budgets):
    """Total of the marginals that the budgets buy."""
    bought = np.arange(marginals.shape[1]) < np.asarray(budgets)[:, None]
    return marginals[bought].sum()


def random_rows(rng, n_queries, max_budget):
    """Random non-increasing rows, half of the time on a coarse grid: many ties."""
    marginals = rng.normal(0.2, 0.5, (n_queries, max_budget))
    grid = rng.choice([1e-6, 0.25])
    return -np.sort(-np.round(marginals / grid) * grid, axis=1)


def mixed_integer_optimum(marginals, budget, min_budget=0, costs=1.0):
    """Largest objective under the budget, by HiGHS, with one binary per step."""
    n_queries, max_budget = marginals.shape
    costs = np.broadcast_to(costs, marginals.shape)
    step = np.arange(marginals.size).reshape(marginals.shape)
    in_order = np.zeros((n_queries * (max_budget - 1), marginals.size))
    pairs = np.arange(len(in_order))
    in_order[pairs, step[:, 1:].ravel()] = 1
    in_order[pairs, step[:, :-1].ravel()] = -1
    lower = (np.arange(max_budget) < min_budget) * np.ones((n_queries, 1))
    result = milp(
        -marginals.ravel(),
        integrality=np.ones(marginals.size),
        bounds=Bounds(lower.ravel(), 1),
        constraints=[
            LinearConstraint(costs.ravel()[None], ub=budget * n_queries + 1e-9),
            LinearConstraint(in_order, ub=np.zeros(len(in_order))),
        ],
        options={"mip_rel_gap": 0},
    )
    assert result.success
    return -result.fun


def heap_greedy(marginals, n_steps):
    """Buy the largest next marginal, again and again; ties by step, then by row."""
    budgets = np.zeros(len(marginals), dtype=int)
    heap = [(-row[0], 0, query) for query, row in enumerate(marginals) if row[0] > 0]
    heapq.heapify(heap)
    for _ in range(min(n_steps, marginals.size)):
        if not heap:
            break
        _, step, query = heapq.heappop(heap)
        budgets[query] += 1
        if step + 1 < marginals.shape[1] and marginals[query, step + 1] > 0:
            heapq.heappush(heap, (-marginals[query, step + 1], step + 1, query))
    return budgets


@st.composite
def tables(draw, max_queries=5, max_steps=4):
    """Small tables of non-increasing rows with many ties, zeros and negatives."""
    n_queries = draw(st.integers(1, max_queries))
    n_steps = draw(st.integers(1, max_steps))
    value = st.sampled_from([-1.0, -0.25, 0.0, 0.125, 0.25, 0.5, 1.0])
    row = st.lists(value, min_size=n_steps, max_size=n_steps)
    rows = draw(st.lists(row, min_size=n_queries, max_size=n_queries))
    return -np.sort(-np.array(rows), axis=1)


budgets_in_eighths = st.integers(0, 40).map(lambda eighths: eighths / 8)
