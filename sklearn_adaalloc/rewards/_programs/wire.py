"""Encode values for the other process as JSON text, never as pickles.

A message is a list of nodes. A node is a list with a tag and its contents. Numbers,
texts and None represent themselves. Everything else is a reference ``[k]`` to node k.
So shared references and cycles are preserved, and a message cannot name a function to
call. This file handles values of Python's own types. Objects, classes and functions are
not passed. ``peer.py`` makes stand-ins for them.

Runs inside the sandbox. To start fast, modules that load slowly are imported only when
a value needs them.
"""

import operator
import sys
from _collections import OrderedDict, defaultdict, deque
from _json import encode_basestring, make_encoder, make_scanner
from types import SimpleNamespace

WHOLE = 2**63  # integers from here on are sent as hexadecimal text


class _Json:
    strict = False
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = {
        "NaN": float("nan"),
        "Infinity": float("inf"),
        "-Infinity": -float("inf"),
    }.__getitem__


def _refuse(value):
    raise TypeError(f"{type(value).__name__} is not plain")


_scan = make_scanner(_Json)
_encode = make_encoder(
    None, _refuse, encode_basestring, None, ":", ",", False, False, True
)


def dumps(message):
    """Write lists, dicts, texts and numbers as JSON bytes."""
    return "".join(_encode(message, 0)).encode()


def loads(data):
    """Read bytes of :func:`dumps`; raises ValueError or similar for anything else."""
    text = data.decode()
    try:
        message, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("no JSON") from None
    if end != len(text):
        raise ValueError("more than one JSON value")
    return message


def is_inline(value):
    """Whether a value represents itself in a message."""
    kind = type(value)
    if kind is str:
        return value.isascii() or _has_no_surrogates(value)
    if kind is int:
        return -WHOLE < value < WHOLE
    return value is None or kind is bool or kind is float


def _has_no_surrogates(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _new(cls, *parts):
    return cls.__new__(cls, *parts)


# Immutable values: tag -> (value -> contents, contents -> value). The contents
# of a container are values, which the caller writes and reads.

FIXED = {
    "int": (lambda v: [hex(int(v))], lambda cls, text: _new(cls, int(text, 16))),
    "float": (lambda v: [float.__float__(v)], _new),
    "str": (
        lambda v: [str.encode(v, "utf-32-le", "surrogatepass").hex()],
        lambda cls, text: _new(
            cls, bytes.fromhex(text).decode("utf-32-le", "surrogatepass")
        ),
    ),
    "bytes": (
        lambda v: [bytes.decode(v, "latin-1")],
        lambda cls, text: _new(cls, text.encode("latin-1")),
    ),
    "complex": (lambda v: [v.real, v.imag], _new),
    "tuple": (
        lambda v: [*tuple.__iter__(v)],
        lambda cls, *items: tuple.__new__(cls, items),
    ),
    "frozenset": (
        lambda v: [*frozenset.__iter__(v)],
        lambda cls, *items: frozenset.__new__(cls, items),
    ),
    "range": (lambda v: [v.start, v.stop, v.step], _new),
    "slice": (lambda v: [v.start, v.stop, v.step], _new),
    "dict_keys": (lambda v: [*v], lambda cls, *items: dict.fromkeys(items).keys()),
    "dict_values": (
        lambda v: [*v],
        lambda cls, *items: dict(enumerate(items)).values(),
    ),
    "dict_items": (lambda v: [*v], lambda cls, *items: dict(items).items()),
    "ellipsis": (lambda v: [], lambda cls: Ellipsis),
    "NotImplementedType": (lambda v: [], lambda cls: NotImplemented),
}


def _clock(value):
    return [value.hour, value.minute, value.second, value.microsecond, value.fold]


def _make_time(cls, *parts):
    return cls.__new__(cls, *parts[:4], parts[5], fold=parts[4])


def _make_datetime(cls, *parts):
    return cls.__new__(cls, *parts[:7], parts[8], fold=parts[7])


LIBRARY = {
    ("decimal", "Decimal"): (lambda v: [v.__str__()], _new),
    ("fractions", "Fraction"): (lambda v: [v.numerator, v.denominator], _new),
    ("datetime", "date"): (lambda v: [v.year, v.month, v.day], _new),
    ("datetime", "time"): (lambda v: [*_clock(v), v.tzinfo], _make_time),
    ("datetime", "datetime"): (
        lambda v: [v.year, v.month, v.day, *_clock(v), v.tzinfo],
        _make_datetime,
    ),
    ("datetime", "timedelta"): (lambda v: [v.days, v.seconds, v.microseconds], _new),
    ("datetime", "timezone"): (lambda v: [*v.__getinitargs__()], _new),
    ("uuid", "UUID"): (lambda v: [v.hex], lambda cls, text: cls(text)),
    ("pathlib", "PosixPath"): (lambda v: [str(v)], lambda cls, text: cls(text)),
    ("pathlib", "PurePosixPath"): (lambda v: [str(v)], lambda cls, text: cls(text)),
}


# Values that change in place: tag -> (value -> contents, value, contents -> None).


def _pairs(value):
    return [part for pair in dict.items(value) for part in pair]


def _fill_dict(value, contents):
    kind = OrderedDict if isinstance(value, OrderedDict) else dict
    kind.clear(value)
    for i in range(0, len(contents), 2):
        kind.__setitem__(value, contents[i], contents[i + 1])


def _fill_defaultdict(value, contents):
    value.default_factory = contents[0]
    _fill_dict(value, contents[1:])


def _fill_set(value, contents):
    set.clear(value)
    set.update(value, contents)


def _fill_deque(value, contents):
    deque.clear(value)
    deque.extend(value, contents[1:])


def _fill_bytes(value, contents):
    value[:] = contents[0].encode("latin-1")


def _fill_namespace(value, contents):
    value.__dict__.clear()
    value.__dict__.update(zip(contents[::2], contents[1::2], strict=True))


def _fill_array(value, contents):
    del value[:]
    value.frombytes(contents[1].encode("latin-1"))


def _fill_ndarray(value, contents):
    dtype, text, *shape = contents
    flat = _numpy().frombuffer(text.encode("latin-1"), dtype=dtype)
    value[...] = flat.reshape(shape)


CHANGING = {
    "list": (
        lambda v: [*list.__iter__(v)],
        lambda v, contents: list.__setitem__(v, slice(None), contents),
    ),
    "dict": (_pairs, _fill_dict),
    "OrderedDict": (
        lambda v: [part for key in OrderedDict.__iter__(v) for part in (key, v[key])],
        _fill_dict,
    ),
    "Counter": (_pairs, _fill_dict),
    "defaultdict": (lambda v: [v.default_factory, *_pairs(v)], _fill_defaultdict),
    "set": (lambda v: [*set.__iter__(v)], _fill_set),
    "deque": (lambda v: [v.maxlen, *deque.__iter__(v)], _fill_deque),
    "bytearray": (lambda v: [bytes(v).decode("latin-1")], _fill_bytes),
    "SimpleNamespace": (
        lambda v: [part for pair in v.__dict__.items() for part in pair],
        _fill_namespace,
    ),
    "array": (
        lambda v: [v.typecode, v.tobytes().decode("latin-1")],
        _fill_array,
    ),
    "ndarray": (
        lambda v: [v.dtype.str, v.tobytes().decode("latin-1"), *v.shape],
        _fill_ndarray,
    ),
}
_TAGS = {
    kind: kind.__name__
    for kind in (
        *(int, float, str, bytes, complex, tuple, frozenset, range, slice),
        *(list, dict, set, bytearray, OrderedDict, defaultdict, deque, SimpleNamespace),
        *map(type, ({}.keys(), {}.values(), {}.items(), ..., NotImplemented)),
    )
}
LATER = {  # types whose module need not be loaded
    ("collections", "Counter"): "Counter",
    ("array", "array"): "array",
    ("numpy", "ndarray"): "ndarray",
    **{key: ".".join(key) for key in LIBRARY},
}
FIXED.update({".".join(key): functions for key, functions in LIBRARY.items()})
# Types from which classes may derive, the most special first.
_BASES = (OrderedDict, defaultdict, dict, deque, list, set, bytearray, tuple, frozenset)
_BASES += (str, bytes, complex, float, int)
_LATER_BASES = {"Counter"} | {
    ".".join(key) for key in LIBRARY if key[0] in ("decimal", "fractions", "datetime")
}


def plain_types():
    """Map (module, name) to each loaded type whose values are passed by content."""
    types = {(kind.__module__, kind.__name__): kind for kind in (*_TAGS, bool, object)}
    types["builtins", "NoneType"] = type(None)
    types["builtins", "type"] = type
    for module, name in LATER:
        if module in sys.modules:
            types[module, name] = getattr(sys.modules[module], name)
    return types


def tag_of(kind):
    """Tag of a type whose values are passed by content; otherwise None."""
    tag = _TAGS.get(kind)
    if tag is None:
        key = kind.__module__, kind.__qualname__
        if key in LATER and getattr(sys.modules.get(key[0]), key[1], None) is kind:
            return LATER[key]
    return tag


def base_tag(kind):
    """Tag of the plain type from which a class derives; None if there is none."""
    for base in kind.__mro__[1:]:
        if (tag := tag_of(base)) and (tag in _LATER_BASES or base in _BASES):
            return tag
    return None


def plain_type(tag):
    """Type of a tag; its module is imported if necessary."""
    for key, later in LATER.items():
        if later == tag:
            return getattr(loaded(key[0]), key[1])
    return next(kind for kind, name in _TAGS.items() if name == tag)


def loaded(module):
    if module not in sys.modules:
        __import__(module)
    return sys.modules[module]


def _numpy():
    return loaded("numpy")


def contents_of(value, tag):
    """Parts of a value."""
    return (CHANGING if tag in CHANGING else FIXED)[tag][0](value)


def crosses(value, tag):
    """Whether this value of a plain type can be written."""
    return tag != "ndarray" or not (value.dtype.hasobject or value.dtype.names)


def empty(tag, contents, cls):
    """Make a value that changes in place, without contents yet."""
    if tag == "deque":
        return cls(maxlen=contents[0])
    if tag == "array":
        return cls(contents[0])
    if tag == "ndarray":
        dtype, _, *shape = contents
        if dtype[1:2] not in "biufcSUmM":
            raise TypeError("not an array of numbers or texts")
        return _numpy().empty(shape, dtype)
    base = plain_type(tag)
    value = base.__new__(cls)
    if tag == "OrderedDict":
        OrderedDict.__init__(value)
    return value


def fill(value, tag, contents):
    """Set the contents of a value in place."""
    CHANGING[tag][1](value, contents)


def same_contents(old, new):
    """Whether the parts of a value are identical to those before."""
    return len(old) == len(new) and (
        all(map(operator.is_, old, new))
        or all(
            a is b or (type(a) is type(b) and type(a) in (str, int) and a == b)
            for a, b in zip(old, new, strict=True)
        )
    )
