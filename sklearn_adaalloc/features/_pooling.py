"""From hidden states to one vector per query: reading, pooling, batching.

Imports torch at its top, so estimators import it inside their methods.
"""

from contextlib import ExitStack

import numpy as np
import torch
from torch import nn

CPU_BATCH_TOKENS = 512  # what a batch computes then stays within a core's caches


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


class _HighestLayerReached(Exception):
    """Ends a forward pass whose further layers nobody reads."""


def read_hidden_states(backbone, layers, input_ids, attention_mask):
    """Run the layers up to the highest one asked for, and no further.

    State k of a model with N layers is what its layer k + 1 reads: 0 the embeddings,
    N the output of the last layer after the final norm.

    Parameters
    ----------
    backbone : PreTrainedModel
        Model without head.
    layers : sequence of int
        Which states, each in 0..N.
    input_ids, attention_mask : Tensor of shape (n_rows, length)
        Tokens, padded on the right.

    Returns
    -------
    states : list of Tensor of shape (n_rows, length, hidden_size)
        One per entry of `layers`.
    """
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    stack = layer_stack(backbone)
    if stack is None:  # layers that share their weights are no list of modules
        states = backbone(**inputs, output_hidden_states=True).hidden_states
        return [states[layer] for layer in layers]
    states = {}

    def keep(layer):
        def hook(module, args, kwargs):
            states[layer] = args[0] if args else kwargs["hidden_states"]
            if layer == max(layers):
                raise _HighestLayerReached

        return hook

    with ExitStack() as hooks:
        for layer in set(layers) - {len(stack)}:
            handle = stack[layer].register_forward_pre_hook(
                keep(layer), with_kwargs=True
            )
            hooks.callback(handle.remove)
        try:
            if hasattr(backbone.config, "use_cache"):
                inputs["use_cache"] = False
            states[len(stack)] = backbone(**inputs).last_hidden_state
        except _HighestLayerReached:
            pass
    return [states[layer] for layer in layers]


def layer_stack(backbone):
    """Find the list of a model's layers; None if it has no such list."""
    n_layers = backbone.config.get_text_config().num_hidden_layers
    for module in backbone.modules():
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            return module
    return None


def pooled_batches(language_model, token_ids, *, layers, pooling, batch_tokens):
    """Compute features batch by batch, the longest queries first.

    A batch holds queries of about the same length, padded to at most `batch_tokens`
    tokens. Where CUDA has too little memory for it, it and all further ones are halved.

    Parameters
    ----------
    language_model : LanguageModel
        Model to run.
    token_ids : list of n_queries lists of int
        Queries.
    layers : sequence of int
        States to read, see :func:`read_hidden_states`.
    pooling : str
        Key of `POOLINGS`.
    batch_tokens : int
        Most tokens of a batch, padding included; one query may have more. On a CPU
        never more than `CPU_BATCH_TOKENS`, which is faster.

    Yields
    ------
    rows : ndarray of shape (n_rows,)
        Which queries.
    features : ndarray of shape (n_rows, n_layers * hidden_size), float32
    """
    lengths = np.array([len(ids) for ids in token_ids])
    order = np.argsort(-lengths, kind="stable")
    if language_model.device.type == "cpu":
        batch_tokens = min(batch_tokens, CPU_BATCH_TOKENS)
    start = 0
    while start < len(order):
        longest = lengths[order[start]]
        rows = order[start : start + max(1, batch_tokens // longest)]
        batch = [token_ids[row] for row in rows]
        try:
            features = _pooled_batch(language_model, batch, layers, pooling)
        except torch.cuda.OutOfMemoryError:
            if len(rows) == 1:
                raise
            batch_tokens = longest * (len(rows) // 2)
        else:
            start += len(rows)
            yield rows, features


@torch.inference_mode()
def _pooled_batch(language_model, batch, layers, pooling):
    input_ids, attention_mask = language_model.pad(batch)
    with language_model.lock:
        states = read_hidden_states(
            language_model.backbone, layers, input_ids, attention_mask
        )
    pooled = [POOLINGS[pooling](state.float(), attention_mask) for state in states]
    return torch.cat(pooled, dim=1).cpu().numpy()
