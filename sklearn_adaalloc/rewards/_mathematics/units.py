"""Units of answers: which are the same, differ by a factor, or exclude each other.

Pure functions on short texts.
"""

import re
from fractions import Fraction
from functools import lru_cache
from math import nan
from typing import NamedTuple

from sklearn_adaalloc.rewards._mathematics.unit_tables import (
    EMPTY,
    MEANINGS,
    POWERS,
    POWERS_AFTER,
    SCALES,
    SINGULARS,
)

_TOKEN = re.compile(r"[^\W\d_]+|\^\s*\{?\s*-?\d+\s*\}?|[/%°$¢€£¥₹₩₽₺₪฿]")
_TEMPERATURE = re.compile(
    r"(?:\bdegrees?\b|°)\s*(celsius|centigrade|fahrenheit|kelvin|[CFK])(?!\w)", re.I
)


class Unit(NamedTuple):
    """What a number counts, as far as that is known.

    Parameters
    ----------
    scale : Fraction
        Of a word such as "million".
    measures : tuple of (Fraction, frozenset)
        What it may measure: a factor, and powers of basic units; empty if unknown.
    things : frozenset of str
        Words that are no known unit.
    date : frozenset of str
        Month and year of a day; empty for all else.
    """

    scale: Fraction = Fraction(1)
    measures: tuple = ()
    things: frozenset = frozenset()
    date: frozenset = frozenset()


def conversions(gold, answer):
    r"""Say how the value of an answer is to be compared with that of the reference.

    Parameters
    ----------
    gold, answer : str
        Their units as written; "" for none.

    Returns
    -------
    conversions : list of (factor, verdict)
        Factor of the answer's value, in LaTeX, "" for 1; and what it means if it then
        equals the reference's value: 1.0 for right, NaN where it cannot be decided.
        None where the units exclude each other.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._mathematics.units import conversions
    >>> conversions("m", "cm"), conversions("m", ""), conversions("m", "kg")
    ([('\\frac{1}{100}', 1.0)], [('', 1.0)], [])
    >>> conversions("apples", "pears")
    [('', nan)]
    """
    if gold == answer:
        return [("", 1.0)]
    gold, answer = read_unit(gold), read_unit(answer)
    if gold.date or answer.date:  # the answer may say more than is asked for
        return [("", 1.0)] if gold.date <= answer.date and _is_bare(gold) else []
    scale = answer.scale / gold.scale
    if gold.measures and answer.measures:
        factors = {
            _factor(
                scale * other / one, dict(others).get("pi", 0) - dict(of).get("pi", 0)
            )
            for one, of in gold.measures
            for other, others in answer.measures
            if _without_pi(of) == _without_pi(others)
        }
        return [(factor, 1.0) for factor in sorted(factors)]
    if not (_is_bare(gold) or _is_bare(answer)) and not _may_be_same(gold, answer):
        return [(_factor(scale), nan)]
    found = [(_factor(scale), 1.0)]
    if scale != 1 and 1 in (gold.scale, answer.scale):
        found.append(("", nan))
    for one, other, power in ((gold, answer, 1), (answer, gold, -1)):
        # What has no unit may be in radians.
        if _is_bare(one) and any(dict(of).get("degree") for _, of in other.measures):
            found.append((_factor(Fraction(1, 180) ** power, power), 1.0))
    return found


def _is_bare(unit):
    return not unit.measures and not unit.things


def _may_be_same(gold, answer):
    """Whether nothing tells what is counted apart."""
    if gold.measures or answer.measures:
        return False
    return gold.things <= answer.things or answer.things <= gold.things


def _factor(value, pi=0):
    """A factor in LaTeX."""
    if value == 1 and not pi:
        return ""
    top = f"{value.numerator}" + (r" \pi" if pi > 0 else "")
    bottom = f"{value.denominator}" + (r" \pi" if pi < 0 else "")
    return rf"\frac{{{top}}}{{{bottom}}}"


def _without_pi(dimension):
    return {name: power for name, power in dimension if name != "pi"}


def add_units(parts):
    r"""Add quantities up, as in "5 feet 6 inches", or list them if their unit is one.

    Parameters
    ----------
    parts : list of (number, unit)
        Texts.

    Returns
    -------
    quantity : tuple of (formula, unit) or None
        None if they neither add up nor have the same unit.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._mathematics.units import add_units
    >>> add_units([("1", "h"), ("30", "min")])
    ('1+(30) \\cdot \\frac{1}{60}', 'h')
    >>> add_units([("3", "cm"), ("4", "cm")])
    ('3, 4', 'cm')
    """
    first, *others = [unit for _, unit in parts]
    if not all(read_unit(unit).measures for unit in (first, *others)):
        return None
    if {first} == {*others}:
        return ", ".join(number for number, _ in parts), first
    terms = [parts[0][0]]
    for (number, unit), before in zip(parts[1:], (first, *others), strict=False):
        # Feet before inches, not the reverse.
        if len(smaller := conversions(before, unit)) != 1 or not _is_part(
            smaller[0][0]
        ):
            return None
        [(factor, _)] = conversions(first, unit)
        terms.append(rf"({number}) \cdot {factor}")
    return "+".join(terms), first


def _is_part(factor):
    digits = re.fullmatch(r"\\frac\{(\d+)\}\{(\d+)\}", factor)
    return digits is not None and int(digits[1]) < int(digits[2])


@lru_cache(maxsize=4096)
def read_unit(text):
    r"""Read what stands beside a number.

    Parameters
    ----------
    text : str
        Words and symbols, such as "km/h", "square feet" or "red apples".

    Returns
    -------
    unit : Unit

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._mathematics.units import read_unit
    >>> read_unit("red apples").things == read_unit("apple, red").things
    True
    """
    if text.startswith("date "):
        return Unit(date=frozenset(text.split()[1:]))
    text = re.sub(r"\^?\s*\{?\s*\\(?:circ|degree)(?![A-Za-z])\s*\}?|º", "°", text)
    text = re.sub(r"\bper cents?\b", "percent", text.replace(r"\cdot", " "))
    text = _TEMPERATURE.sub(r" \1 ", text)
    scale, parts, things = Fraction(1), [], set()  # parts: names and powers
    sign, pending, before = 1, 1, ""
    for token in _TOKEN.findall(text):
        word = _singular(token.casefold())
        if token[0] == "^" or word in POWERS_AFTER:
            power = POWERS_AFTER.get(word) or int(re.sub(r"[^-\d]", "", token))
            if parts:
                parts[-1] = parts[-1][0], parts[-1][1] * power
        elif token in ("/", "per", "Per") or (word in ("a", "an") and parts):
            sign = -1
        elif word in POWERS:
            pending = POWERS[word]
        elif word in SCALES and sign == 1 and (SCALES[word] > 1 or token[-1] == "s"):
            scale *= SCALES[word]
        elif meanings := _meanings(token, word, before):
            parts.append((meanings, sign * pending))
            pending = 1
        elif word not in EMPTY:
            things.add(word)
        before = token
    return Unit(scale, _products(parts), frozenset(things))


def leading_unit(text):
    """Find the known unit that a text begins with.

    Parameters
    ----------
    text : str
        What follows a number.

    Returns
    -------
    unit : str
        As written, the space before it included; "" for none.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._mathematics.units import leading_unit
    >>> leading_unit(" km/h at most"), leading_unit(" in total")
    (' km/h', '')
    """
    for length in range(4, 0, -1):
        words = re.match(rf"(?:\s*[/^]?\s?[^\W_]+){{{length}}}(?!\w)", text[:100])
        if words is None or words[0].split()[-1].casefold() in EMPTY:
            continue
        unit = read_unit(words[0])
        if unit.measures and not unit.things and words[0].split()[0] != "in":
            return words[0]
    return ""


def _meanings(token, word, before):
    """What a token may measure; () for a word that is no known unit."""
    if token == "in" and before[:1].isalpha() and before.casefold() not in POWERS:
        return () if before != "per" else MEANINGS["in"]
    for name in (token, token.casefold(), word):
        if name in MEANINGS and (name == token or len(name) > 1):
            return MEANINGS[name]
    return ()


def _singular(word):
    if word in SINGULARS:
        return SINGULARS[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if re.search(r"(?:ss|x|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if re.search(r"[^su]s$", word) and len(word) > 2 else word


def _products(parts):
    """What a product of units may measure."""
    products = [(Fraction(1), {})]
    for meanings, power in parts:
        products = [
            (factor * other**power, _added(dimension, others, power))
            for factor, dimension in products
            for other, others in meanings
        ][:64]
    return tuple(
        (factor, frozenset((k, v) for k, v in dimension.items() if v))
        for factor, dimension in products
        if parts
    )


def _added(dimension, others, power):
    total = dict(dimension)
    for name, exponent in others:
        total[name] = total.get(name, 0) + power * exponent
    return total
