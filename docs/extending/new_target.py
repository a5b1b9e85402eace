"""A new target: rewards that are normal about a mean of each query.

Two numbers per query, mean and spread, instead of one per step: more is learnt from few
samples, and curves are as long as you like. From two graded samples of each query to
budgets of up to sixteen:

>>> from sklearn_adaalloc import MLPRewardRegressor
>>> from sklearn_adaalloc.datasets import make_reward_table
>>> from sklearn_adaalloc.metrics import gap_recovered_score
>>> X, rewards = make_reward_table(
...     800, 16, profile="chat", random_state=0, return_X_y=True
... )
>>> regressor = MLPRewardRegressor(
...     "normal_rewards", empty_reward=-10, random_state=0
... )
>>> regressor = regressor.fit(X[:400], rewards[:400, :2])
>>> marginals = regressor.predict_marginals(X[400:], max_budget=16)
>>> gap_recovered_score(rewards[400:], marginals, empty_reward=-10) > 0.4
True
"""

import numpy as np
from scipy.special import ndtri

from sklearn_adaalloc._curves import concave_repair
from sklearn_adaalloc._targets import TARGETS, MarginalRewards


class NormalRewards(MarginalRewards):
    """Mean and spread of each query's rewards, learnt by squared error."""

    name = "normal_rewards"

    def values(self, rewards):
        """Mean and spread, (n_queries, 2); two samples or more of each query."""
        self.n_steps = self.max_budget or rewards.shape[1]
        spread = np.nanstd(rewards, axis=1, ddof=1)
        return np.column_stack([np.nanmean(rewards, axis=1), spread])

    def native(self, prediction):
        """Marginal rewards, (n_queries, max_budget)."""
        return self.marginals(prediction, self.n_steps)

    def marginals(self, prediction, max_budget, min_budget=0):
        """Steps of mean + spread × expected best of b standard normals."""
        mean, spread = prediction.T
        curve = np.maximum(spread, 0)[:, None] * best_of_normals(max_budget)
        steps = np.diff(curve, axis=1, prepend=0)
        steps[:, 0] = mean - self.empty_reward
        return concave_repair(steps, min_budget=min_budget)


def best_of_normals(max_budget, n_slices=10_000):
    """Expected best of b standard normals, b = 1..max_budget."""
    share = (np.arange(n_slices) + 0.5) / n_slices
    budgets = np.arange(1, max_budget + 1)
    density = budgets * share[:, None] ** (budgets - 1)  # of the best's rank
    return ndtri(share) @ density / n_slices


TARGETS[NormalRewards.name] = NormalRewards
