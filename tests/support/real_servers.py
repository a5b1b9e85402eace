"""Real servers on loopback with the embedded LM: `transformers serve`, llama.cpp's."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiny_gguf import write_gguf

from sklearn_adaalloc.datasets import embedded_model_path

QUERIES = ["max 3 41 7=", "10+20=", "gcd 84 30=", "123*456="]


@contextmanager
def transformers_serving():
    """Run `transformers serve` while the block runs; its address."""
    pytest.importorskip("fastapi", reason="needs transformers[serving]")
    pytest.importorskip("uvicorn", reason="needs transformers[serving]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "from transformers.cli.transformers import main; main()"
    options = ["serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    server = subprocess.Popen(
        [sys.executable, "-c", program, *options],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(address, process, seconds=120):
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert process.poll() is None, "the server has ended by itself"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.2)


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
def llama_cpp_serving(place):
    """Run a llama.cpp server in this process while the block runs; its address."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="needs xllamacpp")
    pytest.importorskip("gguf", reason="needs gguf")
    path = place / "model.gguf"
    write_gguf(Path(embedded_model_path()), path)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_parallel = 3
    parameters.n_ctx = 3 * 128  # of all three together
    parameters.cpuparams.n_threads = 1
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


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
