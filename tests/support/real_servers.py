"""Real servers on loopback with the embedded LM: `transformers serve`, llama.cpp's."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiny_gguf import write_gguf

from benchmarks.real_lm import servers
from sklearn_adaalloc.datasets import embedded_model_path

QUERIES = ["max 3 41 7=", "10+20=", "gcd 84 30=", "123*456="]


@contextmanager
def transformers_serving():
    """Run `transformers serve` while the block runs; its address."""
    pytest.importorskip("fastapi", reason="needs transformers[serving]")
    pytest.importorskip("uvicorn", reason="needs transformers[serving]")
    with servers.transformers_serve() as address:
        yield address


def write_served_model(place):
    """Folder of the embedded LM, told to sample: else the server takes the best."""
    folder = place / "model"
    shutil.copytree(embedded_model_path(), folder)
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(
        json.dumps({**config, "do_sample": True})
    )
    return str(folder)


@contextmanager
def llama_cpp_serving(place, **parameters):
    """Run a llama.cpp server in this process while the block runs; its address."""
    pytest.importorskip("xllamacpp", reason="needs xllamacpp")
    pytest.importorskip("gguf", reason="needs gguf")
    path = place / "model.gguf"
    write_gguf(Path(embedded_model_path()), path)
    options = {"n_slots": 3, "n_tokens": 128, **parameters}
    with servers.llama_cpp(path, **options) as address:
        yield address


def assert_true_or_unknown(answers, usage, limit):
    """Tokens are characters, one to begin prompts, one to end what was not cut off."""
    for row, query in enumerate(QUERIES):
        lengths = np.array([len(answer) for answer in answers[row]])
        assert usage.cut_off[row][lengths == limit].all()
        # `transformers serve` takes an end at the limit for being cut off.
        assert not usage.cut_off[row][lengths < limit - 1].any()
        counted = usage.answers[row]
        known = ~np.isnan(counted)
        expected = np.minimum(lengths + 1, limit)
        np.testing.assert_array_equal(counted[known], expected[known])
        if not np.isnan(usage.prompt[row]):
            assert usage.prompt[row] == len(answers[row]) * (len(query) + 1)
