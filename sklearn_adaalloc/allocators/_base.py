"""Base class of all allocators: they learn from a reward table and return budgets."""

from abc import abstractmethod

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_adaalloc._utils.budgets import check_budget, check_menu_budget
from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.estimators import all_or_nothing
from sklearn_adaalloc._utils.parameters import check_parameters
from sklearn_adaalloc._utils.rewards import (
    EXTENDED,
    check_empty_reward,
    is_binary,
    warn_beyond_samples,
)
from sklearn_adaalloc.allocators._cost_mixin import warn_of_one_cost
from sklearn_adaalloc.allocators._explanation import (
    Decision,
    expected_at,
    explanation_frame,
)
from sklearn_adaalloc.allocators._menu_mixins import (
    MenuTableMixin,
    check_every_decoder,
)
from sklearn_adaalloc.curves._decoders import check_table_steps, count_table_steps
from sklearn_adaalloc.curves._menus import expected_menu_rewards
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.metrics import expected_reward_score


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
    _decides_jointly = False  # whether a query's budget depends on its batch
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
        the chance of success, or to the expected best reward, beside the samples that
        the other decoders get. `cost` is that of the decoder's own samples.
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
