"""Hidden states pooled to one vector per query, computed in batches.

This module imports torch at the top. Estimators therefore import it inside methods.
"""

import torch

from sklearn_adaalloc.language_models._batches import CPU_BATCH_TOKENS, token_batches
from sklearn_adaalloc.language_models._forward import read_hidden_states


def last_token(hidden, attention_mask):
    """State of the last token; (n, length, hidden_size) -> (n, hidden_size)."""
    last = attention_mask.sum(dim=1) - 1
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


def mean_token(hidden, attention_mask):
    """Mean over tokens; (n, length, hidden_size) -> (n, hidden_size)."""
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (n, length, 1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def first_token(hidden, attention_mask):
    """State of the first token; (n, length, hidden_size) -> (n, hidden_size)."""
    return hidden[:, 0]


POOLINGS = {"last": last_token, "mean": mean_token, "first": first_token}


def pooled_batches(language_model, token_ids, *, layers, pooling, batch_tokens):
    """Compute features in batches, the longest queries first.

    Parameters
    ----------
    language_model : LanguageModel
        Model to run.
    token_ids : list of n_queries lists of int
        Token ids of the queries.
    layers : sequence of int
        States to read, see :func:`read_hidden_states`.
    pooling : str
        A key of `POOLINGS`.
    batch_tokens : int
        Largest number of tokens of a batch, including padding. A batch of one query can
        have more. On a CPU, at most `CPU_BATCH_TOKENS` are used, which is faster.

    Yields
    ------
    rows : ndarray of shape (n_rows,)
        Positions of the queries of a batch.
    features : ndarray of shape (n_rows, n_layers * hidden_size), float32
    """
    if language_model.device.type == "cpu":
        batch_tokens = min(batch_tokens, CPU_BATCH_TOKENS)

    def run(rows):
        batch = [token_ids[row] for row in rows]
        return _pooled_batch(language_model, batch, layers, pooling)

    yield from token_batches(run, [len(ids) for ids in token_ids], batch_tokens)


@torch.inference_mode()
def _pooled_batch(language_model, batch, layers, pooling):
    input_ids, attention_mask = language_model.pad(batch)
    with language_model.lock:
        states = read_hidden_states(
            language_model.backbone, layers, input_ids, attention_mask
        )
    pooled = [POOLINGS[pooling](state.float(), attention_mask) for state in states]
    return torch.cat(pooled, dim=1).cpu().numpy()
