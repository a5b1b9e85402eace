"""Communication of the two processes, tests and program; both sides use this module.

Values of Python's own types are passed by content, see ``wire.py``. Values that change
in place are kept equal on both sides. So if the program sorts a list of the tests, the
tests see the sorted list, and it remains the same list. Everything else stays in the
process that made it, and the other side has a *stand-in* for it. A class gets a class
with the same name, bases and special methods. Instances and functions get instances of
such classes. Operations on a stand-in run where the object is.

The side of the tests is *guarded*. Requests of the program reach only objects that the
tests passed to it, by the few operations named here. They never reach names with two
underscores, frames, globals or code. And the program never decides whether its object
equals a value of the tests. It would see the expected value and would grade itself.

Runs inside the sandbox.
"""

import os
import sys
from _thread import RLock
from types import ModuleType

from sklearn_adaalloc.rewards._programs import wire
from sklearn_adaalloc.rewards._programs.messages import MAX_BYTES, Reader, Writer
from sklearn_adaalloc.rewards._programs.stand_ins import (
    ARITHMETIC,
    COMPARISONS,
    CONTENT,
    FUNCTIONS,
    SPECIALS,
    RemoteType,
    is_stand_in,
)

# Attributes of a function that the other side may read.
_OPEN_NAMES = {"__name__", "__qualname__", "__doc__"}
_FRAME_NAMES = ("gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_")


class Unknown(BaseException):
    """A request cannot work across processes, so the verdict is unknown."""


class Broken(BaseException):
    """The other side broke the protocol or has ended."""


class Peer:
    """One end of the communication.

    `source` and `sink` are file descriptors. `guarded` says whether this is the side of
    the tests. `operations` maps names to functions that the other side may call.
    """

    def __init__(self, source, sink, *, guarded, operations):
        self.source, self.sink, self.guarded = source, sink, guarded
        self.operations = operations
        self.next_number = int(guarded)  # so both sides count differently
        self.objects, self.numbers = {}, {}  # of this side, by number; and back, by id
        self.stand_ins = {}  # for objects of the other side, by number
        self.handed = {}  # by id, those that are not instances of a RemoteType
        self.shared, self.shared_numbers = {}, {}  # values that change in place
        self.known = set()  # numbers of own objects that the other side knows
        self.forgotten = []
        self.lock = RLock()
        self.reading = False
        self.notes = lambda item: {}  # notes that are sent with each message
        self.take_notes = lambda notes, get: None
        self.ends_loops = False  # whether the tests expect StopIteration
        self.unknown, self.failed, self.broken = None, False, False

    # Asking

    def ask(self, operation, *arguments):
        """Request an operation of the other side; returns or raises its result."""
        with self.lock:
            self.send(self.write("ask", [operation, *arguments]))
            while True:
                kind, value = self.receive()
                if kind == "value":
                    return value
                if kind == "error":
                    break
                self.send(self.perform(value))
        iterates = operation == "special" and arguments[1] == "__next__"
        if isinstance(value, (StopIteration, StopAsyncIteration)) and not (
            iterates
            or self.ends_loops
            or not self.guarded
            or (operation == "await" and isinstance(value, StopAsyncIteration))
        ):
            # It would end a loop of the tests, which would hide the failure.
            raise RuntimeError("the program raised StopIteration")
        raise value

    def special(self, owner, name, args, options):
        """Call a special method of an object of the other side."""
        if self.guarded and name in CONTENT and not isinstance(owner, RemoteType):
            kind = type(owner)
            if kind._tag_ is not None and not kind._named_:
                if name == "__bool__" and "__len__" in dir(wire.plain_type(kind._tag_)):
                    return self.base_result(owner, "__len__", ()) > 0
                return self.base_result(owner, name, args)
        if self.guarded and args and name != "__call__":
            other = args[0]
            if name in ("__exit__", "__aexit__"):
                args = (*args[:2], None)  # tracebacks are not passed
            elif name == "__contains__" and not is_stand_in(other):
                return self.contains(owner, other)
            elif name in COMPARISONS and not is_stand_in(other):
                return self.compare(owner, name)
            elif (
                name in ARITHMETIC
                and not is_stand_in(other)
                and not type(owner)._named_
            ):
                return self.base_result(owner, name, args)
        return self.ask("special", owner, name, args, options)

    def compare(self, owner, name):
        """Compare an object of the program with a value, without asking it."""
        kind = type(owner)
        if kind._named_ or kind._library_:
            whose = "library" if kind._library_ else "program's own"
            self.give_up(
                f"the tests compare a value with an object of the {whose} class "
                f"{kind.__name__!r}, which has a comparison of its own"
            )
        return NotImplemented

    def base_result(self, owner, name, args):
        """Call the method of the plain type from which the program's class derives."""
        for base in type(owner).__mro__:
            if not isinstance(base, RemoteType) and hasattr(base, name):
                return getattr(base, name)(owner, *args)
        return NotImplemented

    def contains(self, owner, value):
        """Search for a value in an object of the program without showing the value."""
        for base in type(owner).__mro__:
            if not isinstance(base, RemoteType) and hasattr(base, "__contains__"):
                return base.__contains__(owner, value)
        return any(item is value or item == value for item in owner)

    def give_up(self, reason):
        """Record that the verdict is unknown."""
        self.unknown = self.unknown or reason
        raise Unknown(reason)

    def break_off(self, reason):
        self.broken = True
        raise Broken(reason)

    # Answering

    def serve(self):
        """Perform requests of the other side forever."""
        with self.lock:
            while True:
                _, value = self.receive()
                self.lock.release()  # threads of the program may ask meanwhile
                try:
                    reply = self.perform(value)
                finally:
                    self.lock.acquire()
                self.send(reply)

    def perform(self, request):
        """Carry out a request and write the reply."""
        try:
            operation, *arguments = request
            work = self.operations.get(operation) or getattr(self, f"do_{operation}")
            return self.write("value", work(*arguments))
        except (Unknown, Broken):
            raise
        except BaseException as error:  # it may raise anything
            if self.guarded and isinstance(error, AssertionError):
                self.failed = True  # even if the program ignores the error
            return self.write("error", error)

    def do_special(self, owner, name, args, options):
        if name not in SPECIALS:
            raise TypeError(f"{name} is not available")
        self.check_owner(owner)
        if name == "__call__":
            return owner(*args, **options)
        if isinstance(owner, type):
            if name == "__iter__":
                return iter(owner)
            if name == "__getitem__":
                return owner[args[0]]
            return len(owner)
        return getattr(type(owner), name)(owner, *args, **options)

    def do_getattr(self, owner, name):
        self.check_name(owner, name)
        return getattr(owner, name)

    def do_setattr(self, owner, name, value):
        self.check_name(owner, name)
        setattr(owner, name, value)

    def do_delattr(self, owner, name):
        self.check_name(owner, name)
        delattr(owner, name)

    def do_dir(self, owner):
        self.check_owner(owner)
        return [name for name in dir(owner) if not (self.guarded and name[:1] == "_")]

    def do_copy(self, owner, name):
        import copy

        self.check_owner(owner)
        return getattr(copy, "deepcopy" if name == "deepcopy" else "copy")(owner)

    def do_isinstance(self, owner, cls):
        self.check_owner(owner)
        return isinstance(owner, cls)

    def do_issubclass(self, owner, cls):
        self.check_owner(owner)
        return issubclass(owner, cls)

    def do_await(self, owner):
        self.check_owner(owner)
        return _run_to_end(owner)

    def check_owner(self, owner):
        """Reject operations on objects that the tests did not pass to the program."""
        if self.guarded and id(owner) not in self.numbers:
            raise TypeError("only objects of the tests")

    def check_name(self, owner, name):
        """Reject names through which the program could reach more of the tests."""
        if not self.guarded:
            return
        self.check_owner(owner)
        kind = type(owner)
        inner = kind.__module__ == "tests" or isinstance(owner, type)
        if type(name) is not str or (
            name not in _OPEN_NAMES
            and (
                name.startswith("__")
                or name.startswith(_FRAME_NAMES)
                or (name.startswith("_") and not inner)
                or kind.__name__ in FUNCTIONS
                or isinstance(owner, ModuleType)
            )
        ):
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")

    # Messages

    def send(self, message):
        data = len(message).to_bytes(8, "little") + message
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.sink, view) :]
        except OSError:
            self.break_off("the other side is gone")

    def receive(self):
        """Read one message: its kind and value."""
        try:
            size = int.from_bytes(read(self.source, 8), "little")
            if self.guarded and size > MAX_BYTES:
                self.break_off("the message is too long")
            kind, item, nodes, forgotten, notes = wire.loads(read(self.source, size))
            if kind not in ("ask", "value", "error"):
                self.break_off("no such message")
            for number in forgotten:
                entry = self.shared.pop(number)
                del self.shared_numbers[id(entry[0])]
            self.reading = True
            get = Reader(self, nodes).read()
            value = get(item)
            if kind == "error" and not isinstance(value, BaseException):
                self.break_off("no error")
            if kind == "ask" and type(value) is not list:
                self.break_off("no request")
            self.take_notes(notes, get)
        except (Unknown, Broken):
            raise
        except BaseException as error:
            self.broken = True
            raise Broken("the message makes no sense") from error
        finally:
            self.reading = False
        return kind, value

    def write(self, kind, value):
        """Write one message."""
        self.sweep()
        writer = Writer(self)
        item = writer.item(value)
        notes = self.notes(writer.item)
        return writer.finish(kind, item, notes)

    def sweep(self):
        """Forget values that only this table still holds."""
        for number, entry in list(self.shared.items()):
            # A value that changed before it was released is reported first.
            if sys.getrefcount(entry[0]) == _UNUSED and wire.same_contents(
                entry[2], wire.contents_of(entry[0], entry[1])
            ):
                del self.shared[number], self.shared_numbers[id(entry[0])]
                self.forgotten.append(number)

    def number_of(self, value):
        """Number of an object of this side; the object is kept from now on."""
        number = self.numbers.get(id(value))
        if number is None:
            number = self.new_number()
            self.objects[number] = value
            self.numbers[id(value)] = number
        return number

    def new_number(self):
        self.next_number += 2
        return self.next_number


def _count_unused():
    """Number of references that `Peer.sweep` counts if only its table has a value."""
    table, counts = {0: ([], None)}, []
    for _, entry in list(table.items()):
        counts.append(sys.getrefcount(entry[0]))
    return counts[0]


_UNUSED = _count_unused()


def _run_to_end(awaitable):
    """Run an awaitable, even if an event loop is already running."""
    import asyncio

    async def wait():
        return await awaitable

    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(wait())
    finally:
        loop.close()
        asyncio._set_running_loop(running)


def read(file, size):
    """Read exactly `size` bytes."""
    data = bytearray()
    while len(data) < size:
        chunk = os.read(file, min(size - len(data), 2**20))
        if not chunk:
            raise EOFError("the other side is gone")
        data += chunk
    return bytes(data)
