"""A new allocator: samples differ in cost, and the budget is a cost.

Assume that long questions get long answers. The budget is 200 tokens per query:

>>> import numpy as np
>>> from sklearn_adaalloc.datasets import make_reward_table
>>> X, rewards = make_reward_table(600, 16, random_state=0, return_X_y=True)
>>> random = np.random.default_rng(0)
>>> tokens = np.exp(4 + X[:, [0]] + random.normal(0, 0.3, rewards.shape))
>>> allocator = CostAllocator(budget=200, random_state=0)
>>> allocator = allocator.fit(X[:400], rewards[:400], costs=tokens[:400])
>>> budgets = allocator.predict(X[400:])
>>> bool(190 < (budgets * tokens[400:].mean(axis=1)).mean() < 210)
True
"""

import numpy as np
from sklearn.linear_model import Ridge

from sklearn_adaalloc import AdaptiveAllocator


class CostAllocator(AdaptiveAllocator):
    """Split a mean cost over a batch, by reward per cost."""

    unit = "cost"

    def fit(self, X, y, *, costs):
        """Learn rewards and the cost of a sample. `costs` has the shape of `y`."""
        self.cost_regressor_ = Ridge().fit(X, np.log(np.nanmean(costs, axis=1)))
        return super().fit(X, y)

    def _predict_costs(self, X):
        return np.exp(self.cost_regressor_.predict(X))
