r"""From LaTeX to what it is made of.

Lists, tuples, intervals, sets, unions, matrices, equations and inequalities are taken
apart here; latex2sympy reads the single formulas in them, from their first character to
their last: a formula of which it would read only a part is not read at all. Numbers are
exact: a decimal is the fraction that it writes down.
"""

import re
from fractions import Fraction

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

from sklearn_adaalloc.rewards._mathematics.formulas.items import (
    Based,
    Collection,
    Matrix,
    NotRead,
    Number,
    Ratio,
    Relation,
    Sequence,
    Union,
    is_name,
)

_CASE_SENSITIVE = ConversionConfig(lowercase_symbols=False)
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
_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6"} | {
    **{"seven": "7", "eight": "8", "nine": "9", "ten": "10", "twelve": "12"},
    "sixteen": "16",
}
_NUMBER = re.compile(r"([-+]?)\s*(\d*)(?:\.(\d*))?")
_MATRIX = re.compile(
    r"\\begin\{([pbvBV]?matrix|smallmatrix|array)\}(?:\{[clr|]*\})?(.*)\\end\{\1\}",
    re.S,
)
_ROW_END = re.compile(r"\\\\(?:\s*\[\d*\.?\d*\s*[a-z]{2}\])?")
# As written in French: the bracket of an end that is left out is turned away.
_INTERVAL = re.compile(
    r"([\[\]])([^\[\],;]*[^\[\],;\s][^\[\],;]*[,;][^\[\],;]*[^\[\],;\s][^\[\],;]*)([\[\]])"
)


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
    text = re.sub(r"\\math(?:open|close)\s*\{?\s*([\[\]])\s*\}?", r"\1", text)
    text = _INTERVAL.sub(_interval, text)
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


def _interval(match):
    """An interval in round brackets where its ends are left out."""
    opening, content, closing = match.groups()
    if content.count("(") != content.count(")"):
        return match[0]
    return ("(" if opening == "]" else "[") + content + (")" if closing == "[" else "]")


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
    if "&" in text and r"\begin" not in text:
        return _rows_without_environment(text)
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
        return _cells(text, [row for row in _ROW_END.split(matrix[2]) if row.strip()])
    return _brackets(text) or _point(text) or _ratio(text) or _number(text)


def _rows_without_environment(text):
    """Rows between backslashes or commas, cells between &."""
    content = text[1:-1] if text[0] in "([" and _wrapped(text) else text
    rows = [row for row in _ROW_END.split(content) if row.strip()]
    if len(rows) == 1:
        rows = _split(content, {",", ";"})[0]
    return _cells(text, rows)


def _cells(text, rows):
    cells = [_split(row, {"&"})[0] for row in rows]
    if any(cell == text for row in cells for cell in row):
        raise NotRead(text)
    return Matrix(tuple(tuple(map(_read, row)) for row in cells))


def _relation(signs, sides):
    if "in" in signs:
        return _read(sides[-1])
    if set(signs) != {"="}:
        return Relation(tuple(signs), tuple(map(_read, sides)))
    try:
        first = _read(sides[0])
    except NotRead:  # a name in words
        first = None
    if len(sides) > 2 and not is_name(first):  # a computation
        first = None
    return Relation(("=",), (first, _read(sides[-1])))


def _both_signs(text):
    swap = {r"\pm": "+", r"\mp": "-"}, {r"\pm": "-", r"\mp": "+"}
    tokens = _TOKEN.findall(text)
    variants = [_text([signs.get(t, t) for t in tokens]) for signs in swap]
    first, second = (_read(variant) for variant in variants)
    return first if first == second else Collection((first, second))


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


def _point(text):
    """A point after its name, as an equation; None for anything else."""
    named = re.fullmatch(r"([A-Z])\s*(\(.*\))", text, re.S)
    point = _brackets(named[2]) if named else None
    if not isinstance(point, Sequence):
        return None
    return Relation(("=",), (_number(named[1]), point))


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
    based = re.fullmatch(r"([0-9A-Fa-f]+)\s*_\s*\{?\s*(\d+|[a-z]+)\s*\}?", text)
    if based:
        digits, base = based[1].lower(), _BASES.get(based[2], based[2])
        is_number = digits[0].isdigit() or (base == "16" and len(digits) > 1)
        if is_number and base.isdigit() and 2 <= int(base) <= 36:
            return Based(digits, int(base))
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
    # A constant like \gamma for latex2sympy, and a function only before a bracket.
    text = re.sub(r"\\Gamma(?![A-Za-z]|\s*\()", r"\\variable{Gamma}", text)
    try:
        value = latex2sympy(
            text,
            is_real=True,
            convert_degrees=False,
            normalization_config=None,
            conversion_config=_CASE_SENSITIVE,
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
