"""Any scikit-learn regressor as a difficulty model."""

import numpy as np
from sklearn.base import clone
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags
from sklearn.utils.validation import _num_samples, validate_data

from sklearn_adaalloc._utils.numbers import check_sizes
from sklearn_adaalloc.regressors._base import BaseRewardRegressor


class RewardRegressor(BaseRewardRegressor):
    """Predict rewards from features by any scikit-learn regressor.

    The regressor is fitted with its own loss, usually squared error. Its labels are
    observed values that the target computes from the samples of each query: success
    rates, marginal rewards, posteriors over the success rate, or preferences.

    A data frame is passed to the regressor unchanged, with its names and types, so that
    the regressor can select columns by them. The regressor itself must check the
    columns.

    Parameters
    ----------
    regressor : estimator
        Regressor such as `Ridge()` or `HistGradientBoostingRegressor()`. A regressor
        without multi-output support is fitted once per output of the target.
    target : {"auto", "rate_distribution", "success_rate", "marginal_rewards", \
            "preference", "rate_profiles", "normal_rewards"} or class, default="auto"
        What to predict. "auto" depends on the table: two axes ->
        "marginal_rewards", two decoders -> "preference", more -> "rate_profiles" for
        0/1 rewards and "normal_rewards" for real-valued ones. A class is a target of
        your own, derived from :class:`~sklearn_adaalloc.curves.Target`.
    max_budget : int, default=None
        Number of steps that target="marginal_rewards" predicts. None means the number
        of samples in the table.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples of a query: the one with the highest
        reward, with the highest score, or with the most votes. The latter two need a
        :class:`~sklearn_adaalloc.RewardTable` with scores or answers. Your own rule is
        an instance of a subclass of :class:`~sklearn_adaalloc.curves.Selection`.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    target_ : str
        Name of the target that is used.
    rates_ : ndarray of shape (n_rates,) or None
        Grid of success rates, for target_="rate_distribution".
    profiles_ : ndarray of shape (n_profiles, n_decoders) or None
        Success rates of each profile, for target_="rate_profiles".
    covariance_ : ndarray of shape (n_decoders, n_decoders) or None
        Covariance of the mean rewards of a query around their predictions, for
        target_="normal_rewards".
    deviations_ : ndarray of shape (n_decoders,) or None
        Standard deviation of a query's rewards around their mean, likewise. If no
        decoder has two samples of one query, the table does not determine it.
    highest_reward_ : float or None
        Highest reward of the table, likewise.
    n_steps_ : int
        Default number of steps of :meth:`predict_marginals`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` had names.

    See Also
    --------
    MLPRewardRegressor : Uses two-layer perceptrons, with a loss for each target.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc import RewardRegressor
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(300, 8, random_state=0, return_X_y=True)
    >>> regressor = RewardRegressor(Ridge(), target="success_rate").fit(X, rewards)
    >>> regressor.predict(X).shape
    (300,)
    """

    _binary_target = "marginal_rewards"

    def __init__(
        self,
        regressor,
        target="auto",
        *,
        max_budget=None,
        empty_reward=0.0,
        selection="reward",
    ):
        self.regressor = regressor
        self.target = target
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection

    def _check_queries(self, X, *, reset):
        """Check features; of a data frame, only its size and its floats."""
        if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
            return super()._check_queries(X, reset=reset)
        validate_data(self, X, reset=reset, skip_check_array=True)
        least = 2 if reset else 1
        if _num_samples(X) < least or len(X.columns) == 0:
            raise ValueError(
                f"X has shape {X.shape}. Expected at least {least} queries and one "
                "column; a minimum of 1 is required of both to predict."
            )
        for name in X.columns:
            column = np.asarray(X[name])
            if column.dtype.kind == "f":
                check_sizes(column[~np.isnan(column)], "X")
        return X

    def _fit(self, X, rewards):
        values = self._target.values(rewards)
        regressor = clone(self.regressor)
        if values.shape[1] == 1:
            values = values[:, 0]
        elif not get_tags(regressor).target_tags.multi_output:
            regressor = MultiOutputRegressor(regressor)
        self.regressor_ = regressor.fit(X, values)

    def _predict(self, X):
        values = np.asarray(self.regressor_.predict(X), dtype=np.float64)
        if values.ndim == 1:
            values = values[:, None]
        return self._target.repair_values(values)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = get_tags(self.regressor).input_tags.sparse
        return tags
