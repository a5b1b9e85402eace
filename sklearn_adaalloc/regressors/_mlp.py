"""Two-layer perceptrons on features: the default difficulty model."""

from numbers import Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils._param_validation import Interval

from sklearn_adaalloc._utils.numbers import LARGEST
from sklearn_adaalloc._utils.parameters import (
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_COUNT,
    check_parameters,
)
from sklearn_adaalloc.language_models._options import resolve_device
from sklearn_adaalloc.regressors._base import BaseRewardRegressor

_BATCH = 4096  # the hidden layers of all rows would need much memory


class MLPRewardRegressor(BaseRewardRegressor):
    """Predict rewards from features by two-layer perceptrons, trained with skorch.

    The prediction is the mean of several small nets. Each net leaves out one fold of
    the queries. Training stops if the out-of-fold loss stops improving. The nets start
    as the average predictor. Each feature is scaled by its correlation with the
    rewards. The defaults therefore work from a hundred queries on, even with thousands
    of features.

    Parameters
    ----------
    target : {"auto", "rate_distribution", "success_rate", "marginal_rewards", \
            "preference", "rate_profiles"} or class, default="auto"
        What to predict. "auto" depends on the table: 0/1 rewards ->
        "rate_distribution", real-valued rewards -> "marginal_rewards", two decoders ->
        "preference", more -> "rate_profiles". A class is a target of your own, derived
        from :class:`~sklearn_adaalloc.curves.Target`.
    hidden_units : int, default=64
        Number of units in the hidden layer of each net.
    dropout : float, default=0.5
        Share of hidden units that are dropped at each training step.
    n_members : int, default=5
        Number of nets. With fewer than five, each still leaves out a fifth of the
        queries.
    learning_rate : float, default=0.001
        Learning rate of AdamW.
    weight_decay : float, default=0.1
        Weight decay of AdamW.
    batch_size : int, default=256
        Number of queries per training step.
    max_epochs : int, default=500
        Largest number of passes over the queries.
    patience : int, default=20
        Number of passes without improvement of this loss before training stops.
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
    device : str, default="cpu"
        Torch device for training. "auto" means CUDA if available, else MPS, else the
        CPU. Predictions are computed by NumPy.
    verbose : bool, default=False
        Whether skorch prints its progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, the initial weights, the batches and dropout.

    Attributes
    ----------
    target_ : str
        Name of the target that is used.
    rates_ : ndarray of shape (n_rates,) or None
        Grid of success rates, for target_="rate_distribution".
    profiles_ : ndarray of shape (n_profiles, n_decoders) or None
        Success rates of each profile, for target_="rate_profiles".
    n_steps_ : int
        Default number of steps of :meth:`predict_marginals`.
    weights_ : list of ndarray
        Hidden weights (n_members, n_features, hidden_units), hidden biases, output
        weights (n_members, hidden_units, n_outputs), output biases.
    history_ : list of dict
        Training loss and out-of-fold loss after each epoch.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` had names.

    See Also
    --------
    RewardRegressor : Uses any scikit-learn regressor instead.

    References
    ----------
    Damani, Shenfeld, Peng, Bobu, Andreas, "Learning How Hard to Think: Input-Adaptive
    Allocation of LM Computation", ICLR 2025, section 3.1.

    Examples
    --------
    >>> from sklearn_adaalloc import MLPRewardRegressor
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(300, 8, random_state=0, return_X_y=True)
    >>> regressor = MLPRewardRegressor(random_state=0).fit(X, rewards)
    >>> regressor.target_
    'rate_distribution'
    >>> regressor.predict_marginals(X[:2], max_budget=4).shape
    (2, 4)
    """

    weight_attributes = ("weights_",)

    _parameter_constraints = {
        **dict.fromkeys(("hidden_units", "n_members"), POSITIVE_COUNT),
        **dict.fromkeys(("batch_size", "max_epochs", "patience"), POSITIVE_COUNT),
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "learning_rate": POSITIVE,
        "weight_decay": NOT_NEGATIVE,
    }

    def __init__(
        self,
        target="auto",
        *,
        hidden_units=64,
        dropout=0.5,
        n_members=5,
        learning_rate=0.001,
        weight_decay=0.1,
        batch_size=256,
        max_epochs=500,
        patience=20,
        max_budget=None,
        empty_reward=0.0,
        selection="reward",
        device="cpu",
        verbose=False,
        random_state=None,
    ):
        self.target = target
        self.hidden_units = hidden_units
        self.dropout = dropout
        self.n_members = n_members
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def _fit(self, X, rewards):
        from sklearn_adaalloc.regressors._nets import fit_mlp_ensemble

        options = self._check_options()
        X = _dense(X)
        self._mean = X.mean(axis=0, dtype=np.float64)
        deviation = X.std(axis=0, dtype=np.float64)
        rounding = 10 * np.finfo(np.float64).eps * np.abs(self._mean)
        constant = deviation <= np.maximum(rounding, 1 / LARGEST)
        self._scale = np.where(constant, 1.0, deviation)
        labels = self._target.labels(rewards)
        self.weights_, self.history_ = fit_mlp_ensemble(
            ((X - self._mean) / self._scale).astype(np.float32),
            self._target.values(rewards),
            labels,
            self._target.initial_outputs(labels),
            loss=self._target.loss,
            **options,
        )

    def _check_options(self):
        """Return checked training options for :func:`fit_mlp_ensemble`."""
        check_parameters(self)
        return {
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
            "n_members": self.n_members,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "batch_size": self.batch_size,
            "max_epochs": self.max_epochs,
            "patience": self.patience,
            "device": resolve_device(self.device),
            "verbose": self.verbose,
            "random_state": check_random_state(self.random_state),
        }

    def _predict(self, X):
        if X.shape[0] <= _BATCH:
            return self._predict_batch(X)
        batches = gen_batches(X.shape[0], _BATCH)
        return np.concatenate([self._predict_batch(X[batch]) for batch in batches])

    def _predict_batch(self, X):
        hidden_weight, hidden_bias, output_weight, output_bias = self.weights_
        features = (_dense(X).astype(np.float64) - self._mean) / self._scale
        hidden = np.maximum(features @ hidden_weight + hidden_bias, 0)
        outputs = hidden @ output_weight + output_bias  # (n_members, n, n_outputs)
        return self._target.decode(outputs).mean(axis=0)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _dense(X):
    return X.toarray() if issparse(X) else X
