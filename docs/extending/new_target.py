"""A new target: the standard deviation of a query's rewards, one number per query.

Assume that every query gets at least one answer. Then the gain of further samples
depends on how much answers differ. If rewards are normally distributed, the expected
best of b is above their mean by the standard deviation times a factor. The factor is
the expected maximum of b standard normals.

>>> from sklearn.linear_model import Ridge
>>> from sklearn_adaalloc import RewardRegressor
>>> from sklearn_adaalloc.datasets import make_reward_table
>>> from sklearn_adaalloc.metrics import gap_recovered_score
>>> X, rewards = make_reward_table(
...     800, 16, profile="chat", random_state=0, return_X_y=True
... )
>>> regressor = RewardRegressor(Ridge(), RewardDeviation).fit(X[:400], rewards[:400])
>>> regressor.predict(X[400:]).shape
(400,)
>>> regressor.score(X[400:], rewards[400:]) > 0.2  # share of the variance
True
>>> marginals = regressor.predict_marginals(X[400:], max_budget=16, min_budget=1)
>>> gap_recovered_score(rewards[400:], marginals, min_budget=1) > 0.3
True
"""

import numpy as np
from scipy.special import ndtri

from sklearn_adaalloc.curves import Target, concave_repair


class RewardDeviation(Target):
    """Standard deviation of each query's rewards, learnt by squared error."""

    name = "reward_deviation"

    def values(self, rewards):
        """Observed standard deviations, (n_queries, 1)."""
        return np.nanstd(rewards, axis=1, keepdims=True)

    def marginals(self, prediction, max_budget, min_budget=0):
        """Steps of the best of b normal rewards, (n_queries, max_budget)."""
        growth = np.diff(best_of_normals(max_budget), prepend=0)
        steps = np.maximum(prediction, 0) * growth
        return concave_repair(steps, min_budget=min_budget)


def best_of_normals(max_budget, n_slices=10_000):
    """Expected maximum of b standard normals, for b = 1..max_budget."""
    share = (np.arange(n_slices) + 0.5) / n_slices
    budgets = np.arange(1, max_budget + 1)
    density = budgets * share[:, None] ** (budgets - 1)  # density of the maximum's rank
    return ndtri(share) @ density / n_slices
