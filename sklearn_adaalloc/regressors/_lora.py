"""A language model with low-rank adapters that predicts the rewards of a query."""

import warnings
from numbers import Real

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc._utils.parameters import (
    FLAG,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_COUNT,
    PROPER_SHARE,
    check_parameters,
)
from sklearn_adaalloc._utils.queries import check_queries
from sklearn_adaalloc.language_models._checkpoints import (
    find_checkpoint,
    load_config,
    recognise,
)
from sklearn_adaalloc.language_models._model import load_language_model
from sklearn_adaalloc.language_models._options import (
    POOLINGS,
    resolve_layers,
    warn_truncated,
)
from sklearn_adaalloc.language_models._reader import HiddenStateReader
from sklearn_adaalloc.regressors._base import BaseRewardRegressor


class LoRARewardRegressor(HiddenStateReader, BaseRewardRegressor):
    """Predict rewards from texts by adapting a language model.

    Low-rank adapters (peft) and a linear head on the pooled hidden state are trained
    with skorch. The weights of the language model are not changed. The head starts as
    the average predictor. The weights of the epoch with the lowest loss on held-out
    queries are kept; these can be the weights before the first epoch.

    A pickle contains the adapters and the head, but not the language model. An
    unpickled regressor loads the language model at its first prediction and checks its
    fingerprint.

    Parameters
    ----------
    model : str or path, default="embedded"
        Name on the Hugging Face hub, folder or .gguf file of a causal LM or an encoder
        that transformers can load (a .gguf file with the extra ``gguf``; its weights
        are dequantised). "embedded" is the weak language model of this package.
    target : {"auto", "rate_distribution", "success_rate", "marginal_rewards", \
            "preference", "rate_profiles", "normal_rewards"} or class, default="auto"
        What to predict. "auto" depends on the table: 0/1 rewards ->
        "rate_distribution", real-valued rewards -> "marginal_rewards", two decoders ->
        "preference", more -> "rate_profiles" for 0/1 rewards and "normal_rewards" for
        real-valued ones. A class is a target of your own, derived from
        :class:`~sklearn_adaalloc.curves.Target`.
    r : int, default=8
        Rank of the adapters.
    alpha : float, default=16
        The output of the adapters is multiplied by alpha / r.
    dropout : float, default=0.0
        Share of the inputs of an adapter that are dropped at each training step.
    target_modules : str or list of str, default="all-linear"
        Modules that get an adapter, as in peft.
    layer : "auto" or int, default="auto"
        Hidden state that the head reads, see :class:`HiddenStateFeaturizer`.
    pooling : {"last", "mean", "first"}, default="last"
        How this state is pooled over tokens.
    learning_rate : float, default=0.0005
        Learning rate of AdamW. Larger models need smaller ones: for Qwen2.5-Coder-0.5B
        and 1,000 queries, 0.00003 was the best of four, and explained .32 of the loss
        where the default explained .11 (see `lora.csv` in
        `benchmarks/results/real_lm`).
    weight_decay : float, default=0.01
        Weight decay of AdamW.
    batch_size : int, default=16
        Number of queries per training step.
    max_epochs : int, default=20
        Largest number of passes over the queries.
    patience : int, default=3
        Number of passes without improvement on held-out queries before training stops.
    validation_fraction : float, default=0.1
        Share of the queries that is held out to decide when to stop.
    max_length : int, default=None
        Largest number of tokens of a query. Longer queries lose their first tokens,
        with a warning. None means as many tokens as the model accepts.
    chat_template : bool, default=False
        Whether each text is formatted as a user's message with the tokenizer's chat
        template. Lists of messages are always formatted with it.
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
    device : str, default="auto"
        Torch device. "auto" means CUDA if available, else MPS, else the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision of the language model. "auto" means bfloat16 on GPUs that support it,
        and float32 elsewhere. Adapters and head are trained in float32.
    revision : str, default=None
        Branch, tag or commit of a model on the hub. It is looked up in `fit`.
    verbose : bool, default=False
        Whether skorch prints its progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the held-out queries, the initial weights, the batches and dropout.

    Attributes
    ----------
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
    adapter_ : dict of str to ndarray
        Weights of the adapters.
    head_ : list of ndarray
        Weight (hidden_size, n_outputs) and bias (n_outputs,) of the head.
    layers_ : tuple of int
        Index of the hidden state that is read, counted from 0.
    fingerprint_ : str
        Hash of the language model. :meth:`predict` checks that it uses the same one.
    commit_ : str or None
        Commit of a model on the hub. Later calls use this commit, even if `revision`
        points to another commit by then. None for a folder.
    history_ : list of dict
        Loss on training and on held-out queries after each epoch.

    See Also
    --------
    MLPRewardRegressor : Uses features, such as those of :class:`HiddenStateFeaturizer`.

    References
    ----------
    Damani, Shenfeld, Peng, Bobu, Andreas, "Learning How Hard to Think: Input-Adaptive
    Allocation of LM Computation", ICLR 2025, section 3.1. Hu et al., "LoRA: Low-Rank
    Adaptation of Large Language Models", ICLR 2022.

    Examples
    --------
    >>> from sklearn_adaalloc import LoRARewardRegressor
    >>> queries = ["1+1=", "2+1=", "748*963=", "905*117="]
    >>> rewards = [[1, 1], [1, 1], [0, 0], [0, 1]]
    >>> regressor = LoRARewardRegressor(max_epochs=2, random_state=0)
    >>> regressor.fit(queries, rewards).predict_marginals(["1+2="], max_budget=3).shape
    (1, 3)
    """

    weight_attributes = ("adapter_", "head_")

    _n_held_out = 1  # each part would be another training of the adapters

    _parameter_constraints = {
        "pooling": [StrOptions(set(POOLINGS))],
        "chat_template": FLAG,
        **dict.fromkeys(("r", "batch_size", "max_epochs", "patience"), POSITIVE_COUNT),
        "alpha": POSITIVE,
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "learning_rate": POSITIVE,
        "weight_decay": NOT_NEGATIVE,
        "validation_fraction": PROPER_SHARE,
    }

    def __init__(
        self,
        model="embedded",
        target="auto",
        *,
        r=8,
        alpha=16,
        dropout=0.0,
        target_modules="all-linear",
        layer="auto",
        pooling="last",
        learning_rate=0.0005,
        weight_decay=0.01,
        batch_size=16,
        max_epochs=20,
        patience=3,
        validation_fraction=0.1,
        max_length=None,
        chat_template=False,
        max_budget=None,
        empty_reward=0.0,
        selection="reward",
        device="auto",
        dtype="auto",
        revision=None,
        verbose=False,
        random_state=None,
    ):
        self.model = model
        self.target = target
        self.r = r
        self.alpha = alpha
        self.dropout = dropout
        self.target_modules = target_modules
        self.layer = layer
        self.pooling = pooling
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.max_length = max_length
        self.chat_template = chat_template
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection
        self.device = device
        self.dtype = dtype
        self.revision = revision
        self.verbose = verbose
        self.random_state = random_state

    @property
    def layers_(self):
        """Index of the hidden state that is read, counted from 0."""
        check_is_fitted(self, "_reading")
        return (self._reading["layer"],)

    def _check_queries(self, X, *, reset):
        queries = check_queries(X)
        if reset and len(queries) < 2:
            raise ValueError(
                "X has 1 query. Give at least 2: a part is held out to decide when to "
                "stop."
            )
        return queries

    def _fit(self, X, rewards):
        from sklearn_adaalloc.regressors._lora_net import fit_lora

        options = self._check_options()
        labels = self._target.labels(rewards)
        checkpoint = find_checkpoint(self.model, revision=self.revision)
        self.fingerprint_, self.commit_ = checkpoint.fingerprint, checkpoint.commit
        self._reading = self._check_reading()
        self._adapter_options = {
            "r": self.r,
            "alpha": self.alpha,
            "dropout": self.dropout,
            "target_modules": self.target_modules,
        }
        self._language_model = self._load()
        self.adapter_, self.head_, self.history_ = fit_lora(
            self._language_model,
            self._encode(X),
            labels,
            self._target.initial_outputs(labels),
            loss=self._target.loss,
            adapter=self._adapter_options,
            **self._reading,
            **options,
        )
        _warn_diverged(self.history_)

    def _check_reading(self):
        """Return the checked layer, counted from 0, and the pooling."""
        config = load_config(self.model, revision=self.revision)
        one = self.layer if isinstance(self.layer, str) else [self.layer]
        (layer,) = resolve_layers(one, config)
        return {
            "layer": layer,
            "pooling": self.pooling,
        }

    def _check_options(self):
        """Return checked training options for :func:`fit_lora`."""
        check_parameters(self)
        return {
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "batch_size": self.batch_size,
            "max_epochs": self.max_epochs,
            "patience": self.patience,
            "validation_fraction": self.validation_fraction,
            "verbose": self.verbose,
            "random_state": check_random_state(self.random_state),
        }

    def _predict(self, X):
        from sklearn_adaalloc.regressors._lora_net import pooled_states

        self._restore()
        states = pooled_states(self._language_model, self._encode(X), **self._reading)
        weight, bias = self.head_
        return self._target.decode(states.astype(np.float64) @ weight + bias)

    def _restore(self):
        """Load the language model and its adapters, unless both are in memory."""
        from sklearn_adaalloc.regressors._lora_net import restore_adapter

        if hasattr(self, "_language_model"):
            return
        recognise(self)
        language_model = self._load()
        restore_adapter(language_model, self.adapter_, **self._adapter_options)
        self._language_model = language_model

    def _load(self):
        """Load a model that is not shared, because adapters change it in place."""
        return load_language_model(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            shared=False,
            expected=self.fingerprint_,
            commit=self.commit_,
        )

    def _encode(self, queries):
        token_ids, truncated = self._language_model.encode(
            queries, max_length=self.max_length, chat_template=self.chat_template
        )
        warn_truncated(truncated, self.max_length)
        return token_ids

    def __getstate__(self):
        """Return the state without the language model, which is loaded again."""
        state = dict(super().__getstate__())
        state.pop("_language_model", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _warn_diverged(history):
    """Warn if the training loss was not a number in some epoch."""
    losses = [epoch["train_loss"] for epoch in history]
    if not np.isfinite(losses).all():
        first = history[int(np.argmin(np.isfinite(losses)))]["epoch"]
        warnings.warn(
            f"the training loss is {losses[first - 1]} from epoch {first} on, so later "
            "weights are not used. Lower learning_rate, or set dtype='float32'.",
            UserWarning,
            stacklevel=4,
        )
