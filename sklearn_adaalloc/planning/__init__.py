"""From reward curves to budgets: in one shot, at a price, in bins, or in rounds.

All functions are pure and expect checked arrays.
"""

from sklearn_adaalloc.planning._bins import bin_means
from sklearn_adaalloc.planning._prices import price_of_budget
from sklearn_adaalloc.planning._rounds import (
    plan_one_by_one,
    plan_round,
    stop_expenses,
)
from sklearn_adaalloc.planning._solvers import (
    allocate,
    allocate_bins,
    allocation_path,
)
from sklearn_adaalloc.planning._success import failure_curves, next_chances

__all__ = [
    "allocate",
    "allocate_bins",
    "allocation_path",
    "bin_means",
    "failure_curves",
    "next_chances",
    "plan_one_by_one",
    "plan_round",
    "price_of_budget",
    "stop_expenses",
]
