"""Base class of allocators that decide by a regressor of marginal rewards."""

from abc import abstractmethod
from functools import lru_cache
from inspect import signature

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc._utils.rewards import (
    has_decoders,
)
from sklearn_adaalloc.allocators._base import BaseAllocator
from sklearn_adaalloc.allocators._cost_mixin import CostMixin
from sklearn_adaalloc.allocators._explanation import (
    Decision,
    price_paid,
    reward_range,
    success_range,
)
from sklearn_adaalloc.allocators._in_blocks import Outcome
from sklearn_adaalloc.allocators._menu_mixins import (
    MenuDecisionMixin,
    check_decoders,
    choose_menu_target,
)
from sklearn_adaalloc.allocators._prospects import open_prospects
from sklearn_adaalloc.allocators._stream_cap import Allowance
from sklearn_adaalloc.allocators._unjudged import open_unjudged
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.planning._rewards import mean_and_deviation


class RegressorAllocator(CostMixin, MenuDecisionMixin, BaseAllocator):
    """Base class of allocators that use the marginal rewards of a regressor.

    A subclass also has the parameters `regressor` and `random_state`. It implements
    ``_allocate(marginals, costs)``, which turns predicted marginal rewards into
    budgets. If the user can choose it, a subclass also has the parameters `unit` and
    `cost_regressor`. If costs come from elsewhere, it overrides
    ``_fit_costs(X, table)`` and ``_predict_costs(X)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators import RegressorAllocator
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> class HalfOfAll(RegressorAllocator):
    ...     min_budget, max_budget, empty_reward, random_state = 0, None, 0.0, 0
    ...     def __init__(self, regressor=None, *, budget=1.0):
    ...         self.regressor = regressor
    ...         self.budget = budget
    ...     def _allocate(self, marginals, costs=None):
    ...         promising = marginals[:, 0] > np.median(marginals[:, 0])
    ...         return np.where(promising, int(2 * self.budget), 0)
    >>> X, rewards = make_reward_table(100, 8, random_state=0, return_X_y=True)
    >>> HalfOfAll(budget=2).fit(X, rewards).predict(X).mean()
    np.float64(2.0)
    """

    def predict_marginals(self, X):
        """Predict the marginal reward of each further sample.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries in a form that the regressor accepts.

        Returns
        -------
        marginals : ndarray of shape (n_queries, max_budget)
            Each row is non-increasing after its first `min_budget` steps. If decoders
            have budgets of their own, of each decoder alone, (n_queries, n_decoders,
            max_budget).

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If the regressor does not accept `X`.
        """
        check_is_fitted(self)
        return self._predict_marginals(X)

    def predict(self, X):
        """Predict the budget of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries in a form that the regressor accepts.

        Returns
        -------
        budgets : ndarray of shape (n_queries,), dtype int64
            Samples given to each query; in routing 0 = weak, 1 = strong. If decoders
            have budgets of their own, (n_queries, n_decoders).

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If the regressor does not accept `X`, or a parameter that was changed after
            `fit` is out of its range.
        """
        return self._decide(X)

    def _decide(self, X):
        """Return budgets (n_queries,)."""
        scores = self._checked_scores(X)
        return self._decide_by(X, scores, self._predict_costs(X))

    def _decide_by(self, X, scores, costs):
        """Return budgets by what was predicted for the queries."""
        return self._allocate(scores, costs)

    def _checked_scores(self, X):
        """What `_allocate` decides by: marginal rewards, or scores of a menu."""
        check_is_fitted(self)
        return self._predict_scores(X)

    def _expected_of(self, X):
        """Predicted reward of each query at its budget (n_queries,), as in `explain`.

        It is cheaper than an explanation, and needs no pandas.
        """
        return self._decide_alone(X)[1]

    def _expected_by(self, scores, costs, budgets):
        """Predicted reward at budgets, by what was predicted for the queries."""
        if self._n_decoders:
            known = self._open_menu(scores, costs).known
            return self._outcome().of_menu(known, budgets)
        return self._outcome().of_curves(scores, budgets)

    def _mean_rewards(self, scores):
        """Predicted reward of a sample (n_queries,), or (n_queries, n_decoders)."""
        if self._n_decoders:
            return open_prospects(self.regressor_, scores).scores
        return scores[:, 0]

    def _start_unjudged(self, X, *, votes, max_samples=None):
        """Open a session on one query whose answers nobody judges."""
        scores, costs = self._checked_scores(X), self._predict_costs(X)
        grant = None if max_samples is None else Allowance(1, max_samples)
        budget = float(self.budget)
        return open_unjudged(self, scores, costs, budget, votes=votes, grant=grant)

    def _predict_scores(self, X):
        if self._n_decoders:
            return self._predict_menu_scores(X)
        return self._predict_marginals(X)

    def _decision(self, X):
        if self._n_decoders:
            return self._menu_decision(X)
        marginals, costs = self.predict_marginals(X), self._predict_costs(X)
        budgets = self._decide_by(X, marginals, costs)
        _, min_budget, _ = self._check_budget()
        low, high = self._reward_range(X, budgets)
        values, offered = self._weigh(marginals, costs)
        if costs is not None:
            costs = np.broadcast_to(costs.reshape(len(costs), -1), values.shape)
        return Decision(
            budgets=budgets,
            expected=self._outcome().of_curves(marginals, budgets),
            low=low,
            high=high,
            values=values,
            offered=offered,
            costs=costs,
            price=self._price(offered, budgets),
            min_budget=min_budget,
            routing=self._n_axes == 3,
            **self._words,
        )

    _words = {}  # further fields of `Decision`

    def _weigh(self, marginals, costs):
        """Marginal rewards that the rule goes by, and the same per cost."""
        if costs is None:
            return marginals, marginals
        return marginals, marginals / costs.reshape(len(costs), -1)

    def _price(self, offered, budgets):
        """Value per cost of the last sample bought, of values (n_queries, n_steps)."""
        _, min_budget, _ = self._check_budget()
        return price_paid(offered, budgets, min_budget=min_budget)

    def _outcome(self):
        """What is known of rewards, to say what to expect of budgets."""
        target = getattr(self.regressor_, "target_", None)
        routing = self._n_axes == 3 and not self._n_decoders
        return Outcome(
            self.empty_reward, self._reward_bounds, routing, target == "preference"
        )

    def _keep(self, X):
        """What a decision needs of queries, as arrays with one row for each."""
        kept = {"scores": self._checked_scores(X)}
        costs = self._predict_costs(X)
        return kept if costs is None else kept | {"costs": costs}

    def _decide_alone(self, X):
        """Budgets, and the rewards expected at them (n_queries,)."""
        scores, costs = self._checked_scores(X), self._predict_costs(X)
        budgets = self._decide_by(X, scores, costs)
        return budgets, self._expected_by(scores, costs, budgets)

    def _reward_range(self, X, budgets):
        """80 % range of the reward at the budgets (n_queries,), NaN if not known."""
        if self._n_axes == 3:
            return np.full((2, len(budgets)), np.nan)
        best_counts = resolve_selection(self.selection).follows_rates
        if best_counts and hasattr(self.regressor_, "predict_rate_distribution"):
            weights = self.regressor_.predict_rate_distribution(X)
            edges = success_range(weights, self.regressor_.rates_, budgets)
        elif best_counts and not self._binary and self._check_budget()[2] > 1:
            curves = self._predict_marginals(X, least=1)  # the first is the mean
            normal = mean_and_deviation(curves, empty_reward=self.empty_reward)
            edges = reward_range(*normal, np.maximum(budgets, 1))
        else:
            edges = np.nan, np.nan
        return [np.where(budgets == 0, self.empty_reward, edge) for edge in edges]

    def _new_cost_regressor(self):
        if self.cost_regressor is None:
            from sklearn_adaalloc.regressors import CostRegressor

            return CostRegressor()
        return clone(self.cost_regressor)

    @abstractmethod
    def _allocate(self, scores, costs=None):
        """Turn marginals (n_queries, max_budget) into budgets (n_queries,).

        If `_takes_menus`, it also turns what is predicted of several decoders, such as
        weights of profiles (n_queries, n_profiles), into budgets (n_queries,
        n_decoders).
        """

    def _predict_marginals(self, X, *, least=0):
        """Marginal rewards, repaired after the first `min_budget` or `least` steps."""
        _, min_budget, max_budget = self._check_budget()
        predict = self.regressor_.predict_marginals
        if self._n_decoders:  # of each decoder alone
            return predict(X, max(max_budget))
        # Regressors from other packages may not have the argument min_budget.
        known = _takes_min_budget(getattr(predict, "__func__", predict))
        options = {"min_budget": max(min_budget, least)} if known else {}
        return predict(X, max_budget, **options)

    def _fit(self, X, table):
        regressor = self._new_regressor()
        if self._n_decoders:
            choose_menu_target(regressor, table.rewards)
        if not has_decoders(table):  # routing uses none of these parameters
            self._share_parameters(regressor)
        self.regressor_ = regressor.fit(X, table)
        if self._n_decoders:
            check_decoders(self.regressor_, self._n_decoders)
        most = None if self._n_decoders else self.max_budget
        if most is not None and getattr(self.regressor_, "n_steps_", most) < most:
            self._predict_marginals(X)  # raises if the regressor has too few steps
        self._fit_costs(X, table)
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)  # remove the value of an earlier fit
            if hasattr(self.regressor_, name):
                setattr(self, name, getattr(self.regressor_, name))

    def _share_parameters(self, regressor):
        """Pass shared parameters to the regressor; raise if its own values differ."""
        frozen = isinstance(regressor, FrozenEstimator)
        inner = regressor.estimator if frozen else regressor
        known = inner.get_params(deep=False) if hasattr(inner, "get_params") else {}
        if known.get("max_budget", 0) is None and not frozen:
            regressor.set_params(max_budget=self.max_budget)
        for name in ("empty_reward", "selection"):
            ours = getattr(self, name)
            theirs = known.get(name, ours)
            if theirs is ours or theirs == ours:
                continue
            default = signature(type(inner)).parameters[name].default
            if frozen or theirs != default:
                raise ValueError(
                    f"{name}={ours!r} contradicts that of the "
                    f"{'frozen ' if frozen else ''}regressor, {theirs!r}. Expected the "
                    "same value for both. Give the allocator the regressor's value, or "
                    "fit the regressor with the allocator's value."
                )
            regressor.set_params(**{name: ours})

    def _new_regressor(self):
        """Return an unfitted regressor, or a copy of a frozen one that stays fitted."""
        if self.regressor is None:
            from sklearn_adaalloc.regressors import MLPRewardRegressor

            if self._n_decoders:
                return MLPRewardRegressor(random_state=self.random_state)
            return MLPRewardRegressor(
                max_budget=self.max_budget,
                empty_reward=self.empty_reward,
                selection=self.selection,
                random_state=self.random_state,
            )
        if not hasattr(self.regressor, "predict_marginals"):
            raise ValueError(
                f"regressor={self.regressor!r} has no method predict_marginals. "
                "Expected a reward regressor; wrap a plain one, as in "
                f"RewardRegressor({type(self.regressor).__name__}())."
            )
        return clone(self.regressor)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = (
            self.regressor is None or get_tags(self.regressor).input_tags.sparse
        )
        return tags


@lru_cache(maxsize=64)  # asked for every query of a stream
def _takes_min_budget(predict):
    return "min_budget" in signature(predict).parameters
