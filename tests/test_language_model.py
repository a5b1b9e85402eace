import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig
from transformers.utils import logging

from sklearn_adaalloc import _checkpoints
from sklearn_adaalloc._checkpoints import (
    EMBEDDED,
    fingerprint,
    load_config,
    require_fingerprint,
)
from sklearn_adaalloc._language_model import (
    load_language_model,
    resolve_device,
    resolve_dtype,
    resolve_layers,
    warn_truncated,
)
from sklearn_adaalloc.datasets import embedded_model_path

CHAT = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}]


def ids(tokenizer, tokens):
    return tokenizer.convert_tokens_to_ids(tokens)


class TestLoading:
    def test_embedded_is_the_weak_model_of_the_datasets(self):
        assert Path(embedded_model_path("weak")) == EMBEDDED

    def test_the_same_model_is_loaded_once(self, tiny_models):
        first = load_language_model(tiny_models["llama"], device="cpu")
        second = load_language_model(Path(tiny_models["llama"]), device="cpu")
        assert first.model is second.model

    def test_a_model_of_ones_own_shares_no_weights(self, tiny_models):
        shared = load_language_model(tiny_models["llama"], device="cpu")
        own = load_language_model(tiny_models["llama"], device="cpu", shared=False)
        pointers = [
            {p.data_ptr() for p in each.model.parameters()} for each in (shared, own)
        ]
        assert pointers[0].isdisjoint(pointers[1])

    def test_a_model_changed_on_disk_is_loaded_again(self, make_tiny_model, tmp_path):
        folder = make_tiny_model("llama", tmp_path, seed=0)
        before = load_language_model(folder, device="cpu")
        make_tiny_model("llama", tmp_path, seed=1)
        after = load_language_model(folder, device="cpu")
        key = "model.embed_tokens.weight"
        assert not torch.equal(
            before.model.state_dict()[key], after.model.state_dict()[key]
        )

    def test_weights_are_frozen_and_in_the_dtype_asked_for(self, tiny_model):
        language_model = load_language_model(
            tiny_model, device="cpu", dtype="bfloat16", shared=False
        )
        parameters = list(language_model.model.parameters())
        assert {p.dtype for p in parameters} == {torch.bfloat16}
        assert not any(p.requires_grad for p in parameters)
        assert not language_model.model.training

    def test_the_backbone_has_no_lm_head(self, tiny_models):
        language_model = load_language_model(tiny_models["gpt2"], device="cpu")
        assert language_model.model.get_output_embeddings() is not None
        assert language_model.backbone.get_output_embeddings() is None

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
        with pytest.raises(ValueError, match=r"device=.* is no torch device"):
            resolve_device(device)

    def test_logging_is_as_before_and_nothing_is_printed(self, tiny_models, capfd):
        logging.set_verbosity_info()
        load_language_model(tiny_models["bert"], device="cpu", shared=False)
        verbosity = logging.get_verbosity()
        logging.set_verbosity_warning()
        assert verbosity == logging.INFO
        assert logging.is_progress_bar_enabled()
        assert capfd.readouterr() == ("", "")


class TestModelsThatCannotBeLoaded:
    def test_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"absent' could not be loaded. Expected 'emb"
        ):
            load_language_model(tmp_path / "absent", device="cpu")

    def test_name_that_was_never_downloaded_names_the_offline_switch(self):
        message = "model='nobody/nothing' could not be loaded.*HF_HUB_OFFLINE=1"
        with pytest.raises(ValueError, match=message):
            load_config("nobody/nothing")

    def test_folder_without_weights(self, make_tiny_model, tmp_path):
        folder = make_tiny_model("llama", tmp_path)
        (tmp_path / "model.safetensors").unlink()
        with pytest.raises(
            ValueError, match=r"could not be loaded.*model\.safetensors"
        ):
            load_language_model(folder, device="cpu")

    def test_damaged_weights(self, make_tiny_model, tmp_path):
        folder = make_tiny_model("llama", tmp_path)
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        with pytest.raises(ValueError, match=r"could not be loaded.*reason given"):
            load_language_model(folder, device="cpu")

    def test_a_lacking_weight_is_not_drawn_at_random(self, make_tiny_model, tmp_path):
        folder = make_tiny_model("llama", tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        del weights["model.layers.1.mlp.up_proj.weight"]
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=r"lacks weights, .*layers.1.mlp.up_proj"):
            load_language_model(folder, device="cpu")

    def test_logging_is_as_before(self, tmp_path):
        verbosity = logging.get_verbosity()
        with pytest.raises(ValueError, match="could not be loaded"):
            load_language_model(tmp_path / "absent", device="cpu")
        assert logging.get_verbosity() == verbosity
        assert logging.is_progress_bar_enabled()

    def test_dtype(self):
        with pytest.raises(ValueError, match="dtype='int8' is not accepted"):
            load_language_model("embedded", device="cpu", dtype="int8")


class TestFingerprint:
    def test_a_copy_has_the_same_one(self, tiny_models, tmp_path):
        copy = shutil.copytree(tiny_models["llama"], tmp_path / "copy")
        assert fingerprint(copy) == fingerprint(tiny_models["llama"])
        require_fingerprint(copy, fingerprint(tiny_models["llama"]))

    def test_other_weights_have_another_one(self, make_tiny_model, tmp_path):
        folders = [make_tiny_model("llama", tmp_path / str(i), seed=i) for i in (0, 1)]
        with pytest.raises(
            ValueError, match="is not the model used in fit: its finger"
        ):
            require_fingerprint(folders[0], fingerprint(folders[1]))

    def test_another_tokenizer_has_another_one(self, tiny_models, tmp_path):
        copy = shutil.copytree(tiny_models["llama"], tmp_path / "copy")
        text = (copy / "tokenizer.json").read_text()
        assert text.count('"a": 4,') == 1
        (copy / "tokenizer.json").write_text(text.replace('"a": 4,', '"a": 5,'))
        assert fingerprint(copy) != fingerprint(tiny_models["llama"])

    def test_a_readme_does_not_matter(self, tiny_models, tmp_path):
        copy = shutil.copytree(tiny_models["llama"], tmp_path / "copy")
        (copy / "README.md").write_text("news")
        assert fingerprint(copy) == fingerprint(tiny_models["llama"])

    def test_large_files_are_read_in_blocks_up_to_the_end(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_checkpoints, "_BLOCK", 8)
        monkeypatch.setattr(_checkpoints, "_N_BLOCKS", 4)
        (tmp_path / "config.json").write_text("{}")
        weights = np.zeros(1000, dtype=np.uint8)
        seen = set()
        for changed in (0, 7, 992, 999):
            weights[changed] = 1
            (tmp_path / "model.safetensors").write_bytes(weights.tobytes())
            seen.add(fingerprint(tmp_path))
        assert len(seen) == 4

    def test_a_model_from_the_hub_is_known_by_its_commit(self, tiny_models, tmp_path):
        commit = "0123456789abcdef0123456789abcdef01234567"
        folder = tmp_path / "models--a--b" / "snapshots" / commit
        shutil.copytree(tiny_models["llama"], folder)
        assert fingerprint(folder) == commit


class TestEncode:
    def test_texts_get_the_tokens_of_the_family(self, tiny_models):
        encoded = {}
        for name in ("llama", "gpt2", "bert"):
            language_model = load_language_model(tiny_models[name], device="cpu")
            (encoded[name],), _ = language_model.encode(["ab"])
        assert encoded == {"llama": [1, 4, 5], "gpt2": [4, 5], "bert": [1, 4, 5, 2]}

    def test_long_texts_lose_their_first_tokens_and_keep_special_ones(
        self, tiny_models
    ):
        language_model = load_language_model(tiny_models["bert"], device="cpu")
        token_ids, truncated = language_model.encode(["abcdef", "ab"], max_length=4)
        assert token_ids == [[1, 8, 9, 2], [1, 4, 5, 2]]
        np.testing.assert_array_equal(truncated, [True, False])

    def test_by_default_the_limit_is_the_models(self, tiny_models):
        language_model = load_language_model(tiny_models["gpt2"], device="cpu")
        token_ids, truncated = language_model.encode(["a" * 48, "b" + "a" * 48])
        assert token_ids == [[4] * 48] * 2
        np.testing.assert_array_equal(truncated, [False, True])

    def test_chats_go_through_the_template(self, tiny_models):
        language_model = load_language_model(tiny_models["qwen2"], device="cpu")
        token_ids, _ = language_model.encode([CHAT, "ab", CHAT[:1]])
        expected = [["<bos>", *"(ab)(c)="], [*"ab"], ["<bos>", *"(ab)="]]
        assert token_ids == [ids(language_model.tokenizer, row) for row in expected]

    def test_texts_go_through_the_template_when_asked(self, tiny_models):
        language_model = load_language_model(tiny_models["qwen2"], device="cpu")
        as_text, _ = language_model.encode(["ab"], chat_template=True)
        as_chat, _ = language_model.encode([CHAT[:1]])
        assert as_text == as_chat

    def test_long_chats_lose_their_first_tokens(self, tiny_models):
        language_model = load_language_model(tiny_models["qwen2"], device="cpu")
        (row,), truncated = language_model.encode([CHAT], max_length=3)
        assert row == ids(language_model.tokenizer, [*"c)="])
        assert truncated.all()

    def test_a_template_that_writes_the_first_token_gives_one_of_it(self):
        language_model = load_language_model("embedded", device="cpu")
        as_chat, _ = language_model.encode(["1+1="], chat_template=True)
        as_text, _ = language_model.encode(["1+1="])
        assert as_chat == as_text

    def test_chat_without_template(self, tiny_models):
        language_model = load_language_model(tiny_models["llama"], device="cpu")
        with pytest.raises(ValueError, match="has no chat template, so it cannot take"):
            language_model.encode([CHAT])

    def test_query_without_token(self, tiny_models):
        language_model = load_language_model(tiny_models["gpt2"], device="cpu")
        with pytest.raises(ValueError, match="the query '' has no token for model="):
            language_model.encode(["a", ""])

    def test_max_length_above_the_positions(self, tiny_models):
        language_model = load_language_model(tiny_models["gpt2"], device="cpu")
        with pytest.raises(ValueError, match="max_length=49 is above the 48 positions"):
            language_model.encode(["a"], max_length=49)

    def test_max_length_without_room_for_text(self, tiny_models):
        language_model = load_language_model(tiny_models["bert"], device="cpu")
        with pytest.raises(ValueError, match=r"max_length=2 .* number of at least 3"):
            language_model.encode(["a"], max_length=2)

    def test_padding_is_on_the_right(self, tiny_model):
        language_model = load_language_model(tiny_model, device="cpu")
        input_ids, attention_mask = language_model.pad([[5], [6, 7]])
        assert input_ids.tolist() == [[5, 0], [6, 7]]
        assert attention_mask.tolist() == [[1, 0], [1, 1]]


class TestResolveLayers:
    @pytest.mark.parametrize(
        ("layer", "layers"),
        [(-1, (4,)), (0, (0,)), (-5, (0,)), ([4, -2], (4, 3)), (np.array([1]), (1,))],
    )
    def test_layers_count_from_the_embeddings(self, layer, layers):
        assert resolve_layers(layer, load_config("embedded")) == layers

    def test_auto_is_before_the_last_layer_of_a_causal_model_only(self, tiny_models):
        found = {
            kind: resolve_layers("auto", load_config(folder))
            for kind, folder in tiny_models.items()
        }
        assert found == {"llama": (2,), "gpt2": (2,), "qwen2": (2,), "bert": (3,)}

    def test_auto_of_a_single_layer_is_that_layer(self):
        config = LlamaConfig(num_hidden_layers=1, architectures=["LlamaForCausalLM"])
        assert resolve_layers("auto", config) == (1,)

    @pytest.mark.parametrize("layer", [5, -6, [], [1, 5], 1.0, True, "last", None])
    def test_layers_that_are_not_there(self, layer):
        with pytest.raises(ValueError, match=r"layer=.*whole number from -5 to 4"):
            resolve_layers(layer, load_config("embedded"))


def test_truncated_queries_are_counted_in_one_warning():
    with pytest.warns(
        UserWarning, match="2 of 3 queries .* first tokens were cut"
    ) as w:
        warn_truncated([True, False, True], None)
    assert len(w) == 1
    warn_truncated([False], None)
