"""OpenAISampler against real servers: `transformers serve` and llama.cpp's."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from tiny_gguf import write_gguf

from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.sampling import OpenAISampler, TransformersSampler

pytest.importorskip("aiohttp", reason="needs the extra openai")

pytestmark = pytest.mark.usefixtures("short_waits")


@pytest.fixture(scope="module")
def transformers_serve():
    """Address of `transformers serve` on loopback."""
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
        wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address, process, seconds=120):
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert process.poll() is None, "the server has ended by itself"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def served_model(tmp_path_factory):
    """Folder of the embedded LM, told to sample: else the server takes the best."""
    folder = tmp_path_factory.mktemp("served") / "model"
    shutil.copytree(embedded_model_path(), folder)
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(
        json.dumps({**config, "do_sample": True})
    )
    return str(folder)


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory):
    """Address of a llama.cpp server with the embedded LM on loopback."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="needs xllamacpp")
    pytest.importorskip("gguf", reason="needs gguf")
    path = tmp_path_factory.mktemp("served") / "model.gguf"
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


@pytest.fixture
def real_sampler(transformers_serve, served_model):
    return OpenAISampler(
        transformers_serve, served_model, max_new_tokens=12, max_concurrency=2
    )


QUERIES = ["max 3 41 7=", "10+20=", "gcd 84 30=", "123*456="]


@pytest.mark.slow
def test_a_real_server_that_ignores_n(real_sampler):
    answers, usage = real_sampler.sample(QUERIES, [5, 1, 0, 8], return_usage=True)
    assert [len(row) for row in answers] == [5, 1, 0, 8]
    assert len(set(answers[3])) > 1
    # One request per sample; the prompts' characters, with one token to begin with.
    assert usage.prompt.tolist() == [5 * 12, 7, 0, 8 * 9]
    # Each answer's characters, and one token to end with.
    assert [row.tolist() for row in usage.answers] == [
        [len(answer) + 1 for answer in row] for row in answers
    ]


@pytest.mark.slow
@pytest.mark.parametrize("completion", ["chat", "text"])
def test_a_real_server_answers_as_the_model_does_in_process(real_sampler, completion):
    real_sampler.set_params(completion=completion, temperature=0.0)
    in_process = TransformersSampler(
        real_sampler.model, temperature=0, max_new_tokens=12, dtype="float16"
    ).set_params(device="cpu")
    assert real_sampler.sample(QUERIES, 1) == in_process.sample(QUERIES, 1)


@pytest.mark.slow
def test_a_real_server_heeds_seeds_one_request_at_a_time(real_sampler):
    real_sampler.set_params(use_n=False, max_concurrency=1)
    together = real_sampler.sample(QUERIES, 6)
    apart = real_sampler.sample(QUERIES, 4, first_sample=[2] * 4)
    assert apart == [row[2:] for row in together]


@pytest.mark.slow
def test_a_model_that_a_real_server_does_not_have(real_sampler):
    real_sampler.set_params(model="no/such-model", max_retries=1)
    with pytest.raises(ConnectionError, match=r"The server .* \(2 attempts\)"):
        real_sampler.sample(["2+3="], 1)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("limit", [2, 12])
def test_usage_of_transformers_serve(real_sampler, n, limit):
    real_sampler.set_params(max_new_tokens=limit)
    assert_true_or_unknown(*real_sampler.sample(QUERIES, n, return_usage=True), limit)


@pytest.mark.parametrize("completion", ["chat", "text"])
@pytest.mark.parametrize("n", [1, 3, 5])
@pytest.mark.parametrize("limit", [2, 12])
def test_usage_of_llama_cpp(llama_cpp, completion, n, limit):
    sampler = OpenAISampler(
        llama_cpp, "m", completion=completion, max_new_tokens=limit, max_concurrency=3
    )
    answers, usage = sampler.sample(QUERIES, n, return_usage=True)
    assert_true_or_unknown(answers, usage, limit)
    # Of one token, the last, it needs the logits each time.
    assert (usage.cached >= 0).all()
    assert (usage.cached < usage.prompt).all()
    assert not np.isnan(np.concatenate(usage.answers)).any()


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


def test_llama_cpp_counts_one_of_several_answers(llama_cpp):
    sampler = OpenAISampler(llama_cpp, "m", max_new_tokens=12)
    sampler.sample(QUERIES, 2, return_usage=True)
    assert sampler._memory_of_server().several == "singly"


def test_llama_cpp_answers_as_the_model_does_in_process(llama_cpp):
    options = {"max_new_tokens": 12, "temperature": 0}
    in_process = TransformersSampler("embedded", device="cpu", **options)
    served = OpenAISampler(llama_cpp, "m", **options)
    assert served.sample(QUERIES, 1) == in_process.sample(QUERIES, 1)


def test_a_prompt_too_long_for_llama_cpp_costs_only_itself(llama_cpp):
    sampler = OpenAISampler(llama_cpp, "m", max_new_tokens=12)
    arrivals = list(sampler.sample_each([QUERIES[0], "1+" * 200, QUERIES[1]], 2))
    assert sorted(each.row for each in arrivals if each.error is None) == [0, 0, 2, 2]
    errors = [str(each.error) for each in arrivals if each.error]
    assert len(errors) == 2
    assert all("exceeds the available context size" in error for error in errors)
