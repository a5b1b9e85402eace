"""A new rule of selection: a verifier that errs now and then.

With probability `error` it passes over the best answer and takes any. The allocator
then learns, predicts and scores what such a verifier will earn:

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
    """The best answer is chosen, but with probability `error` any of the answers."""

    def __init__(self, error):
        self.error = error

    def curves(self, rewards, max_budget, *, replacement="auto"):
        """Expected reward of the chosen one of b samples, (n_queries, max_budget)."""
        best = reward_curves(rewards, max_budget, replacement=replacement)[:, 1:]
        any_answer = np.nanmean(rewards, axis=1, keepdims=True)
        return (1 - self.error) * best + self.error * any_answer
