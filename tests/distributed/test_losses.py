"""Nodes, drivers and clusters that are killed at work: all is done, nothing twice."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import cluster_work
import numpy as np
import pytest
from cluster_work import (
    BATCH_SIZE,
    N_BATCHES,
    N_SAMPLES,
    QUERIES,
    RIGHT,
    collection,
    make_policy,
)
from clusters import MB, kill, started, wait_until, workers_of
from numpy.testing import assert_array_equal

from sklearn_adaalloc.collect import RewardStore

ray = pytest.importorskip("ray", reason="needs Ray: `make test-distributed` has it")
parquet = pytest.importorskip("pyarrow.parquet")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def head(places):
    """A node with the drivers of the tests, to which each adds one that is lost.

    It has room for one actor, so that another is on the node that is lost.
    """
    with started(ray, [1], object_store_memory=200 * MB) as cluster:
        yield cluster


@contextmanager
def driver(work, cluster, n_cpus, folder, **variables):
    """A process that works on a cluster as soon as it has so many CPUs."""
    address, n_cpus = cluster.address, str(n_cpus)
    command = [sys.executable, cluster_work.__file__, work, address, n_cpus, folder]
    with subprocess.Popen(command, env={**os.environ, **variables}) as process:
        try:
            yield process
        finally:
            process.kill()


def reaches(process, condition):
    """Whether a driver gets somewhere before it ends, and in time."""
    return wait_until(lambda: condition() or process.poll() is not None) and condition()


def entries(log):
    """What was written down, and the process that did."""
    text = log.read_text() if log.exists() else ""
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    return [(line[-2], line[-1]) for line in lines]


def works(node, folder, n_done=0):
    """Whether a worker of a node has begun more entries than it should have done."""
    workers = workers_of(node)
    begun = [worker for _, worker in entries(folder / "log") if worker in workers]
    return any(begun.count(worker) > n_done for worker in begun)


def kill_at_work(cluster, node, process, folder, batch_size=1):
    """Kill a node that holds a batch, after it has done one.

    Returns the numbers of its processes.
    """

    assert reaches(process, lambda: works(node, folder, batch_size))
    workers = workers_of(node)
    kill(cluster, node)
    return workers


def stored(folder):
    """The samples in the parts, each as often as it is stored."""
    table = parquet.read_table(folder / "parts", columns=["query", "sample"])
    names = [json.loads(query) for query in table["query"].to_pylist()]
    return sorted(zip(names, table["sample"].to_pylist(), strict=True))


ALL = sorted((query, sample) for query in QUERIES for sample in range(N_SAMPLES))


def test_budgets_where_nodes_are_lost(head, tmp_path):
    policy, X = make_policy()
    with driver("budgets", head, 4, tmp_path) as process:
        first, second = (
            head.add_node(num_cpus=n_cpus, object_store_memory=100 * MB)
            for n_cpus in (2, 1)
        )
        # During features: one of three actors is on this node at least.
        killed = kill_at_work(head, first, process, tmp_path)
        # Another takes its place. Then, what this node has predicted is lost, too.
        assert reaches(process, lambda: works(second, tmp_path))
        (tmp_path / "go").touch()
        assert reaches(process, (tmp_path / "predicted").exists)
        workers = [worker for _, worker in entries(tmp_path / "log")]
        assert not killed.isdisjoint(workers)
        assert len(workers) > N_BATCHES  # some were computed again
        kill(head, second)
        (tmp_path / "killed").touch()
        assert process.wait(120) == 0
    assert len(entries(tmp_path / "log")) > len(workers)  # and once more
    assert_array_equal(np.load(tmp_path / "result.npy"), policy.predict(X))


def test_a_collection_where_a_node_is_lost(head, tmp_path):
    log = tmp_path / "log"
    with driver("collection", head, 3, tmp_path) as process:
        doomed = head.add_node(num_cpus=2, object_store_memory=100 * MB)
        # Two samplers and a grader fill both nodes, so this one has a sampler.
        killed = kill_at_work(head, doomed, process, tmp_path, BATCH_SIZE)
        (tmp_path / "go").touch()
        spare = head.add_node(num_cpus=2, object_store_memory=100 * MB)
        assert process.wait(120) == 0
    head.remove_node(spare)
    assert_array_equal(np.load(tmp_path / "result.npy"), RIGHT)
    asked = [text for text, _ in entries(log)]
    lost = [text for text, worker in entries(log) if worker in killed]
    # It had answers on their way, which others were asked for again.
    assert set(lost) & {text for text in asked if asked.count(text) > 1}
    assert stored(tmp_path) == ALL
    with RewardStore(tmp_path / "store", create=True) as store:
        assert store.add_parts(tmp_path / "parts") == len(ALL)
        table = dict(zip(*store.to_arrays(), strict=True))
    assert_array_equal([table[query] for query in QUERIES], RIGHT)


def goes_on(folder):
    """Finish a collection; what it held before is not asked for again."""
    before, n_asked = stored(folder), len(entries(folder / "log"))
    assert 0 < len(before) < n_asked < len(ALL)  # some were on their way
    (folder / "go").touch()
    assert_array_equal(collection(folder), RIGHT)
    asked = [text for text, _ in entries(folder / "log")][n_asked:]
    answers = {cluster_work.answer(query, sample) for query, sample in before}
    assert len(asked) == len(ALL) - len(before)
    assert answers.isdisjoint(asked)
    assert stored(folder) == ALL


def holds(folder):
    """Whether a collection has a part, and a batch on its way."""
    n_parts = len(list(Path(folder, "parts").glob("part-*")))
    return 0 < n_parts * BATCH_SIZE < len(entries(folder / "log"))


def test_a_driver_that_is_killed(cluster, tmp_path):
    with driver("collection", cluster, 2, tmp_path) as process:
        assert reaches(process, lambda: holds(tmp_path))
        # As long as it lives, nobody else fills its folder.
        with pytest.raises(ValueError, match="is being filled by another process"):
            collection(tmp_path)
        assert process.poll() is None
        process.kill()
        process.wait()
    goes_on(tmp_path)


def test_a_cluster_that_is_killed(head, tmp_path):  # the last on this cluster
    soon = {"RAY_gcs_rpc_server_reconnect_timeout_s": "2"}
    with driver("collection", head, 1, tmp_path, **soon) as process:
        assert reaches(process, lambda: holds(tmp_path))
        kill(head, head.head_node)
        assert process.wait(120) != 0  # it does not wait for ever
    goes_on(tmp_path)
