import numpy as np
import pytest
import torch
from transformers import LlamaConfig

from sklearn_adaalloc import HiddenStateFeaturizer
from sklearn_adaalloc.language_models._options import (
    cpu_multiplies_bfloat16,
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
        ("found", "native"),
        [
            ({"amx_bf16": True, "avx512_bf16": True}, True),
            ({"amx_bf16": False, "avx512_bf16": True}, True),
            ({"amx_bf16": False, "avx512_bf16": False, "avx512_f": True}, False),
            ({"arm_neon": True}, False),  # another kind of processor
        ],
    )
    def test_what_torch_says_of_the_cpu(self, monkeypatch, found, native):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
        assert cpu_multiplies_bfloat16() is native

    @pytest.mark.parametrize("native", [True, False])
    def test_what_older_torch_says_of_the_cpu(self, monkeypatch, native):
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", bool, raising=False)
        monkeypatch.setattr(
            torch.cpu, "_is_avx512_bf16_supported", lambda: native, raising=False
        )
        assert cpu_multiplies_bfloat16() is native

    def test_the_oldest_torch_says_nothing_of_the_cpu(self, monkeypatch):
        for name in (
            "get_capabilities",
            "_is_amx_tile_supported",
            "_is_avx512_bf16_supported",
        ):
            monkeypatch.delattr(torch.cpu, name, raising=False)
        assert cpu_multiplies_bfloat16() is False

    def test_a_cpu_without_the_library_for_it(self, monkeypatch):
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False
        )
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        assert cpu_multiplies_bfloat16() is False

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

    @pytest.mark.parametrize(
        ("n_layers", "layer"), [(1, 1), (2, 1), (4, 3), (6, 4), (24, 16), (28, 19)]
    )
    def test_auto_is_two_thirds_up_a_causal_model(self, n_layers, layer):
        config = LlamaConfig(
            num_hidden_layers=n_layers, architectures=["LlamaForCausalLM"]
        )
        assert resolve_layers("auto", config) == (layer,)

    def test_auto_is_below_the_last_layer_of_a_causal_model_only(self, tiny_models):
        found = {
            kind: layers_of("auto", folder) for kind, folder in tiny_models.items()
        }
        assert found == {"llama": (2,), "gpt2": (2,), "qwen2": (2,), "bert": (3,)}

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
