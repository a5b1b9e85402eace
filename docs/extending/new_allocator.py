"""A new allocator: each further sample of a query costs more than the one before.

Each sample is a follow-up turn, which reads all answers before it. The budget is a mean
of 600 tokens per query:

>>> from sklearn_adaalloc.datasets import make_reward_table
>>> X, rewards = make_reward_table(600, 16, random_state=0, return_X_y=True)
>>> allocator = FollowUpAllocator(budget=600, answer_tokens=100, random_state=0)
>>> budgets = allocator.fit(X[:400], rewards[:400]).predict(X[400:])
>>> tokens = 100 * budgets * (budgets + 1) / 2
>>> bool(500 < tokens.mean() <= 600)
True
"""

import numpy as np

from sklearn_adaalloc.allocators import RegressorAllocator
from sklearn_adaalloc.planning import allocate


class FollowUpAllocator(RegressorAllocator):
    """Split a mean cost over a batch, if turn b of a query costs b times the first."""

    unit = "cost"
    min_budget, max_budget, empty_reward = 0, None, 0.0

    def __init__(
        self, regressor=None, *, budget=1000.0, answer_tokens=100, random_state=None
    ):
        self.regressor = regressor
        self.budget = budget
        self.answer_tokens = answer_tokens
        self.random_state = random_state

    def _fit_costs(self, X, table):
        """Costs are known: there is nothing to learn from the table."""

    def _predict_costs(self, X):
        turns = np.arange(1, self.n_steps_ + 1)
        return np.tile(self.answer_tokens * turns, (len(X), 1))

    def _allocate(self, marginals, costs=None):
        return allocate(marginals, self.budget, costs=costs)[0]
