"""From hidden states to one vector per query: reading, pooling, batching.

Imports torch at its top, so estimators import it inside their methods.
"""

from contextlib import ExitStack, contextmanager, suppress

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


@contextmanager
def kept_states(backbone, layers, *, stop=False):
    """Keep hidden states of the forward pass that runs inside.

    State k of a model with N layers is what its layer k + 1 reads: 0 the embeddings,
    N the output of the last layer after the final norm.

    Parameters
    ----------
    backbone : PreTrainedModel
        Model without head, whose layers are a list of modules.
    layers : sequence of int
        Which states, each in 0..N.
    stop : bool, default=False
        Whether the pass ends, and the context with it, at the highest of them.

    Yields
    ------
    states : dict of int to Tensor of shape (n_rows, length, hidden_size)
        Filled while the pass runs.
    """
    stack = layer_stack(backbone)
    states = {}

    def keep(layer):
        def hook(module, args, kwargs):
            state = args[0] if args else kwargs["hidden_states"]
            if state.ndim == 4:  # Gemma 3n: several streams, of which one is predicted
                state = state[backbone.config.altup_active_idx]
            states[layer] = state
            if stop and layer == max(layers):
                raise _HighestLayerReached

        return hook

    def keep_last(module, args, output):
        states[len(stack)] = output.last_hidden_state

    with ExitStack() as hooks:
        for layer in set(layers) - {len(stack)}:
            handle = stack[layer].register_forward_pre_hook(
                keep(layer), with_kwargs=True
            )
            hooks.callback(handle.remove)
        if len(stack) in layers:
            hooks.callback(backbone.register_forward_hook(keep_last).remove)
        with suppress(_HighestLayerReached):
            yield states


def read_hidden_states(backbone, layers, input_ids, attention_mask):
    """Run the layers up to the highest one asked for, and no further.

    Parameters
    ----------
    backbone : PreTrainedModel
        Model without head.
    layers : sequence of int
        Which states, as :func:`kept_states` counts them.
    input_ids, attention_mask : Tensor of shape (n_rows, length)
        Tokens, padded on the right.

    Returns
    -------
    states : list of Tensor of shape (n_rows, length, hidden_size)
        One per entry of `layers`.
    """
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if layer_stack(backbone) is None:  # layers that share weights: no list of modules
        states = backbone(**inputs, output_hidden_states=True).hidden_states
    else:
        if hasattr(backbone.config, "use_cache"):
            inputs["use_cache"] = False
        with kept_states(backbone, layers, stop=True) as states:
            backbone(**inputs)
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
    if language_model.device.type == "cpu":
        batch_tokens = min(batch_tokens, CPU_BATCH_TOKENS)

    def run(rows):
        batch = [token_ids[row] for row in rows]
        return _pooled_batch(language_model, batch, layers, pooling)

    yield from token_batches(run, [len(ids) for ids in token_ids], batch_tokens)


def token_batches(run, lengths, batch_tokens):
    """Call a function on rows of about the same length, the longest first.

    Where CUDA has too little memory for a batch, it and all further ones are halved.

    Parameters
    ----------
    run : callable
        Takes the positions of a batch's rows.
    lengths : sequence of n_rows int
        Tokens of each row.
    batch_tokens : int
        Most tokens of a batch, padding included; one row may have more.

    Yields
    ------
    rows : ndarray of shape (n_batch_rows,)
        Which rows.
    result : object
        What `run` returned for them.
    """
    lengths = np.asarray(lengths)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = lengths[order[start]]
        rows = order[start : start + max(1, batch_tokens // longest)]
        try:
            result = run(rows)
        except torch.cuda.OutOfMemoryError:
            if len(rows) == 1:
                raise
            batch_tokens = longest * (len(rows) // 2)
        else:
            start += len(rows)
            yield rows, result


@torch.inference_mode()
def _pooled_batch(language_model, batch, layers, pooling):
    input_ids, attention_mask = language_model.pad(batch)
    with language_model.lock:
        states = read_hidden_states(
            language_model.backbone, layers, input_ids, attention_mask
        )
    pooled = [POOLINGS[pooling](state.float(), attention_mask) for state in states]
    return torch.cat(pooled, dim=1).cpu().numpy()
