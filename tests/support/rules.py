"""Rules of selection and a target of the tests' own, as a user might write them."""

from itertools import combinations

import numpy as np

from sklearn_adaalloc.curves import Selection, Target, reward_curves


class Erring(Selection):
    """The best answer is chosen, but with some probability any of the answers."""

    def __init__(self, error=0.1):
        self.error = error

    def curves(self, rewards, max_budget, *, replacement="auto"):
        best = reward_curves(rewards, max_budget, replacement=replacement)[:, 1:]
        any_answer = np.nanmean(rewards, axis=1, keepdims=True)
        return (1 - self.error) * best + self.error * any_answer

    def choose(self, drawn):
        return (1 - self.error) * max(drawn) + self.error * np.mean(drawn)


class Worst(Selection):
    """The worst answer is chosen: each further sample harms."""

    def curves(self, rewards, max_budget, *, replacement="auto"):
        return -reward_curves(-rewards, max_budget, replacement=replacement)[:, 1:]

    def choose(self, drawn):
        return min(drawn)


def enumerate_curve(rule, row, empty_reward=0.0):
    """Expected reward of the chosen one of b samples, over all subsets of a row."""
    row = row[np.isfinite(row)]
    return np.array(
        [
            empty_reward,
            *(
                np.mean([rule.choose(drawn) for drawn in combinations(row, b)])
                for b in range(1, len(row) + 1)
            ),
        ]
    )


class Deviation(Target):
    """Standard deviation of each query's rewards."""

    name = "deviation"

    def values(self, rewards):
        return np.nanstd(rewards, axis=1, keepdims=True)

    def marginals(self, prediction, max_budget, min_budget=0):
        steps = 1 / np.arange(1, max_budget + 1)
        return np.maximum(prediction, 0) * steps
