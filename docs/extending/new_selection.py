"""A new rule of selection: a verifier that sometimes errs.

With probability `error` it returns a random answer instead of the best one. The
allocator then learns, predicts and scores the rewards of such a verifier:

>>> from sklearn_adaalloc import AdaptiveAllocator
>>> from sklearn_adaalloc.datasets import make_reward_table
>>> X, rewards = make_reward_table(500, 16, random_state=0, return_X_y=True)
>>> rule = ErringVerifier(error=0.1)
>>> allocator = AdaptiveAllocator(budget=4, selection=rule, random_state=0)
>>> allocator = allocator.fit(X[:300], rewards[:300])
>>> sure = AdaptiveAllocator(budget=4, random_state=0).fit(X[:300], rewards[:300])
>>> allocator.score(X[300:], rewards[300:]) < sure.score(X[300:], rewards[300:])
True
"""

import numpy as np

from sklearn_adaalloc.curves import Selection, reward_curves


class ErringVerifier(Selection):
    """Select the best answer, but with probability `error` a random one."""

    def __init__(self, error):
        self.error = error

    def curves(self, rewards, max_budget, *, replacement="auto"):
        """Expected reward of the selected one of b samples, (n_queries, max_budget)."""
        best = reward_curves(rewards, max_budget, replacement=replacement)[:, 1:]
        any_answer = np.nanmean(rewards, axis=1, keepdims=True)
        return (1 - self.error) * best + self.error * any_answer
