"""The documented deployment: replicas that share the state of one stream."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import faulty_server as faulty
import pytest
from package_contents import DOCS
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import RewardRegressor, StreamAllocator, save_policy
from sklearn_adaalloc.datasets import load_arithmetic

pytest.importorskip("ray", reason="needs Ray: `make test-distributed` has it")
pytest.importorskip("aiohttp", reason="needs the extra openai")
pytestmark = pytest.mark.slow
DRIVER = Path(__file__).parents[1] / "support" / "serve_endpoint.py"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_replicas_of_a_node_share_one_stream(cluster, tmp_path):
    # The replicas; the controller and the proxy of Ray Serve take no CPU.
    node = cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    data = load_arithmetic("math")
    policy = make_pipeline(
        TfidfVectorizer(analyzer="char"),
        StreamAllocator(RewardRegressor(Ridge()), budget=4, random_state=0),
    ).fit(data.queries_train[:300], data.rewards_train[:300])
    save_policy(policy, tmp_path / "policy")
    state, port = tmp_path / "stream.sqlite", free_port()
    with faulty.serving(lambda number, body: None) as server:
        variables = {
            "ADAALLOC_POLICY": str(tmp_path / "policy"),
            "ADAALLOC_STATE": str(state),
            "LM_SERVER": server.base_url,
            "LM_MODEL": "small",
        }
        driver = subprocess.Popen(
            [sys.executable, DRIVER, cluster.address, str(port), DOCS / "cluster"],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert any(line == "ready\n" for line in driver.stdout)
            replies = [ask(port, query) for query in data.queries_test[:20]]
        finally:
            driver.communicate()
            cluster.remove_node(node)
    assert sum(reply["adaalloc"]["samples"] for reply in replies) > 20
    with policy[-1].open(path=state) as stream:
        assert stream.n_queries == 20


def ask(port, query):
    body = {
        "model": "best",
        "messages": [{"role": "user", "content": query}],
        "adaalloc": {"reference": "7"},
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        pytest.fail(error.read().decode())
