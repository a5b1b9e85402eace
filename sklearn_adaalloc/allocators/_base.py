"""Base classes of all allocators: they learn from a reward table and return budgets."""

from abc import abstractmethod
from inspect import signature

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_adaalloc._utils.budgets import check_budget, check_menu_budget
from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.estimators import all_or_nothing
from sklearn_adaalloc._utils.parameters import check_parameters
from sklearn_adaalloc._utils.rewards import (
    EXTENDED,
    check_empty_reward,
    has_decoders,
    is_binary,
    warn_beyond_samples,
)
from sklearn_adaalloc.allocators._cost_mixin import CostMixin, warn_of_one_cost
from sklearn_adaalloc.allocators._explanation import (
    Decision,
    expected_at,
    explanation_frame,
    price_paid,
    reward_range,
    success_range,
)
from sklearn_adaalloc.allocators._menu_mixins import (
    MenuDecisionMixin,
    MenuTableMixin,
    check_every_decoder,
    check_profiles,
    choose_profiles,
)
from sklearn_adaalloc.curves._decoders import check_table_steps, count_table_steps
from sklearn_adaalloc.curves._menus import expected_menu_rewards
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.metrics import expected_reward_score
from sklearn_adaalloc.planning._rewards import mean_and_deviation


class BaseAllocator(MenuTableMixin, DocumentationLinkMixin, BaseEstimator):
    """Base class of allocators.

    A subclass has the parameters `budget`, `min_budget`, `max_budget` and
    `empty_reward`. It also has `selection` if the user can choose the rule. It
    implements ``_fit(X, table)``, which receives a `RewardTable`, ``predict(X)`` and
    ``predict_marginals(X)``.

    Attributes
    ----------
    unit : {"samples", "cost"}
        Unit of `budget`. `min_budget` and `max_budget` are always numbers of samples.
        With "cost" they therefore do not limit `budget`.
    """

    _parameter_constraints = {}
    selection = "reward"  # default of subclasses without a choice and of old pickles
    _binary = True  # of old pickles
    _reward_bounds = -np.inf, np.inf  # of old pickles
    unit = "samples"
    cost_regressor = None

    def fit(self, X, y):
        """Learn from graded samples how to allocate.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries in a form that the regressor accepts.
        y : array-like of shape (n_queries, n_samples) or \
                (n_queries, n_decoders, n_samples)
            Reward table. NaN marks a missing sample. A table of two decoders is a
            routing table, with the weak decoder first, unless each decoder gets a
            budget of its own. Some allocators accept more decoders.

        Returns
        -------
        self : object
            The fitted allocator.

        Raises
        ------
        ValueError
            If `y` is not a reward table, a parameter is out of its range, or the
            regressor has other values of `empty_reward` or `max_budget`. An allocator
            that was fitted before keeps its fitted state.
        """
        with all_or_nothing(self):
            return self._checked_fit(X, y)

    def _checked_fit(self, X, y):
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None. Give the reward table."
            )
        check_parameters(self)
        n_decoders = None if self._takes_menus else 2
        table = as_table(y, n_queries=_num_samples(X), n_decoders=n_decoders)
        rewards = table.rewards
        check_empty_reward(self.empty_reward)
        rule = resolve_selection(self.selection)
        self._n_axes = rewards.ndim
        self._binary = is_binary(rewards)
        self._decoder_names = table.decoders
        self._n_decoders = rewards.shape[1] if self._is_menu(rewards) else None
        is_routing = rewards.ndim == 3 and not self._n_decoders
        shares = self._binary or is_routing  # chances of success, or of preference
        seen = float(np.nanmin(rewards)), float(np.nanmax(rewards))
        self._reward_bounds = (0.0, 1.0) if shares else seen
        if self._n_decoders:
            if not rule.follows_rates:
                raise ValueError(
                    f"selection={self.selection!r} is not accepted with several "
                    "decoders that have budgets of their own. Expected 'reward'."
                )
            check_every_decoder(rewards)
            self.n_steps_ = rewards.shape[2]
            self._check_budget()
        else:
            self.n_steps_ = count_table_steps(rewards)
            _, _, max_budget = self._check_budget()
            check_table_steps(rewards, max_budget)
            if self.max_budget is not None:
                warn_beyond_samples(
                    rewards, max_budget, name="max_budget", beyond=EXTENDED
                )
        self.n_queries_ = len(rewards)
        if self.unit == "cost" and table.costs is not None:
            warn_of_one_cost(table.costs, table.decoders)
        self._fit(X, table)
        return self

    def score(self, X, y):
        """Expected reward at the predicted budgets.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries in a form that the regressor accepts.
        y : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
            Reward table of these queries.

        Returns
        -------
        score : float
            Mean over queries of the expected best of b samples (Eq. 9 and 10).

        Raises
        ------
        ValueError
            If `y` is not a reward table, has another number of axes than in `fit`, or
            has another number of queries than `X`.
        """
        budgets = self.predict(X)
        if self._n_decoders:
            table = self._check_menu(y, n_queries=len(budgets))
            expected = expected_menu_rewards(
                table.rewards, budgets, empty_reward=self.empty_reward
            )
            return float(expected.mean())
        table = as_table(y)
        self._check_axes(table.rewards)
        return expected_reward_score(
            table, budgets, empty_reward=self.empty_reward, selection=self.selection
        )

    def explain(self, X):
        """Explain the budget of each query, in numbers and words; needs pandas.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries in a form that the regressor accepts.

        Returns
        -------
        frame : DataFrame with n_queries rows
            - `budget`: as from `predict`. In routing also `decoder`, "weak" or
              "strong".
            - `expected_reward`: predicted reward at that budget, such as the chance of
              success. In routing, the chance that the chosen decoder's answer is
              preferred. It is shown between the lowest and the highest reward of `fit`,
              even if the regressor predicts less or more.
            - `low`, `high`: its 80 % range. If the regressor predicts a distribution
              over success rates, the success chance is in this range with that
              probability. For real-valued rewards, the best reward is, if the rewards
              of a query are normal as predicted. NaN for all other predictions.
            - `next_value`: what one more sample is expected to add; NaN at
              `max_budget`.
            - `cost`: predicted cost of the budget, in the unit of the budget.
            - `price`: what the last sample that the budget bought adds, per unit of
              cost. One more unit of budget would add about as much. NaN for a rule
              without a price.
            - `why`: a plain sentence.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ImportError
            If pandas is not installed.
        ValueError
            If the regressor does not accept `X`.

        Notes
        -----
        If decoders have budgets of their own, there is one row per query and decoder.
        The first two columns are then `query`, the number of its row in `X`, and
        `decoder`, its name or number. `expected_reward`, `low` and `high` are of the
        query's whole plan. `next_value` is what one more sample of that decoder adds to
        the chance of success, beside the samples that the other decoders get. `cost` is
        that of the decoder's own samples.
        """
        check_is_fitted(self)
        return explanation_frame(self._decision(X), bounds=self._reward_bounds)

    def _decision(self, X):
        """Budgets and what they were decided by: here, by a rule without a price."""
        budgets, marginals = self.predict(X), self.predict_marginals(X)
        unknown = np.full(len(budgets), np.nan)
        expected = expected_at(marginals, budgets, empty_reward=self.empty_reward)
        return Decision(
            budgets=budgets,
            expected=unknown if self._n_axes == 3 else expected,
            low=unknown,
            high=unknown,
            values=marginals,
            offered=marginals,
            routing=self._n_axes == 3,
            rule=self._rule_in_words(),
        )

    def _rule_in_words(self):
        """How budgets come about, to end a sentence."""
        return "by a rule without a price"

    def _check_axes(self, rewards):
        """Check that the table is a routing table if and only if that of `fit` was."""
        if rewards.ndim != self._n_axes:
            raise ValueError(
                f"rewards of shape {rewards.shape} have {rewards.ndim} axes, but this "
                f"{type(self).__name__} was fitted on a table with {self._n_axes}. "
                "Give (n_queries, n_samples), or (n_queries, 2, n_samples) for "
                "routing, as in fit."
            )

    def _check_budget(self):
        """Return checked budget, min_budget and max_budget (default: n_samples).

        With several decoders, the bounds are tuples with one number for each.
        """
        max_budget = self.n_steps_ if self.max_budget is None else self.max_budget
        if self._n_decoders:
            return check_menu_budget(
                self.budget,
                n_decoders=self._n_decoders,
                min_budget=self.min_budget,
                max_budget=max_budget,
                unit=self.unit,
            )
        return check_budget(
            self.budget,
            min_budget=self.min_budget,
            max_budget=max_budget,
            unit=self.unit,
        )

    @abstractmethod
    def _fit(self, X, table):
        """Learn from a checked RewardTable."""

    @abstractmethod
    def predict(self, X):
        """Budgets (n_queries,)."""

    @abstractmethod
    def predict_marginals(self, X):
        """Marginal rewards (n_queries, max_budget)."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


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
        """What `_allocate` decides by: marginal rewards, or weights of profiles."""
        check_is_fitted(self)
        return self._predict_scores(X)

    def _predict_scores(self, X):
        if self._n_decoders:
            return self.regressor_.predict_profiles(X)
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
            expected=self._expected_rewards(marginals, budgets),
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

    def _expected_rewards(self, marginals, budgets):
        if self._n_axes == 2:
            return expected_at(marginals, budgets, empty_reward=self.empty_reward)
        if getattr(self.regressor_, "target_", None) != "preference":
            return np.full(len(budgets), np.nan)  # only a difference is known
        return 0.5 + np.where(budgets == 1, 1, -1) * marginals[:, 0]

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

        If `_takes_menus`, it also turns weights of profiles (n_queries, n_profiles)
        into budgets (n_queries, n_decoders), on tables of several decoders.
        """

    def _predict_marginals(self, X, *, least=0):
        """Marginal rewards, repaired after the first `min_budget` or `least` steps."""
        _, min_budget, max_budget = self._check_budget()
        predict = self.regressor_.predict_marginals
        if self._n_decoders:  # of each decoder alone
            return predict(X, max(max_budget))
        # Regressors from other packages may not have the argument min_budget.
        known = "min_budget" in signature(predict).parameters
        options = {"min_budget": max(min_budget, least)} if known else {}
        return predict(X, max_budget, **options)

    def _fit(self, X, table):
        regressor = self._new_regressor()
        if self._n_decoders:
            choose_profiles(regressor)
        if not has_decoders(table):  # routing uses none of these parameters
            self._share_parameters(regressor)
        self.regressor_ = regressor.fit(X, table)
        if self._n_decoders:
            check_profiles(self.regressor_, self._n_decoders)
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
                return MLPRewardRegressor(
                    target="rate_profiles", random_state=self.random_state
                )
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
