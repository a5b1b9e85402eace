"""What a regressor knows of queries that several decoders can answer.

There is one class for 0/1 rewards and one for real-valued rewards, with these methods:

=================================================  =================================
``belief(costs, limits, mandatory, *, alone)``      belief of a session on the batch,
                                                   jointly or each query alone
``allocate(costs, limits, mandatory, money_of)``   budgets of one round, with the money
                                                   for all samples as a function of the
                                                   cost of mandatory ones
``planner(costs, limits, mandatory)``              function from prices to counts of
                                                   one round, and a price at which
                                                   nothing is worth its cost
``values(budgets, limits)``                        marginal rewards of each decoder,
                                                   beside the plan of the others
``outcome(budgets)``                               expected reward and its 80 % range
                                                   where some sample is taken
``expected(budgets)``                              expected reward alone
``in_blocks(allocator, outcome)``                  the joint decision of an allocator on
                                                   queries in several blocks
=================================================  =================================

`scores` (n_queries, n_decoders) are predicted rewards of a sample. `reward` says in
words what samples raise.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.allocators._explanation import HIGH, LOW, weighted_range
from sklearn_adaalloc.allocators._in_blocks import Outcome
from sklearn_adaalloc.allocators._menus import money_for
from sklearn_adaalloc.curves._profiles import LEAST_RATE
from sklearn_adaalloc.planning._blocks import answer
from sklearn_adaalloc.planning._menu_alone import LoneMenuBelief
from sklearn_adaalloc.planning._menu_beliefs import MenuBelief
from sklearn_adaalloc.planning._menu_blocks import (
    MenuRows,
    MenuTerms,
    menu_budgets,
    menu_shares,
)
from sklearn_adaalloc.planning._menus import menu_planner
from sklearn_adaalloc.planning._normal_belief import NormalMenuBelief
from sklearn_adaalloc.planning._normal_menus import (
    RewardNormals,
    left_to_gain,
    normal_planner,
    reward_levels,
)

_FINE_LEVELS = 60  # for quantiles


class RatesInBlocks(NamedTuple):
    """A joint decision by weights over rate profiles, see `_in_blocks`."""

    budget: float
    unit: str
    terms: MenuTerms
    outcome: Outcome

    def view(self, kept):
        costs = kept.get("costs")
        if costs is None:
            costs = np.ones((len(kept["scores"]), len(self.terms.limits)))
        return MenuRows(kept["scores"], costs)

    def search(self, sizes, most=None):
        money_of = partial(money_for, self.budget, sum(sizes), self.unit)
        return menu_shares(sizes, self.terms, money_of)

    def decide(self, kept, plan, share):
        budgets = menu_budgets(self.view(kept), plan, share)
        known = RateProspects(kept["scores"], self.terms.profiles)
        return budgets, self.outcome.of_menu(known, budgets)


class RateProspects(NamedTuple):
    """Weights over rate profiles, for 0/1 rewards."""

    weights: np.ndarray  # (n_queries, n_profiles)
    profiles: np.ndarray  # (n_profiles, n_decoders)

    reward = "the chance of success"

    @property
    def scores(self):
        return self.weights @ self.profiles

    def belief(self, costs, limits, mandatory, *, alone):
        kind = LoneMenuBelief if alone else MenuBelief
        return kind(*self, costs, limits, mandatory=mandatory)

    def allocate(self, costs, limits, mandatory, money_of):
        bounds = limits.max(axis=0), mandatory.max(axis=0)  # as of all queries
        rows = MenuRows(self.weights, costs)
        search = menu_shares([len(costs)], MenuTerms(self.profiles, *bounds), money_of)
        plan, (share,) = answer(search, [rows])
        return menu_budgets(rows, plan, share)

    def planner(self, costs, limits, mandatory):
        return menu_planner(*self, costs, limits, mandatory)

    def values(self, budgets, limits):
        misses = np.log1p(-self.profiles)
        steps = np.arange(limits.max(initial=0))
        values = np.empty((*limits.shape, len(steps)))
        for decoder, alone in enumerate(np.eye(len(misses.T), dtype=bool)):
            others = np.where(alone, 0, budgets)
            mass = self.weights * np.exp(others @ misses.T) * self.profiles[:, decoder]
            values[:, decoder] = mass @ np.exp(misses[:, decoder, None] * steps)
        return np.where(steps < limits[:, :, None], values, np.nan)

    def outcome(self, budgets):
        chances = self._chances(budgets)
        return self.expected(budgets), *weighted_range(self.weights, chances)

    def expected(self, budgets):
        return (self.weights * self._chances(budgets)).sum(axis=1)

    def in_blocks(self, allocator, outcome):
        budget, *bounds = allocator._check_budget()
        mandatory, limits = map(np.asarray, bounds)
        terms = MenuTerms(self.profiles, limits, np.minimum(mandatory, limits))
        return RatesInBlocks(budget, allocator.unit, terms, outcome)

    def _chances(self, budgets):
        """Chances of success (n_queries, n_profiles) in each profile."""
        return 1 - np.exp(budgets @ np.log1p(-self.profiles).T)


class NormalProspects(NamedTuple):
    """Normal rewards with correlated means."""

    scores: np.ndarray  # (n_queries, n_decoders)
    normals: RewardNormals

    reward = "the expected reward"

    def belief(self, costs, limits, mandatory, *, alone):
        return NormalMenuBelief(*self, limits, mandatory=mandatory)

    def allocate(self, costs, limits, mandatory, money_of):
        money = money_of(float((mandatory * costs).sum()))
        belief = self.belief(costs, limits, mandatory, alone=False)
        return belief.plan(money, 1, costs=costs.ravel()).reshape(limits.shape)

    def planner(self, costs, limits, mandatory):
        return normal_planner(*self, costs, limits, mandatory)

    def values(self, budgets, limits):
        levels = self._levels()
        steps = np.arange(limits.max(initial=0))
        values = np.empty((*limits.shape, len(steps)))
        first = levels.start - self.normals.empty_reward
        for decoder, alone in enumerate(np.eye(limits.shape[1], dtype=bool)):
            others = np.where(alone, 0, budgets)
            mass, below = left_to_gain(levels, others), levels.below[:, decoder]
            for step in steps:
                values[:, decoder, step] = (mass * (1 - below)).sum(axis=1)
                mass = mass * below
            values[:, decoder, :1] += np.where(others.any(axis=1), 0, first)[:, None]
        return np.where(steps < limits[:, :, None], values, np.nan)

    def outcome(self, budgets):
        levels = self._levels(n_levels=_FINE_LEVELS)
        left = left_to_gain(levels, budgets)
        expected = levels.start + (levels.worth - left).sum(axis=1)
        # The worth of a level is the height from the one below to the one above.
        worth, left = (
            each.reshape(len(each), -1, _FINE_LEVELS).sum(axis=1)
            for each in (levels.worth, left)
        )
        heights = levels.start[:, None] + np.cumsum(worth, axis=1) - worth / 2
        below = np.maximum.accumulate(left / worth, axis=1)
        rows = range(len(heights))
        low, high = (
            np.array([np.interp(part, below[row], heights[row]) for row in rows])
            for part in (LOW, HIGH)
        )
        return expected, low, high

    def expected(self, budgets):
        return self.outcome(budgets)[0]

    def in_blocks(self, allocator, outcome):
        raise ValueError(
            f"policy ends in {allocator!r}, which plans for real-valued rewards of "
            "several decoders. Their joint plan in blocks is not known. Expected "
            "rewards of 0 and 1, or a policy that decides each query alone, such as "
            "PricedAllocator."
        )

    def _levels(self, **options):
        covariances = np.broadcast_to(
            self.normals.covariance, (len(self.scores), *self.normals.covariance.shape)
        )
        none = np.full(len(self.scores), -np.inf)
        return reward_levels(self.scores, covariances, none, self.normals, **options)


def predict_scores(regressor, X):
    """What a regressor predicts for a batch, as :func:`open_prospects` takes it.

    Parameters
    ----------
    regressor : estimator
        Fitted with target="rate_profiles" or target="normal_rewards".
    X : array-like of n_queries
        Queries.

    Returns
    -------
    scores : ndarray of shape (n_queries, n_profiles) or (n_queries, n_decoders)
    """
    if getattr(regressor, "profiles_", None) is not None:
        return regressor.predict_profiles(X)
    return regressor.predict(X)


def open_prospects(regressor, scores, *, empty_reward=0.0):
    """Put together what a regressor learnt and what it predicts for a batch.

    Parameters
    ----------
    regressor : estimator
        Fitted with target="rate_profiles" or target="normal_rewards".
    scores : ndarray
        What :func:`predict_scores` returned.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Plans for 0/1 rewards do not use it.

    Returns
    -------
    prospects : RateProspects or NormalProspects
    """
    profiles = getattr(regressor, "profiles_", None)
    if profiles is not None:
        return RateProspects(scores, np.clip(profiles, LEAST_RATE, 1 - LEAST_RATE))
    normals = RewardNormals(
        regressor.covariance_,
        regressor.deviations_,
        regressor.highest_reward_,
        empty_reward,
    )
    return NormalProspects(scores, normals)


def count_decoders(regressor):
    """Number of decoders that a regressor learnt, or None if it learnt no menu."""
    for name, axis in (("profiles_", 1), ("deviations_", 0)):
        learnt = getattr(regressor, name, None)
        if learnt is not None:
            return learnt.shape[axis]
    return None
