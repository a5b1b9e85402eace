"""Options of a language model: device, precision, layers."""

import warnings
from inspect import signature
from numbers import Integral

import numpy as np

from sklearn_adaalloc._utils.parameters import check_choice

DTYPES = ("auto", "float32", "bfloat16", "float16")
POOLINGS = ("last", "mean", "first")
"""How the hidden states of a query's tokens become one vector."""


def resolve_device(device):
    """Replace "auto" by the best available device; check any other device."""
    import torch

    if device != "auto":
        try:
            name = str(torch.device(device))
            torch.zeros(1, device=name).item()
        except Exception as error:  # torch raises different errors for each device
            raise ValueError(
                f"device={device!r} is not a torch device of this machine: {error}. "
                "Expected 'auto', or a name such as 'cpu', 'cuda' or 'cuda:1'."
            ) from error
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_dtype(dtype, device):
    """Replace "auto" by bfloat16 if `device` supports it, else by float32."""
    import torch

    if check_choice(dtype, "dtype", DTYPES) != "auto":
        return dtype
    native = device.startswith("cuda") and torch.cuda.is_bf16_supported(
        including_emulation=False
    )
    return "bfloat16" if native else "float32"


def cpu_multiplies_bfloat16():
    """Whether the CPU has instructions for it, AMX or AVX512-BF16, as torch says."""
    import torch

    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        native = found.get("amx_bf16", False) or found.get("avx512_bf16", False)
    else:  # older torch; the oldest does not say, and `bool()` is False
        names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        native = any(getattr(torch.cpu, name, bool)() for name in names)
    return native and torch.backends.mkldnn.is_available()


def has_language_model_head(config):
    """Whether the checkpoint is a causal language model with its LM head."""
    return _head_mapping(config) is not None


def auto_class(config):
    """Return the AutoModel class that loads a checkpoint, with its LM head if any."""
    from transformers import AutoModel

    return _head_mapping(config) or AutoModel


def _head_mapping(config):
    """AutoModel class for a checkpoint that has an LM head, or None.

    The classes come from transformers and include models of texts and images. Encoders
    with such a head are excluded, because they do not generate from left to right.
    """
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
        AutoModelForMaskedLM,
    )

    decoder = getattr(config, "is_decoder", False)  # relevant if it can be an encoder
    encoder = _class_names(AutoModelForMaskedLM, config) and not decoder
    if config.is_encoder_decoder or encoder:
        return None
    saved = set(config.architectures or ())
    texts = _class_names(AutoModelForCausalLM, config)
    if saved & (texts | _class_names(AutoModelForImageTextToText, config)):
        # Both classes can load some models; the first leaves out the part for images.
        return AutoModelForCausalLM if texts else AutoModelForImageTextToText
    return None


def causal_architectures(config):
    """Names of the causal language models with a configuration: one, or none."""
    from transformers import AutoModelForCausalLM

    return sorted(_class_names(AutoModelForCausalLM, config))[:1]


def _class_names(auto, config):
    """Names of the model classes that an AutoModel class uses for a configuration."""
    if type(config) not in auto._model_mapping:
        return set()
    classes = auto._model_mapping[type(config)]
    classes = classes if isinstance(classes, tuple) else (classes,)
    return {each.__name__ for each in classes}


def takes_input(network, name):
    """Whether the forward pass of a network has an argument of this name."""
    return name in signature(network.forward).parameters


def resolve_layers(layer, config):
    """Turn the parameter `layer` into layers counted from 0.

    Parameters
    ----------
    layer : "auto", int or list of int
        Hidden states, from 0 to the number of layers. Negative numbers count from the
        end. "auto" means the one after two thirds of the layers for a causal language
        model, because its last layers are specialised on the next token, and the last
        one for an encoder.
    config : PretrainedConfig
        Configuration of the model.

    Returns
    -------
    layers : tuple of int

    Raises
    ------
    ValueError
        If the list is empty or the model has no such layer.

    Examples
    --------
    >>> from sklearn_adaalloc.language_models._checkpoints import load_config
    >>> from sklearn_adaalloc.language_models._options import resolve_layers
    >>> config = load_config("embedded")  # four layers
    >>> resolve_layers([-1, 2], config), resolve_layers("auto", config)
    ((4, 2), (3,))
    """
    n_layers = config.get_text_config().num_hidden_layers
    if isinstance(layer, str) and layer == "auto":
        if has_language_model_head(config):
            return (max(round(2 * n_layers / 3), 1),)
        return (n_layers,)
    layers = [layer] if isinstance(layer, Integral) else layer
    valid = isinstance(layers, (list, tuple, np.ndarray)) and len(layers) > 0
    for each in layers if valid else ():
        whole = isinstance(each, Integral) and not isinstance(each, bool)
        valid = valid and whole and -n_layers - 1 <= each <= n_layers
    if not valid:
        raise ValueError(
            f"layer={layer!r} is not accepted. Expected 'auto', a whole number from "
            f"{-n_layers - 1} to {n_layers}, the number of layers of the model, or a "
            "list of them."
        )
    return tuple(int(each) % (n_layers + 1) for each in layers)


def warn_truncated(truncated, max_length):
    """Warn once if queries lost tokens; `truncated` (n_queries,) says which."""
    n_truncated = int(np.sum(truncated))
    if n_truncated:
        warnings.warn(
            f"{n_truncated} of {len(truncated)} queries have more tokens than the "
            f"model, or max_length={max_length!r}, allows: their first tokens were cut "
            "off. Shorten them, or raise max_length if the model takes more.",
            UserWarning,
            stacklevel=3,
        )
