"""What all regressors share: the table in, marginal rewards out."""

from abc import abstractmethod

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted, validate_data

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.estimators import all_or_nothing
from sklearn_adaalloc._utils.numbers import check_sizes
from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc._utils.rewards import (
    EXTENDED,
    check_empty_reward,
    has_one_value_per_query,
    warn_beyond_samples,
)
from sklearn_adaalloc.curves._decoders import count_table_steps
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.curves._targets import resolve_target
from sklearn_adaalloc.metrics._prediction import share_explained


def _predicts_rate_distribution(regressor):
    check_is_fitted(regressor)
    return regressor.rates_ is not None


class BaseRewardRegressor(RegressorMixin, DocumentationLinkMixin, BaseEstimator):
    """Base class of regressors on reward tables.

    A subclass has the parameters `target`, `max_budget`, `empty_reward` and `selection`
    and two methods. ``_fit(X, rewards)`` learns from the checked features and table.
    ``_predict(X)`` returns a prediction as :mod:`sklearn_adaalloc.curves._targets`
    means it. `_binary_target` says what target="auto" takes for 0/1 rewards.
    """

    _binary_target = "rate_distribution"
    selection = "reward"  # of regressors that were pickled before there was a choice

    def fit(self, X, y):
        """Learn from graded samples.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Features of each query.
        y : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
            Reward table; NaN marks a missing sample. One value per query, shape
            (n_queries,), is a table of one sample, or for target="success_rate" a
            ready-made rate.

        Returns
        -------
        self : object
            The fitted regressor.

        Raises
        ------
        ValueError
            If the table is not one or does not fit the target. A regressor that was
            fitted before is then as it was.
        """
        with all_or_nothing(self):
            return self._checked_fit(X, y)

    def _checked_fit(self, X, y):
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None. Give the reward table."
            )
        X = self._check_queries(X, reset=True)
        check_empty_reward(self.empty_reward)
        resolve_selection(self.selection)
        if self.max_budget is not None:
            check_whole(self.max_budget, "max_budget", least=1)
        self._target, rewards = resolve_target(
            self.target,
            y,
            n_queries=_num_samples(X),
            binary_target=self._binary_target,
            empty_reward=self.empty_reward,
            max_budget=self.max_budget,
            selection=self.selection,
        )
        self.target_ = self._target.name
        self.rates_ = self._target.rates
        most = None if self._target.routing else self.max_budget
        self.n_steps_ = most or count_table_steps(rewards)
        self._one_column = has_one_value_per_query(y)
        if self.target_ == "marginal_rewards" and self.max_budget is not None:
            warn_beyond_samples(
                rewards,
                self.max_budget,
                name="max_budget",
                beyond=EXTENDED,
            )
        self._fit(X, rewards)
        return self

    def predict(self, X):
        """Predict what the target stands for.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Features of each query.

        Returns
        -------
        prediction : ndarray of shape (n_queries,) or (n_queries, max_budget)
            Success rates or their means, preferences, or marginal rewards as predicted
            (not yet repaired to be non-increasing).

        Raises
        ------
        ValueError
            If X is not acceptable or has other features than in `fit`.
        """
        prediction = self._checked_prediction(X)
        native = self._target.native(prediction)
        return native[:, 0] if self._one_column and native.ndim == 2 else native

    def predict_marginals(self, X, max_budget=None, *, min_budget=0):
        """Predict the marginal reward of each further sample.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Features of each query.
        max_budget : int, default=None
            Number of steps; None for the number of samples in the table of `fit`, or
            the `max_budget` given to the regressor.
        min_budget : int, default=0
            Number of samples that every query gets without regard to its marginals.

        Returns
        -------
        marginals : ndarray of shape (n_queries, max_budget)
            Non-increasing along each row beyond the first `min_budget` steps. Those are
            as predicted: a low first one, as of rewards below zero, takes nothing from
            the steps that are still to be decided.

        Raises
        ------
        ValueError
            If X is not acceptable or has other features than in `fit`, or `max_budget`
            is not a whole number of at least 1, in routing 1, and for
            target="marginal_rewards" at most that of `fit`; or if `min_budget` is not
            a whole number up to `max_budget`.
        """
        prediction = self._checked_prediction(X)
        if max_budget is None:
            max_budget = self.n_steps_
        max_budget = check_whole(max_budget, "max_budget", least=1)
        min_budget = check_whole(min_budget, "min_budget", least=0, most=max_budget)
        return self._target.marginals(prediction, max_budget, min_budget)

    @available_if(_predicts_rate_distribution)
    def predict_rate_distribution(self, X):
        """Predict a distribution over success rates.

        Only for target="rate_distribution".

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Features of each query.

        Returns
        -------
        weights : ndarray of shape (n_queries, n_rates)
            Probability of each of `rates_`.

        Raises
        ------
        ValueError
            If X is not acceptable or has other features than in `fit`.
        """
        return self._checked_prediction(X)

    def score(self, X, y):
        """Share of the reducible loss that the prediction explains.

        (avg − ours) / (avg − opt) with the losses of the paper's Table 1: avg is the
        best constant prediction, opt the prediction of every query's own observation.
        For squared error this is R².

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Features of each query.
        y : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
            Reward table.

        Returns
        -------
        share : float
            1 is perfect, 0 no better than the average.

        Raises
        ------
        ValueError
            If X or the table is not acceptable, or their numbers of queries differ.
        """
        prediction = self._checked_prediction(X)
        native = self._target.native(prediction)
        target, rewards = resolve_target(
            type(self._target),
            y,
            n_queries=len(native),
            empty_reward=self.empty_reward,
            max_budget=self.max_budget,
            selection=self.selection,
        )
        if self.target_ == "marginal_rewards":
            warn_beyond_samples(rewards, native.shape[1], name="max_budget")
        observed = target.observed(rewards, native)
        return share_explained(observed, native, loss=target.score_loss)

    def _checked_prediction(self, X):
        check_is_fitted(self)
        return self._predict(self._check_queries(X, reset=False))

    def _check_queries(self, X, *, reset):
        """Check features; a text regressor replaces this."""
        X = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr" if get_tags(self).input_tags.sparse else False,
            dtype=(np.float64, np.float32),
            ensure_min_samples=2 if reset else 1,
        )
        check_sizes(X.data if issparse(X) else X, "X")
        return X

    @abstractmethod
    def _fit(self, X, rewards):
        """Learn from checked features and a checked table."""

    @abstractmethod
    def _predict(self, X):
        """Return a prediction (n_queries, n_outputs) for checked features."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags
