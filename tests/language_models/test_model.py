from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.language_models import fingerprint, load_language_model

CHAT = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}]


def ids(tokenizer, tokens):
    return tokenizer.convert_tokens_to_ids(tokens)


class TestLoading:
    def test_embedded_is_the_weak_model_of_the_datasets(self):
        assert fingerprint("embedded") == fingerprint(embedded_model_path("weak"))

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
            load_language_model("nobody/nothing", device="cpu")

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


def test_a_template_that_refuses_a_chat(make_tiny_model, tmp_path):
    folder = make_tiny_model("qwen2", tmp_path)
    language_model = load_language_model(folder, device="cpu", shared=False)
    language_model.tokenizer.chat_template = "{{ raise_exception('must alternate') }}"
    with pytest.raises(ValueError, match=r"chat template of .*role.*: must alternate"):
        language_model.encode([[{"role": "user", "content": "a"}]])
