"""Language models of transformers: the one place that loads and feeds them.

A loaded model is shared by all estimators of a process that ask for the same one, so a
clone or a grid candidate costs no loading. torch and transformers are imported inside
functions: this module is imported by estimators.
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
from sklearn_adaalloc.language_models._options import (
    auto_class,
    resolve_device,
    resolve_dtype,
    takes_input,
)

_N_SHARED = 4  # models kept in memory: a weak and a strong LM, a reward model, a spare
_LOCK = threading.RLock()
# Names under which families of models keep learned positions.
_POSITIONS = {
    "embed_positions",
    "position_embedding",
    "position_embeddings",
    "position_embed",
    "wpe",
}


@dataclass(frozen=True)
class LanguageModel:
    """A model in memory with its tokenizer.

    Attributes
    ----------
    model : PreTrainedModel
        As loaded: with its LM head if the checkpoint has one.
    tokenizer : PreTrainedTokenizer
        Truncates on the left. Padding is done by :meth:`pad` and by samplers.
    name : str
        Name or folder it was loaded from.
    lock : Lock
        Held during a forward pass or tokenization, neither of which may be entered
        twice at once.
    """

    model: object
    tokenizer: object
    name: str
    lock: object = field(default_factory=threading.RLock)

    @property
    def backbone(self):
        """The layers without LM head that texts go through.

        Of an encoder-decoder, the encoder; of a model for texts and pictures, the part
        for texts.
        """
        config = self.model.config
        if config.is_encoder_decoder:
            return self.model.get_encoder()
        if config.get_text_config() is not config:
            return self.model.get_decoder()
        body = self.model.base_model
        # Llama 4 without its part for pictures calls the layers otherwise.
        return (
            self.model.model if body is self.model and hasattr(body, "model") else body
        )

    @property
    def device(self):
        """Device that the weights are on."""
        return self.model.device

    def encode(self, queries, *, max_length=None, chat_template=False):
        """Turn queries into token ids; long ones lose their first tokens.

        Parameters
        ----------
        queries : list of n_queries str or lists of dict
            Checked queries. Chats go through the tokenizer's template, and end where
            the model's answer begins.
        max_length : int, default=None
            Most tokens of a query; None for as many as the model takes.
        chat_template : bool, default=False
            Whether a text is put to the model as a user's message.

        Returns
        -------
        token_ids : list of n_queries lists of int
        truncated : ndarray of shape (n_queries,), bool
            Which queries were too long.

        Raises
        ------
        ValueError
            If a query has no token, a chat has no template, or `max_length` does not
            suit the model.
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
            # A template writes the special tokens itself.
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
        """Token ids of each text."""
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
        """Text of a chat by the tokenizer's template, with options for that."""
        try:
            return self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, **options
            )
        except Exception as error:  # each template refuses in its own way
            raise ValueError(
                f"the chat template of model={self.name!r} does not take "
                f"{short_repr(messages)}: {error}. Give messages as the model's card "
                "says."
            ) from error

    def limit(self, max_length):
        """Most tokens of a query; `max_length` as in :meth:`encode`."""
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
        """Most tokens that the model takes, or infinity.

        What its configuration says, and what its table of learned positions holds: in
        some families rows come before the first position, for padding among others.
        """
        from torch import nn

        config = self.model.config.get_text_config()
        names = ("max_position_embeddings", "max_seq_len")
        named = [getattr(config, name, None) for name in names]
        found = [n for n in named if n is not None and n > 0]  # XLNet has -1: no limit
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
        """Position that the model, left to itself, gives the first token of a text.

        RoBERTa and its kin count from the one after that of padding.
        """
        for module in self.backbone.modules():
            if hasattr(module, "create_position_ids_from_input_ids"):
                return module.padding_idx + 1
        return 0

    def pad(self, token_ids, *, padding=None):
        """Pad on the right and move to the model's device.

        On the right because positions then count from each query's first token, and a
        causal model does not see what follows.

        Parameters
        ----------
        token_ids : list of n_rows lists of int
        padding : int, default=None
            Token to pad with; None for the tokenizer's.

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
    """Load a model and its tokenizer, or hand out the one already loaded.

    Parameters
    ----------
    name : str or path, default="embedded"
        Name on the Hugging Face hub, folder of a transformers model, or "embedded": the
        weak language model that comes with the package.
    revision : str, default=None
        Branch, tag or commit on the hub.
    device : str, default="auto"
        Torch device. "auto" means CUDA if available, else MPS, else the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision; "auto" is bfloat16 on GPUs that have it and float32 elsewhere.
    shared : bool, default=True
        Whether the model is one that others may use too: read it, never change it.
    classifier : bool, default=False
        Whether to load it as a sequence classifier, such as a reward model.
    expected : str, default=None
        Fingerprint of the model that an estimator was fitted with: no other is handed
        out, and while that one is in memory, nothing is looked up. None for what is
        there now.
    commit : str, default=None
        Commit on the hub at the time of fit, with `expected`.

    Returns
    -------
    language_model : LanguageModel

    Raises
    ------
    ValueError
        If there is no such model, it cannot be loaded or is not the one expected.

    Examples
    --------
    >>> from sklearn_adaalloc.language_models import load_language_model
    >>> language_model = load_language_model("embedded", device="cpu")
    >>> language_model is load_language_model("embedded", device="cpu")
    True
    """
    device = resolve_device(device)
    dtype = resolve_dtype(dtype, device)
    with _LOCK:  # or two threads would load the same model
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


def _read_language_model(name, checkpoint, device, dtype, classifier):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    # A checkpoint with an LM head is loaded with it: a sampler can share the model, and
    # features are read from the layers below.
    auto = (
        AutoModelForSequenceClassification
        if classifier
        else auto_class(load_config(checkpoint.folder))
    )
    with loading(name):
        tokenizer = AutoTokenizer.from_pretrained(
            checkpoint.folder, truncation_side="left"
        )
        model, info = auto.from_pretrained(
            checkpoint.folder, dtype=getattr(torch, dtype), output_loading_info=True
        )
        # transformers draws missing weights at random; only classifiers read a pooler.
        missing = info["missing_keys"]
        if not classifier:
            missing = [key for key in missing if "pooler" not in key]
        if missing:
            raise ValueError(f"the checkpoint lacks weights, among them {min(missing)}")
        model = model.to(device).eval().requires_grad_(False)
    require_unchanged(name, checkpoint)
    if takes_input(model, "mems") and not classifier:
        raise ValueError(
            f"model={str(name)!r} is a {type(model).__name__}, which carries memories "
            "from segment to segment and lays its states out token by token. Such "
            "states cannot be read here. Expected another family of models."
        )
    return LanguageModel(model, tokenizer, name)
