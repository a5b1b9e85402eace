"""Worker processes: each line gets its own reply, whatever becomes of the process."""

import os
import signal
import sys

import pytest

from sklearn_adaalloc.rewards._workers import Worker, WorkerPool

# Replies to a line with its words in reverse; does as it is told before that.
SCRIPT = """
import os, sys, time
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "sleep": time.sleep(60)
    if words[0] == "end": sys.exit()
    if words[0] == "who": words = [str(os.getpid())]
    print(*reversed(words), flush=True)
"""
COMMAND = [sys.executable, "-c", SCRIPT]


@pytest.fixture
def worker():
    worker = Worker(COMMAND)
    yield worker
    worker.stop()


@pytest.mark.parametrize("n_workers", [1, 3])
def test_replies_are_in_the_order_of_the_lines(n_workers):
    pool = WorkerPool(COMMAND, n_workers)
    lines = [f"{i} times" for i in range(10)]
    assert pool.ask(lines, timeout=60) == [f"times {i}" for i in range(10)]


def test_a_late_worker_is_replaced(worker):
    assert worker.ask("sleep", timeout=0.5) is None
    assert worker.ask("a b", timeout=60) == "b a"


def test_a_worker_that_ends_is_replaced(worker):
    assert worker.ask("end", timeout=60) is None
    assert worker.ask("a b", timeout=60) == "b a"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such wait")
def test_a_worker_that_has_ended_between_two_lines_is_replaced(worker):
    process = int(worker.ask("who", timeout=60))
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)  # left for its parent
    assert worker.ask("c d", timeout=60) is None
    assert worker.ask("e f", timeout=60) == "f e"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such timer")
def test_after_an_interruption_no_line_gets_the_reply_to_another(worker):
    def interrupt(*_):
        raise KeyboardInterrupt

    assert worker.ask("a b", timeout=60) == "b a"
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            worker.ask("sleep", timeout=60)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert worker.ask("c d", timeout=60) == "d c"


def test_a_command_that_does_not_start_is_named():
    worker = Worker([sys.executable, "-c", "print('no')"])
    with pytest.raises(RuntimeError, match=r"print\('no'\).*did not start.*see why"):
        worker.ask("a b", timeout=60)
