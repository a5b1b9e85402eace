"""A belief about votes: answers come without rewards, and the most frequent is taken.

It has the methods of the other beliefs, see `_beliefs`. `update` receives answers.
"""

import math
from functools import lru_cache

import numpy as np

from sklearn_adaalloc.curves._answers import group_answers
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.planning._beliefs import Limited
from sklearn_adaalloc.planning._rounds import mean_budget
from sklearn_adaalloc.planning._solvers import allocate
from sklearn_adaalloc.planning._votes import lead_gains, vote_weights

_PARTS = 16  # without rounds, the part of the money that is planned at a time
_AHEAD = 32  # votes looked ahead: a lead that so many cannot change is decided
_DECIDED = 1e-6  # a gain per vote that counts as none: that of ten votes to nothing


class VoteBelief(Limited):
    """Belief about the answers of a batch: how likely further votes change the leader.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    limits : ndarray of shape (n_queries,), int
        Largest number of samples of each query, at most `max_budget`.
    key : callable, default=None
        As of :class:`~sklearn_adaalloc.curves.MostVotes`.
    empty_reward : float, default=0.0
        Reward of a query without a sample. It is added to the first marginal reward,
        from which it was subtracted.
    reward_range : tuple of two float, default=(0.0, 1.0)
        Least and highest reward of an answer.
    mean : float, default=None
        As of :func:`~sklearn_adaalloc.planning._votes.vote_weights`.

    Attributes
    ----------
    budgets : ndarray of shape (n_queries,), int64
        Number of samples so far.
    counts : list of n_queries dict
        Votes of each answer to a query, in the order in which answers first came.
    """

    def __init__(
        self,
        marginals,
        limits,
        *,
        key=None,
        empty_reward=0.0,
        reward_range=(0.0, 1.0),
        mean=None,
    ):
        self._limits = limits
        self._key = key
        self._mean = mean
        self._n_steps = marginals.shape[1]
        self._first_gain = np.array(marginals[:, 0], dtype=np.float64)
        low, high = reward_range
        mean = (self._first_gain + empty_reward - low) / (high - low or 1.0)
        self._predicted = np.clip(mean, 0.0, 1.0)
        self._answers = [{} for _ in limits]  # votes of answers as they were given
        self._n_votes = np.zeros(len(limits), dtype=np.int64)
        self._leads = np.zeros((len(limits), 2), dtype=np.int64)
        self.counts = [{} for _ in limits]
        self.budgets = np.zeros(len(limits), dtype=np.int64)

    @property
    def leaders(self):
        """Answer with most votes of each query, the first of several; None if none."""
        return [max(votes, key=votes.get, default=None) for votes in self.counts]

    def plan(self, money, n_rounds, min_budget=0, costs=None):
        """Plan the samples to take now: those worth most, for a part of the money.

        The part is what first samples take, and a share of the rest that is larger if
        few rounds are left: 0.4 of it with four rounds, all with one. The answers then
        say where the remainder is worth most. Without rounds the share is a sixteenth,
        and a query gets one sample at a time.
        """
        gains, left = self._improvements()
        sure = np.full(len(gains), min_budget)
        if (fresh := self.budgets == 0).any():
            bought = self._buy(gains, money, min_budget, costs)
            sure[fresh] = np.minimum(bought, max(min_budget, 1))[fresh]
        spent = float(sure.sum() if costs is None else sure @ costs)
        share = 1 / _PARTS if n_rounds is None else n_rounds ** -(2 / 3)
        part = spent + (money - spent) * share
        part = math.ceil(part) if costs is None else part
        now = self._buy(gains, part, min_budget, costs)
        if not now.any():  # the part does not pay for a sample, but the money may
            now = np.minimum(self._buy(gains, money, min_budget, costs), 1)
        if n_rounds is None:
            now = np.minimum(now, max(min_budget, 1))
        return np.minimum(now, left)

    def plan_at(self, prices, n_rounds, min_budget=0):
        """Plan the samples to take now, each query alone: a part of those worth it."""
        gains, left = self._improvements()
        worthwhile = (gains > prices[:, None]).sum(axis=1)
        if n_rounds is None:
            now = np.minimum(worthwhile, 1)
        else:
            now = np.ceil(worthwhile * n_rounds ** -(2 / 3)).astype(np.int64)
        return np.minimum(np.maximum(now, min_budget), left)

    def _buy(self, gains, money, min_budget, costs):
        budget = mean_budget(money, len(gains)) if costs is None else money / len(gains)
        return allocate(gains, budget, min_budget=min_budget, costs=costs)[0]

    def update(self, answers):
        """Add answers: one list per query, with None for no answer.

        If `key` raises, nothing is changed.
        """
        rows = [row for row, new in enumerate(answers) if len(new)]
        told = [_add(self._answers[row], answers[row]) for row in rows]
        pairs = list(zip(rows, told, strict=True))
        counts = [self._merge(votes, row) for row, votes in pairs]
        for (row, votes), merged in zip(pairs, counts, strict=True):
            self._answers[row], self.counts[row] = votes, merged
            first, second, *_ = sorted([*merged.values(), 0, 0], reverse=True)
            self._leads[row] = first, second
            self._n_votes[row] = sum(merged.values())
            self.budgets[row] += len(answers[row])

    def _merge(self, votes, row):
        """Votes of answers, those that are the same taken together."""
        if self._key is None:
            return votes
        answers = list(votes)
        numbers, distinct = group_answers(self._key, answers, row)
        merged = dict.fromkeys(distinct, 0)
        for answer, number in zip(answers, numbers, strict=True):
            if number >= 0:
                merged[distinct[number]] += votes[answer]
        return merged

    def _improvements(self):
        """What further samples are worth (n_queries, n_ahead + 1), non-increasing.

        The first sample of a query gains what is predicted, the others as votes do.
        Their gains fall with the share of samples that held no answer. Also the number
        of samples that each query may still get: none beyond gains.
        """
        left = self._limits - self.budgets
        fresh = self.budgets == 0
        first, second = self._leads.T
        n_ahead = min(self._n_steps, _AHEAD)
        gains = np.zeros((len(fresh), n_ahead + 1))
        gains[:, :-1] = _of_each(np.where(fresh, 1, first), second, n_ahead)
        weights = vote_weights(self._predicted, self.budgets, self._mean)
        gains *= (weights * (self._n_votes + 1) / (self.budgets + 1))[:, None]
        gains[fresh, 1:] = gains[fresh, :-1]
        gains[fresh, 0] = self._first_gain[fresh]
        gains[fresh] = concave_repair(gains[fresh])
        beyond = np.arange(gains.shape[1]) >= left[:, None]
        np.minimum(gains, 0.0, out=gains, where=beyond)
        return gains, left


def _add(votes, answers):
    votes = dict(votes)
    for answer in answers:
        if answer is not None:
            votes[answer] = votes.get(answer, 0) + 1
    return votes


def _of_each(first, second, n_votes):
    """Gains of each further vote (n_queries, n_votes), each distinct lead once."""
    base = int(second.max(initial=0)) + 1
    leads, query = np.unique(first * base + second, return_inverse=True)
    gains = [_vote_gains(*divmod(lead, base), n_votes) for lead in leads.tolist()]
    return np.array(gains)[query]


@lru_cache(maxsize=2**14)
def _vote_gains(first, second, n_votes):
    """Slopes of the least concave majorant of the gains (n_votes,)."""
    gains = lead_gains([first], [second], n_votes)
    slopes = concave_repair(np.diff(gains, prepend=0.0))[0]
    return np.where(slopes < _DECIDED, 0.0, slopes)
