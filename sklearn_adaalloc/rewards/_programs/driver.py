"""Runs inside the sandbox: tests in this process, the program in a child process.

This file is a script. `sandbox.py` starts it once per answer, and describes the attacks
that this design prevents. The order of the steps matters:

1. the job is read from standard input: limits, the program, and the compiled modules
   of this folder that run here without the packages around them;
2. the child that will run the program is forked. It closes everything except two
   pipes, gives up further rights and waits for requests (`program_side.py`);
3. then the tests are read, so the child never has them in memory;
4. the tests call the program through the pipes (`tests_side.py`). If no test raises,
   the code word that came with the tests is written. If the verdict is unknown, the
   code word and the reason are written.
"""

import sys

if __name__ == "__main__":
    del sys.path[0]  # the folder of this script

import marshal
import os
import resource


def main():
    verdict = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    job = marshal.loads(receive(0))
    for name, value in job["limits"].items():  # of this process and its children
        resource.setrlimit(getattr(resource, name), (value, value))
    sys.path += job["path"]
    for name, code in job["modules"].items():
        module = sys.modules[name] = type(sys)(name)
        module.__path__ = []
        exec(code, module.__dict__)
    program_side, tests_side = map(sys.modules.get, job["sides"])
    for name in job["preload"]:  # once for both processes
        __import__(name)
    requests, replies = os.pipe(), os.pipe()
    os.write(verdict, b"ready")
    if os.fork() == 0:
        os.dup2(null, 0)
        program_side.keep_only(requests[0], replies[1])
        # A program that reads input is run anew for each input. It loses its rights
        # then.
        program_side.forbid(b"" if job["reads_input"] else job["filter"])
        program_side.serve(job, 3, 4)
        os._exit(1)
    os.close(requests[0])
    os.close(replies[1])
    program_side.forbid(job["filter"])
    tests = marshal.loads(receive(0))
    os.write(verdict, tests_side.verdict(tests, replies[0], requests[1]))
    os._exit(0)


def receive(file):
    """Read one message from the process that started this one."""
    size, data = None, bytearray()
    while size is None or len(data) < size:
        wanted = 8 - len(data) if size is None else min(size - len(data), 2**20)
        chunk = os.read(file, wanted)
        if not chunk:
            raise EOFError("the other side is gone")
        data += chunk
        if size is None and len(data) == 8:
            size, data = int.from_bytes(data, "little"), bytearray()
    return bytes(data)


if __name__ == "__main__":
    main()
