"""A new sampler: a function of prompts and budgets that returns lists of str.

It can fill a table of graded answers, and decode with the policy that is learnt:

>>> import numpy as np
>>> from sklearn_adaalloc import DummyAllocator, collect_rewards
>>> from sklearn_adaalloc.decoding import BestOfK
>>> def reward(queries, answers):
...     return [np.array([answer == "75" for answer in row], float) for row in answers]
>>> queries = ["27+48=", "50+25=", "70+1="]
>>> rewards = collect_rewards(
...     queries, sample, reward, 4, store="rewards.sqlite", progress=False
... )
>>> rewards
array([[1., 0., 0., 0.],
       [1., 0., 0., 0.],
       [0., 0., 0., 0.]])
>>> policy = DummyAllocator(budget=2).fit(queries, rewards)
>>> BestOfK(policy, sample, reward).decode(queries).answers
['75', '75', '71']

The second sampler also takes optional parameters and counts tokens:

>>> rewards = collect_rewards(
...     queries, GuessingSampler(), reward, 4, store="rewards.sqlite", progress=False
... )
>>> decoded = BestOfK(policy, GuessingSampler(spread=3), reward).decode(queries)
>>> decoded.usage.answers
[array([2., 2.]), array([2., 2.]), array([2., 2.])]
"""

import numpy as np

from sklearn_adaalloc.sampling import TokenUsage


def sample(prompts, budgets):
    """Return the right answer first, then answers that are further off."""
    sums = [sum(map(int, prompt.rstrip("=").split("+"))) for prompt in prompts]
    return [[str(s + j) for j in range(n)] for s, n in zip(sums, budgets, strict=True)]


class GuessingSampler:
    """Guesses numbers near the truth, by the index of the sample; counts digits."""

    def __init__(self, spread=1, random_state=0):
        self.spread = spread
        self.random_state = random_state

    @property
    def settings(self):
        """Everything that an answer depends on besides prompt and index."""
        return {"sampler": "GuessingSampler", **vars(self)}

    def sample(self, prompts, budgets, *, first_sample=None, return_usage=False):
        """Return as many answers to each prompt as its budget."""
        first_sample = [0] * len(prompts) if first_sample is None else first_sample
        answers = [
            [self._guess(prompt, first + j) for j in range(n)]
            for prompt, n, first in zip(prompts, budgets, first_sample, strict=True)
        ]
        usage = TokenUsage(
            prompt=np.array([float(len(prompt)) for prompt in prompts]),
            answers=[np.array([float(len(a)) for a in row]) for row in answers],
            cut_off=[np.zeros(len(row), bool) for row in answers],
        )
        return (answers, usage) if return_usage else answers

    def _guess(self, prompt, index):
        truth = sum(map(int, prompt.rstrip("=").split("+")))
        random = np.random.default_rng([self.random_state, truth, index])
        return str(truth + random.integers(self.spread))
