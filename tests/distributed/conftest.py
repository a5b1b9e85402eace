"""A cluster of several Ray nodes on this machine, which leaves no process behind."""

import os
import time
from pathlib import Path

import pytest

MB = 2**20


def pytest_collection_modifyitems(items):
    """Warnings of Ray are no errors of ours."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


def processes_of(session):
    """Command lines of processes that name the folder of a cluster's session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().decode().replace("\0", " ")
            except OSError:  # it ended
                continue
            if session in command:
                found.append(command)
    return found


@pytest.fixture(scope="session")
def cluster():
    """A head and a worker node, each a raylet with its own object store."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # Workers import what tests send them.
    places = [str(Path(__file__).parents[1] / "support"), os.environ.get("PYTHONPATH")]
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 1, "object_store_memory": 300 * MB}
    head = {**node, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    session = cluster.head_node.get_session_dir_path()
    try:
        cluster.add_node(**node)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        monkeypatch.undo()
        deadline = time.monotonic() + 30
        while (left := processes_of(session)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert left == []
