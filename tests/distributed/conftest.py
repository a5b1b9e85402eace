"""Clusters of several Ray nodes on this machine, which leave no process behind."""

import os
from pathlib import Path

import pytest
from clusters import MB, started


def pytest_collection_modifyitems(items):
    """Warnings of Ray are no errors of ours."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def places():
    """Let workers import what tests send them."""
    support = str(Path(__file__).parents[1] / "support")
    with pytest.MonkeyPatch.context() as monkeypatch:
        known = filter(None, [support, os.environ.get("PYTHONPATH")])
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(known))
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@pytest.fixture(scope="session")
def cluster(places):
    """A head and a worker node, each a raylet with its own object store."""
    ray = pytest.importorskip("ray")
    with started(ray, [1, 1], object_store_memory=400 * MB) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield cluster
        ray.shutdown()
