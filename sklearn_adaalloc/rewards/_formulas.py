r"""Read two answers in LaTeX and compare what they mean.

Lists, tuples, intervals, sets, unions, matrices, equations and inequalities are taken
apart here; latex2sympy reads the single formulas in them, from their first character to
their last: a formula of which it would read only a part is not read at all. Numbers are
exact: a decimal is the fraction that it writes down.

May take for ever, so it runs in workers; imports nothing of the package.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from random import Random

import sympy
from latex2sympy2_extended.latex2sympy2 import latex2sympy
from sympy.core.function import AppliedUndef
from sympy.functions.elementary.trigonometric import TrigonometricFunction

LEAST_DIGITS = 6  # significant ones, of a decimal that stands for what has none
FLOAT_DIGITS = 15  # significant ones, beyond which a decimal is noise
LONGEST_NUMBER = 100_000  # decimal digits

_NAMES = (
    "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|det|gcd|"
    "lcm|max|min"
)
_UPRIGHT = re.compile(
    r"\\(?:text|textrm|textit|mathrm|mathit|mathbf|boldsymbol|operatorname\*?|mbox)"
    r"\s*\{\s*([^{}]*?)\s*\}|\{\\rm\s+([^{}]*)\}"
)
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.S)
_OPENING = {"(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil"}
_CLOSING = {")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil"}
_RELATIONS = {
    "=": "=",
    "<": "<",
    ">": ">",
    r"\lt": "<",
    r"\gt": ">",
    r"\le": "<=",
    r"\leq": "<=",
    r"\leqslant": "<=",
    r"\ge": ">=",
    r"\geq": ">=",
    r"\geqslant": ">=",
    r"\ne": "!=",
    r"\neq": "!=",
    r"\in": "in",
    r"\equiv": "=",
}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_NUMBER = re.compile(r"([-+]?)\s*(\d*)(?:\.(\d*))?")
_MATRIX = re.compile(
    r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[clr|]*\})?(.*)\\end\{\1\}", re.S
)


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


def same(gold, answer):
    r"""Whether two texts mean the same.

    Parameters
    ----------
    gold, answer : str
        Normalised answers, in LaTeX.

    Returns
    -------
    bool or None
        False if only the answer cannot be read; None if the reference cannot.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._formulas import same
    >>> same("0.5", r"\frac12"), same("2", "2)"), same("2)", "2")
    (True, False, None)
    """
    try:
        gold = read(gold)
    except NotRead:
        return None
    try:
        return _equal(gold, read(answer))
    except NotRead:
        return False


# Reading


def read(text):
    """Take a text apart; see :func:`same`.

    Raises
    ------
    NotRead
        If the text, or anything in it, is no formula.
    """
    return _read(_tidy(text))


def _tidy(text):
    """Plain forms for what is written in several ways."""
    text = _UPRIGHT.sub(_plain, text)
    text = re.sub(rf"(?<![\\A-Za-z])({_NAMES})(?![A-Za-z])", r"\\\1", text)
    text = re.sub(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\.?", "", text)
    text = re.sub(r"\\lbrace(?![A-Za-z])", r"\\{", text)
    text = re.sub(r"\\rbrace(?![A-Za-z])", r"\\}", text)
    text = re.sub(r"\\l?r?vert(?![A-Za-z])|\\mid(?![A-Za-z])", "|", text)
    text = re.sub(
        r"\^\s*\{?\s*(?:\\circ|\\degree)\s*\}?|\\degree(?![A-Za-z])", "", text
    )
    text = re.sub(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])", _join, text)
    text = re.sub(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{?(\d+)\}?", _repeat, text)
    text = re.sub(r"(?<![\d.])\.(?=\d)", "0.", text)
    text = re.sub(r"\^\s*\(([^()]*)\)", r"^{\1}", text)
    text = re.sub(r"_\s*(\w)", r"_{\1}", text)
    return _complete(text).strip()


def _plain(match):
    content = match[1] if match[1] is not None else match[2]
    return content if len(content) == 1 else f" {content} "


def _join(match):
    return match[1].replace(",", "")


def _repeat(match):
    """A periodic decimal as a fraction."""
    whole, start, period = match[1] or "0", match[2], match[3]
    value = Fraction(int(whole + start), 10 ** len(start))
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(start))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _complete(text):
    r"""Write braces around the arguments of \frac, \sqrt and \binom."""
    tokens = _TOKEN.findall(text)
    return _arguments(tokens, 0, len(tokens))


def _arguments(tokens, start, end):
    written = []
    position = start
    while position < end:
        token = tokens[position]
        position += 1
        written.append(token)
        if token not in (r"\frac", r"\sqrt", r"\binom"):
            continue
        if token == r"\sqrt" and tokens[position : position + 1] == ["["]:
            closing = _closing(tokens, position, end)
            written += tokens[position : closing + 1]
            position = closing + 1
        for _ in range(1 + (token != r"\sqrt")):
            while position < end and tokens[position].isspace():
                position += 1
            if position >= end:
                raise NotRead(_text(tokens))
            closing = position
            inner = position, position + 1
            if tokens[position] in ("{", "("):
                closing = _closing(tokens, position, end)
                inner = position + 1, closing
            written.append("{" + _arguments(tokens, *inner) + "}")
            position = closing + 1
    return _text(written)


def _text(tokens):
    """Text of tokens."""
    return "".join(tokens)


def _closing(tokens, opening, end):
    """Where the bracket that is opened at a position is closed."""
    depth = 0
    for position in range(opening, end):
        depth += (tokens[position] in _OPENING) - (tokens[position] in _CLOSING)
        if depth == 0:
            return position
    raise NotRead(_text(tokens))


def _split(text, separators):
    """Parts of a text between separators that are in no bracket; and those."""
    parts, found, depth, environments = [[]], [], 0, 0
    for token in _TOKEN.findall(text):
        environments += (token == r"\begin") - (token == r"\end")
        depth += (token in _OPENING) - (token in _CLOSING)
        if depth < 0:
            raise NotRead(text)
        if token in separators and depth == 0 and environments == 0:
            parts.append([])
            found.append(token)
        else:
            parts[-1].append(token)
    if depth:
        raise NotRead(text)
    return [_text(part).strip() for part in parts], found


def _read(text):
    text = text.strip()
    if not text:
        raise NotRead(text)
    parts, _ = _split(text, {",", ";"})
    if len(parts) > 1:
        return Collection(tuple(_read(part) for part in parts))
    sides, signs = _split(text, _RELATIONS)
    if signs:
        return _relation([_RELATIONS[sign] for sign in signs], sides)
    if not text.startswith(r"\{") and (r"\pm" in text or r"\mp" in text):
        return _both_signs(text)
    for operations in ({r"\cup"}, {r"\cap"}, {r"\setminus", r"\backslash"}):
        parts, found = _split(text, operations)
        if found:
            return Union(found[0], tuple(_read(part) for part in parts))
    if matrix := _MATRIX.fullmatch(text):
        rows = [row for row in re.split(r"\\\\", matrix[2]) if row.strip()]
        return Matrix(tuple(tuple(map(_read, _split(r, {"&"})[0])) for r in rows))
    return _brackets(text) or _ratio(text) or _number(text)


def _relation(signs, sides):
    if "in" in signs:
        return _read(sides[-1])
    if set(signs) != {"="}:
        return Relation(tuple(signs), tuple(map(_read, sides)))
    try:
        first = _read(sides[0])
    except NotRead:  # a name in words
        first = None
    if len(sides) > 2 and not _is_name(first):  # a computation
        first = None
    return Relation(("=",), (first, _read(sides[-1])))


def _both_signs(text):
    swap = {r"\pm": "+", r"\mp": "-"}, {r"\pm": "-", r"\mp": "+"}
    tokens = _TOKEN.findall(text)
    variants = [_text([signs.get(t, t) for t in tokens]) for signs in swap]
    first, second = (_read(variant) for variant in variants)
    return first if _equal(first, second) else Collection((first, second))


def _brackets(text):
    """Content of brackets around a whole text; None if there are none."""
    tokens = _TOKEN.findall(text)
    opening = tokens[0]
    if opening not in {"(", "[", r"\{", r"\langle", "{"}:
        return None
    if _closing(tokens, 0, len(tokens)) < len(tokens) - 1:
        return None
    content = _text(tokens[1:-1])
    if opening == r"\{":
        condition = _split(content, {":", "|"})[0]
        if len(condition) == 2:
            return _read(condition[1])
        parts, _ = _split(content, {",", ";"})
        return Collection(tuple(_read(part) for part in parts), braces=True)
    parts, _ = _split(content, {",", ";"})
    if len(parts) == 1:
        return _read(content)
    if opening == "{":
        return Collection(tuple(_read(part) for part in parts))
    round_ = opening == r"\langle"
    return Sequence(
        tuple(_read(part) for part in parts),
        "(" if round_ else opening,
        ")" if round_ else tokens[-1],
    )


def _ratio(text):
    parts, colons = _split(text, {":"})
    if not colons:
        return None
    clock = re.fullmatch(r"([01]?\d|2[0-4]):[0-5]\d(:[0-5]\d)?", text) is not None
    return Ratio(tuple(_number(part) for part in parts), clock)


def _number(text):
    percent = re.fullmatch(r"(.*?)\s*\\?%", text, re.S)
    if percent:
        text = percent[1].strip()
    while text[:1] == "{" and _wrapped(text):
        text = text[1:-1].strip()
    based = re.fullmatch(r"([0-9A-Fa-f]+)\s*_\s*\{?\s*(\d+)\s*\}?", text)
    if based and 2 <= int(based[2]) <= 36 and text[0].isdigit():
        return Based(based[1].lower(), int(based[2]))
    number = _NUMBER.fullmatch(text)
    if number and (number[2] or number[3]):
        sign, whole, decimals = number[1], number[2] or "0", number[3]
        value = sympy.Rational(int(whole + (decimals or "")), 10 ** len(decimals or ""))
        digits = len((whole + (decimals or "")).lstrip("0"))
        value = -value if sign == "-" else value
        length = None if decimals is None else len(decimals)
        return Number(value, length, digits, percent is not None)
    return Number(_formula(text), percent=percent is not None)


def _wrapped(text):
    tokens = _TOKEN.findall(text)
    return _closing(tokens, 0, len(tokens)) == len(tokens) - 1


def _formula(text):
    """Value of a formula by latex2sympy, which reads the whole of it or raises."""
    if (
        re.search(r"(?<![\\A-Za-z])[A-Za-z]{4,}", text)  # words
        or re.search(r"\d\s+\d|\d\.\d*\.|\d_|[\"#&$%?@~`]|\.\.", text)
        or re.search(r"[^\x00-\x7f]", text)
    ):
        raise NotRead(text)
    try:
        value = latex2sympy(
            text, is_real=True, convert_degrees=False, normalization_config=None
        )
    except RecursionError:
        raise
    except Exception as error:
        raise NotRead(text) from error
    if not isinstance(value, sympy.Basic):
        raise NotRead(text)
    return _evaluate(value)


def _evaluate(value):
    """Work a formula out, with exact numbers, and none too long to write down."""
    if isinstance(value, sympy.Float):
        return sympy.Rational(str(value))
    if isinstance(value, sympy.Symbol):
        if value.name == "i":
            return sympy.I
        return sympy.E if value.name == "e" else value
    if isinstance(value, sympy.Integral | sympy.Sum | sympy.Product | sympy.Limit):
        return value.doit()
    if not value.args:
        return value
    parts = [_evaluate(part) for part in value.args]
    if isinstance(value, sympy.Pow):
        _check_power(*parts)
    elif isinstance(value, sympy.factorial | sympy.binomial):
        if any(part.is_number and abs(part) > 20_000 for part in parts):
            raise NotRead("a number that is too long")
    elif isinstance(value, sympy.UnevaluatedExpr):
        return parts[0]
    return value.func(*parts)


def _check_power(base, exponent):
    if not (base.is_number and exponent.is_number) or base in (0, 1, -1):
        return
    size = abs(sympy.log(abs(base)).evalf(5)) * abs(sympy.re(exponent).evalf(5))
    if size > LONGEST_NUMBER * 2.3:
        raise NotRead("a number that is too long")


# Comparing


def _equal(gold, answer):
    gold, answer = _unwrap(gold, answer)
    if isinstance(gold, Relation) and isinstance(answer, Sequence | Union):
        gold = _as_interval(gold) or gold
    if isinstance(answer, Relation) and isinstance(gold, Sequence | Union):
        answer = _as_interval(answer) or answer
    pair = {type(gold), type(answer)}
    if pair == {Collection, Union}:
        return _equal_as_union(gold, answer)
    if pair == {Collection, Sequence}:
        return _equal_list_and_tuple(gold, answer)
    if Collection in pair and len(pair) == 2:
        return _equal_collections(gold, answer)
    if pair == {Based, Number}:
        return _equal_based_and_number(gold, answer)
    if pair == {Ratio, Number}:
        return _equal_ratio_and_number(gold, answer)
    if len(pair) == 2:
        return False
    return _COMPARE[type(gold)](gold, answer)


def _unwrap(gold, answer):
    """Right side of an equation that only gives its name to what the other is."""
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return gold, answer
    if isinstance(gold, Collection) and isinstance(answer, Collection):
        return gold, answer
    if _is_equation(gold) and _is_name(gold.sides[0]):
        gold = gold.sides[1]
    if _is_equation(answer) and not _is_to_be_solved(answer.sides[0]):
        answer = answer.sides[1]
    return gold, answer


def _is_equation(item):
    return isinstance(item, Relation) and item.signs == ("=",)


def _is_name(side):
    """Whether this is a variable, a product of some, a function, or words."""
    value = getattr(side, "value", None)
    if side is None or isinstance(value, sympy.Symbol | AppliedUndef):
        return True
    letters = sympy.Symbol | type(sympy.E) | type(sympy.I)
    return isinstance(value, sympy.Mul) and all(  # a line AB
        isinstance(factor, letters) for factor in value.args
    )


def _is_to_be_solved(side):
    """Whether an equation with this side asks for its only variable."""
    value = getattr(side, "value", None)
    return (
        not _is_name(side)
        and isinstance(value, sympy.Expr)
        and not isinstance(value, sympy.Abs | TrigonometricFunction)
        and len(value.free_symbols) == 1
    )


def _collection(item):
    """Items of a list, both values of each plus-or-minus among them."""
    if not isinstance(item, Collection):
        return Collection((item,))
    items = []
    for part in item.items:
        plain = isinstance(part, Collection) and not part.braces
        items += part.items if plain else [part]
    return Collection(tuple(items), item.braces)


def _equal_collections(gold, answer):
    gold, answer = _collection(gold), _collection(answer)
    golds, answers = list(gold.items), list(answer.items)
    if gold.braces or answer.braces:
        golds, answers = _distinct(golds), _distinct(answers)
    if len(golds) != len(answers):
        return False
    names = _names(golds), _names(answers)
    if sorted(map(bool, names)) == [False, True] and len(set(names[0] or names[1])) > 1:
        return all(map(_equal, golds, answers))  # in the order of the names
    for item in golds:
        for place, candidate in enumerate(answers):
            if _equal(item, candidate):
                del answers[place]
                break
        else:
            return False
    return True


def _names(items):
    """What the equations in a list are for; empty if it has other items."""
    if not all(_is_equation(item) and _is_name(item.sides[0]) for item in items):
        return ()
    return tuple(str(item.sides[0]) for item in items)


def _distinct(items):
    kept = []
    for item in items:
        if not any(_equal(item, other) for other in kept):
            kept.append(item)
    return kept


def _equal_list_and_tuple(gold, answer):
    items = gold if isinstance(gold, Collection) else answer
    if items.braces or len(gold.items) != len(answer.items):
        return False
    return all(map(_equal, gold.items, answer.items))


def _equal_as_union(gold, answer):
    """Compare a union with inequalities, one of which holds."""
    items = gold if isinstance(gold, Collection) else answer
    union = answer if items is gold else gold
    parts = [isinstance(i, Relation) and _as_interval(i) for i in items.items]
    if items.braces or union.operation != r"\cup" or not all(parts):
        return False
    return _equal_unions(Union(r"\cup", tuple(parts)), union)


def _equal_sequences(gold, answer):
    if len(gold.items) != len(answer.items):
        return False
    if len(gold.items) == 2 and _edges(gold) != _edges(answer):
        return False
    return all(map(_equal, gold.items, answer.items))


def _edges(pair):
    """Brackets of an interval; infinity is never in it."""
    low, high = (getattr(item, "value", None) for item in pair.items)
    infinite = {sympy.oo, -sympy.oo}
    return (
        "(" if low in infinite else pair.opening,
        ")" if high in infinite else pair.closing,
    )


def _equal_unions(gold, answer):
    if gold.operation != answer.operation:
        return False
    if gold.operation not in (r"\cup", r"\cap"):
        return len(gold.items) == len(answer.items) and all(
            map(_equal, gold.items, answer.items)
        )
    return _equal_collections(
        Collection(gold.items, braces=True), Collection(answer.items, braces=True)
    )


def _equal_matrices(gold, answer):
    return [len(row) for row in gold.rows] == [len(row) for row in answer.rows] and all(
        _equal(one, other)
        for rows in zip(gold.rows, answer.rows, strict=True)
        for one, other in zip(*rows, strict=True)
    )


def _as_interval(relation):
    """Interval of the variable in inequalities; None if it is not alone there."""
    signs, sides = list(relation.signs), list(relation.sides)
    values = [getattr(side, "value", None) for side in sides]
    if any(value is None for value in values):
        return None
    variable = [place for place, value in enumerate(values) if value.is_Symbol]
    if len(variable) != 1 or not set(signs) <= {"<", "<=", ">", ">="}:
        return None
    if len({sign[0] for sign in signs}) > 1 or len(sides) > 3:
        return None
    if signs[0][0] == ">":
        signs = [_FLIPPED[sign] for sign in reversed(signs)]
        sides = sides[::-1]
        variable = [len(sides) - 1 - variable[0]]
    low, high = Number(-sympy.oo), Number(sympy.oo)
    opening, closing = "(", ")"
    if len(sides) == 3 and variable != [1]:
        return None
    if variable[0] > 0:
        low, opening = sides[0], "[" if signs[0] == "<=" else "("
    if variable[0] < len(sides) - 1:
        high, closing = sides[-1], "]" if signs[-1] == "<=" else ")"
    return Sequence((low, high), opening, closing)


def _equal_relations(gold, answer):
    if any(side is None for side in (*gold.sides, *answer.sides)):
        return _equal(gold.sides[-1], answer.sides[-1])
    intervals = _as_interval(gold), _as_interval(answer)
    if all(intervals):
        same_variable = _symbols(gold) == _symbols(answer)
        return same_variable and _equal_sequences(*intervals)
    if len(gold.signs) > 1 or len(answer.signs) > 1:
        return gold.signs == answer.signs and all(map(_equal, gold.sides, answer.sides))
    if all(map(_equal, gold.sides, answer.sides)):
        return gold.signs == answer.signs
    return _proportional(gold, answer)


def _symbols(relation):
    return {s for side in relation.sides for s in side.value.free_symbols}


def _proportional(gold, answer):
    """Whether two relations differ by a factor only."""
    sides = [*gold.sides, *answer.sides]
    if not all(
        isinstance(s, Number) and isinstance(s.value, sympy.Expr) for s in sides
    ):
        return False
    one, other = (r.sides[0].value - r.sides[1].value for r in (gold, answer))
    if one.free_symbols != other.free_symbols or not one.free_symbols:
        return False
    ratios = [a / b for a, b in _samples(one, other) if a.is_finite and b]
    if len(ratios) < 4 or not all(_close(ratios[0], ratio) for ratio in ratios):
        return False
    if not ratios[0].is_real or ratios[0] == 0:
        return False
    sign = answer.signs[0] if ratios[0] > 0 else _FLIPPED[answer.signs[0]]
    return gold.signs[0] == sign


def _equal_based(gold, answer):
    try:
        values = [int(item.digits, item.base) for item in (gold, answer)]
    except ValueError:
        return gold == answer
    return values[0] == values[1]


def _equal_based_and_number(gold, answer):
    """A number without a base is in the one asked for."""
    based, number = (gold, answer) if isinstance(gold, Based) else (answer, gold)
    return str(number.value) == based.digits


def _equal_ratios(gold, answer):
    if (gold.clock and answer.clock) or len(gold.parts) != len(answer.parts):
        return [p.value for p in gold.parts] == [p.value for p in answer.parts]
    (first, *others), (other_first, *answers) = (
        [part.value for part in ratio.parts] for ratio in (gold, answer)
    )
    return all(
        _same_value(first * b, other_first * a)
        for a, b in zip(others, answers, strict=True)
    )


def _equal_ratio_and_number(gold, answer):
    ratio, number = (gold, answer) if isinstance(gold, Ratio) else (answer, gold)
    if len(ratio.parts) != 2 or ratio.parts[1].value == 0:
        return False
    return _same_value(ratio.parts[0].value / ratio.parts[1].value, number.value)


def _equal_numbers(gold, answer):
    values = gold.value, answer.value
    if _same_number(gold, answer):
        return True
    if gold.percent == answer.percent or not all(
        isinstance(value, sympy.Expr) for value in values
    ):
        return False
    gold_part, answer_part = (
        item.value / 100 if item.percent else item.value for item in (gold, answer)
    )
    return _same_value(gold_part, answer_part)


def _same_number(gold, answer):
    if _same_value(gold.value, answer.value):
        return True
    return _stands_for(gold, answer) or _stands_for(answer, gold)


def _stands_for(decimal, item):
    """Whether a long decimal is what a value is when it is rounded or cut off."""
    if not decimal.decimals or decimal.digits < LEAST_DIGITS:
        return False
    value = item.value
    if not value.is_number or not value.is_real or not value.is_finite:
        return False
    if item.digits:  # written down as well: only the noise of floats is ignored
        least = min(decimal.digits, FLOAT_DIGITS + 1)
        return least > FLOAT_DIGITS and _close(decimal.value, value, FLOAT_DIGITS - 1)
    scaled = value * 10**decimal.decimals
    return abs(decimal.value) * 10**decimal.decimals in (
        sympy.floor(abs(scaled)),
        sympy.floor(abs(scaled) + sympy.Rational(1, 2)),
    ) and (decimal.value > 0) == bool(value > 0)


def _same_value(gold, answer):
    """Whether two exact values are equal."""
    if gold == answer:
        return True
    if not (isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr)):
        return False
    if gold.free_symbols != answer.free_symbols:
        return _vanishes(gold - answer)
    if gold.is_Rational and answer.is_Rational:
        return False
    if not gold.free_symbols:
        return _close(gold.evalf(40), answer.evalf(40)) or (
            0 in (gold, answer) and _vanishes(gold - answer)
        )
    samples = [pair for pair in _samples(gold, answer) if all(map(_is_real, pair))]
    if len(samples) < 4:
        samples = list(_samples(gold, answer))
    return len(samples) >= 4 and all(_close(*pair) for pair in samples)


def _is_real(value):
    return value.is_real and value.is_finite


def _vanishes(difference):
    return sympy.simplify(difference) == 0


def _close(one, other, digits=25):
    if not (one.is_finite and other.is_finite):
        return one == other
    return bool(abs(one - other) <= max(abs(one), abs(other)) / 10**digits)


def _samples(one, other):
    """Values of two formulas at the same points, some with negative coordinates."""
    random = Random(0)
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    for number in range(12):
        least = -400 if number % 2 else 1
        point = {
            s: sympy.Rational(random.randrange(least, 400) or 1, 97) for s in symbols
        }
        values = [value.subs(point).evalf(40) for value in (one, other)]
        if all(value.is_number and value.is_finite for value in values):
            yield tuple(values)


_COMPARE = {
    Number: _equal_numbers,
    Based: _equal_based,
    Ratio: _equal_ratios,
    Collection: _equal_collections,
    Sequence: _equal_sequences,
    Union: _equal_unions,
    Matrix: _equal_matrices,
    Relation: _equal_relations,
}
