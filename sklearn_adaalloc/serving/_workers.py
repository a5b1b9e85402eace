"""Processes that do the same work, replaced when they die."""

import multiprocessing
import signal
import time
from contextlib import contextmanager
from multiprocessing.connection import wait

_LOOK_EVERY = 0.5  # seconds
_SETTLED = 30.0  # seconds; whoever dies earlier may never be able to work
_MOST_EARLY = 5  # early deaths in a row


def supervise(n_workers, work, patience, told, stopping):
    """Keep processes running until this one is told to stop.

    Then they get SIGTERM, and time to finish.

    Parameters
    ----------
    n_workers : int
        Number of processes.
    work : partial
        What each of them does; it must be picklable.
    patience : float
        Seconds that they have when they are told to stop. Then they are killed.
    told : list of int
        Signals, from :func:`told_to_stop`.
    stopping : callable
        Is called before they are told.

    Raises
    ------
    KeyboardInterrupt
        At a second SIGINT. They are killed.
    ChildProcessError
        If five in a row die within 30 seconds of their start.
    """
    context = _context(work.func.__module__)
    workers, n_early = {}, 0  # process -> when it was started
    try:
        while not told:
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
        stopping()
        _stop(workers, patience, told)
    if _is_impatient(told):
        raise KeyboardInterrupt


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
def told_to_stop():
    """Collect signals that tell this process to stop; none ends it by itself.

    Yields
    ------
    told : list of int
        SIGTERM and SIGINT, as they come.
    """
    told = []
    before = {
        each: signal.signal(each, lambda number, frame: told.append(number))
        for each in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield told
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _is_impatient(told):
    return told.count(signal.SIGINT) > 1


def _stop(workers, patience, told):
    """Let processes finish; kill those that do not."""
    for worker in workers:
        worker.terminate()  # SIGTERM
    end = time.monotonic() + patience
    left = [worker.sentinel for worker in workers]
    while left and time.monotonic() < end and not _is_impatient(told):
        ended = wait(left, _LOOK_EVERY)
        left = [sentinel for sentinel in left if sentinel not in ended]
    for worker in workers:
        worker.kill()
        worker.join()
