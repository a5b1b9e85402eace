"""Language models of transformers: loading, tokenization and padding.

All estimators of a process that use the same model share it. A clone or a candidate of
a grid search therefore loads nothing. torch and transformers are imported inside
functions, because estimators import this module.
"""

import threading
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc._utils.queries import check_unicode
from sklearn_adaalloc.language_models._checkpoints import (
    find_checkpoint,
    load_config,
    loading,
    require_checkpoint,
    require_unchanged,
    source,
)
from sklearn_adaalloc.language_models._gguf import (
    is_gguf,
    text_files,
    weight_options,
)
from sklearn_adaalloc.language_models._options import (
    auto_class,
    cpu_multiplies_bfloat16,
    resolve_device,
    resolve_dtype,
    takes_input,
)

_N_SHARED = 4  # models in memory, e.g. weak LM, strong LM, reward model, one other
_LOCK = threading.RLock()
# Names of the modules with learned positions in different families of models.
_POSITIONS = {
    "embed_positions",
    "position_embedding",
    "position_embeddings",
    "position_embed",
    "wpe",
}


@dataclass(frozen=True)
class LanguageModel:
    """A model in memory, with its tokenizer.

    Attributes
    ----------
    model : PreTrainedModel
        The model, with its LM head if the checkpoint has one.
    tokenizer : PreTrainedTokenizer
        Truncates on the left. :meth:`pad` and samplers do the padding.
    name : str
        Name or folder that it was loaded from.
    lock : Lock
        Held during a forward pass or tokenization, because neither is thread-safe.
    """

    model: object
    tokenizer: object
    name: str
    lock: object = field(default_factory=threading.RLock)

    @property
    def backbone(self):
        """The layers that process texts, without LM head.

        For an encoder-decoder, this is the encoder. For a model of texts and images, it
        is the part for texts.
        """
        config = self.model.config
        if config.is_encoder_decoder:
            return self.model.get_encoder()
        if config.get_text_config() is not config:
            return self.model.get_decoder()
        body = self.model.base_model
        # Llama 4 without its part for images has another name for the layers.
        return (
            self.model.model if body is self.model and hasattr(body, "model") else body
        )

    @property
    def device(self):
        """Device of the weights."""
        return self.model.device

    def encode(self, queries, *, max_length=None, chat_template=False):
        """Turn queries into token ids; queries that are too long lose first tokens.

        Parameters
        ----------
        queries : list of n_queries str or lists of dict
            Checked queries. Chats are formatted with the tokenizer's template and end
            where the answer of the model begins.
        max_length : int, default=None
            Largest number of tokens of a query. None means as many as the model
            accepts.
        chat_template : bool, default=False
            Whether a text is formatted as a user's message.

        Returns
        -------
        token_ids : list of n_queries lists of int
        truncated : ndarray of shape (n_queries,), bool
            Whether a query was too long.

        Raises
        ------
        ValueError
            If a query has no token, if there are chats but no template, or if the model
            does not accept `max_length`.
        """
        limit = self.limit(max_length)
        chats = np.array([chat_template or not isinstance(q, str) for q in queries])
        token_ids = [None] * len(queries)
        truncated = np.zeros(len(queries), dtype=bool)
        for chat in (False, True):
            rows = np.flatnonzero(chats == chat)
            texts = [
                self._render(queries[row]) if chat else queries[row] for row in rows
            ]
            # A template already contains the special tokens.
            encoded = self._tokenize(texts, add_special_tokens=not chat)
            long = [i for i, ids in enumerate(encoded) if len(ids) > limit]
            shortened = self._tokenize(
                [texts[i] for i in long],
                add_special_tokens=not chat,
                truncation=True,
                max_length=limit,
            )
            for i, ids in zip(long, shortened, strict=True):
                encoded[i] = ids
            truncated[rows[long]] = True
            for row, ids in zip(rows, encoded, strict=True):
                token_ids[row] = ids
        if [] in token_ids:
            query = queries[token_ids.index([])]
            raise ValueError(
                f"the query {short_repr(query)} has no token for model={self.name!r}. "
                "Give every query some text."
            )
        return token_ids, truncated

    def _tokenize(self, texts, **options):
        """Return the token ids of each text."""
        if not texts:
            return []
        check_unicode(texts)
        with self.lock:
            return self.tokenizer(texts, verbose=False, **options)["input_ids"]

    def _render(self, query):
        messages = (
            [{"role": "user", "content": query}] if isinstance(query, str) else query
        )
        if self.tokenizer.chat_template is None:
            raise ValueError(
                f"model={self.name!r} has no chat template, so it cannot take "
                f"{short_repr(query)} as a chat. Give plain texts with "
                "chat_template=False, or a model made for chat."
            )
        return self.render_chat(messages, add_generation_prompt=True)

    def render_chat(self, messages, **options):
        """Format a chat with the tokenizer's template; options are passed to it."""
        try:
            return self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, **options
            )
        except Exception as error:  # each template raises its own errors
            raise ValueError(
                f"the chat template of model={self.name!r} does not take "
                f"{short_repr(messages)}: {error}. Give messages in the format that "
                "the model card describes."
            ) from error

    def limit(self, max_length):
        """Largest number of tokens of a query; `max_length` as in :meth:`encode`."""
        if max_length is None:
            return int(min(self.tokenizer.model_max_length, self.positions, 2**31))
        least = self.tokenizer.num_special_tokens_to_add() + 1
        check_whole(max_length, "max_length", least=least)
        if max_length > self.positions:
            raise ValueError(
                f"max_length={max_length!r} is above the {self.positions} positions of "
                f"model={self.name!r}. Lower it, or leave max_length=None."
            )
        return max_length

    @cached_property
    def positions(self):
        """Largest number of tokens that the model accepts, or infinity.

        It is the smaller of two limits: that of the configuration and the size of the
        table of learned positions. In some families this table has extra rows before
        the first position, for example for padding.
        """
        from torch import nn

        config = self.model.config.get_text_config()
        names = ("max_position_embeddings", "max_seq_len")
        named = [getattr(config, name, None) for name in names]
        found = [n for n in named if n is not None and n > 0]  # -1 is no limit (XLNet)
        for name, module in self.backbone.named_modules():
            if isinstance(module, nn.Embedding) and name.split(".")[-1] in _POSITIONS:
                padding = module.padding_idx
                before = (
                    getattr(module, "offset", 0) if padding is None else padding + 1
                )
                found.append(module.num_embeddings - before)
        return min(found, default=np.inf)

    @cached_property
    def first_position(self):
        """Position that the model gives to the first token of a text by default.

        RoBERTa and similar models count from the position after that of padding.
        """
        for module in self.backbone.modules():
            if hasattr(module, "create_position_ids_from_input_ids"):
                return module.padding_idx + 1
        return 0

    def pad(self, token_ids, *, padding=None):
        """Pad token ids on the right and move them to the device of the model.

        With padding on the right, positions count from the first token of each query,
        and a causal model does not see the padding.

        Parameters
        ----------
        token_ids : list of n_rows lists of int
        padding : int, default=None
            Padding token. None means that of the tokenizer.

        Returns
        -------
        input_ids, attention_mask : Tensors of shape (n_rows, longest), int64
        """
        import torch

        if padding is None:
            padding = self.tokenizer.pad_token_id or 0
        longest = max(map(len, token_ids))
        input_ids = np.full((len(token_ids), longest), padding, dtype=np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, ids in enumerate(token_ids):
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        return (
            torch.from_numpy(input_ids).to(self.device),
            torch.from_numpy(attention_mask).to(self.device),
        )


def sampling_dtype(name, *, revision=None, device="auto", dtype="auto"):
    """Precision in which a model samples.

    "auto" is that of other uses, but for one case: on a CPU that multiplies bfloat16
    natively, it is bfloat16 if the weights have no more precision than that, because
    they are saved as bfloat16 or quantised in a GGUF file. Features are not read in
    bfloat16 on a CPU, because budgets can change: on the embedded tasks up to 5 % did.

    Parameters
    ----------
    name, revision, device, dtype
        As for :func:`load_language_model`.

    Returns
    -------
    dtype : {"float32", "bfloat16", "float16"}
    """
    device = resolve_device(device)
    resolved = resolve_dtype(dtype, device)
    if dtype == "auto" and device == "cpu" and cpu_multiplies_bfloat16():
        saved = str(getattr(load_config(name, revision=revision), "dtype", None))
        if is_gguf(source(name)) or saved.removeprefix("torch.") == "bfloat16":
            return "bfloat16"
    return resolved


def has_chat_template(name):
    """Whether a model is made for chat, as far as its tokenizer says; loads no weights.

    Parameters
    ----------
    name : str or path
        As for :func:`load_language_model`.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If the model does not exist, or its tokenizer cannot be loaded.

    Examples
    --------
    >>> from sklearn_adaalloc.language_models._model import has_chat_template
    >>> has_chat_template("embedded")
    True
    """
    checkpoint = find_checkpoint(name)
    with loading(name):
        tokenizer = _read_tokenizer(checkpoint)
    return tokenizer.chat_template is not None


def load_language_model(
    name="embedded",
    *,
    revision=None,
    device="auto",
    dtype="auto",
    shared=True,
    classifier=False,
    expected=None,
    commit=None,
):
    """Load a model and its tokenizer, or return the shared one if it is in memory.

    Parameters
    ----------
    name : str or path, default="embedded"
        Name on the Hugging Face hub, folder of a transformers model, GGUF file (with
        the extra ``gguf``; its weights are dequantised), or "embedded", which means the
        weak language model in this package.
    revision : str, default=None
        Branch, tag or commit on the hub.
    device : str, default="auto"
        Torch device. "auto" means CUDA if available, else MPS, else the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision. "auto" means bfloat16 on GPUs that support it, and float32 elsewhere.
    shared : bool, default=True
        Whether the model is shared with other callers. Do not change a shared model.
    classifier : bool, default=False
        Whether to load it as a sequence classifier, such as a reward model.
    expected : str, default=None
        Fingerprint of the model that an estimator was fitted with. Another model is an
        error. If the expected model is in memory, nothing is looked up. None accepts
        the present model.
    commit : str, default=None
        Commit on the hub at the time of fit. Used together with `expected`.

    Returns
    -------
    language_model : LanguageModel

    Raises
    ------
    ValueError
        If the model does not exist, cannot be loaded, or is not the expected one.

    Examples
    --------
    >>> from sklearn_adaalloc.language_models import load_language_model
    >>> language_model = load_language_model("embedded", device="cpu")
    >>> language_model is load_language_model("embedded", device="cpu")
    True
    """
    device = resolve_device(device)
    dtype = resolve_dtype(dtype, device)
    with _LOCK:  # otherwise two threads could load the same model
        checkpoint = (
            find_checkpoint(name, revision=revision)
            if expected is None
            else _fitted_checkpoint(source(name), expected, revision, commit)
        )
        options = (source(name), checkpoint, device, dtype, classifier)
        if shared:
            return _shared_language_model(*options)
    return _read_language_model(*options)


@lru_cache(maxsize=64)
def _fitted_checkpoint(name, expected, revision, commit):
    return require_checkpoint(name, expected, revision=revision, commit=commit)


@lru_cache(maxsize=_N_SHARED)
def _shared_language_model(name, checkpoint, device, dtype, classifier):
    return _read_language_model(name, checkpoint, device, dtype, classifier)


def _read_tokenizer(checkpoint):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        text_files(checkpoint.folder, checkpoint.fingerprint), truncation_side="left"
    )


def _read_language_model(name, checkpoint, device, dtype, classifier):
    import torch
    from transformers import AutoModelForSequenceClassification

    # Load the LM head if the checkpoint has one: samplers can then share the model.
    # Features are read from the layers below.
    config = load_config(checkpoint.folder)
    auto = AutoModelForSequenceClassification if classifier else auto_class(config)
    with loading(name):
        tokenizer = _read_tokenizer(checkpoint)
        model, info = auto.from_pretrained(
            **weight_options(checkpoint.folder, config),
            dtype=getattr(torch, dtype),
            output_loading_info=True,
        )
        # transformers initialises missing weights randomly: refuse them. Only
        # classifiers use a pooler.
        missing = info["missing_keys"]
        if not classifier:
            missing = [key for key in missing if "pooler" not in key]
        if missing:
            raise ValueError(f"the checkpoint lacks weights, among them {min(missing)}")
        model = model.to(device).eval().requires_grad_(False)
    require_unchanged(name, checkpoint)
    if takes_input(model, "mems") and not classifier:
        raise ValueError(
            f"model={str(name)!r} is a {type(model).__name__}, which passes memories "
            "from segment to segment and has another layout of hidden states. Such "
            "states cannot be read here. Expected another family of models."
        )
    return LanguageModel(model, tokenizer, name)
