"""Clusters of these tests end with all that they started."""

import pytest
from clusters import MB, processes_of, started

ray = pytest.importorskip("ray", reason="needs Ray: `make test-distributed` has it")


@pytest.mark.usefixtures("places")
def test_a_cluster_leaves_no_process():
    with started(ray, [1], object_store_memory=100 * MB) as cluster:
        session = cluster.head_node.get_session_dir_path()
        running = " ".join(processes_of(session))
        assert "raylet" in running
        assert "gcs_server" in running
    assert processes_of(session) == []
