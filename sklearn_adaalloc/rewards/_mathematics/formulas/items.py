"""What a formula is made of once it is read."""

from dataclasses import dataclass

import sympy
from sympy.core.function import AppliedUndef


class NotRead(ValueError):
    """A text that is no formula, as far as can be told."""


@dataclass(frozen=True)
class Number:
    """One formula: its value, how many decimals it was written with, and a %."""

    value: sympy.Basic
    decimals: int | None = None
    digits: int = 0
    percent: bool = False


@dataclass(frozen=True)
class Based:
    """Digits in a base."""

    digits: str
    base: int


@dataclass(frozen=True)
class Ratio:
    """Numbers between colons: a ratio, or a time of day."""

    parts: tuple
    clock: bool


@dataclass(frozen=True)
class Collection:
    """Items whose order does not matter; in braces, nor how often one is there."""

    items: tuple
    braces: bool = False


@dataclass(frozen=True)
class Sequence:
    """Items in brackets, in order: a point, a vector, an interval."""

    items: tuple
    opening: str = "("
    closing: str = ")"


@dataclass(frozen=True)
class Union:
    """Sets joined by an operation."""

    operation: str
    items: tuple


@dataclass(frozen=True)
class Matrix:
    """Rows of items."""

    rows: tuple


@dataclass(frozen=True)
class Relation:
    """Sides with a sign between each two; of a chain of equations, the ends.

    The first side of an equation may be None: words that cannot be read.
    """

    signs: tuple
    sides: tuple


def is_name(side):
    """Whether this is a variable, a product of some, a function, or words."""
    value = getattr(side, "value", None)
    named = sympy.Symbol | AppliedUndef | type(sympy.EulerGamma)
    if side is None or isinstance(value, named):
        return True
    letters = sympy.Symbol | type(sympy.E) | type(sympy.I) | type(sympy.EulerGamma)
    return isinstance(value, sympy.Mul) and all(  # a line AB
        isinstance(factor, letters) for factor in value.args
    )
