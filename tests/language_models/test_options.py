import numpy as np
import pytest
import torch
from transformers import LlamaConfig

from sklearn_adaalloc import HiddenStateFeaturizer
from sklearn_adaalloc.language_models._options import (
    resolve_device,
    resolve_dtype,
    resolve_layers,
    warn_truncated,
)


class TestDeviceAndPrecision:
    def test_auto_is_float32_on_the_cpu(self):
        assert resolve_dtype("auto", "cpu") == "float32"

    @pytest.mark.parametrize(
        ("native", "dtype"), [(True, "bfloat16"), (False, "float32")]
    )
    def test_auto_on_cuda_asks_the_device(self, monkeypatch, native, dtype):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation: native
        )
        assert resolve_dtype("auto", "cuda:1") == dtype

    @pytest.mark.parametrize(
        ("cuda", "mps", "device"),
        [(True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
    )
    def test_auto_takes_the_best_device(self, monkeypatch, cuda, mps, device):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        assert resolve_device("auto") == device

    @pytest.mark.parametrize("device", ["gpu0", "cuda:x", 1.5])
    def test_no_device(self, device):
        with pytest.raises(ValueError, match=r"device=.* is not a torch device"):
            resolve_device(device)


def layers_of(layer, model="embedded"):
    return HiddenStateFeaturizer(model, layer=layer, device="cpu").fit(["1="]).layers_


class TestResolveLayers:
    @pytest.mark.parametrize(
        ("layer", "layers"),
        [(-1, (4,)), (0, (0,)), (-5, (0,)), ([4, -2], (4, 3)), (np.array([1]), (1,))],
    )
    def test_layers_count_from_the_embeddings(self, layer, layers):
        assert layers_of(layer) == layers

    def test_auto_is_before_the_last_layer_of_a_causal_model_only(self, tiny_models):
        found = {
            kind: layers_of("auto", folder) for kind, folder in tiny_models.items()
        }
        assert found == {"llama": (2,), "gpt2": (2,), "qwen2": (2,), "bert": (3,)}

    def test_auto_of_a_single_layer_is_that_layer(self):
        config = LlamaConfig(num_hidden_layers=1, architectures=["LlamaForCausalLM"])
        assert resolve_layers("auto", config) == (1,)

    @pytest.mark.parametrize("layer", [5, -6, [], [1, 5], 1.0, True, "last", None])
    def test_layers_that_are_not_there(self, layer):
        with pytest.raises(ValueError, match=r"layer=.*whole number from -5 to 4"):
            layers_of(layer)


def test_truncated_queries_are_counted_in_one_warning():
    with pytest.warns(
        UserWarning, match="2 of 3 queries .* first tokens were cut"
    ) as w:
        warn_truncated([True, False, True], None)
    assert len(w) == 1
    warn_truncated([False], None)
