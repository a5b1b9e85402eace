"""The conversation of two processes, tests and program, as either of them has it.

Values of Python's own types cross by content, see ``_wire.py``: those that change in
place are kept equal on both sides, so that a list that the program sorts is sorted for
its tests, too, and stays the same list. Everything else stays where it was made, and
the other side has a *stand-in* for it: classes by classes of the same name, bases and
special methods, instances and functions by instances of these. What is done to a
stand-in is done where the object is.

The tests' side is *guarded*. Requests of the program reach only what the tests handed
it, by the few operations named here, never names with two underscores, frames, globals
or code. And no comparison of a value with an object of the program is left to the
program, which would so be shown what is expected, and would be its own judge.

Runs inside the sandbox.
"""

import os
import sys
from _thread import RLock
from types import BuiltinFunctionType, FunctionType, ModuleType

from sklearn_adaalloc.rewards import _wire as wire

MAX_BYTES = 2**24  # of a message of the program
COMPARISONS = {f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_SIGNS = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"
ARITHMETIC = {f"__{side}{n}__" for n in _SIGNS.split() for side in ("", "r", "i")}
# Of a value by content, unless the tests name its class, content alone says these.
CONTENT = {f"__{n}__" for n in "len bool iter getitem reversed int float index".split()}
SPECIALS = (
    *sorted(COMPARISONS | ARITHMETIC),
    *(
        f"__{name}__"
        for name in (
            "call len bool str repr format bytes hash iter next reversed contains "
            "getitem setitem delitem int float complex index abs neg pos invert round "
            "trunc floor ceil enter exit await aiter anext aenter aexit fspath "
            "length_hint missing"
        ).split()
    ),
)
# Of a function, all that the other side may read beside calling it.
_OPEN_NAMES = {"__name__", "__qualname__", "__doc__"}
_FRAME_NAMES = ("gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_")
_FUNCTIONS = ("function", "method", "builtin_function_or_method", "method-wrapper")
_BUILDING, _MISSING = object(), object()


class Unknown(BaseException):
    """What was asked cannot be done across processes, so the verdict is not known."""


class Broken(BaseException):
    """The other side does not speak as it should, or is gone."""


class RemoteType(type):
    """Type of stand-ins for the other side's classes."""

    def __new__(mcs, name, bases, namespace, *, number=None):
        if number is None and any(isinstance(base, RemoteType) for base in bases):
            bases[0]._peer_.give_up(
                f"the tests derive a class {name!r} from one of the program's"
            )
        return super().__new__(mcs, name, bases, namespace)

    def __init__(cls, name, bases, namespace, *, number=None):
        super().__init__(name, bases, namespace)

    def __call__(cls, *args, **options):
        return cls._peer_.special(cls, "__call__", args, options)

    def __getattr__(cls, name):
        peer = type.__getattribute__(cls, "_peer_")
        if peer.reading or _is_inner(name):
            raise AttributeError(name)
        if name == "__dataclass_fields__" and peer.guarded:
            peer.give_up(
                f"the tests take apart the program's dataclass {cls.__name__!r}"
            )
        return peer.ask("getattr", cls, name)

    def __setattr__(cls, name, value):
        if name.startswith("__") or _is_inner(name):
            type.__setattr__(cls, name, value)
        else:
            cls._peer_.ask("setattr", cls, name, value)

    def __iter__(cls):
        return iter(cls._peer_.special(cls, "__iter__", (), {}))

    def __len__(cls):
        return cls._peer_.special(cls, "__len__", (), {})

    def __bool__(cls):
        return True

    def __getitem__(cls, key):
        return cls._peer_.special(cls, "__getitem__", (key,), {})

    def __instancecheck__(cls, value):
        return type.__instancecheck__(cls, value) or (
            is_stand_in(value) and bool(cls._peer_.ask("isinstance", value, cls))
        )

    def __subclasscheck__(cls, other):
        return type.__subclasscheck__(cls, other) or (
            isinstance(other, RemoteType)
            and bool(cls._peer_.ask("issubclass", other, cls))
        )


def is_stand_in(value):
    """Whether a value stands in for an object or class of the other side."""
    return isinstance(type(value), RemoteType) or isinstance(value, RemoteType)


def _number_of(stand_in):
    if isinstance(stand_in, RemoteType):
        return type.__getattribute__(stand_in, "_class_number_")
    return object.__getattribute__(stand_in, "_number_")


def _is_inner(name):
    """Whether a name is one of those that stand-ins keep for themselves."""
    return name[:1] == "_" == name[-1:] and name[:2] != "__"


def _hidden(name):
    """A property whose value is the other side's."""
    return property(lambda self: self._peer_.ask("getattr", self, name))


def _special(name):
    """A special method that is carried out on the other side."""

    def method(self, *args, **options):
        return self._peer_.special(self, name, args, options)

    method.__name__ = method.__qualname__ = name
    return method


def _await(self):
    return self._peer_.ask("await", self)
    yield


class Peer:
    """One end of the conversation.

    Parameters
    ----------
    source, sink : int
        Files to read from and to write to.
    guarded : bool
        Whether this is the tests' side.
    operations : dict from str to callable
        What the other side may ask for beside operations on objects.
    """

    def __init__(self, source, sink, *, guarded, operations):
        self.source, self.sink, self.guarded = source, sink, guarded
        self.operations = operations
        self.next_number = int(guarded)  # so both sides count differently
        self.objects, self.numbers = {}, {}  # of this side, by number; and back, by id
        self.stand_ins = {}  # for the other side's, by number
        self.handed = {}  # by id, those that are no instances of a RemoteType
        self.shared, self.shared_numbers = {}, {}  # values that change in place
        self.known = set()  # numbers of own objects that the other side has met
        self.forgotten = []
        self.lock = RLock()
        self.reading = False
        self.notes = lambda item: {}  # what to tell with each message
        self.take_notes = lambda notes, get: None
        self.ends_loops = False  # whether StopIteration is what the tests wait for
        self.unknown, self.failed, self.broken = None, False, False

    # Asking

    def ask(self, operation, *arguments):
        """Have the other side do something; what it returns, or raises."""
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
            # It would end a loop of the tests, which would pass over the failure.
            raise RuntimeError("the program raised StopIteration")
        raise value

    def special(self, owner, name, args, options):
        """Have a special method of the other side's object called."""
        if self.guarded and name in CONTENT and not isinstance(owner, RemoteType):
            kind = type(owner)
            if kind._tag_ is not None and not kind._named_:
                if name == "__bool__" and "__len__" in dir(wire.plain_type(kind._tag_)):
                    return self.base_result(owner, "__len__", ()) > 0
                return self.base_result(owner, name, args)
        if self.guarded and args and name != "__call__":
            other = args[0]
            if name in ("__exit__", "__aexit__"):
                args = (*args[:2], None)  # a traceback stays where it is
            elif name == "__contains__" and not is_stand_in(other):
                return self.contains(owner, other)
            elif name in COMPARISONS and not is_stand_in(other):
                return self.compare(owner, name)
            elif name in ARITHMETIC and not is_stand_in(other):
                if not type(owner)._named_:
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
        """What the plain type does that the program's class is derived from."""
        for base in type(owner).__mro__:
            if not isinstance(base, RemoteType) and hasattr(base, name):
                return getattr(base, name)(owner, *args)
        return NotImplemented

    def contains(self, owner, value):
        """Look for a value in an object of the program, without showing it."""
        for base in type(owner).__mro__:
            if not isinstance(base, RemoteType) and hasattr(base, "__contains__"):
                return base.__contains__(owner, value)
        return any(item is value or item == value for item in owner)

    def give_up(self, reason):
        """Say that the verdict is not known."""
        self.unknown = self.unknown or reason
        raise Unknown(reason)

    def break_off(self, reason):
        self.broken = True
        raise Broken(reason)

    # Answering

    def serve(self):
        """Do what the other side asks, for good."""
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
                self.failed = True  # though the program may pass over it
            return self.write("error", error)

    def do_special(self, owner, name, args, options):
        if name not in SPECIALS:
            raise TypeError(f"{name} is not to be had")
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
        """Refuse operations of the program on what the tests did not hand it."""
        if self.guarded and id(owner) not in self.numbers:
            raise TypeError("only objects of the tests")

    def check_name(self, owner, name):
        """Refuse names through which the program would reach more of the tests."""
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
                or kind.__name__ in _FUNCTIONS
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
            get = _Reader(self, nodes).read()
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
        writer = _Writer(self)
        item = writer.item(value)
        notes = self.notes(writer.item)
        return writer.finish(kind, item, notes)

    def sweep(self):
        """Forget the values that only this table still knows."""
        for number, entry in list(self.shared.items()):
            # One that was changed before it was let go is told of first.
            if sys.getrefcount(entry[0]) == _UNUSED and wire.same_contents(
                entry[2], wire.contents_of(entry[0], entry[1])
            ):
                del self.shared[number], self.shared_numbers[id(entry[0])]
                self.forgotten.append(number)

    def number_of(self, value):
        """Number of an object of this side, which is kept from now on."""
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
    table = {0: ([], None)}
    for _, entry in list(table.items()):
        return sys.getrefcount(entry[0])


_UNUSED = _count_unused()


class _Writer:
    """Writes the nodes of one message."""

    def __init__(self, peer):
        self.peer = peer
        self.nodes, self.index, self.pending = [], {}, []
        self.kept = []  # or an id might be given to another value
        self.shared, self.known = {}, set()

    def item(self, value):
        if wire.is_inline(value):
            return value
        k = self.index.get(id(value))
        if k is None:
            k = self.index[id(value)] = len(self.nodes)
            self.nodes.append(None)
            self.kept.append(value)
            self.pending.append((k, value))
        return [k]

    def finish(self, kind, item, notes):
        """Write what is pending, and what changed; the bytes of the message."""
        peer = self.peer
        self.work()
        for value, tag, parts in list(peer.shared.values()):
            if id(value) not in self.index and not wire.same_contents(
                parts, wire.contents_of(value, tag)
            ):
                self.item(value)
        self.work()
        message = wire.dumps([kind, item, self.nodes, peer.forgotten, notes])
        if not peer.guarded and len(message) > MAX_BYTES:
            raise MemoryError("the result is too long")
        for number, (value, tag, parts) in self.shared.items():
            peer.shared[number] = value, tag, parts
            peer.shared_numbers[id(value)] = number
        peer.known |= self.known
        peer.forgotten = []
        return message

    def work(self):
        while self.pending:
            k, value = self.pending.pop()
            self.nodes[k] = self.node(value)

    def node(self, value):
        peer, kind = self.peer, type(value)
        if is_stand_in(value):
            number = _number_of(value)
            if number in peer.shared:
                return self.changing(value, number, ["yours", number])
            return ["yours", number]
        if (number := peer.handed.get(id(value))) is not None:
            return ["yours", number]
        number = peer.shared_numbers.get(id(value))
        if number is not None and number not in peer.objects:
            return self.changing(value, number, ["same", number])
        tag = wire.tag_of(kind)
        if tag is not None and wire.crosses(value, tag):
            if tag in wire.CHANGING:
                return self.changing(value, peer.new_number(), None)
            return [tag, *self.items(wire.contents_of(value, tag))]
        if isinstance(value, type):
            return self.type_node(value)
        if peer.guarded:
            if isinstance(value, ModuleType):
                return ["module", value.__name__]
            if kind.__name__ in ("frame", "code", "traceback"):
                peer.give_up(f"the tests hand a {kind.__name__} to the program")
            if (name := _global_name(value)) is not None:
                return ["global", *name]
        return self.object_node(value, kind)

    def items(self, parts):
        kinds = set(map(type, parts))
        if kinds == {float} or (
            kinds == {int} and max(parts) < wire.WHOLE and min(parts) > -wire.WHOLE
        ):
            return parts
        return [self.item(part) for part in parts]

    def changing(self, value, number, unchanged, head=None):
        """Node of a value that changes in place: its contents, unless known."""
        entry = self.peer.shared.get(number)
        tag = entry[1] if entry else (head[3] if head else wire.tag_of(type(value)))
        parts = wire.contents_of(value, tag)
        if entry and unchanged and wire.same_contents(entry[2], parts):
            return unchanged
        self.shared[number] = value, tag, parts
        return [*(head or ["content", number, tag]), *self.items(parts)]

    def type_node(self, cls):
        key = cls.__module__, cls.__qualname__
        if wire.plain_types().get(key) is cls:
            return ["type", key]
        if _is_library_error(cls):
            return ["type", *((base.__module__, base.__name__) for base in cls.__mro__)]
        if self.peer.guarded and (name := _global_name(cls)) is not None:
            return ["global", *name]
        return ["alias", self.class_item(cls)]

    def class_node(self, cls):
        """Node of a class that the other side makes a class of stand-ins for."""
        number = self.peer.number_of(cls)
        if number in self.peer.known:
            return ["mine", number]
        self.known.add(number)
        bases = [self.item(base) for base in _own_bases(cls)]
        return ["class", number, cls.__name__, cls.__module__, bases, *_describe(cls)]

    def class_item(self, cls):
        """Item of a class, stood in for on the other side even if it could be named."""
        if _is_library_error(cls):
            return self.item(cls)
        key = "class", id(cls)
        k = self.index.get(key)
        if k is None:
            k = self.index[key] = len(self.nodes)
            self.nodes.append(None)
            self.nodes[k] = self.class_node(cls)
            self.kept.append(cls)
        return [k]

    def object_node(self, value, kind):
        number = self.peer.number_of(value)
        tag = wire.base_tag(kind)
        if number in self.peer.known and tag not in wire.CHANGING:
            return ["mine", number]
        cls = self.class_item(kind)
        self.known.add(number)
        if isinstance(value, BaseException):
            if self.peer.guarded and isinstance(value, AssertionError):
                self.peer.failed = True  # and the program is not told what was expected
                parts = "", (), (), None
            else:
                variables = tuple(vars(value).items())
                args = value.args
                if hasattr(value, "exceptions"):  # a group, which is made of them
                    args = value.args[:1] + (tuple(value.exceptions),)
                parts = str(value), args, variables, value.__cause__
            return ["error", number, cls, *map(self.item, parts)]
        if tag in wire.CHANGING:
            head = ["twin", number, cls, tag]
            return self.changing(value, number, ["mine", number], head)
        if tag is not None:
            parts = self.items(wire.contents_of(value, tag))
            return ["twin", number, cls, tag, *parts]
        return ["object", number, cls, _hash_of(value, kind)]


class _Reader:
    """Reads the nodes of one message."""

    def __init__(self, peer, nodes):
        self.peer, self.nodes = peer, nodes
        self.values = [_MISSING] * len(nodes)
        self.contents = []

    def read(self):
        """Read all nodes; a function from items to values."""
        for k in reversed(range(len(self.nodes))):
            self.get([k])
        for value, tag, parts, number in self.contents:
            wire.fill(value, tag, list(map(self.get, parts)))
        for value, tag, _, number in self.contents:
            self.peer.shared[number] = value, tag, wire.contents_of(value, tag)
            self.peer.shared_numbers[id(value)] = number
        return self.get

    def get(self, item):
        if type(item) is not list:
            return item
        (k,) = item
        value = self.values[k]
        if value is _BUILDING:
            raise ValueError("a value that contains itself cannot be made")
        if value is _MISSING:
            self.values[k] = _BUILDING
            tag, *rest = self.nodes[k]
            method = getattr(self, f"read_{tag}", None)
            value = method(*rest) if method else self.fixed(tag, rest)
            self.values[k] = value
        return value

    def fixed(self, tag, parts):
        make = wire.FIXED[tag][1]
        return make(wire.plain_type(tag), *map(self.get, parts))

    def read_yours(self, number):
        return self.peer.objects[number]

    def read_mine(self, number):
        return self.peer.stand_ins[number]

    def read_alias(self, item):
        return self.get(item)

    def read_same(self, number):
        return self.peer.shared[number][0]

    def read_content(self, number, tag, *parts):
        """A value that changes in place: as known to both sides, or new."""
        entry = self.peer.shared.get(number)
        if entry is None:
            self.check_new(number)
            value = wire.empty(tag, list(parts), wire.plain_type(tag))
        else:
            value = entry[0]
            if entry[1] != tag:
                raise TypeError("another type than before")
        self.contents.append((value, tag, parts, number))
        return value

    def check_new(self, number):
        if type(number) is not int or number % 2 == int(self.peer.guarded):
            raise ValueError("a number of this side")

    def read_type(self, *names):
        """The first of a class and its bases that is loaded and may be named."""
        for module, name in names:
            if (module, name) in wire.LATER:
                wire.loaded(module)
            cls = wire.plain_types().get((module, name))
            if cls is None and name.isidentifier():
                cls = getattr(sys.modules.get(module), name, None)
                cls = cls if _is_library_error(cls) else None
            if cls is not None:
                return cls
        raise TypeError("no type to name")

    def read_global(self, module, name):
        if self.peer.guarded:
            raise TypeError("the program names a function")
        found = wire.loaded(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def read_module(self, name):
        if self.peer.guarded:
            raise TypeError("the program names a module")
        return wire.loaded(name)

    def read_class(
        self, number, name, module, bases, specials, overrides, tag, library
    ):
        self.check_new(number)
        bases = [self.get(base) for base in bases]
        return make_class(
            self.peer, number, name, module, bases, specials, overrides, tag, library
        )

    def read_object(self, number, cls, hint):
        cls = self.get(cls)
        if not isinstance(cls, RemoteType):
            raise TypeError("no class of the program")
        value = self.stand_in(object.__new__(cls), number)
        object.__setattr__(value, "_hash_", hint)
        if cls._library_ and cls.__name__ == "coroutine":
            value = self.peer.stand_ins[number] = _as_coroutine(value)
            self.peer.handed[id(value)] = number
        return value

    def read_twin(self, number, cls, tag, *parts):
        known, cls = self.peer.stand_ins.get(number), self.get(cls)
        if not isinstance(cls, RemoteType) or tag != cls._tag_:
            raise TypeError("no class of the program")
        if tag in wire.CHANGING:
            value = wire.empty(tag, list(parts), cls) if known is None else known
            self.contents.append((value, tag, parts, number))
        else:
            value = wire.FIXED[tag][1](cls, *map(self.get, parts))
        return self.stand_in(value, number) if known is None else known

    def read_error(self, number, cls, text, args, variables, cause):
        cls, args, cause = self.get(cls), self.get(args), self.get(cause)
        if not issubclass(cls, BaseException) or type(args) is not tuple:
            raise TypeError("no error")
        error = _new_error(cls, args)
        if isinstance(cls, RemoteType):
            object.__setattr__(error, "_text_", self.get(text))
        else:  # what a stand-in has, it asks for
            error.__dict__.update(map(self.get, self.get(variables)))
        if isinstance(cause, BaseException):
            error.__cause__ = cause
        return self.stand_in(error, number)

    def stand_in(self, value, number):
        self.check_new(number)
        if is_stand_in(value):
            object.__setattr__(value, "_number_", number)
        self.peer.stand_ins[number] = value
        return value


def _new_error(cls, args):
    """Make an error without running code of the program."""
    try:
        error = cls.__new__(cls, *args)
        if not isinstance(cls, RemoteType):
            error.__init__(*args)
    except TypeError:
        error = cls.__new__(cls)
    object.__setattr__(error, "args", args)
    return error


class Remote(metaclass=RemoteType, number=0):
    """An object of the other side."""

    _class_number_ = 0

    def __getattr__(self, name):
        if self._peer_.reading or _is_inner(name):
            raise AttributeError(name)
        return self._peer_.ask("getattr", self, name)

    def __setattr__(self, name, value):
        if name.startswith("__") and name.endswith("__") or _is_inner(name):
            object.__setattr__(self, name, value)
        else:
            self._peer_.ask("setattr", self, name, value)

    def __delattr__(self, name):
        self._peer_.ask("delattr", self, name)

    def __dir__(self):
        return self._peer_.ask("dir", self)

    def __copy__(self):
        return self._peer_.ask("copy", self, "copy")

    def __deepcopy__(self, memo):
        return self._peer_.ask("copy", self, "deepcopy")

    def __reduce_ex__(self, protocol):
        raise TypeError("an object of another process cannot be pickled")

    __dict__ = _hidden("__dict__")


def make_class(peer, number, name, module, bases, specials, overrides, tag, library):
    """Make the class of stand-ins for the instances of a class of the other side."""
    plain = [base for base in bases if not isinstance(base, RemoteType)]
    mirrors = [base for base in bases if isinstance(base, RemoteType)] or [Remote]
    namespace = {
        "__module__": module,
        "_peer_": peer,
        "_class_number_": number,
        "_named_": False,
        "_library_": bool(library),
        "_tag_": tag,
        **{special: _special(special) for special in specials if special in SPECIALS},
        **{
            override: _hidden(override)
            for override in overrides
            if override[:2] != "__"
        },
    }
    if tag is not None:  # compared by content, which needs nobody's word
        for special in (*COMPARISONS, "__hash__", "__contains__"):
            namespace.pop(special, None)
    if "__await__" in namespace:
        namespace["__await__"] = _await
    if "__hash__" in namespace:
        namespace["__hash__"] = _hash
    if library and name in _FUNCTIONS:
        namespace["__doc__"] = _hidden("__doc__")
    if any(issubclass(base, BaseException) for base in bases):
        namespace["__str__"] = lambda self: self._text_
    cls = RemoteType(name, (*mirrors, *plain), namespace, number=number)
    peer.stand_ins[number] = cls
    return cls


def _hash(self):
    if self._peer_.reading:  # and not in a position to ask
        hint = self._hash_
        return hash(hint) if type(hint) is int else object.__hash__(self)
    return self._peer_.ask("special", self, "__hash__", (), {})


def _is_own(cls):
    return cls.__module__ in ("program", "__main__", "tests")


def _own_bases(cls):
    """Bases that the other side can name or stand in for; for others, their bases."""
    found = []
    for base in cls.__bases__:
        named = _is_own(base) or _is_library_error(base) or wire.tag_of(base)
        found += [base] if named else _own_bases(base)
    return list(dict.fromkeys(found))


def _describe(cls):
    """Special methods, overridden methods, plain type, and whether it is a library's."""
    tag = wire.base_tag(cls)
    stop = {object, BaseException}
    stop |= {
        base for base in cls.__mro__ if wire.tag_of(base) or _is_library_error(base)
    }
    own = {}
    for base in cls.__mro__:
        if base in stop:
            break
        own.update(vars(base))
    specials = [n for n in SPECIALS if own.get(n) is not None]
    overrides = []
    if tag is not None:
        plain = wire.plain_type(tag)
        overrides = [n for n in own if n[:2] != "__" and hasattr(plain, n)]
    return specials, overrides, tag, not _is_own(cls)


def _hash_of(value, kind):
    """Hash of an object whose class defines one."""
    if kind.__hash__ in (None, object.__hash__):
        return None
    try:
        return hash(value)
    except Exception:
        return None


def _is_library_error(cls):
    return (
        isinstance(cls, type)
        and issubclass(cls, BaseException)
        and cls.__module__.partition(".")[0] in sys.stdlib_module_names
        and getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls
        and not _is_own(cls)
    )


def _global_name(value):
    """Module and name of a function or class of Python's library; None for others."""
    if type(value).__name__ in ("method_descriptor", "wrapper_descriptor"):
        owner = value.__objclass__
        module, name = owner.__module__, f"{owner.__qualname__}.{value.__name__}"
    elif isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        module, name = value.__module__, value.__qualname__
    else:
        return None
    if (
        type(module) is not str
        or module.partition(".")[0] not in sys.stdlib_module_names
    ):
        return None
    found = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return (module, name) if found is value else None


async def _as_coroutine(stand_in):
    """A coroutine of this side for one of the other side."""
    return stand_in._peer_.ask("await", stand_in)


def _run_to_end(awaitable):
    """Run an awaitable, even where an event loop runs already."""
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
    """Read so many bytes."""
    data = bytearray()
    while len(data) < size:
        chunk = os.read(file, min(size - len(data), 2**20))
        if not chunk:
            raise EOFError("the other side is gone")
        data += chunk
    return bytes(data)
