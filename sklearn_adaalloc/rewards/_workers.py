"""Worker processes that answer lines, each killed when it takes too long."""

import os
import subprocess
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import LifoQueue
from threading import Event, Timer


class WorkerPool:
    """A few workers, started when first needed and stopped with this object.

    They end when this process does, even by a kill: their input then ends.

    Parameters
    ----------
    command : list of str
        Starts a worker. It writes the line "ready", then one line for each line read.
    n_workers : int
        How many there are.
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
        """Have each line answered.

        Parameters
        ----------
        lines : list of n_lines str
            What to ask, without line breaks.
        timeout : float
            Seconds for one line.

        Returns
        -------
        replies : list of n_lines str or None
            None where a worker took too long or broke down.
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
    if os.getpid() != process_id:  # a copy made by a fork: they are the parent's
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
            self.stop()  # or the next line would get this one's reply
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
            start_new_session=True,  # an interrupt from the keyboard is for the parent
        )
        if self._process.stdout.readline() != "ready\n":
            self.stop()
            raise RuntimeError(
                f"the worker {self.command} did not start. Run this command to see why."
            )
