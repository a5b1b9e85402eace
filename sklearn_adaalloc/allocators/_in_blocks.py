"""Joint decisions on queries in several blocks, such as those of a data set.

A joint decision needs what was predicted of all queries, and a cluster has that in
blocks of rows: dicts of arrays, from ``_keep(X)`` of an allocator. Its method
``_in_blocks()`` returns an object with these methods:

=============================  =====================================================
``view(kept)``                 what questions about a block are asked of
``search(sizes, most)``        generator of questions to all blocks
                               (:mod:`sklearn_adaalloc.planning._blocks`); returns a
                               plan, and the share of each block in it
``decide(kept, plan, share)``  budgets of a block, and the rewards expected at them
=============================  =====================================================

Together, the blocks get the budgets that `predict` gives all queries at once. The
object holds the budget and few other numbers, but no regressor.
"""

from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.allocators._explanation import expected_at
from sklearn_adaalloc.planning._blocks import buy_steps, purchases
from sklearn_adaalloc.planning._cost_blocks import (
    CostRows,
    buy_cost_steps,
    cost_purchases,
)
from sklearn_adaalloc.planning._solvers import count_steps


class Outcome(NamedTuple):
    """What is known of rewards, to say what to expect of a budget.

    Parameters
    ----------
    empty_reward : float
        Reward of a query that gets no sample.
    bounds : tuple of two float
        Lowest and highest reward of a sample.
    routing : bool
        Whether budgets stand for decoders.
    preference : bool
        Whether the first marginal reward in routing is a preference, less a half.
        Otherwise it is a difference of rewards, and no reward is known.
    """

    empty_reward: float
    bounds: tuple
    routing: bool = False
    preference: bool = False

    def of_curves(self, marginals, budgets):
        """Expected reward (n_queries,) of each query at its budget."""
        if not self.routing:
            marginals = np.asarray(marginals, dtype=np.float64)
            expected = expected_at(marginals, budgets, empty_reward=self.empty_reward)
            return self._within_bounds(expected, budgets > 0)
        if not self.preference:
            return np.full(len(budgets), np.nan)
        expected = 0.5 + np.where(budgets == 1, 1, -1) * marginals[:, 0]
        return self._within_bounds(expected, True)

    def of_menu(self, known, budgets):
        """Expected reward (n_queries,) at budgets (n_queries, n_decoders)."""
        any_sample = budgets.any(axis=1)
        expected = np.where(any_sample, known.expected(budgets), self.empty_reward)
        return self._within_bounds(expected, any_sample)

    def _within_bounds(self, expected, any_sample):
        return np.where(any_sample, np.clip(expected, *self.bounds), expected)


class CurvesInBlocks(NamedTuple):
    """A joint decision by curves of marginal rewards."""

    budget: float
    min_budget: int
    max_budget: int
    outcome: Outcome

    def view(self, kept):
        return kept["scores"][:, self.min_budget :]

    def search(self, sizes, most=None):
        n_steps = count_steps(self.budget, sum(sizes), self.min_budget)
        width = self.max_budget - self.min_budget
        return purchases(sizes, width, n_steps, most=most)

    def decide(self, kept, plan, share):
        budgets = self.min_budget + buy_steps(self.view(kept), plan, share)
        return budgets, self.outcome.of_curves(kept["scores"], budgets)


class CostsInBlocks(NamedTuple):
    """The same, where samples differ in cost."""

    budget: float
    min_budget: int
    max_budget: int
    outcome: Outcome

    def view(self, kept):
        return CostRows(kept["scores"][:, self.min_budget :], kept["costs"])

    def search(self, sizes, most=None):
        width = self.max_budget - self.min_budget
        return cost_purchases(sizes, width, self.budget, self.min_budget, most=most)

    def decide(self, kept, plan, share):
        budgets = self.min_budget + buy_cost_steps(self.view(kept), plan, share)
        return budgets, self.outcome.of_curves(kept["scores"], budgets)
