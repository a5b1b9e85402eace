"""Processes that do the same work, replaced when they die."""

import multiprocessing
import signal
import time
from contextlib import contextmanager
from multiprocessing.connection import wait

_LOOK_EVERY = 0.5  # seconds
_SETTLED = 30.0  # seconds; whoever dies earlier may never be able to work
_MOST_EARLY = 5  # early deaths in a row


def supervise(n_workers, work, patience):
    """Keep processes running until this one gets SIGTERM or SIGINT.

    Then they get SIGTERM, and time to finish.

    Parameters
    ----------
    n_workers : int
        Number of processes.
    work : partial
        What each of them does; it must be picklable.
    patience : float
        Seconds that they have when they are told to stop. Then they are killed.

    Raises
    ------
    ChildProcessError
        If five in a row die within 30 seconds of their start.
    """
    context = _context(work.func.__module__)
    workers, n_early = {}, 0  # process -> when it was started
    with _told_to_stop() as is_told:
        try:
            while not is_told():
                while len(workers) < n_workers:
                    worker = context.Process(target=work)
                    worker.start()
                    workers[worker] = time.monotonic()
                wait([worker.sentinel for worker in workers], _LOOK_EVERY)
                for worker in [each for each in workers if not each.is_alive()]:
                    settled = time.monotonic() - workers.pop(worker) > _SETTLED
                    n_early = 0 if settled else n_early + 1
                if n_early >= _MOST_EARLY:
                    raise ChildProcessError(
                        f"{n_early} worker processes in a row died soon after their "
                        "start. What they wrote before says why."
                    )
        finally:
            _stop(workers, patience)


def _context(module):
    """How processes are started.

    What is forked from a process with threads, as numerical libraries have, may hang.
    So they are forked from one that has only imported what they need, where possible.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module, "sklearn_adaalloc", "uvicorn"])
    return context


@contextmanager
def _told_to_stop():
    """Whether the process got a signal to end, as a function."""
    told = []
    before = {
        each: signal.signal(each, lambda number, frame: told.append(number))
        for each in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield lambda: bool(told)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _stop(workers, patience):
    """Let processes finish; kill those that do not."""
    for worker in workers:
        worker.terminate()  # SIGTERM
    end = time.monotonic() + patience
    for worker in workers:
        worker.join(max(end - time.monotonic(), 0.0))
        if worker.is_alive():
            worker.kill()
            worker.join()
