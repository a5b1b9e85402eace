"""Beliefs: what a session knows about its queries, and how it plans the next round.

A belief holds the predictions and the rewards of a batch. It has four methods:

=============================================  =====================================
``plan(money, n_rounds, min_budget, costs)``   samples to take now (n_queries,)
``plan_at(prices, n_rounds, min_budget)``      the same where each query is alone,
                                               at a price per sample (n_queries,)
``update(rewards)``                            add rewards (n_queries, n_new),
                                               with NaN last
``withdraw(gone)``                             plan no more samples of the queries
                                               that are marked (n_queries,), bool
=============================================  =====================================

`money` is the number of samples that may still be spent. `n_rounds` is the number of
rounds left; None means one sample of a query at a time. A plan takes at most `money`
samples in total. Over all rounds, it takes at most `limits` samples of each query.
`costs` (n_queries,) are the expected costs of a sample of each query, in the unit of
`money`; None means that each costs 1.
"""

import numpy as np

from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.planning._rewards import (
    add_samples,
    expected_improvements,
    fit_trust,
    mean_and_deviation,
    no_samples,
)
from sklearn_adaalloc.planning._rounds import (
    group_curves,
    mean_budget,
    plan_at_price,
    plan_one_by_one,
    plan_round,
)
from sklearn_adaalloc.planning._solvers import allocate
from sklearn_adaalloc.planning._success import (
    after_failures,
    correct_chances,
    cumulative_hazards,
    fit_correction,
    next_chances,
)

_REFIT = (
    1.25  # without rounds, correct again if the number of verdicts grew by this factor
)


class Limited:
    """What beliefs share: limits that fall where no further sample can be taken."""

    def withdraw(self, gone):
        """Plan no more samples of the queries that are marked (n_queries,), bool."""
        self._limits = np.where(gone, self.budgets, self._limits)


class SuccessBelief(Limited):
    """Belief about 0/1 rewards: a chance of success that falls with each failure.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    limits : ndarray of shape (n_queries,), int
        Largest number of samples of each query, at most `max_budget`.
    empty_reward : float, default=0.0
        Reward of a query without a sample. It is added to the first marginal reward,
        from which it was subtracted.
    share_plans : bool, default=True
        Whether queries with similar curves share one plan. This applies only to large
        batches.
    corrected : bool, default=True
        Whether verdicts (0/1 rewards) correct the predictions of the whole batch.
    correction : tuple of two float, default=(1.0, 1.0)
        Scale and shape with which other queries have corrected the predictions.

    Attributes
    ----------
    budgets : ndarray of shape (n_queries,), int64
        Number of samples so far.
    best : ndarray of shape (n_queries,)
        Best reward so far, or -inf without a sample.
    correction : tuple of float
        Scale and shape, see :func:`~sklearn_adaalloc.planning._success.fit_correction`.
    """

    binary = True

    def __init__(
        self,
        marginals,
        limits,
        *,
        empty_reward=0.0,
        share_plans=True,
        corrected=True,
        correction=(1.0, 1.0),
    ):
        chances = next_chances(marginals, empty_reward=empty_reward)
        own = np.arange(len(chances)), chances
        self._kind, self._predicted = group_curves(chances) if share_plans else own
        self._chances = self._predicted
        if correction != (1.0, 1.0):
            self._chances = correct_chances(self._predicted, *correction)
        self._limits = limits
        self._corrected = corrected
        self._n_fitted = 0
        self._failures = np.zeros(len(limits), dtype=np.int64)
        self.budgets = np.zeros(len(limits), dtype=np.int64)
        self.best = np.full(len(limits), -np.inf)
        self.correction = correction

    def plan(self, money, n_rounds, min_budget=0, costs=None):
        """Plan the samples to take now; a solved query gets none."""
        if self._corrected:
            self._correct(every_time=n_rounds is not None)
        budgets = np.zeros_like(self.budgets)
        left = self._limits - self.budgets
        unsolved = np.flatnonzero((self.best < 1) & (left > 0))
        if unsolved.size == 0:
            return budgets
        states, state = _distinct(self._kind, self.budgets, left, rows=unsolved)
        kind, failures, limits = states
        chances = after_failures(self._chances[kind], failures, limits)
        costs = None if costs is None else costs[unsolved]
        if n_rounds is None:
            planned = plan_one_by_one(chances[state], money, costs)
            planned = np.maximum(planned, min_budget)
        else:
            options = {"kind": state, "min_budget": min_budget, "costs": costs}
            planned = plan_round(chances, money, n_rounds, **options)
        budgets[unsolved] = np.minimum(planned, left[unsolved])
        return budgets

    def plan_at(self, prices, n_rounds, min_budget=0):
        """Plan the samples to take now, each query alone; a solved query gets none."""
        budgets = np.zeros_like(self.budgets)
        left = self._limits - self.budgets
        unsolved = np.flatnonzero((self.best < 1) & (left > 0))
        if unsolved.size == 0:
            return budgets
        left = left[unsolved]
        chances = self._chances[self._kind[unsolved]]
        chances = after_failures(chances, self.budgets[unsolved], left)
        planned = plan_at_price(
            chances, prices[unsolved], n_rounds, min_budget=min_budget
        )
        budgets[unsolved] = np.minimum(planned, left)
        return budgets

    def update(self, rewards):
        """Add verdicts (n_queries, n_new), with NaN last."""
        right = rewards == 1
        new = np.isfinite(rewards).sum(axis=1)
        # A query with new verdicts was unsolved: all before the first 1 are failures.
        self._failures += np.where(right.any(axis=1), right.argmax(axis=1), new)
        self.budgets += new
        self.best = np.maximum(self.best, _row_maxima(rewards))

    def hazards_seen(self):
        """Predicted hazards before and after a success, as of `fit_correction`."""
        hazards = cumulative_hazards(self._predicted)
        solved = self.best == 1
        after = hazards[self._kind, self._failures + solved]
        before = hazards[self._kind, self._failures]
        return before, np.where(solved, after, np.inf)

    def _correct(self, *, every_time):
        """Correct the predictions by all verdicts if there are enough new verdicts."""
        n_verdicts = int(self.budgets.sum())
        if n_verdicts <= self._n_fitted * (1.0 if every_time else _REFIT):
            return
        self._n_fitted = n_verdicts
        self.correction = fit_correction(*self.hazards_seen())
        self._chances = correct_chances(self._predicted, *self.correction)


class RewardBelief(Limited):
    """Belief about real-valued rewards: normal, with mean and standard deviation.

    Parameters
    ----------
    marginals : ndarray of shape (n_queries, max_budget)
        Predicted marginal rewards.
    limits : ndarray of shape (n_queries,), int
        Largest number of samples of each query, at most `max_budget`.
    min_budget : int, default=0
        Number of samples that every query gets first.
    empty_reward : float, default=0.0
        Reward of a query without a sample. It is added to the first marginal reward,
        from which it was subtracted.
    highest : float, default=inf
        Highest reward known. No sample is expected to be better.
    trust : Trust, default=None
        How well predictions agree with samples, if it is known. None means that the
        samples of the batch decide.
    typical : float, default=None
        As of :func:`~sklearn_adaalloc.planning._rewards.mean_and_deviation`.

    Attributes
    ----------
    trust : Trust or None
        How well predictions agree with the samples. None before the first sample.
    """

    binary = False
    _fits_trust = True  # of beliefs pickled by earlier versions

    def __init__(
        self,
        marginals,
        limits,
        *,
        min_budget=0,
        empty_reward=0.0,
        highest=np.inf,
        trust=None,
        typical=None,
    ):
        marginals = np.asarray(marginals, dtype=np.float64)
        self._marginals = concave_repair(marginals, min_budget=min_budget)
        self._limits = limits
        self._highest = highest
        self._prior = mean_and_deviation(
            marginals, empty_reward=empty_reward, typical=typical
        )
        self._samples = no_samples(len(limits))
        self._fits_trust = trust is None
        self.trust = trust

    @property
    def budgets(self):
        """Number of samples so far (n_queries,)."""
        return self._samples.count

    @property
    def best(self):
        """Best reward so far (n_queries,), -inf without a sample."""
        return self._samples.best

    def plan(self, money, n_rounds, min_budget=0, costs=None):
        """Plan the samples to take now.

        In the last round, each further sample goes to the query whose best reward it is
        expected to improve most, per cost. In an earlier round, each query gets
        1 / `n_rounds` of these samples (rounded up). New rewards can then change the
        rest of the plan.
        """
        gains, left = self._improvements()
        budget = mean_budget(money, len(gains), costs)
        final, _ = allocate(gains, budget, min_budget=min_budget, costs=costs)
        return _part_of(final, n_rounds, min_budget, left)

    def plan_at(self, prices, n_rounds, min_budget=0):
        """Plan the samples to take now, each query alone."""
        gains, left = self._improvements()
        final = (gains > prices[:, None]).sum(axis=1)
        return _part_of(final, n_rounds, min_budget, left)

    def update(self, rewards):
        """Add rewards (n_queries, n_new), with NaN last."""
        self._samples = add_samples(self._samples, rewards)
        self._highest = max(self._highest, self.best.max())
        if self._fits_trust:
            self.trust = fit_trust(self._samples, *self._prior)

    def _improvements(self):
        """Expected improvement by each further sample (n_queries, max_budget).

        Also the number of samples that each query may still get: none beyond improves.
        """
        left = self._limits - self.budgets
        gains = self._marginals.copy()  # for queries without a sample
        seen = np.flatnonzero(self.budgets)
        if seen.size:
            samples = type(self._samples)(*(values[seen] for values in self._samples))
            means, deviations = (values[seen] for values in self._prior)
            gains[seen] = expected_improvements(
                samples,
                means,
                deviations,
                self.trust,
                gains.shape[1],
                highest=self._highest,
            )
        beyond = np.arange(gains.shape[1]) >= left[:, None]
        np.minimum(gains, 0.0, out=gains, where=beyond)
        return gains, left


def _part_of(final, n_rounds, min_budget, left):
    """Samples to take now, if `final` are planned for the rounds left."""
    now = np.minimum(final, 1) if n_rounds is None else -(-final // n_rounds)
    return np.minimum(np.maximum(now, min_budget), left)


def _row_maxima(rewards):
    """Largest reward of each row (n_queries,), or -inf if the row is empty."""
    return np.where(np.isnan(rewards), -np.inf, rewards).max(axis=1, initial=-np.inf)


def _distinct(*columns, rows):
    """Distinct combinations of integers in some rows, and the index of each row's."""
    columns = [column[rows] for column in columns]
    sizes = [int(column.max()) + 1 for column in columns]
    code = np.ravel_multi_index(columns, sizes)
    codes, combination = np.unique(code, return_inverse=True)
    return np.unravel_index(codes, sizes), combination
