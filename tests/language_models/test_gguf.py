"""A GGUF file goes wherever the folder of a model goes."""

import os
import shutil
import sys

import numpy as np
import pytest
from huggingface_hub import constants
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from tiny_gguf import write_qwen2

from sklearn_adaalloc import (
    AdaptiveAllocator,
    HiddenStateFeaturizer,
    LoRARewardRegressor,
    RewardRegressor,
    load_policy,
    save_policy,
)
from sklearn_adaalloc.language_models import (
    _gguf,
    _model,
    fingerprint,
    load_language_model,
)
from sklearn_adaalloc.language_models._checkpoints import load_config
from sklearn_adaalloc.rewards import RewardModel
from sklearn_adaalloc.sampling import TransformersSampler

TEXTS = ["the weather", "rev abc=", "üñ 27+48=", "a" * 40]
CHAT = [{"role": "user", "content": "the other"}]
pytest.importorskip("gguf", reason="needs gguf")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A GGUF file and a folder with the same numbers."""
    place = tmp_path_factory.mktemp("gguf")
    write_qwen2(place / "model.gguf", place / "folder")
    return place / "model.gguf", place / "folder"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Home of the hub's client, where tokenizers are kept."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    load_config_again()
    yield tmp_path / "home"
    load_config_again()


def load_config_again():
    from sklearn_adaalloc.language_models import _checkpoints, _model

    _checkpoints._read_config.cache_clear()
    _model._shared_language_model.cache_clear()


def featurizer(model, **options):
    options = {"device": "cpu", "dtype": "float32"} | options
    return HiddenStateFeaturizer(model, **options)


class TestSameNumbers:
    @pytest.mark.parametrize("layer", ["auto", [0, 1, -1]])
    def test_features_are_those_of_the_folder(self, models, layer):
        file, folder = (featurizer(m, layer=layer).fit_transform(TEXTS) for m in models)
        np.testing.assert_allclose(file, folder, rtol=0, atol=1e-5)

    def test_of_chats_too(self, models):
        file, folder = (featurizer(m).fit_transform([CHAT]) for m in models)
        np.testing.assert_allclose(file, folder, rtol=0, atol=1e-5)

    def test_answers_are_those_of_the_folder(self, models):
        file, folder = (
            [
                TransformersSampler(
                    m, temperature=t, max_new_tokens=12, device="cpu"
                ).sample([*TEXTS, CHAT], 2)
                for t in (0.0, 1.0)
            ]
            for m in models
        )
        assert file == folder

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_weights_have_the_precision_asked_for(self, models, dtype):
        model = load_language_model(models[0], device="cpu", dtype=dtype).model
        assert {str(p.dtype) for p in model.parameters()} == {f"torch.{dtype}"}

    def test_a_cpu_with_native_bfloat16_samples_in_it(self, models, monkeypatch):
        monkeypatch.setattr(_model, "cpu_multiplies_bfloat16", lambda: True)
        file, folder = (
            TransformersSampler(m, device="cpu").settings["dtype"] for m in models
        )
        assert (file, folder) == ("bfloat16", "float32")  # as it was saved

    def test_a_lora_regressor_trains_on_it(self, models):
        rewards = np.array([[0, 1], [1, 1], [0, 0], [0, 1]])
        file, folder = (
            LoRARewardRegressor(m, max_epochs=2, device="cpu", random_state=0)
            .fit(TEXTS, rewards)
            .predict(TEXTS)
            for m in models
        )
        np.testing.assert_allclose(file, folder, atol=1e-5)


class TestIdentity:
    def test_whether_it_is_made_for_chat_needs_no_weights(self, models, monkeypatch):
        monkeypatch.delattr(_model, "_read_language_model")
        assert _model.has_chat_template(models[0])

    def test_the_fingerprint_is_the_hash_of_the_file(self, models):
        from hashlib import sha256

        expected = sha256(models[0].read_bytes()).hexdigest()
        assert fingerprint(models[0]) == expected
        assert fingerprint(models[0], generation=True) == expected

    def test_a_policy_accepts_the_file_elsewhere_and_no_other(self, models, tmp_path):
        rewards = np.array([[0, 1], [1, 1], [0, 0], [0, 1]])
        allocator = AdaptiveAllocator(RewardRegressor(Ridge()), budget=1.0)
        policy = make_pipeline(featurizer(str(models[0])), allocator)
        policy.fit(TEXTS, rewards)
        save_policy(policy, tmp_path / "policy")
        moved, other = tmp_path / "moved.gguf", tmp_path / "other.gguf"
        shutil.copy(models[0], moved)
        write_qwen2(other, tmp_path / "other", seed=1)
        names = {str(models[0]): str(moved)}
        loaded = load_policy(tmp_path / "policy", models=names)
        assert loaded.predict(TEXTS).tolist() == policy.predict(TEXTS).tolist()
        for place in (other, models[1]):
            names = {str(models[0]): str(place)}
            with pytest.raises(ValueError, match="is not the model used in fit"):
                load_policy(tmp_path / "policy", models=names)

    def test_a_file_that_changes_is_another_model(self, models, tmp_path):
        place = tmp_path / "model.gguf"
        shutil.copy(models[0], place)
        fitted = featurizer(place).fit(TEXTS)
        write_qwen2(place, tmp_path / "folder", seed=1)
        with pytest.raises(ValueError, match="is not the model used in fit"):
            fitted.transform(TEXTS)


class TestTokenizer:
    def test_it_is_built_once_for_all_processes(self, models, home, monkeypatch):
        built = []
        write = _gguf._write_text_files
        monkeypatch.setattr(
            _gguf, "_write_text_files", lambda *args: built.append(1) or write(*args)
        )
        load_language_model(models[0], device="cpu", dtype="float32")
        load_config_again()  # as in another process
        load_language_model(models[0], device="cpu", dtype="float32")
        assert built == [1]
        (folder,) = (home / "sklearn_adaalloc" / "gguf").iterdir()
        assert folder.name.startswith(fingerprint(models[0]))
        assert "tokenizer.json" in os.listdir(folder)

    def test_a_home_that_cannot_be_written_is_no_obstacle(self, models, monkeypatch):
        monkeypatch.setattr(constants, "HF_HOME", os.devnull)
        assert load_config(models[0]).architectures == ["Qwen2ForCausalLM"]

    def test_two_processes_may_build_it_at_once(self, models, home, monkeypatch):
        write = _gguf._write_text_files

        def another_is_faster(file, part):
            write(file, part)
            (folder,) = folders
            shutil.copytree(part, folder)

        folders = []
        cache = _gguf._cache()
        from transformers import __version__

        folders.append(cache / f"{fingerprint(models[0])}-{__version__}")
        monkeypatch.setattr(_gguf, "_write_text_files", another_is_faster)
        assert load_config(models[0]).hidden_size == 64
        assert os.listdir(cache) == [folders[0].name]


class TestErrors:
    @pytest.mark.parametrize("size", [0, 1000])
    def test_a_damaged_file(self, models, tmp_path, size):
        place = tmp_path / "model.gguf"
        place.write_bytes(models[0].read_bytes()[:size])
        with pytest.raises(ValueError, match=r"model\.gguf' could not be loaded"):
            featurizer(place).fit(TEXTS)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(ValueError, match=r"could not be loaded.*a \.gguf file"):
            featurizer(tmp_path / "none.gguf").fit(TEXTS)

    def test_without_the_extra(self, models, monkeypatch):
        monkeypatch.setitem(sys.modules, "gguf", None)
        with pytest.raises(ValueError, match=r"pip install.*sklearn-adaalloc\[gguf\]"):
            featurizer(models[0]).fit(TEXTS)

    def test_a_reward_model_needs_a_head_that_transformers_does_not_read(self, models):
        with pytest.raises(ValueError, match="reads no head of a classifier from one"):
            RewardModel(models[0], device="cpu")(["a"], [["b"]])
