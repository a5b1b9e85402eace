"""Score pairs of a query and an answer with a sequence classifier.

This module imports torch, so reward functions import it inside their methods.
"""

from contextlib import contextmanager

import numpy as np
import torch

from sklearn_adaalloc._utils.queries import check_unicode
from sklearn_adaalloc.language_models._batches import CPU_BATCH_TOKENS, token_batches


def encode_pairs(language_model, pairs, *, chat_template, max_length):
    """Convert pairs (query, answer) to token ids; long ones lose their first tokens.

    With `chat_template`, or if the query is a chat, a pair is encoded by the
    tokenizer's chat template. Otherwise it is encoded as a pair of texts.

    Returns
    -------
    encoded : list of n_pairs dicts
        "input_ids" and, if the tokenizer has them, "token_type_ids": lists of int.
    truncated : ndarray of shape (n_pairs,), bool
        Whether the pair was longer than `max_length`, or than the model accepts.
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
        # A template adds the special tokens itself.
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
    """Yield rows and scores (float64) of encoded pairs, batch by batch.

    A batch has at most `batch_tokens` tokens, including padding.
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
    """Token for padding, chosen so that each row has the same score as alone.

    A decoder reads its score at the last token that differs from the padding token of
    the model's configuration, whatever the tokenizer uses. Without such a token in the
    configuration, it reads the last token. Then the configuration temporarily gets a
    token with which no row ends.
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
