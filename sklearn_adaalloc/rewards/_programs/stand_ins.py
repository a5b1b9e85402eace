"""Stand-ins: objects of one process that represent classes and objects of the other.

Runs inside the sandbox; see ``peer.py``.
"""

import sys

COMPARISONS = {f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_SIGNS = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul"),
    *("and", "or", "xor", "lshift", "rshift"),
)
ARITHMETIC = {f"__{side}{name}__" for name in _SIGNS for side in ("", "r", "i")}
# Methods that depend only on the content of a value, unless the tests name its class.
CONTENT = {
    *("__len__", "__bool__", "__iter__", "__getitem__", "__reversed__"),
    *("__int__", "__float__", "__index__"),
}
_OTHERS = (
    *("call", "len", "bool", "str", "repr", "format", "bytes", "hash", "iter", "next"),
    *("reversed", "contains", "getitem", "setitem", "delitem", "int", "float"),
    *("complex", "index", "abs", "neg", "pos", "invert", "round", "trunc", "floor"),
    *("ceil", "enter", "exit", "await", "aiter", "anext", "aenter", "aexit"),
    *("fspath", "length_hint", "missing"),
)
SPECIALS = (*sorted(COMPARISONS | ARITHMETIC), *(f"__{name}__" for name in _OTHERS))
FUNCTIONS = ("function", "method", "builtin_function_or_method", "method-wrapper")


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


def number_of(stand_in):
    if isinstance(stand_in, RemoteType):
        return type.__getattribute__(stand_in, "_class_number_")
    return object.__getattribute__(stand_in, "_number_")


def _is_inner(name):
    """Whether a name is reserved for stand-ins."""
    return name[:1] == "_" == name[-1:] and name[:2] != "__"


def _hidden(name):
    """A property whose value is read on the other side."""
    return property(lambda self: self._peer_.ask("getattr", self, name))


def _special(name):
    """A special method that runs on the other side."""

    def method(self, *args, **options):
        return self._peer_.special(self, name, args, options)

    method.__name__ = method.__qualname__ = name
    return method


def _await(self):
    return self._peer_.ask("await", self)
    yield


class Remote(metaclass=RemoteType, number=0):
    """An object of the other side."""

    _class_number_ = 0

    def __getattr__(self, name):
        if self._peer_.reading or _is_inner(name):
            raise AttributeError(name)
        if name == "__signature__" and self._peer_.guarded:
            self._peer_.give_up("the tests ask for the signature of a function")
        return self._peer_.ask("getattr", self, name)

    def __setattr__(self, name, value):
        if (name.startswith("__") and name.endswith("__")) or _is_inner(name):
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
        self._peer_.give_up("an object of the program is pickled")

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
    if tag is not None:  # compared by content, without asking the other side
        for special in (*COMPARISONS, "__hash__", "__contains__"):
            namespace.pop(special, None)
    if "__await__" in namespace:
        namespace["__await__"] = _await
    if "__hash__" in namespace:
        namespace["__hash__"] = _hash
    if library and name in FUNCTIONS:
        namespace["__doc__"] = _hidden("__doc__")
    if any(issubclass(base, BaseException) for base in bases):
        namespace["__str__"] = lambda self: self._text_
    cls = RemoteType(name, (*mirrors, *plain), namespace, number=number)
    peer.stand_ins[number] = cls
    return cls


def _hash(self):
    if self._peer_.reading:  # requests are not possible while reading
        hint = self._hash_
        return hash(hint) if type(hint) is int else object.__hash__(self)
    return self._peer_.ask("special", self, "__hash__", (), {})


def is_library_error(cls):
    return (
        isinstance(cls, type)
        and issubclass(cls, BaseException)
        and cls.__module__.partition(".")[0] in sys.stdlib_module_names
        and getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls
        and not is_own(cls)
    )


async def as_coroutine(stand_in):
    """A coroutine of this side for one of the other side."""
    return stand_in._peer_.ask("await", stand_in)


def is_own(cls):
    return cls.__module__ in ("program", "__main__", "tests")
