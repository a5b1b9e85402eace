"""Ray clusters on this machine: started, killed in part or as a whole, and ended."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

MB = 2**20
# A node that was killed answers no check; Ray's own defaults notice it late.
_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 3,
}


@contextmanager
def started(ray, cpus, **options):
    """A cluster with a node for each number of CPUs, ended with all its processes."""
    from ray.cluster_utils import Cluster

    head, *others = cpus
    head = {
        "num_cpus": head,
        "include_dashboard": False,
        "_system_config": _CHECKS,
        **options,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    session = cluster.head_node.get_session_dir_path()
    try:
        for n_cpus in others:
            cluster.add_node(num_cpus=n_cpus, **options)
        yield cluster
    finally:
        cluster.shutdown()
        left = wait_until(lambda: not processes_of(session), seconds=30)
        assert left, processes_of(session)


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


def wait_until(condition, seconds=120):
    """Whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(met)


def workers_of(node):
    """Process numbers of the workers of a node."""
    ((raylet,),) = [node.all_processes["raylet"]]
    children = psutil.Process(raylet.process.pid).children(recursive=True)
    return {child.pid for child in children}


def kill(cluster, *nodes):
    """Kill nodes and their workers, as when machines lose power."""
    for node in nodes:
        workers = workers_of(node)
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        for worker in workers:
            try:
                psutil.Process(worker).kill()
            except psutil.NoSuchProcess:
                continue
        if node in cluster.worker_nodes:
            cluster.worker_nodes.remove(node)
