"""Base class of all regressors: they learn a reward table and predict marginals."""

from abc import abstractmethod

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted, validate_data

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.estimators import all_or_nothing
from sklearn_adaalloc._utils.numbers import check_sizes, is_plain_batch
from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc._utils.rewards import (
    EXTENDED,
    check_empty_reward,
    has_one_value_per_query,
    warn_beyond_samples,
)
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.curves._targets import resolve_target
from sklearn_adaalloc.metrics._prediction import share_explained


def _predicts_rate_distribution(regressor):
    check_is_fitted(regressor)
    return regressor.rates_ is not None


def _predicts_profiles(regressor):
    check_is_fitted(regressor)
    return getattr(regressor, "profiles_", None) is not None


class BaseRewardRegressor(RegressorMixin, DocumentationLinkMixin, BaseEstimator):
    """Base class of regressors on reward tables.

    A subclass has the parameters `target`, `max_budget`, `empty_reward` and `selection`
    and two methods. ``_fit(X, rewards)`` learns from checked features and a checked
    table. ``_predict(X)`` returns a prediction as defined in
    :mod:`sklearn_adaalloc.curves._target`. `_binary_target` is the target that
    target="auto" means for 0/1 rewards.
    """

    _binary_target = "rate_distribution"
    selection = "reward"  # default for regressors pickled by earlier versions

    def fit(self, X, y):
        """Learn from graded samples.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Features of each query.
        y : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
            Reward table. NaN marks a missing sample. An array of shape (n_queries,) is
            a table with one sample per query. For target="success_rate" it holds
            success rates.

        Returns
        -------
        self : object
            The fitted regressor.

        Raises
        ------
        ValueError
            If `y` is not a reward table or does not fit the target. A regressor that
            was fitted before keeps its fitted state.
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
        self._target.learn(rewards)
        self.rates_, self.profiles_ = self._target.rates, self._target.profiles
        self.n_steps_ = self._target.count_steps(rewards)
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
        """Predict the quantity that the target stands for.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Features of each query.

        Returns
        -------
        prediction : ndarray of shape (n_queries,) or (n_queries, n_values)
            Depends on the target: success rates, means of rate distributions,
            preferences, or marginal rewards (not repaired to be non-increasing). For
            target="rate_profiles" success rates (n_queries, n_decoders).

        Raises
        ------
        ValueError
            If X is invalid or has other features than in `fit`.
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
            Number of steps. None means the `max_budget` of the regressor, or else the
            number of samples in the table given to `fit`.
        min_budget : int, default=0
            Number of mandatory samples of every query.

        Returns
        -------
        marginals : ndarray of shape (n_queries, max_budget)
            Each row is non-increasing after its first `min_budget` steps. The first
            `min_budget` steps are not repaired. A low first step, for example with
            rewards below zero, therefore does not lower the later steps. For
            target="rate_profiles", the marginal rewards of each decoder alone,
            (n_queries, n_decoders, max_budget).

        Raises
        ------
        ValueError
            If X is invalid or has other features than in `fit`. If `max_budget` is not
            an integer of at least 1, is not 1 in routing, or is above that of `fit` for
            target="marginal_rewards". If `min_budget` is not an integer from 0 to
            `max_budget`.
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

        Available only for target="rate_distribution".

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
            If X is invalid or has other features than in `fit`.
        """
        return self._checked_prediction(X)

    @available_if(_predicts_profiles)
    def predict_profiles(self, X):
        """Predict weights of the rate profiles.

        Available only for target="rate_profiles".

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Features of each query.

        Returns
        -------
        weights : ndarray of shape (n_queries, n_profiles)
            Weight of each of `profiles_`.

        Raises
        ------
        ValueError
            If X is invalid or has other features than in `fit`.
        """
        return self._checked_prediction(X)

    def score(self, X, y):
        """Share of the reducible loss that the prediction explains.

        The share is (avg − ours) / (avg − opt), with the losses of the paper's Table 1.
        ours is the loss of the prediction. avg is the loss of the best constant
        prediction. opt is the loss of predicting the observed value of each query. For
        squared error this is R².

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Features of each query.
        y : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
            Reward table.

        Returns
        -------
        share : float
            1 is perfect, and 0 is as good as the average.

        Raises
        ------
        ValueError
            If X or the table is invalid, or their numbers of queries differ.
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
        if np.isnan(observed).any():  # such cells count neither for nor against
            means, missing = np.nanmean(observed, axis=0), np.isnan(observed)
            observed, native = (
                np.where(missing, means, values) for values in (observed, native)
            )
        return share_explained(observed, native, loss=target.score_loss)

    def _checked_prediction(self, X):
        check_is_fitted(self)
        return self._predict(self._check_queries(X, reset=False))

    def _check_queries(self, X, *, reset):
        """Check features; regressors on texts override this."""
        unnamed = not reset and not hasattr(self, "feature_names_in_")
        if unnamed and is_plain_batch(X, getattr(self, "n_features_in_", 0)):
            return X
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
