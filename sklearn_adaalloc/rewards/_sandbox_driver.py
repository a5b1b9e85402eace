"""Runs inside the sandbox: the tests in this process, the program in its child.

This file is a script. It imports nothing of the package and is started once per answer
by `_sandbox.py`, which says against what it is built like this. The order matters:

1. the program is read from standard input, and the child that is to run it is forked;
2. the child closes everything but two pipes, gives up further rights and runs it;
3. only then are the tests read, which the child has therefore never had in memory;
4. the tests call the program through the pipes. What comes back is plain data or the
   number of an object that stays in the child; the code word that came with the tests
   is written if none of them raised.
"""

import sys

if __name__ == "__main__":
    del sys.path[0]  # the folder of this script

import _pickle as pickle  # the C part alone loads faster
import builtins
import ctypes
import io
import marshal
import os
import resource
import select
import struct
import time

MAX_BYTES = 2**24  # of what a program returns or prints
MAX_FILES = 64
SIGKILL = 9  # the module signal takes a third of the time that all others take
SCALARS = (bool, int, float, complex, str, bytes, bytearray)
COLLECTIONS = (list, tuple, set, frozenset)
PLAIN = {*SCALARS, *COLLECTIONS, dict, type(None)}
OPERATIONS = {
    "call": lambda function, args, options: function(*args, **options),
    "getattr": getattr,
    "setattr": setattr,
    "getitem": lambda owner, key: owner[key],
    "len": len,
    "list": list,
    "bool": bool,
    "str": str,
}


def main():
    verdict = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    job = marshal.loads(receive(0))
    for name, value in job["limits"].items():  # of this process and its children
        resource.setrlimit(getattr(resource, name), (value, value))
    for name in job["preload"]:  # once for both processes
        __import__(name)
    requests, replies = os.pipe(), os.pipe()
    os.write(verdict, b"ready")
    if os.fork() == 0:
        os.dup2(null, 0)
        keep_only(requests[0], replies[1])
        serve(job, 3, 4)
        os._exit(1)
    os.close(requests[0])
    os.close(replies[1])
    forbid(job["filter"])
    tests = marshal.loads(receive(0))
    if passes(tests, Child(requests[1], replies[0])):
        os.write(verdict, tests["code_word"])
    os._exit(0)


# In this process: the tests


class Child:
    """The process with the program, as the tests see it."""

    def __init__(self, requests, replies):
        self.requests = requests
        self.replies = replies

    def ask(self, operation, *arguments):
        file = io.BytesIO()
        TestPickler(file, protocol=4).dump((operation, arguments))
        send(self.requests, file.getvalue())
        return self.reply()

    def reply(self):
        message = receive(self.replies, at_most=MAX_BYTES)
        kind, value = PlainUnpickler(message, self).load()
        if kind == "value":
            return value
        error = getattr(builtins, value, None)
        known = isinstance(error, type) and issubclass(error, Exception)
        # One that ends a loop would let the tests pass over the failure.
        if not known or issubclass(error, (StopIteration, StopAsyncIteration)):
            error = RuntimeError
        raise error


class Remote:
    """An object that stays in the program's process; equal to nothing but itself."""

    def __init__(self, child, number):
        self.__dict__.update(_child=child, _number=number)

    def __call__(self, *args, **options):
        return self._child.ask("call", self, args, options)

    def __getattr__(self, name):
        return self._child.ask("getattr", self, name)

    def __setattr__(self, name, value):
        self._child.ask("setattr", self, name, value)

    def __getitem__(self, key):
        return self._child.ask("getitem", self, key)

    def __iter__(self):
        return iter(self._child.ask("list", self))

    def __len__(self):
        return self._child.ask("len", self)

    def __bool__(self):
        return self._child.ask("bool", self)

    def __str__(self):
        return self._child.ask("str", self)


class TestPickler(pickle.Pickler):
    """Sends what tests pass to the program."""

    def persistent_id(self, value):
        return value._number if type(value) is Remote else None


class PlainUnpickler(pickle.Unpickler):
    """Receives plain data and numbers of objects: it can name no class or function."""

    def __init__(self, message, child):
        super().__init__(io.BytesIO(message))
        self.child = child

    def persistent_load(self, number):
        return Remote(self.child, number)

    def find_class(self, module, name):
        raise pickle.UnpicklingError("only plain data is accepted")


def passes(tests, child):
    """Whether the program loads and no test raises."""
    namespace = {"__name__": "tests", "cases": tests["cases"]}
    namespace |= {"same_text": same_text, "same_value": same_value}
    namespace["run"] = lambda text: child.ask("run", text)
    try:
        child.reply()  # the program is loaded
        exec(compile(tests["setup"], "<setup>", "exec"), namespace)
        wanted = set(tests["names"]) - namespace.keys()
        found = child.ask("find", [*wanted, *tests["required"]])
        # Nothing but what was asked for.
        namespace.update({name: found[name] for name in wanted & found.keys()})
        namespace.update({name: found[name] for name in tests["required"]})
        namespace.update({name: __import__(name) for name in tests["modules"]})
        exec(compile(tests["source"], "<tests>", "exec"), namespace)
    except BaseException:  # a program may make the tests raise anything
        return False
    return True


def same_text(output, expected):
    """Whether an output has the expected words; decimals may differ by 1e-6."""
    words, right_words = output.split(), expected.split()
    return len(words) == len(right_words) and all(
        word == right or close(word, right)
        for word, right in zip(words, right_words, strict=True)
    )


def close(word, right):
    try:
        error = abs(float(word) - float(right))
        return "." in right and error <= 1e-6 * max(1.0, abs(float(right)))
    except ValueError:
        return False


def same_value(value, expected):
    """Whether a value is the expected one, a tuple being as good as a list."""
    if isinstance(value, (list, tuple)) and isinstance(expected, list):
        return len(value) == len(expected) and all(map(same_value, value, expected))
    return value == expected


# In the child: the program


def serve(job, requests, replies):
    """Load the program, then do what the tests ask of it."""
    objects = []

    def answer(work, *arguments):
        try:
            reply = "value", plain(work(*arguments))
        except BaseException as error:  # it may raise anything
            reply = "error", type(error).__name__
        file = io.BytesIO()
        ProgramPickler(file, objects).dump(reply)
        send(replies, file.getvalue())
        return reply[0] == "value"

    module = type(sys)("__main__" if job["reads_input"] else "program")
    sys.modules[module.__name__] = module
    operations = {
        "run": lambda text: run(job, module, text),
        "find": lambda names: {n: find(module, n) for n in names if defines(module, n)},
        **OPERATIONS,
    }
    # One that reads its input is run afresh for each, see `run`.
    going = answer(lambda: None if job["reads_input"] else load(job, module))
    while going:
        message = ProgramUnpickler(receive(requests), objects).load()
        answer(operations[message[0]], *message[1])


def load(job, module):
    """Run the program's definitions, without rights."""
    forbid(job["filter"])
    exec(compile(job["program"], "<program>", "exec"), module.__dict__)


def defines(module, name):
    return hasattr(module, name) or hasattr(getattr(module, "Solution", None), name)


def find(module, name):
    """Get what the program calls `name`, or this method of its class Solution."""
    if hasattr(module, name):
        return getattr(module, name)
    return getattr(module.Solution(), name)


class ProgramPickler(pickle.Pickler):
    """Sends plain data; keeps everything else and sends its number."""

    def __init__(self, file, objects):
        super().__init__(file, protocol=4)
        self.objects = objects

    def persistent_id(self, value):
        if type(value) in PLAIN:
            return None
        self.objects.append(value)
        return len(self.objects) - 1


class ProgramUnpickler(pickle.Unpickler):
    """Puts the kept objects in the place of their numbers."""

    def __init__(self, message, objects):
        super().__init__(io.BytesIO(message))
        self.objects = objects

    def persistent_load(self, number):
        return self.objects[number]


def plain(value):
    """Replace what is derived from a plain type by the plain value."""
    for kind in SCALARS:
        if isinstance(value, kind):
            return kind(value)
    for kind in COLLECTIONS:
        if isinstance(value, kind):
            return kind(map(plain, value))
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return value


def run(job, module, text):
    """What the program prints, run in a process of its own with `text` as input."""
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
    """End this process as the interpreter would after running the program."""
    status = 0
    try:
        load(job, module)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else end.code is not None
    except BaseException:
        status = 1
    threading = sys.modules.get("threading")
    for thread in threading.enumerate() if threading else []:
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    sys.stdout.flush()
    os._exit(status & 255)


def communicate(stdin, stdout, data, timeout):
    """Write `data` while reading all that comes back; both files are closed then."""
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


# In both


def forbid(program):
    """Install a filter of system calls for good; an empty one forbids nothing."""
    if not program:
        return
    instructions = ctypes.create_string_buffer(program, len(program))
    address = ctypes.addressof(instructions)
    argument = struct.pack("HP", len(program) // 8, address)
    set_seccomp, mode_filter = 22, 2
    if ctypes.CDLL(None).prctl(set_seccomp, mode_filter, argument, 0, 0):
        raise OSError("the system-call filter was refused")


def keep_only(*files):
    """Close all files but standard ones and these, which become 3, 4, ..."""
    copies = [os.dup2(file, MAX_FILES - 1 - i) for i, file in enumerate(files)]
    for number, copy in enumerate(copies, start=3):
        os.dup2(copy, number)
    os.closerange(3 + len(files), MAX_FILES)


def send(file, message):
    message = len(message).to_bytes(8, "little") + message
    while message:
        message = message[os.write(file, message) :]


def receive(file, at_most=float("inf")):
    size = int.from_bytes(read(file, 8), "little")
    if size > at_most:
        raise EOFError("the message is too long")
    return read(file, size)


def read(file, size):
    data = bytearray()
    while len(data) < size:
        chunk = os.read(file, min(size - len(data), 2**20))
        if not chunk:
            raise EOFError("the other side is gone")
        data += chunk
    return bytes(data)


if __name__ == "__main__":
    main()
