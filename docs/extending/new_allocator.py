"""A new allocator: budgets in tiers, such as the batch sizes of a server.

>>> from sklearn_adaalloc.datasets import make_reward_table
>>> X, rewards = make_reward_table(500, 16, random_state=0, return_X_y=True)
>>> allocator = TieredAllocator(tiers=(1, 4, 16), budget=4, random_state=0)
>>> budgets = allocator.fit(X[:300], rewards[:300]).predict(X[300:])
>>> sorted(set(budgets.tolist()))
[0, 1, 4, 16]
>>> bool(budgets.mean() <= 4)
True
"""

import numpy as np

from sklearn_adaalloc._solvers import allocate
from sklearn_adaalloc.allocators._base import RegressorAllocator


class TieredAllocator(RegressorAllocator):
    """Give each query no sample or one of a few numbers of them; joint over a batch."""

    min_budget, max_budget, empty_reward = 0, None, 0.0

    def __init__(
        self, regressor=None, *, tiers=(1, 2, 4, 8), budget=1.0, random_state=None
    ):
        self.regressor = regressor
        self.tiers = tiers
        self.budget = budget
        self.random_state = random_state

    def _allocate(self, marginals):
        tiers = np.array([0, *self.tiers])
        # A step leads from one tier to the next: it earns what lies between, and costs
        # as many samples.
        gains = np.add.reduceat(marginals[:, : tiers[-1]], tiers[:-1], axis=1)
        costs = np.broadcast_to(np.diff(tiers), gains.shape)
        levels, _ = allocate(gains, self.budget, costs=costs)
        return tiers[levels]
