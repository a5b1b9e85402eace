"""Which model it is: fingerprints of folders and of what came from the hub."""

import shutil

import numpy as np
import pytest

from sklearn_adaalloc import _checkpoints
from sklearn_adaalloc._checkpoints import (
    fingerprint,
    require_fingerprint,
)


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
