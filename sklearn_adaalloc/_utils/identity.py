"""Identities of functions, under which results can be stored.

The identity of a function consists of its source text and of everything it depends on:
defaults, closure, the arguments of a partial, the object of a bound method, and what it
reads from its own module, including functions and classes. Equal functions have equal
identities in any process. An identity does not depend on memory addresses or on the
order of sets.

Two things are not part of an identity. Functions and classes of other modules count
only by name. Content that is read from files, servers or the environment does not count
at all.
"""

import dis
import enum
import functools
import hashlib
import inspect
import json
import logging
import re
import types
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from tokenize import TokenError

import numpy as np

_LONGEST = 64  # characters; longer descriptions are replaced by a digest
_SAID_BY_REPR = (
    *(complex, Decimal, Fraction, range, slice, date, time, timedelta, tzinfo),
    *(np.dtype, type(...), type(NotImplemented)),
)
# Members of a class that Python adds to those that its author wrote.
_MADE_BY_PYTHON = {
    *("__annotations__", "__annotate_func__", "__annotations_cache__", "__dict__"),
    *("__doc__", "__firstlineno__", "__module__", "__static_attributes__"),
    *("__weakref__", "__orig_bases__", "__parameters__", "__slotnames__", "_abc_impl"),
    *("__dataclass_fields__", "__dataclass_params__"),
}


class _UntoldError(ValueError):
    """Raised for a value that cannot be distinguished from others of its kind."""


def function_identity(function):
    """Compute the identity of a function or of a callable object.

    Parameters
    ----------
    function : callable or object
        A function, lambda, bound method or partial, or an object of a class of your
        own. An object is identified by its `settings`, or else by its class and
        attributes.

    Returns
    -------
    identity : dict
        "function" is its name. "source" and "code" are digests of its source text and,
        if the text is not sufficient, of its byte code. "brings" holds everything else
        that it depends on.

    Raises
    ------
    ValueError
        If it depends on something that has no identity, such as a connection, a model
        or an iterator. The message names it.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.identity import function_identity
    >>> def passing(mark):
    ...     return lambda queries, answers: [[float(a) >= mark for a in answers[0]]]
    >>> function_identity(passing(4))["brings"]
    {'closure mark': 4}
    """
    home = function
    while isinstance(home, functools.partial | types.MethodType):
        home = home.func if isinstance(home, functools.partial) else home.__func__
    is_type = isinstance(home, type)
    if is_type or (type(home).__module__ == "builtins" and not _is_function(home)):
        raise _UntoldError(f"a {type(home).__name__} has no source text")
    module = home.__module__ if _is_function(home) else type(home).__module__
    try:
        return _Describer(module).identity(function)
    except RecursionError:
        raise _UntoldError("what it depends on has no end") from None


class _Describer:
    """Describes values in JSON types, as seen from one module."""

    def __init__(self, module):
        self._module = module
        self._open = []  # ids of the values that are being described

    def identity(self, function):
        """Identity of a function, method, partial or object."""
        if isinstance(function, functools.partial):
            identity = self.identity(function.func)
            arguments = [list(function.args), function.keywords]
            return self._bring(identity, {"partial": arguments})
        if isinstance(function, types.MethodType):
            identity = self.identity(function.__func__)
            return self._bring(identity, {"self": function.__self__})
        if not _is_function(function):
            name = _name(type(function))
            identity = {"function": name, "source": None, "code": None, "brings": {}}
            return self._bring(identity, {"object": function})
        code = function.__code__
        # Several lambdas may be on one line, and only their code distinguishes them.
        # The code is also needed if the file is not, or no longer, the source of the
        # function.
        source = _source(code)
        told = re.search(rf"\bdef\s+{re.escape(code.co_name)}\b", source or "")
        identity = {
            "function": _name(function),
            "source": None if source is None else _digest(source),
            "code": None if told else _digest(json.dumps(self._code(code))),
            "brings": {},
        }
        return self._bring(identity, _brought(function))

    def _bring(self, identity, values):
        """Add what a function depends on; long descriptions become digests."""
        brings = dict(identity["brings"])
        for name, value in values.items():
            try:
                described = self.describe(value)
            except _UntoldError as error:
                raise _UntoldError(f"{name}: {error}") from None
            text = json.dumps(described)
            brings[name] = described if len(text) <= _LONGEST else _digest(text)
        return {**identity, "brings": dict(sorted(brings.items()))}

    def describe(self, value):
        """Describe any value as lists, texts and numbers, or raise an error."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if id(value) in self._open:  # it refers back to itself
            return ["recursion", self._open.index(id(value))]
        self._open.append(id(value))
        try:
            return self._describe(value)
        finally:
            self._open.pop()

    def _describe(self, value):
        kind = _name(type(value))
        if isinstance(value, types.ModuleType | logging.Logger):
            return [kind, value.__name__ if hasattr(value, "__name__") else value.name]
        if isinstance(value, type):
            return [kind, *self._class(value)]
        if isinstance(value, types.BuiltinFunctionType | np.ufunc):
            owner = getattr(value, "__self__", None)
            return [kind, value.__name__, self.describe(owner)]
        if isinstance(value, property):
            accessors = [value.fget, value.fset, value.fdel]
            return [kind, [self.describe(each) for each in accessors]]
        if _is_function(value):
            return [kind, *self._function(value)]
        if isinstance(value, functools.partial | types.MethodType):
            return [kind, *self.identity(value).values()]
        if isinstance(value, staticmethod | classmethod):
            return [kind, self.describe(value.__func__)]
        if isinstance(value, functools._lru_cache_wrapper):
            return [kind, self.describe(value.__wrapped__)]
        if isinstance(value, types.CodeType):
            return [kind, self._code(value)]
        return [kind, *self._data(value)]

    def _data(self, value):
        if isinstance(value, enum.Enum):
            return [value.name]
        if isinstance(value, re.Pattern):
            return [self.describe(value.pattern), value.flags]
        if isinstance(value, _SAID_BY_REPR):
            return [repr(value)]
        if isinstance(value, PurePath):
            return [str(value)]
        if isinstance(value, bytes | bytearray):
            return [hashlib.sha256(value).hexdigest()]
        if isinstance(value, np.ndarray | np.generic):
            return self._array(np.asarray(value))
        if hasattr(value, "reset_index"):  # a data frame or series of pandas
            return [self.describe(value.reset_index().to_dict("list"))]
        if isinstance(value, dict):
            items = [[self.describe(k), self.describe(v)] for k, v in value.items()]
            factory = self.describe(getattr(value, "default_factory", None))
            return [sorted(items, key=json.dumps), factory, self._state(value)]
        if isinstance(value, set | frozenset):
            members = sorted(map(self.describe, value), key=json.dumps)
            return [members, self._state(value)]
        if isinstance(value, list | tuple):
            return [[self.describe(each) for each in value], self._state(value)]
        for base in (int, float, str):
            if isinstance(value, base):
                return [base(value), self._state(value)]
        return self._object(value)

    def _object(self, value):
        """Describe an object by its settings, or by its class and attributes."""
        settings = getattr(value, "settings", None)
        if isinstance(settings, dict):
            return [self.describe(settings)]
        if not all(map(_is_made_of_python, type(value).__mro__)):
            name = _name(type(value))
            raise _UntoldError(f"one {name} cannot be distinguished from another")
        return [self.describe(type(value)), self._state(value)]

    def _state(self, value):
        """Attributes of an object, including those in slots."""
        state = dict(getattr(value, "__dict__", {}))
        for base in type(value).__mro__:
            for name, member in vars(base).items():
                if isinstance(member, types.MemberDescriptorType):
                    state[name] = getattr(value, name, None)
        return {name: self.describe(state[name]) for name in sorted(state)}

    def _function(self, function):
        near = function.__module__ == self._module or function.__closure__
        identity = self.identity(function) if near else {"function": _name(function)}
        return identity.values()

    def _class(self, cls):
        if cls.__module__ != self._module:
            return [_name(cls)]
        members = {
            name: self.describe(member)
            for name, member in sorted(vars(cls).items())
            if name not in _MADE_BY_PYTHON and not _is_slot(member)
        }
        return [_name(cls), [self.describe(base) for base in cls.__bases__], members]

    def _array(self, array):
        if array.dtype.hasobject:
            content = self.describe(array.tolist())
        else:
            content = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
        return [str(array.dtype), list(array.shape), content]

    def _code(self, code):
        names = [code.co_names, code.co_varnames, code.co_freevars]
        constants = [self.describe(constant) for constant in code.co_consts]
        return [code.co_code.hex(), *map(list, names), constants]


def _brought(function):
    """What a function depends on besides its text: name -> value."""
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    n_given = len(parameters) - len(defaults)
    given = dict(zip(parameters[n_given:], defaults, strict=True))
    given |= function.__kwdefaults__ or {}
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    read = sorted(_globals_read(code) & function.__globals__.keys())
    return {
        **{f"default {name}": value for name, value in given.items()},
        **{
            f"closure {name}": cell.cell_contents
            for name, cell in cells.items()
            if not _is_empty(cell)
        },
        **{f"global {name}": function.__globals__[name] for name in read},
    }


def _globals_read(code):
    """Names that a function, and functions inside it, read from their module."""
    names = {
        each.argval
        for each in dis.get_instructions(code)
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return names.union(*map(_globals_read, inner))


def _is_empty(cell):
    """Whether a cell has no value yet, as while a function is being defined."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


def _is_made_of_python(cls):
    """Whether instances have no state other than their attributes."""
    own = {"__dict__", "__slots__"} & vars(cls).keys()
    makes = cls.__new__ is object.__new__ or _is_function(cls.__new__)
    return cls is object or (makes and (own or cls.__bases__ != (object,)))


def _is_slot(member):
    """Whether a member of a class represents an attribute of its instances."""
    made = type(member).__module__ in ("builtins", "_collections", "collections")
    return made and hasattr(member, "__set__") and not isinstance(member, property)


def _is_function(value):
    return isinstance(value, types.FunctionType)


def _name(value):
    return f"{value.__module__}.{value.__qualname__}"


def _source(code):
    if code.co_filename == "<string>":
        return None  # any text given to exec has this name, and so has `python -c`
    try:
        return inspect.getsource(code)
    except (OSError, TypeError, IndexError, SyntaxError, TokenError):
        return None


def _digest(text):
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
