"""Which model it is: fingerprints of folders and of what came from the hub."""

import json
import os
import pickle
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hub_cache import add_commit
from safetensors.numpy import load_file, save_file

from sklearn_adaalloc import HiddenStateFeaturizer
from sklearn_adaalloc.language_models import (
    _checkpoints,
    _model,
    fingerprint,
    load_language_model,
)
from sklearn_adaalloc.language_models._checkpoints import (
    find_checkpoint,
    load_config,
    recognise,
    require_checkpoint,
)
from sklearn_adaalloc.sampling import TransformersSampler


def edit_json(file, **changes):
    settings = json.loads(file.read_text()) if file.exists() else {}
    settings.update(changes)
    file.write_text(json.dumps(settings))


def flip_last_bit(file):
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def in_shards(folder, *, edit=False):
    """Put one tensor of a folder's weights into a file of its own."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    last = max(weights)
    names = dict.fromkeys(weights, "a.safetensors") | {last: "b.safetensors"}
    if edit:
        weights[last] = weights[last] + 1
    for shard in ("a.safetensors", "b.safetensors"):
        held = {key: weights[key] for key in weights if names[key] == shard}
        save_file(held, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def add_adapter(folder):
    """Save a trained adapter beside a model's weights."""
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    options = {"r": 2, "target_modules": ["q_proj"], "init_lora_weights": False}
    model.add_adapter(LoraConfig(**options))
    model.save_pretrained(folder)
    assert (folder / "adapter_model.safetensors").exists()


@pytest.fixture
def copy(tiny_models, tmp_path):
    """A model's folder, to be changed."""
    return shutil.copytree(tiny_models["qwen2"], tmp_path / "copy")


class TestFingerprint:
    def test_a_copy_has_the_same_one(self, tiny_models, copy):
        assert fingerprint(copy) == fingerprint(tiny_models["qwen2"])
        require_checkpoint(copy, fingerprint(tiny_models["qwen2"]))

    def test_other_weights_have_another_one(self, make_tiny_model, tmp_path):
        folders = [make_tiny_model("llama", tmp_path / str(i), seed=i) for i in (0, 1)]
        with pytest.raises(
            ValueError, match="is not the model used in fit: its finger"
        ):
            require_checkpoint(folders[0], fingerprint(folders[1]))

    @pytest.mark.parametrize(
        "change",
        [
            lambda f: flip_last_bit(f / "model.safetensors"),
            lambda f: edit_json(f / "config.json", rms_norm_eps=0.1),
            lambda f: edit_json(f / "tokenizer_config.json", add_prefix_space=True),
            lambda f: edit_json(f / "special_tokens_map.json", pad_token="a"),
            lambda f: (f / "chat_template.jinja").write_text("{{ messages }}"),
            lambda f: (f / "tokenizer.json").write_text(
                (f / "tokenizer.json").read_text().replace('"a": 4,', '"a": 5,')
            ),
            add_adapter,
        ],
        ids=[
            "weights",
            "config",
            "tokens",
            "special",
            "template",
            "vocabulary",
            "lora",
        ],
    )
    def test_what_features_depend_on_changes_it(self, copy, change):
        before = fingerprint(copy)
        change(copy)
        assert fingerprint(copy) != before

    @pytest.mark.parametrize(
        "change",
        [
            lambda f: (f / "README.md").write_text("news"),
            lambda f: (f / "training_args.bin").write_bytes(b"arguments"),
            lambda f: (f / "pytorch_model.bin").write_bytes(
                b"the same, in another way"
            ),
            lambda f: edit_json(f / "config.json", _name_or_path="/elsewhere"),
            lambda f: edit_json(f / "config.json", transformers_version="4.0.0"),
            lambda f: edit_json(f / "generation_config.json", eos_token_id=[2, 5]),
        ],
        ids=["readme", "training", "format", "origin", "version", "answers"],
    )
    def test_what_features_do_not_depend_on_leaves_it(self, copy, change):
        before = fingerprint(copy)
        change(copy)
        assert fingerprint(copy) == before

    def test_one_bit_of_one_shard(self, tiny_models, tmp_path):
        whole, edited = (
            shutil.copytree(tiny_models["llama"], tmp_path / name)
            for name in ("whole", "edited")
        )
        in_shards(whole)
        in_shards(edited, edit=True)
        assert fingerprint(whole) != fingerprint(edited)
        features = [
            HiddenStateFeaturizer(str(folder), layer=3, device="cpu").fit_transform(
                ["a"]
            )
            for folder in (tiny_models["llama"], whole)
        ]
        np.testing.assert_array_equal(*features)

    @pytest.mark.parametrize(
        "change",
        [
            lambda f: edit_json(f / "adapter_config.json", lora_alpha=64),
            lambda f: flip_last_bit(f / "adapter_model.safetensors"),
        ],
        ids=["alpha", "weights"],
    )
    def test_the_adapter_beside_the_weights(self, copy, change):
        add_adapter(copy)
        before = fingerprint(copy)
        edit_json(copy / "adapter_config.json", base_model_name_or_path="/elsewhere")
        assert fingerprint(copy) == before
        change(copy)
        assert fingerprint(copy) != before

    @pytest.mark.parametrize("position", [0, 2**22 - 1, 2**22, 10**7, 2**24 - 1])
    def test_any_byte_of_a_large_file(self, copy, position):
        weights = np.zeros(2**24, dtype=np.uint8)
        (copy / "model.safetensors").write_bytes(weights.tobytes())
        before = fingerprint(copy)
        weights[position] = 1
        (copy / "model.safetensors").write_bytes(weights.tobytes())
        assert fingerprint(copy) != before

    @pytest.mark.parametrize("in_place", [False, True], ids=["replaced", "in place"])
    def test_other_weights_of_the_same_size_and_time(self, copy, in_place):
        weights = copy / "model.safetensors"
        before, stat = fingerprint(copy), weights.stat()
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        if not in_place:
            weights.unlink()
        with open(weights, "r+b" if in_place else "xb") as file:
            file.write(data)
        os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert weights.stat().st_mtime_ns == stat.st_mtime_ns
        assert fingerprint(copy) != before

    @pytest.mark.parametrize("name", ["best", "a" * 40, "0123456789abcdef" * 4])
    def test_a_folder_called_snapshot_is_known_by_its_content(
        self, make_tiny_model, tmp_path, name
    ):
        folder = tmp_path / "snapshots" / name
        seen = {
            fingerprint(make_tiny_model("llama", folder, seed=seed)) for seed in (0, 1)
        }
        assert len(seen) == 2

    def test_weights_under_a_name_of_their_own(self, copy):
        edit_json(copy / "config.json", transformers_weights="mine.safetensors")
        with pytest.raises(ValueError, match=r"no file of weights, such as mine\.safe"):
            fingerprint(copy)
        shutil.copy(copy / "model.safetensors", copy / "mine.safetensors")
        before = fingerprint(copy)
        flip_last_bit(copy / "model.safetensors")
        assert fingerprint(copy) == before
        flip_last_bit(copy / "mine.safetensors")
        assert fingerprint(copy) != before

    def test_an_index_that_names_a_shard_that_is_not_there(self, copy):
        in_shards(copy)
        (copy / "b.safetensors").unlink()
        with pytest.raises(ValueError, match=r"could not be loaded.*b\.safetensors"):
            fingerprint(copy)

    def test_large_files_are_read_once(self, copy, monkeypatch):
        fingerprint(copy)
        monkeypatch.setattr(_checkpoints, "_CHUNK", None)  # nothing can be read
        fingerprint(copy)

    def test_a_vocabulary_without_tokenizer_json(self, copy):
        (copy / "tokenizer.json").unlink()
        (copy / "vocab.txt").write_text("a")
        before = fingerprint(copy)
        (copy / "vocab.txt").write_text("b")
        assert fingerprint(copy) != before


class TestEndTokens:
    def test_they_are_part_of_a_samplers_settings(self, copy):
        sampler = TransformersSampler(str(copy), device="cpu")
        seen = [sampler.settings]
        for ends in (5, [2, 5], None):
            edit_json(copy / "generation_config.json", eos_token_id=ends)
            seen.append(sampler.settings)
        assert len({settings["model"] for settings in seen}) == 4

    def test_they_are_those_of_the_model_in_memory(self, copy):
        sampler = TransformersSampler(
            str(copy), device="cpu", max_new_tokens=20, temperature=0
        )
        ((answer,),) = sampler.sample(["ab"], 1)
        tokenizer = load_language_model(copy, device="cpu").tokenizer
        tokens = tokenizer(answer)["input_ids"]
        edit_json(copy / "generation_config.json", eos_token_id=tokens)
        assert sampler.sample(["ab"], 1) != [[answer]]

    def test_weights_replaced_in_place_change_answers_and_settings(
        self, copy, make_tiny_model
    ):
        sampler = TransformersSampler(str(copy), device="cpu", max_new_tokens=12)
        answers, settings = sampler.sample(["ab"], 3), sampler.settings
        make_tiny_model("qwen2", copy, seed=1)
        assert sampler.sample(["ab"], 3) != answers
        assert sampler.settings["model"] != settings["model"]

    def test_a_file_that_only_says_how_to_sample_changes_nothing(self, copy):
        settings = TransformersSampler(str(copy), device="cpu").settings
        edit_json(copy / "generation_config.json", temperature=0.1, top_k=3)
        assert TransformersSampler(str(copy), device="cpu").settings == settings


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Function that adds a commit of "me/m" to a hub cache: letter, folder, ..."""
    root = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root))
    monkeypatch.setattr(_checkpoints, "_download", _checkpoints._download.__wrapped__)
    _model._fitted_checkpoint.cache_clear()
    return partial(add_commit, root, "me/m")


class TestHub:
    def test_the_fingerprint_is_that_of_a_plain_copy(self, hub, copy):
        hub("a", copy)
        assert fingerprint("me/m") == fingerprint(copy)
        assert find_checkpoint("me/m").commit == "a" * 40

    def test_an_edited_readme_is_not_another_model(self, hub, copy):
        hub("a", copy)
        before = fingerprint("me/m")
        hub("b", copy, **{"README.md": b"news"})
        assert find_checkpoint("me/m").commit == "b" * 40
        assert require_checkpoint("me/m", before).commit == "b" * 40

    def test_the_commit_of_fit_is_kept_when_upstream_has_other_weights(
        self, hub, copy, make_tiny_model, tmp_path
    ):
        hub("a", copy)
        featurizer = HiddenStateFeaturizer("me/m", layer=1, device="cpu").fit(["a"])
        restored = pickle.loads(pickle.dumps(featurizer))
        features = featurizer.transform(["ab"])
        make_tiny_model("qwen2", tmp_path / "other", seed=1)
        hub("b", tmp_path / "other")
        np.testing.assert_array_equal(restored.transform(["ab"]), features)
        assert restored.commit_ == "a" * 40
        refitted = HiddenStateFeaturizer("me/m", layer=1, device="cpu").fit(["a"])
        assert refitted.commit_ == "b" * 40
        assert not np.array_equal(refitted.transform(["ab"]), features)

    def test_a_commit_that_is_gone_is_replaced_by_one_of_the_same_content(
        self, hub, copy
    ):
        snapshot = hub("a", copy)
        featurizer = HiddenStateFeaturizer("me/m", layer=1, device="cpu").fit(["a"])
        hub("b", copy, **{"README.md": b"news"})
        shutil.rmtree(snapshot)
        assert featurizer.transform(["ab"]).shape == (1, 32)

    def test_a_commit_that_is_gone_and_other_weights(
        self, hub, copy, make_tiny_model, tmp_path
    ):
        snapshot = hub("a", copy)
        featurizer = HiddenStateFeaturizer("me/m", layer=1, device="cpu").fit(["a"])
        make_tiny_model("qwen2", tmp_path / "other", seed=1)
        hub("b", tmp_path / "other")
        shutil.rmtree(snapshot)
        with pytest.raises(ValueError, match="'me/m' is not the model used in fit"):
            featurizer.transform(["ab"])

    def test_a_revision_is_looked_for_by_its_name(self, hub, copy):
        hub("a", copy)
        hub("b", copy, branch="v2")
        found = [find_checkpoint("me/m", revision=r).commit[0] for r in (None, "v2")]
        assert found == ["a", "b"]

    def test_large_blobs_are_not_read(self, hub, copy):
        snapshot = hub("a", copy)
        before = fingerprint("me/m")
        assert load_config("me/m").hidden_size == 32
        (snapshot / "model.safetensors").resolve().write_bytes(b"not read")
        assert fingerprint("me/m") == before


class TestFittedByEarlierVersions:
    def reader(self, model, expected):
        return SimpleNamespace(model=str(model), revision=None, fingerprint_=expected)

    def test_a_folder_is_known_by_its_old_fingerprint(self, copy):
        reader = self.reader(
            copy, _checkpoints._earlier_fingerprint(find_checkpoint(copy))
        )
        assert reader.fingerprint_ != fingerprint(copy)
        recognise(reader)
        assert (reader.fingerprint_, reader.commit_) == (fingerprint(copy), None)

    def test_a_commit_is_found_although_upstream_moved(self, hub, copy):
        hub("a", copy)
        hub("b", copy)
        reader = self.reader("me/m", "a" * 40)
        recognise(reader)
        assert (reader.fingerprint_, reader.commit_) == (fingerprint(copy), "a" * 40)

    @pytest.mark.parametrize("name", ["best", "a" * 40])
    def test_the_name_of_a_folder_says_nothing_about_weights(
        self, tiny_models, tmp_path, name
    ):
        folder = tmp_path / "snapshots" / name
        shutil.copytree(tiny_models["llama"], folder)
        with pytest.raises(
            ValueError, match=r"is not the model used in fit.*fit again"
        ):
            recognise(self.reader(folder, name))
