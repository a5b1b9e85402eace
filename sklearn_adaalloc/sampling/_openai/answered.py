"""Answers of one call to a server, put in order."""

from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc.sampling._protocol import TokenUsage


class Answered:
    """Answers and tokens of one call, put in order as they arrive.

    Parameters
    ----------
    prompts : list of n_prompts str or lists of dict
        Checked prompts.
    budgets, first_sample : ndarrays of shape (n_prompts,), int64
        Number of samples of each, and the index of the first.
    """

    def __init__(self, prompts, budgets, first_sample):
        self._prompts = prompts
        self._budgets = budgets
        self._first_sample = first_sample
        self._answers = [[None] * budget for budget in budgets]
        self._usage = TokenUsage(
            np.zeros(len(prompts)),
            [np.zeros(budget) for budget in budgets],
            np.zeros(len(prompts)),
            [np.zeros(budget, dtype=bool) for budget in budgets],
        )

    @property
    def n_samples(self):
        """Number of samples that are to arrive, int."""
        return int(self._budgets.sum())

    def take(self, arrival):
        """Put in a SampledAnswer; raise its error if it failed for good."""
        if arrival.error is not None:
            prompt = short_repr(self._prompts[arrival.row])
            raise type(arrival.error)(f"{arrival.error} (prompt {prompt})")
        row, usage = arrival.row, self._usage
        j = arrival.sample - self._first_sample[row]
        self._answers[row][j] = arrival.answer
        usage.prompt[row] += arrival.prompt_tokens
        usage.answers[row][j] = arrival.answer_tokens
        usage.cached[row] += arrival.cached_tokens
        usage.cut_off[row][j] = arrival.cut_off

    def result(self, return_usage):
        """The answers, and with `return_usage` also a TokenUsage."""
        usage = self._usage
        if np.isnan(usage.cached[self._budgets > 0]).all():
            usage = usage._replace(cached=None)
        return (self._answers, usage) if return_usage else self._answers
