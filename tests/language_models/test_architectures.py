"""Families of models: LM heads, layers that texts see, numbers of tokens."""

import json
import pickle
import shutil
import warnings

import numpy as np
import pytest
import torch
from architectures import (
    COUNTED_BEHIND_PADDING,
    DECODERS,
    ENCODERS,
    LIMITS,
    WIDTH,
    save_architecture,
)
from numpy.testing import assert_allclose, assert_array_equal
from transformers import AutoTokenizer

from sklearn_adaalloc import HiddenStateFeaturizer, LoRARewardRegressor
from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.language_models import load_language_model
from sklearn_adaalloc.sampling import TransformersSampler

TEXTS = ["12=3", "4", "rev abc="]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(embedded_model_path("weak"))


@pytest.fixture(scope="module")
def folder_of(tokenizer, tmp_path_factory):
    """Function from a family's name to the folder of a tiny model of it."""
    root, made = tmp_path_factory.mktemp("architectures"), {}

    def folder(name):
        if name not in made:
            made[name] = save_architecture(name, tokenizer, root / str(len(made)))
        return made[name]

    return folder


def featurizer(folder, **parameters):
    return HiddenStateFeaturizer(folder, device="cpu", **parameters).fit(["1="])


def by_transformers(language_model, text):
    """States of the last token after layer 1 and at the end, from transformers."""
    ids = language_model.tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        output = language_model.backbone(input_ids=ids, output_hidden_states=True)
    first = output.hidden_states[1]
    first = first[0] if first.ndim == 4 else first  # Gemma 3n: the stream predicted
    return np.stack([first[0, -1], output.last_hidden_state[0, -1]])


class TestHeads:
    @pytest.mark.parametrize("name", DECODERS)
    def test_those_that_write_are_loaded_with_it(self, folder_of, name):
        folder = folder_of(name)
        assert featurizer(folder, layer="auto").layers_ == (2,)
        language_model = load_language_model(folder, device="cpu")
        assert language_model.model.get_output_embeddings() is not None

    @pytest.mark.parametrize("name", ENCODERS)
    def test_the_others_are_for_features(self, folder_of, name):
        folder = folder_of(name)
        assert featurizer(folder, layer="auto").layers_ == (3,)
        with pytest.raises(ValueError, match=r"is not a causal language model: its ar"):
            TransformersSampler(folder, device="cpu").sample(["1="], 1)

    def test_a_checkpoint_that_does_not_name_its_class(self, folder_of, tmp_path):
        folder = shutil.copytree(folder_of(next(iter(DECODERS))), tmp_path / "copy")
        settings = json.loads((folder / "config.json").read_text())
        del settings["architectures"]
        (folder / "config.json").write_text(json.dumps(settings))
        with pytest.raises(ValueError, match=r"is not a causal language model: its ar"):
            TransformersSampler(str(folder), device="cpu").sample(["1="], 1)


class TestFeatures:
    @pytest.mark.parametrize("name", LIMITS)
    def test_they_are_states_of_the_layers_for_texts(self, folder_of, name):
        folder = folder_of(name)
        features = featurizer(folder, layer=[1, -1]).transform(TEXTS)
        language_model = load_language_model(folder, device="cpu")
        for row, text in zip(features, TEXTS, strict=True):
            expected = by_transformers(language_model, text)
            assert_allclose(row.reshape(2, WIDTH), expected, rtol=0, atol=5e-6)

    def test_those_of_a_part_are_those_of_the_whole(self, folder_of):
        language_model = load_language_model(folder_of("Gemma 3"), device="cpu")
        ids = language_model.tokenizer("12=3", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            whole = language_model.model(input_ids=ids, output_hidden_states=True)
        row = featurizer(folder_of("Gemma 3"), layer=2).transform(["12=3"])[0]
        assert_allclose(row, whole.hidden_states[2][0, -1], rtol=0, atol=5e-6)


class TestWindow:
    @pytest.mark.parametrize("name", [n for n, limit in LIMITS.items() if limit])
    def test_a_token_more_than_the_model_takes_is_cut_off(self, folder_of, name):
        fitted, limit = featurizer(folder_of(name)), LIMITS[name]
        special = len(load_language_model(folder_of(name)).encode([""])[0][0])
        room = limit - special
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            whole = fitted.transform(["2" * room, "4"])
        with pytest.warns(UserWarning, match="1 of 2 queries have more tokens") as seen:
            cut = fitted.transform(["1" + "2" * room, "4"])
        assert len(seen) == 1
        assert_array_equal(cut, whole)

    @pytest.mark.parametrize("name", [n for n, limit in LIMITS.items() if not limit])
    def test_without_learned_positions_there_is_none(self, folder_of, name):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            features = featurizer(folder_of(name)).transform(["1" * 700])
        assert np.isfinite(features).all()

    @pytest.mark.parametrize("name", ["RoBERTa", "OPT", "Gemma 3", "MPT"])
    def test_max_length_above_it_is_refused(self, folder_of, name):
        limit = LIMITS[name]
        fitted = featurizer(folder_of(name), max_length=limit + 1)
        with pytest.raises(
            ValueError, match=f"is above the {limit} positions of model"
        ):
            fitted.transform(["1"])

    def test_the_tokenizers_own_limit_counts_too(self, tokenizer, folder_of, tmp_path):
        folder = save_architecture("Llama", tokenizer, tmp_path)
        short = AutoTokenizer.from_pretrained(folder, model_max_length=7)
        short.save_pretrained(folder)
        assert load_language_model(folder, device="cpu").limit(None) == 7


def generated(language_model, text):
    """Likeliest answer to a text alone, by transformers."""
    encoded = language_model.tokenizer(text, return_tensors="pt")
    length = encoded["input_ids"].shape[1]
    if language_model.first_position:
        # generate counts from 0, where these models by themselves do not.
        positions = language_model.first_position + torch.arange(length)[None]
        encoded["position_ids"] = positions
    tokens = language_model.model.generate(**encoded, do_sample=False, max_new_tokens=6)
    return language_model.tokenizer.decode(tokens[0, length:], skip_special_tokens=True)


def by_whole_passes(language_model, text):
    """Likeliest six new tokens, by passes over everything so far."""
    ids = language_model.tokenizer(text, return_tensors="pt")["input_ids"]
    length = ids.shape[1]
    with torch.inference_mode():
        for _ in range(6):
            logits = language_model.model(input_ids=ids, use_cache=False).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
    return ids[0, length:].tolist()


class TestSampling:
    @pytest.mark.parametrize("name", DECODERS)
    def test_answers_are_those_of_generate(self, folder_of, name):
        language_model = load_language_model(folder_of(name), device="cpu")
        sampler = TransformersSampler(
            folder_of(name), temperature=0, max_new_tokens=6, device="cpu"
        )
        answers, features = sampler.sample(TEXTS, [2, 1, 1], return_features=True)
        expected = [generated(language_model, text) for text in TEXTS]
        assert answers == [expected[:1] * 2, expected[1:2], expected[2:]]
        expected_features = featurizer(folder_of(name)).transform(TEXTS)
        assert_allclose(features, expected_features, rtol=0, atol=5e-6)

    @pytest.mark.parametrize("name", [*COUNTED_BEHIND_PADDING, "OPT", "Llama"])
    def test_positions_are_those_of_whole_passes(self, folder_of, name):
        language_model = load_language_model(folder_of(name), device="cpu")
        assert language_model.first_position == (name in COUNTED_BEHIND_PADDING)
        sampler = TransformersSampler(
            folder_of(name), temperature=0, max_new_tokens=6, device="cpu"
        )
        tokens = sampler.prefill(TEXTS).decode_tokens([1, 1, 1], [0, 0, 0])
        for answer, text in zip(tokens, TEXTS, strict=True):
            assert answer == by_whole_passes(language_model, text)[: len(answer)]

    @pytest.mark.parametrize(
        "name",
        ["GPT-2", "OPT", "MPT", "RoBERTa as decoder", "BART's decoder", "Gemma 3"],
    )
    def test_answers_end_where_positions_do(self, folder_of, name):
        language_model, limit = load_language_model(folder_of(name)), LIMITS[name]
        special = len(language_model.encode([""])[0][0])
        prompts = ["2" * (limit - 2 - special), "2" * (limit - special)]
        sampler = TransformersSampler(
            folder_of(name), temperature=0, max_new_tokens=3, device="cpu"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _, usage = sampler.sample(prompts[:1], 1, return_usage=True)
        assert usage.answers[0] <= 3
        sampler.set_params(max_new_tokens=9)
        with pytest.warns(UserWarning, match="answers were cut off where the posit"):
            _, usage = sampler.sample(prompts, 1, return_usage=True)
        assert usage.answers[0] <= 3
        assert usage.answers[1] == 1

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("GPT", "is a OpenAIGPTLMHeadModel, which keeps no keys and values"),
            ("XLNet", "is a XLNetLMHeadModel, which passes memories"),
        ],
    )
    def test_those_without_keys_and_values_are_refused(self, folder_of, name, message):
        with pytest.raises(ValueError, match=message):
            TransformersSampler(folder_of(name), device="cpu").sample(TEXTS, 1)


def test_states_laid_out_token_by_token_are_refused(folder_of):
    with pytest.raises(ValueError, match="another layout of hidden states"):
        featurizer(folder_of("XLNet")).transform(TEXTS)


@pytest.mark.parametrize(
    "name", ["Gemma 3", "Gemma 3n text", "LLaVA", "Qwen2-VL", "RoBERTa", "T5", "OPT"]
)
def test_adapters_are_in_the_layers_for_texts(folder_of, name):
    texts = [f"{i}+{j}=" for i in range(4) for j in range(3)]
    rewards = np.random.default_rng(0).integers(0, 2, (12, 3))
    regressor = LoRARewardRegressor(
        folder_of(name), r=2, max_epochs=1, random_state=0, device="cpu"
    ).fit(texts, rewards)
    assert not any("vision" in key or "visual" in key for key in regressor.adapter_)
    restored = pickle.loads(pickle.dumps(regressor))
    assert_allclose(restored.predict(texts), regressor.predict(texts), atol=1e-5)
