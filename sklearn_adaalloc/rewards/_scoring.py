"""From pairs of a query and an answer to scores of a sequence classifier.

Imports torch at its top, so reward functions import it inside their methods.
"""

from contextlib import contextmanager

import numpy as np
import torch

from sklearn_adaalloc._utils.queries import check_unicode
from sklearn_adaalloc.language_models._batches import CPU_BATCH_TOKENS, token_batches


def encode_pairs(language_model, pairs, *, chat_template, max_length):
    """Turn pairs into token ids; long ones lose their first tokens.

    Parameters
    ----------
    language_model : LanguageModel
        Holds the tokenizer.
    pairs : list of n_pairs tuples (query, answer)
        Query: str or list of messages; answer: str.
    chat_template : bool
        Whether texts, too, go through the tokenizer's chat template, as a user's
        message and the assistant's. Otherwise they are encoded as a pair of texts.
    max_length : int or None
        Most tokens of a pair; None for as many as the model takes.

    Returns
    -------
    encoded : list of n_pairs dicts
        "input_ids" and, where the tokenizer has them, "token_type_ids": lists of int.
    truncated : ndarray of shape (n_pairs,), bool
        Which pairs were too long.
    """
    limit = language_model.limit(max_length)
    encoded = [None] * len(pairs)
    truncated = np.zeros(len(pairs), dtype=bool)
    chats = np.array([chat_template or not isinstance(q, str) for q, _ in pairs])
    for chat in (False, True):
        rows = np.flatnonzero(chats == chat)
        texts = [
            (_render(language_model, *pairs[row]),) if chat else pairs[row]
            for row in rows
        ]
        # A template writes the special tokens itself.
        options = {"add_special_tokens": not chat}
        whole = _tokenize(language_model, texts, options)
        for row, item in zip(rows, whole, strict=True):
            encoded[row] = item
            truncated[row] = len(item["input_ids"]) > limit
        long = [i for i, row in enumerate(rows) if truncated[row]]
        options |= {"truncation": "longest_first", "max_length": limit}
        shortened = _tokenize(language_model, [texts[i] for i in long], options)
        for i, item in zip(long, shortened, strict=True):
            encoded[rows[i]] = item
    return encoded, truncated


def _render(language_model, query, answer):
    """Text of a chat that ends with the answer."""
    chat = [{"role": "user", "content": query}] if isinstance(query, str) else query
    return language_model.render_chat([*chat, {"role": "assistant", "content": answer}])


def _tokenize(language_model, texts, options):
    """Encode tuples of one or two texts."""
    if not texts:
        return []
    columns = [list(column) for column in zip(*texts, strict=True)]
    for column in columns:
        check_unicode(column)
    with language_model.lock:
        batch = language_model.tokenizer(*columns, verbose=False, **options)
    kept = [key for key in ("input_ids", "token_type_ids") if key in batch]
    return [{key: batch[key][i] for key in kept} for i in range(len(texts))]


def score_batches(language_model, encoded, *, batch_tokens):
    """Score pairs batch by batch, the longest first.

    Parameters
    ----------
    language_model : LanguageModel
        Sequence classifier with one output.
    encoded : list of n_pairs dicts
        See :func:`encode_pairs`.
    batch_tokens : int
        Most tokens of a batch, padding included.

    Yields
    ------
    rows : ndarray of shape (n_rows,)
        Which pairs.
    scores : ndarray of shape (n_rows,), float64
    """
    if language_model.device.type == "cpu":
        batch_tokens = min(batch_tokens, CPU_BATCH_TOKENS)

    def run(rows):
        return _score(language_model, [encoded[row] for row in rows])

    lengths = [len(item["input_ids"]) for item in encoded]
    yield from token_batches(run, lengths, batch_tokens)


@torch.inference_mode()
def _score(language_model, batch):
    token_ids = [item["input_ids"] for item in batch]
    with language_model.lock, padding_token(language_model, token_ids) as padding:
        input_ids, attention_mask = language_model.pad(token_ids, padding=padding)
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if "token_type_ids" in batch[0]:
            types = [item["token_type_ids"] for item in batch]
            inputs["token_type_ids"] = language_model.pad(types, padding=0)[0]
        logits = language_model.model(**inputs).logits  # (n_rows, 1)
    return logits[:, 0].double().cpu().numpy()


@contextmanager
def padding_token(language_model, token_ids):
    """Token to pad a batch with so that each row is scored as if it were alone.

    A decoder reads its score at the last token that is not the padding token of the
    model's configuration, whatever the tokenizer pads with. A configuration without one
    means the last token: then it is given, for a while, one that no row ends with.
    """
    config = language_model.model.config.get_text_config()
    own = config.pad_token_id
    last = {ids[-1] for ids in token_ids}
    padding = own if own is not None else min(set(range(len(last) + 1)) - last)
    config.pad_token_id = padding
    try:
        yield padding
    finally:
        config.pad_token_id = own
