"""OpenAISampler against a real server."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.sampling import OpenAISampler, TransformersSampler

pytest.importorskip("openai", reason="needs the extra openai")

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
