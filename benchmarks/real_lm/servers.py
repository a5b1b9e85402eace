"""Real servers of OpenAI's protocol on loopback: llama.cpp's, and `transformers serve`.

Both run on one thread of a CPU, with a model from a file or folder.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SERVERS = ("llama.cpp", "transformers")


class Upstream(NamedTuple):
    """A server, what it calls its model, and fields that each request should have."""

    address: str
    model: str
    fields: dict


@contextmanager
def started(server, weights, folder):
    """Run one of `SERVERS` with a GGUF file; it draws from the whole distribution.

    Parameters
    ----------
    server : str
    weights : path
        GGUF file.
    folder : path
        For what is made of it.

    Yields
    ------
    upstream : Upstream
    """
    if server == "llama.cpp":
        with llama_cpp(weights) as address:
            yield Upstream(address, Path(weights).stem, {"top_k": 0, "min_p": 0.0})
    else:
        served = str(Path(folder) / Path(weights).stem)
        write_folder(weights, served)
        with transformers_serve() as address:
            yield Upstream(address, served, {})


@contextmanager
def llama_cpp(path, *, n_slots=1, n_tokens=2048, n_threads=1, key=None):
    """Run llama.cpp's server on a GGUF file in this process; its address.

    Parameters
    ----------
    path : path
        GGUF file.
    n_slots : int, default=1
        Requests that it answers at a time.
    n_tokens : int, default=2048
        Longest prompt with its answer.
    n_threads : int, default=1
        Threads that compute.
    key : str, default=None
        Key that it asks for.
    """
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_parallel = n_slots
    parameters.n_ctx = n_slots * n_tokens  # of all of them together
    parameters.cpuparams.n_threads = n_threads
    parameters.cpuparams_batch.n_threads = n_threads
    parameters.api_keys = [] if key is None else [key]
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


@contextmanager
def transformers_serve(*, dtype="auto", n_threads=1):
    """Run `transformers serve` in a process of its own; its address.

    Each request names the folder of its model, see :func:`write_folder`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "from transformers.cli.transformers import main; main()"
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    server = subprocess.Popen(
        [sys.executable, "-c", program, "serve", *options, "--dtype", dtype],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(n_threads)},
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
            if process.poll() is not None:
                raise RuntimeError("the server has ended by itself") from None
            if time.monotonic() > end:
                raise RuntimeError("the server does not answer") from None
            time.sleep(0.2)


def write_folder(model, folder):
    """Write a model, such as a GGUF file, as a folder for `transformers serve`.

    That samples from the whole distribution only if the folder says so.
    """
    from transformers import GenerationConfig

    from sklearn_adaalloc.language_models import load_language_model

    options = {"device": "cpu", "dtype": "bfloat16", "shared": False}
    loaded = load_language_model(str(model), **options)
    kept = loaded.model.generation_config
    loaded.model.generation_config = GenerationConfig(
        do_sample=True,
        top_k=0,
        bos_token_id=kept.bos_token_id,
        eos_token_id=kept.eos_token_id,
        pad_token_id=kept.pad_token_id,
    )
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
