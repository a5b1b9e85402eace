"""Hidden states from a forward pass that stops at the highest layer needed.

This module imports torch at the top. Estimators therefore import it inside methods.
"""

from contextlib import ExitStack, contextmanager, suppress

from torch import nn


class _HighestLayerReached(Exception):
    """Ends a forward pass after the highest layer that is needed."""


@contextmanager
def kept_states(backbone, layers, *, stop=False):
    """Store hidden states of a forward pass inside this context.

    State k is the input of layer k + 1. State 0 is the embeddings. In a model with N
    layers, state N is the output of the last layer after the final norm.

    Parameters
    ----------
    backbone : PreTrainedModel
        Model without head. Its layers must be a list of modules.
    layers : sequence of int
        States to store, each in 0..N.
    stop : bool, default=False
        Whether the forward pass, and the context, ends at the highest of these states.

    Yields
    ------
    states : dict of int to Tensor of shape (n_rows, length, hidden_size)
        Filled during the forward pass.
    """
    stack = layer_stack(backbone)
    states = {}

    def keep(layer):
        def hook(module, args, kwargs):
            state = args[0] if args else kwargs["hidden_states"]
            if state.ndim == 4:  # Gemma 3n has several streams: take the active one
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
    """Run the layers up to the highest one that is needed.

    Parameters
    ----------
    backbone : PreTrainedModel
        Model without head.
    layers : sequence of int
        States to return, counted as in :func:`kept_states`.
    input_ids, attention_mask : Tensor of shape (n_rows, length)
        Tokens, padded on the right.

    Returns
    -------
    states : list of Tensor of shape (n_rows, length, hidden_size)
        One per entry of `layers`.
    """
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if layer_stack(backbone) is None:  # layers share weights: no list of modules
        states = backbone(**inputs, output_hidden_states=True).hidden_states
    else:
        if hasattr(backbone.config, "use_cache"):
            inputs["use_cache"] = False
        with kept_states(backbone, layers, stop=True) as states:
            backbone(**inputs)
    return [states[layer] for layer in layers]


def layer_stack(backbone):
    """Return the list of the layers of a model, or None if it has no such list."""
    n_layers = backbone.config.get_text_config().num_hidden_layers
    for module in backbone.modules():
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            return module
    return None
