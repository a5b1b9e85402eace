"""The process of the program: loads it, then does what the tests request.

Runs inside the sandbox, forked before the tests are read.
"""

import builtins
import ctypes
import os
import select
import struct
import sys
import time

from sklearn_adaalloc.rewards._programs.messages import MAX_BYTES
from sklearn_adaalloc.rewards._programs.peer import Peer

MAX_FILES = 64
SIGKILL = 9  # importing signal takes a third as long as all other imports
_MISSING = object()


class Exit:
    """`exit` and `quit` as the module site defines them."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"Use {self.name}() or Ctrl-D (i.e. EOF) to exit"

    def __call__(self, code=None):
        raise SystemExit(code)


def serve(job, requests, replies):
    """Answer requests of the tests until they end.

    `job` has the source "program" and "preamble", and "reads_input": whether the
    program is run anew for each input. Then "filter" is the filter of system calls for
    each run, and "timeout" its limit. `requests` and `replies` are file descriptors.
    """
    for name in ("exit", "quit"):
        setattr(builtins, name, Exit(name))
    sys.argv = ["program.py"]
    sys.setrecursionlimit(sys.getrecursionlimit() + 50)  # for the calls below
    module = type(sys)("__main__" if job["reads_input"] else "program")
    sys.modules[module.__name__] = module
    operations = {
        "load": lambda: load_definitions(job, module),
        "run": lambda text: run(job, module, text),
        "find": lambda names: {n: find(module, n) for n in names if defines(module, n)},
    }
    peer = Peer(requests, replies, guarded=False, operations=operations)
    peer.take_notes = Patched().take_notes
    peer.serve()


def load(job, module):
    """Run the source of the preamble and of the program."""
    exec(compile(job["preamble"], "<preamble>", "exec"), module.__dict__)
    exec(compile(job["program"], "<program>", "exec"), module.__dict__)


def load_definitions(job, module):
    """Run a program whose functions the tests call."""
    if job["reads_input"]:
        return
    try:
        load(job, module)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise


def defines(module, name):
    return hasattr(module, name) or hasattr(getattr(module, "Solution", None), name)


def find(module, name):
    """Get the object `name` of the program, or this method of its class Solution."""
    if hasattr(module, name):
        return getattr(module, name)
    return getattr(module.Solution(), name)


class Patched:
    """Replaces here what the tests replaced in Python's modules."""

    def __init__(self):
        self.originals = {}

    def take_notes(self, notes, get):
        if "random" in notes:
            import random

            random.setstate(get(notes["random"]))
        for module_name, name, item in notes.get("patches", ()):
            module = __import__(module_name, fromlist=["*"])
            key = module_name, name
            self.originals.setdefault(key, getattr(module, name, _MISSING))
            value = self.originals[key] if item == "original" else get(item[0])
            if value is _MISSING:
                delattr(module, name)
            else:
                setattr(module, name, value)


# Programs that read their standard input


def run(job, module, text):
    """Output of the program, run in its own process with `text` as input."""
    stdin, stdout = os.pipe(), os.pipe()
    process = os.fork()
    if process == 0:
        os.dup2(stdin[0], 0)
        os.dup2(stdout[1], 1)
        keep_only()
        run_as_main(job, module)
    os.close(stdin[0])
    os.close(stdout[1])
    try:
        output = communicate(stdin[1], stdout[0], text.encode(), job["timeout"])
    except BaseException:
        os.kill(process, SIGKILL)
        raise
    finally:
        status = os.waitpid(process, 0)[1]
    if status:
        raise RuntimeError("the program failed")
    return output.decode(errors="replace")


def run_as_main(job, module):
    """Run the program, then end this process as the interpreter would."""
    status = 0
    try:
        forbid(job["filter"])
        load(job, module)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else end.code is not None
    except BaseException:
        status = 1
    threading = sys.modules.get("threading")
    for thread in threading.enumerate() if threading else []:
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status & 255)


def communicate(stdin, stdout, data, timeout):
    """Write `data` and read all output meanwhile; closes both files."""
    deadline = time.monotonic() + timeout
    os.set_blocking(stdin, False)
    output = bytearray()
    with open(stdin, "wb", 0) as source, open(stdout, "rb", 0) as sink:
        while True:
            remaining = max(0, deadline - time.monotonic())
            writers = [] if source.closed else [source]
            readable, writable, _ = select.select([sink], writers, [], remaining)
            if not (readable or writable) or len(output) > MAX_BYTES:
                raise TimeoutError
            if writable:
                try:
                    data = data[source.write(data[:65536]) or 0 :]
                except BrokenPipeError:  # a program need not read its input
                    data = b""
                if not data:
                    source.close()
            if readable:
                chunk = sink.read(65536)
                if not chunk:
                    return bytes(output)
                output += chunk


# Rights of a process


def forbid(program):
    """Install a permanent filter of system calls; an empty one forbids nothing."""
    if not program:
        return
    instructions = ctypes.create_string_buffer(program, len(program))
    address = ctypes.addressof(instructions)
    argument = struct.pack("HP", len(program) // 8, address)
    set_seccomp, mode_filter = 22, 2
    if ctypes.CDLL(None).prctl(set_seccomp, mode_filter, argument, 0, 0):
        raise OSError("the system-call filter was refused")


def keep_only(*files):
    """Close all files except standard ones and `files`, which become 3, 4, ..."""
    copies = [os.dup2(file, MAX_FILES - 1 - i) for i, file in enumerate(files)]
    for number, copy in enumerate(copies, start=3):
        os.dup2(copy, number)
    os.closerange(3 + len(files), MAX_FILES)
