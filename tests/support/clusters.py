"""Ray clusters on this machine: started, killed in part or as a whole, and ended."""

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

MB = 2**20
_SETTINGS = {
    # A node that was killed answers no check; Ray's own defaults notice it late.
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 300,
    "health_check_failure_threshold": 3,
    # A worker has all imported, and would be ended after a second without work.
    "num_workers_soft_limit": 8,
    "idle_worker_killing_time_threshold_ms": 600_000,
}


@contextmanager
def started(ray, cpus, **options):
    """A cluster with a node for each number of CPUs, ended with all its processes."""
    from ray.cluster_utils import Cluster

    head, *others = cpus
    head = {
        "num_cpus": head,
        "include_dashboard": False,
        "no_monitor": True,  # nothing scales up here
        "_system_config": _SETTINGS,
        **options,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    session = cluster.head_node.get_session_dir_path()
    try:
        for n_cpus in others:
            cluster.add_node(num_cpus=n_cpus, **options)
        assert processes_of(session)
        yield cluster
    finally:
        cluster.shutdown()
        # One that was just starting only notices after a while that its node is gone.
        if not wait_until(lambda: not processes_of(session), seconds=10):
            for number in processes_of(session):
                kill_process(number)
        assert wait_until(lambda: not processes_of(session)), processes_of(session)


def processes_of(session):
    """Processes that name the folder of a cluster's session: number -> command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().decode().replace("\0", " ")
            except OSError:  # it ended
                continue
            if session in command:
                found[int(entry.name)] = command
    return found


def wait_until(condition, seconds=120):
    """Whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(met)


def workers_of(node):
    """Process numbers of the workers of a node."""
    return {child.pid for child in raylet_of(node).children(recursive=True)}


def raylet_of(node):
    """The process that starts the workers of a node."""
    ((raylet,),) = [node.all_processes["raylet"]]
    return psutil.Process(raylet.process.pid)


def kill(cluster, *nodes):
    """Kill nodes and their workers, as when machines lose power."""
    for node in nodes:
        raylet_of(node).suspend()  # it starts no worker that would not be known here
        workers = workers_of(node)
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        for worker in workers:
            kill_process(worker)
        if node in cluster.worker_nodes:
            cluster.worker_nodes.remove(node)


def kill_process(number):
    """Kill a process, if it is still there."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(number).kill()
