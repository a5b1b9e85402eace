"""Messages between the two processes: values to nodes, and nodes to values.

Runs inside the sandbox; see ``peer.py``.
"""

import sys
from types import BuiltinFunctionType, FunctionType, ModuleType

from sklearn_adaalloc.rewards._programs import wire
from sklearn_adaalloc.rewards._programs.stand_ins import (
    SPECIALS,
    RemoteType,
    as_coroutine,
    is_library_error,
    is_own,
    is_stand_in,
    make_class,
    number_of,
)

MAX_BYTES = 2**24  # largest message of the program
_BUILDING, _MISSING = object(), object()


class Writer:
    """Writes the nodes of one message."""

    def __init__(self, peer):
        self.peer = peer
        self.nodes, self.index, self.pending = [], {}, []
        self.kept = []  # keeps values alive, so no id is used twice
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
        """Write pending values and changes; returns the bytes of the message."""
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
            number = number_of(value)
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
        """Node of a value that changes in place: its contents, unless already known."""
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
        if is_library_error(cls):
            return ["type", *((base.__module__, base.__name__) for base in cls.__mro__)]
        if self.peer.guarded and (name := _global_name(cls)) is not None:
            return ["global", *name]
        return ["alias", self.class_item(cls)]

    def class_node(self, cls):
        """Node of a class for which the other side makes a class of stand-ins."""
        number = self.peer.number_of(cls)
        if number in self.peer.known:
            return ["mine", number]
        self.known.add(number)
        bases = [self.item(base) for base in _own_bases(cls)]
        return ["class", number, cls.__name__, cls.__module__, bases, *_describe(cls)]

    def class_item(self, cls):
        """Item of a class, stood in for on the other side even if it could be named."""
        if is_library_error(cls):
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
                self.peer.failed = True  # the program must not see the expected value
                parts = "", (), (), None
            else:
                variables = tuple(vars(value).items())
                args = value.args
                if hasattr(value, "exceptions"):  # a group, which is made of them
                    args = (*value.args[:1], tuple(value.exceptions))
                parts = str(value), args, variables, value.__cause__
            return ["error", number, cls, *map(self.item, parts)]
        if tag in wire.CHANGING:
            head = ["twin", number, cls, tag]
            return self.changing(value, number, ["mine", number], head)
        if tag is not None:
            parts = self.items(wire.contents_of(value, tag))
            return ["twin", number, cls, tag, *parts]
        return ["object", number, cls, _hash_of(value, kind)]


class Reader:
    """Reads the nodes of one message."""

    def __init__(self, peer, nodes):
        self.peer, self.nodes = peer, nodes
        self.values = [_MISSING] * len(nodes)
        self.contents = []

    def read(self):
        """Read all nodes; returns a function from items to values."""
        for k in reversed(range(len(self.nodes))):
            self.get([k])
        for value, tag, parts, _ in self.contents:
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
        """A value that changes in place: the one known to both sides, or a new one."""
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
        """The first loaded and accepted type among a class and its bases."""
        for module, name in names:
            if (module, name) in wire.LATER:
                wire.loaded(module)
            cls = wire.plain_types().get((module, name))
            if cls is None and name.isidentifier():
                cls = getattr(sys.modules.get(module), name, None)
                cls = cls if is_library_error(cls) else None
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
            value = self.peer.stand_ins[number] = as_coroutine(value)
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
    """Make an exception without running code of the program."""
    try:
        error = cls.__new__(cls, *args)
        if not isinstance(cls, RemoteType):
            error.__init__(*args)
    except TypeError:
        error = cls.__new__(cls)
    object.__setattr__(error, "args", args)
    return error


def _own_bases(cls):
    """Bases that the other side can use; for other bases, their own bases."""
    found = []
    for base in cls.__bases__:
        named = is_own(base) or is_library_error(base) or wire.tag_of(base)
        found += [base] if named else _own_bases(base)
    return list(dict.fromkeys(found))


def _describe(cls):
    """Special and overridden methods, plain type, and whether it is a library's."""
    tag = wire.base_tag(cls)
    stop = {object, BaseException}
    stop |= {
        base for base in cls.__mro__ if wire.tag_of(base) or is_library_error(base)
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
    return specials, overrides, tag, not is_own(cls)


def _hash_of(value, kind):
    """Hash of an object whose class defines one."""
    if kind.__hash__ in (None, object.__hash__):
        return None
    try:
        return hash(value)
    except Exception:
        return None


def _global_name(value):
    """Module and name of a function or class of Python's library; otherwise None."""
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
