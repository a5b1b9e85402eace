"""Worker processes that answer lines. A worker that takes too long is killed."""

import os
import subprocess
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import LifoQueue
from threading import Event, Timer


class WorkerPool:
    """Workers that start when first needed and stop with this object.

    They also end if this process is killed, because their input then ends. `command`
    starts a worker. It writes the line "ready", then one line for each line it reads.
    """

    def __init__(self, command, n_workers):
        self.n_workers = n_workers
        self.process_id = os.getpid()
        workers = [Worker(command) for _ in range(n_workers)]
        self._idle = LifoQueue()
        for worker in workers:
            self._idle.put(worker)
        weakref.finalize(self, _stop, workers, os.getpid())

    def ask(self, lines, timeout):
        """Replies to lines of text, one str per line.

        A reply is None if a worker failed or took longer than `timeout` seconds. Lines
        must not contain line breaks.
        """

        def ask(line):
            worker = self._idle.get()
            try:
                return worker.ask(line, timeout)
            finally:
                self._idle.put(worker)

        with ThreadPoolExecutor(self.n_workers) as threads:
            return list(threads.map(ask, lines))


def _stop(workers, process_id):
    if os.getpid() != process_id:  # after a fork, the workers belong to the parent
        return
    for worker in workers:
        worker.stop()


class Worker:
    """One worker process, started again after it was killed."""

    def __init__(self, command):
        self.command = command
        self._process = None

    def ask(self, line, timeout):
        """Reply to a line, or None; see :meth:`WorkerPool.ask`."""
        if self._process is None:
            self._start()
        late = Event()
        timer = Timer(timeout, lambda: (late.set(), self._process.kill()))
        timer.start()
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
            reply = self._process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        except BaseException:
            self.stop()  # otherwise the next line would get this reply
            raise
        finally:
            timer.cancel()
            timer.join()
        if not reply or late.is_set():
            self.stop()
        return reply.rstrip("\n") or None

    def stop(self):
        """Kill the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(BrokenPipeError), process:
                pass  # closes its files and waits for its end

    def _start(self):
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # only the parent handles Ctrl-C
        )
        if self._process.stdout.readline() != "ready\n":
            self.stop()
            raise RuntimeError(
                f"the worker {self.command} did not start. Run this command to see why."
            )
