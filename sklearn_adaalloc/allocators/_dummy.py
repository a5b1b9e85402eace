"""Baselines that do not use the content of the queries."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_adaalloc.allocators._adaptive import AdaptiveAllocator
from sklearn_adaalloc.allocators._base import BaseAllocator
from sklearn_adaalloc.allocators._cost_mixin import ROUTING_IN_COST, costs_of
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.curves._reward_curves import extended_marginals
from sklearn_adaalloc.planning._prices import money_left
from sklearn_adaalloc.planning._solvers import count_steps


class DummyAllocator(BaseAllocator):
    """Split a budget without using the content of the queries: baselines.

    Parameters
    ----------
    strategy : {"uniform", "random", "shuffled"}, default="uniform"
        "uniform" gives every query `budget` samples (best-of-k). If `budget` is
        fractional, queries get its floor or its ceiling, mixed evenly over the batch.
        "random" gives single samples to random queries, up to `max_budget` each.
        "shuffled" permutes the budgets of `allocator`: a control that spends exactly as
        much. "random" and "shuffled" draw again at each `predict`, unless
        `random_state` is an int.
    budget : float, default=1.0
        Mean number of samples per query that may be spent, or mean cost per query. It
        can be changed after `fit`.
    allocator : estimator, default=None
        For "shuffled": the allocator whose budgets are permuted. Its own `budget` is
        replaced by the one given here. None means an `AdaptiveAllocator` with the
        bounds and the `random_state` given here.
    min_budget : int, default=0
        Smallest number of samples that a query can get.
    max_budget : int, default=None
        Largest number of samples that a query can get. None means the number of
        samples in the table given to `fit`.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples of a query: the one with the highest
        reward, with the highest score, or with the most votes. The latter two need a
        :class:`~sklearn_adaalloc.RewardTable` with scores or answers. Your own rule is
        an instance of a subclass of :class:`~sklearn_adaalloc.curves.Selection`.
    unit : {"samples", "cost"}, default="samples"
        What `budget` counts. "cost" counts the unit of the costs of the
        :class:`~sklearn_adaalloc.RewardTable` given to `fit`. As the content of queries
        is not used, a sample of each is expected to cost the mean of all samples.
        "shuffled" permutes budgets of the allocator, whose unit is then the same: they
        are as many samples, but may cost more or less.
    random_state : int, RandomState instance or None, default=None
        Seed of "random" and "shuffled".

    Attributes
    ----------
    mean_marginals_ : ndarray of shape (max_budget,)
        Marginal rewards of the mean reward curve of `fit`.
    mean_cost_ : float
        With unit="cost": mean cost of a sample in the table given to `fit`.
    n_queries_ : int
        Number of queries in the table given to `fit`.
    n_steps_ : int
        Number of samples per query in the table given to `fit`; 1 in routing.
    allocator_ : estimator
        For "shuffled": the fitted allocator.

    See Also
    --------
    AdaptiveAllocator : Gives more to queries that gain more.

    Examples
    --------
    >>> from sklearn_adaalloc import DummyAllocator
    >>> allocator = DummyAllocator(budget=1.5).fit([[0.0]] * 2, [[1, 0], [0, 1]])
    >>> allocator.predict([[0.0]] * 4)
    array([1, 2, 1, 2])
    """

    _parameter_constraints = {
        "strategy": [StrOptions({"uniform", "random", "shuffled"})],
        "unit": [StrOptions({"samples", "cost"})],
    }

    def __init__(
        self,
        strategy="uniform",
        budget=1.0,
        *,
        allocator=None,
        min_budget=0,
        max_budget=None,
        empty_reward=0.0,
        selection="reward",
        unit="samples",
        random_state=None,
    ):
        self.strategy = strategy
        self.budget = budget
        self.allocator = allocator
        self.min_budget = min_budget
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection
        self.unit = unit
        self.random_state = random_state

    def predict(self, X):
        """Return budgets that do not depend on the content of the queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries. They are only counted, except with "shuffled".

        Returns
        -------
        budgets : ndarray of shape (n_queries,), dtype int64

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If there is no query, or if the budget in cost does not pay for
            `min_budget`.
        """
        check_is_fitted(self)
        budget, min_budget, max_budget = self._check_budget()
        random_state = check_random_state(self.random_state)
        if self.strategy == "shuffled":
            self.allocator_.set_params(budget=budget)
            return random_state.permutation(self.allocator_.predict(X))
        n_queries = _num_samples(X)
        if n_queries == 0:
            raise ValueError("X has 0 queries. Give at least one.")
        if self.unit == "cost":
            budget = self._count_payable(budget, min_budget, max_budget)
        n_free = count_steps(budget, n_queries, min_budget)
        if self.strategy == "uniform":
            # Differences of floor(i * free / n) are floor or ceil of free / n, evenly
            # mixed.
            even = np.diff(np.arange(n_queries + 1) * n_free // n_queries)
            return min_budget + even
        slots = np.repeat(np.arange(n_queries), max_budget - min_budget)
        drawn = random_state.choice(slots, size=n_free, replace=False)
        return min_budget + np.bincount(drawn, minlength=n_queries)

    def predict_marginals(self, X):
        """Return, for every query, the marginal rewards of the mean curve of `fit`.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries. They are only counted.

        Returns
        -------
        marginals : ndarray of shape (n_queries, max_budget)
        """
        check_is_fitted(self)
        return np.tile(self.mean_marginals_, (_num_samples(X), 1))

    def _count_payable(self, budget, min_budget, max_budget):
        """Mean number of samples per query that a mean cost pays for."""
        each = np.array([self._mean_cost()])
        left = money_left(budget, each, min_budget)
        return min(min_budget + left / each[0], max_budget)

    def _mean_cost(self):
        if not hasattr(self, "mean_cost_"):
            raise ValueError(
                f"unit={self.unit!r} was set after fit, which learnt no costs. "
                "Expected unit='samples'. Fit again to count costs."
            )
        return self.mean_cost_

    def _decision(self, X):
        decision = super()._decision(X)
        if self.unit == "samples":
            return decision
        costs = np.full_like(decision.values, self._mean_cost())
        return decision._replace(costs=costs)

    def _rule_in_words(self):
        return {
            "uniform": "as all queries do, up to rounding",
            "random": "drawn at random",
            "shuffled": "the budget of a query drawn at random",
        }[self.strategy]

    def _fit(self, X, table):
        _, _, max_budget = self._check_budget()
        marginals = extended_marginals(
            table,
            max_budget,
            empty_reward=self.empty_reward,
            selection=self.selection,
        )
        vars(self).pop("mean_cost_", None)  # remove that of an earlier fit
        if self.unit == "cost":
            if self._n_axes == 3:
                raise ValueError(ROUTING_IN_COST)
            self.mean_cost_ = float(np.nanmean(costs_of(table)))
        self.mean_marginals_ = concave_repair(marginals.mean(axis=0, keepdims=True))[0]
        if self.strategy == "shuffled":
            default = AdaptiveAllocator(
                min_budget=self.min_budget,
                max_budget=self.max_budget,
                empty_reward=self.empty_reward,
                selection=self.selection,
                unit=self.unit,
                random_state=self.random_state,
            )
            allocator = default if self.allocator is None else self.allocator
            unit = getattr(allocator, "unit", "samples")
            if unit != self.unit:
                raise ValueError(
                    f"unit={self.unit!r} contradicts that of allocator, {unit!r}. "
                    "Expected the same unit for both."
                )
            allocator = clone(allocator).set_params(budget=self.budget)
            self.allocator_ = allocator.fit(X, table)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.no_validation = True  # the queries are only counted
        return tags
