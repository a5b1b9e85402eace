"""Hidden states of a language model as features of queries."""

from contextlib import ExitStack

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.parameters import (
    FLAG,
    OPTIONAL_COUNT,
    POSITIVE_COUNT,
    check_parameters,
)
from sklearn_adaalloc._utils.queries import check_queries, query_keys
from sklearn_adaalloc.features._cache import FeatureStore
from sklearn_adaalloc.language_models._checkpoints import (
    find_checkpoint,
    load_config,
    recognise,
)
from sklearn_adaalloc.language_models._model import load_language_model
from sklearn_adaalloc.language_models._options import (
    DTYPES,
    POOLINGS,
    resolve_device,
    resolve_dtype,
    resolve_layers,
    warn_truncated,
)
from sklearn_adaalloc.language_models._reader import HiddenStateReader

_VERSION = 2  # increase it if the same settings give other features


class HiddenStateFeaturizer(
    HiddenStateReader, TransformerMixin, DocumentationLinkMixin, BaseEstimator
):
    """Compute features of queries: the hidden states of a language model.

    The input is texts or chats, and the output is one vector per query. The forward
    pass stops at the highest layer that is needed and does not compute the LM head.
    Identical queries are computed only once. Batches contain queries of similar length.
    A row depends on the other rows only by rounding. Compared with a forward pass over
    the query alone, the relative difference is about 2e-6 in float32 and about one
    percent in bfloat16.

    The model is loaded when :meth:`transform` first needs it. All estimators of a
    process that use the same model share it. Pickles do not contain it.

    Parameters
    ----------
    model : str or path, default="embedded"
        Name on the Hugging Face hub, folder or .gguf file of a causal LM or an encoder
        that transformers can load (a .gguf file with the extra ``gguf``; its weights
        are dequantised). "embedded" is the weak language model of this package.
    layer : "auto", int or list of int, default="auto"
        Which hidden state is read. 0 means the embeddings, and k the output of layer k.
        -1 is the output of the last layer after the final norm. -2 is the output of the
        second-to-last layer, without a norm. With a list, the states are concatenated.
        For a causal language model, "auto" means the layer at two thirds of the depth,
        ``round(2 * n_layers / 3)``, because the last layers are specialised on the next
        token. It means -1 for an encoder, whose last layer is the embedding. On
        Qwen2.5-Coder-0.5B and -1.5B, layers 16 of 24 and 19 of 28 explain more of the
        loss than the second-to-last in 5 of 6 splits: .29 against .22 and .27 against
        .12 on GSM8K (see `benchmarks/real_lm`). On the training queries of
        :func:`~sklearn_adaalloc.datasets.load_arithmetic`, layer 3 of 4 is the best
        (see `layers.csv` in `benchmarks/results/quality`). It is worth trying several
        layers. A fitted featurizer keeps its layer, also if an earlier version, in
        which "auto" meant -2, fitted it.
    pooling : {"last", "mean", "first"}, default="last"
        The state of the last token (for causal LMs), the mean over all tokens, or the
        state of the first token (for encoders).
    max_length : int, default=None
        Largest number of tokens of a query. Longer queries lose their first tokens,
        with a warning. None means as many tokens as the model accepts.
    chat_template : bool, default=False
        Whether each text is formatted as a user's message with the tokenizer's chat
        template. Lists of messages are always formatted with it.
    batch_tokens : int, default=16384
        Largest number of tokens of a batch, including padding. On a CPU it is at most
        512, which is faster. If CUDA has too little memory, batches are halved.
    device : str, default="auto"
        Torch device. "auto" means CUDA if available, else MPS, else the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision of the forward pass. "auto" means bfloat16 on GPUs that support it,
        and float32 elsewhere. Features are always float32.
    revision : str, default=None
        Branch, tag or commit of a model on the hub. It is looked up in `fit`.
    cache : str or path, default=None
        Folder that stores computed rows, for this and for other processes. None means
        no cache. A row is used again only if its query and all settings that it depends
        on are equal.
    progress : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    layers_ : tuple of int
        The layers that are read, counted from 0.
    n_features_out_ : int
        Number of these layers times the hidden size of the model.
    fingerprint_ : str
        Hash of the model. :meth:`transform` checks that it uses the same model.
    commit_ : str or None
        Commit of a model on the hub. Later calls use this commit, even if `revision`
        points to another commit by then. None for a folder.

    See Also
    --------
    LoRARewardRegressor : Trains adapters of the language model.

    References
    ----------
    Damani, Shenfeld, Peng, Bobu, Andreas, "Learning How Hard to Think: Input-Adaptive
    Allocation of LM Computation", ICLR 2025, section 3.1.

    Examples
    --------
    >>> from sklearn_adaalloc import HiddenStateFeaturizer
    >>> featurizer = HiddenStateFeaturizer(layer=[2, 3])
    >>> featurizer.fit_transform(["27+48=", "gcd 84 30="]).shape
    (2, 256)
    """

    _parameter_constraints = {
        "pooling": [StrOptions(set(POOLINGS))],
        "dtype": [StrOptions(set(DTYPES))],
        "chat_template": FLAG,
        "batch_tokens": POSITIVE_COUNT,
        "max_length": OPTIONAL_COUNT,
    }

    def __init__(
        self,
        model="embedded",
        *,
        layer="auto",
        pooling="last",
        max_length=None,
        chat_template=False,
        batch_tokens=16384,
        device="auto",
        dtype="auto",
        revision=None,
        cache=None,
        progress=False,
    ):
        self.model = model
        self.layer = layer
        self.pooling = pooling
        self.max_length = max_length
        self.chat_template = chat_template
        self.batch_tokens = batch_tokens
        self.device = device
        self.dtype = dtype
        self.revision = revision
        self.cache = cache
        self.progress = progress

    def fit(self, X, y=None):
        """Check the parameters against the model, without loading its weights.

        Parameters
        ----------
        X : sequence of n_queries str or lists of dict
            Queries: texts, or lists of messages with "role" and "content".
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted featurizer.

        Raises
        ------
        ValueError
            If a query is neither text nor chat, a parameter is invalid, or the model
            does not exist.
        """
        check_queries(X)
        check_parameters(self)
        config = load_config(self.model, revision=self.revision)
        self.layers_ = resolve_layers(self.layer, config)
        self.n_features_out_ = len(self.layers_) * config.get_text_config().hidden_size
        checkpoint = find_checkpoint(self.model, revision=self.revision)
        self.fingerprint_, self.commit_ = checkpoint.fingerprint, checkpoint.commit
        return self

    def transform(self, X):
        """Compute the features of queries.

        Parameters
        ----------
        X : sequence of n_queries str or lists of dict
            Queries: texts, or lists of messages with "role" and "content".

        Returns
        -------
        features : ndarray of shape (n_queries, `n_features_out_`), float32
            Pooled hidden states of all layers, in the order of `layers_`.

        Raises
        ------
        ValueError
            If a query is neither text nor chat, if a query has no token, or if the
            model is not the one used in `fit`.
        """
        check_is_fitted(self)
        queries = check_queries(X)
        recognise(self)
        # Compute each distinct query once.
        keys = query_keys(queries)
        position = {key: row for row, key in enumerate(dict.fromkeys(keys))}
        distinct = dict(zip(keys, queries, strict=True))
        features, truncated = self._transform_distinct(
            list(distinct.values()), list(distinct)
        )
        rows = [position[key] for key in keys]
        warn_truncated(truncated[rows], self.max_length)
        return features[rows]

    def get_feature_names_out(self, input_features=None):
        """Names of the features: the layer and the index in its hidden state.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of shape (`n_features_out_`,), object
            "layer3_0" is entry 0 of the output of layer 3.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        """
        check_is_fitted(self)
        size = self.n_features_out_ // len(self.layers_)
        names = [f"layer{layer}_{i}" for layer in self.layers_ for i in range(size)]
        return np.array(names, dtype=object)

    def _transform_distinct(self, queries, keys):
        """Features (n_queries, n_features_out_) and whether a query was too long."""
        features = np.empty((len(queries), self.n_features_out_), dtype=np.float32)
        truncated = np.zeros(len(queries), dtype=bool)
        missing = np.arange(len(queries))
        with ExitStack() as stack:
            store = None
            if self.cache is not None:
                store = stack.enter_context(
                    FeatureStore(self.cache, self.settings, self.n_features_out_)
                )
                found, features[found], truncated[found] = store.get(keys)
                missing = np.setdiff1d(missing, found)
            bar = stack.enter_context(self._progress_bar(len(missing)))
            for rows, values, cut in self._batches([queries[row] for row in missing]):
                rows = missing[rows]
                features[rows], truncated[rows] = values, cut
                if store is not None:
                    store.put([keys[row] for row in rows], values, cut)
                bar.update(len(rows))
        return features, truncated

    def _batches(self, queries):
        """Yield positions, features and truncation of queries, batch by batch."""
        from sklearn_adaalloc.language_models._pooling import pooled_batches

        if not queries:
            return
        language_model = load_language_model(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            expected=self.fingerprint_,
            commit=self.commit_,
        )
        token_ids, truncated = language_model.encode(
            queries, max_length=self.max_length, chat_template=self.chat_template
        )
        for rows, values in pooled_batches(
            language_model,
            token_ids,
            layers=self.layers_,
            pooling=self.pooling,
            batch_tokens=self.batch_tokens,
        ):
            yield rows, values, truncated[rows]

    @property
    def settings(self):
        """Everything that a row depends on, except its query, as a dict."""
        return {
            "features": type(self).__name__,
            "version": _VERSION,
            "model": self.fingerprint_,
            "layers": self.layers_,
            "pooling": self.pooling,
            "max_length": self.max_length,
            "chat_template": self.chat_template,
            "dtype": resolve_dtype(self.dtype, resolve_device(self.device)),
        }

    def _progress_bar(self, n_queries):
        from tqdm import tqdm

        return tqdm(
            total=n_queries,
            desc="hidden states",
            unit=" queries",
            disable=not self.progress,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
