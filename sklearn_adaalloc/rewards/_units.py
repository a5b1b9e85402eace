"""Units of answers: which are the same, which differ by a factor, which exclude another.

Pure functions on short texts.
"""

import re
from fractions import Fraction
from functools import lru_cache
from math import nan
from typing import NamedTuple

# Prefixes go with the symbol or the word of each of these.
_PREFIXES = [
    ("", "", 1),
    ("G", "giga", 10**9),
    ("M", "mega", 10**6),
    ("k", "kilo", 10**3),
    ("d", "deci", Fraction(1, 10)),
    ("c", "centi", Fraction(1, 100)),
    ("m", "milli", Fraction(1, 10**3)),
    ("µ", "micro", Fraction(1, 10**6)),
    ("μ", "micro", Fraction(1, 10**6)),
    ("n", "nano", Fraction(1, 10**9)),
]
_PREFIXED = [
    ("m", "metre meter", 1, "m"),
    ("g", "gram gramme", "0.001", "kg"),
    ("s", "second", 1, "s"),
    ("L", "litre liter", "0.001", "m3"),
    ("l", "litre liter", "0.001", "m3"),
    ("N", "newton", 1, "kg m s-2"),
    ("J", "joule", 1, "kg m2 s-2"),
    ("W", "watt", 1, "kg m2 s-3"),
    ("Pa", "pascal", 1, "kg m-1 s-2"),
    ("Hz", "hertz", 1, "s-1"),
    ("A", "ampere amp", 1, "A"),
    ("C", "coulomb", 1, "A s"),
    ("V", "volt", 1, "kg m2 s-3 A-1"),
    ("mol", "mole", 1, "mol"),
]
# Names, how many of what; a name in several lines has several meanings.
_KNOWN = [
    ("in inch", "0.0254", "m"),
    ("ft foot", "0.3048", "m"),
    ("yd yard", "0.9144", "m"),
    ("mi mile", "1609.344", "m"),
    ("acre", "4046.8564224", "m2"),
    ("ha hectare", 10**4, "m2"),
    ("lb pound", "0.45359237", "kg"),
    ("oz ounce", "0.028349523125", "kg"),
    ("ton", "907.18474", "kg"),
    ("t ton tonne", 1000, "kg"),
    ("gal gallon", "0.003785411784", "m3"),
    ("qt quart", "0.000946352946", "m3"),
    ("pt pint", "0.000473176473", "m3"),
    ("cup", "0.0002365882365", "m3"),
    ("oz ounce", "0.0000295735295625", "m3"),
    ("min minute", 60, "s"),
    ("sec", 1, "s"),
    ("h hr hour", 3600, "s"),
    ("day", 86400, "s"),
    ("wk week", 7 * 86400, "s"),
    ("yr year", 365 * 86400, "s"),
    ("mo month", 1, "month"),
    ("yr year", 12, "month"),
    ("decade", 120, "month"),
    ("century", 1200, "month"),
    ("mpg", Fraction("1609.344") / Fraction("0.003785411784"), "m-2"),
    ("mph", "0.44704", "m s-1"),
    ("kph kmh kmph", Fraction(5, 18), "m s-1"),
    ("kWh kwh", 3_600_000, "kg m2 s-2"),
    ("cal calorie", "4.184", "kg m2 s-2"),
    ("kcal kilocalorie", 4184, "kg m2 s-2"),
    ("° deg degree", 1, "degree"),
    ("° deg degree celsius centigrade C", 1, "celsius"),
    ("° deg degree fahrenheit F", 1, "fahrenheit"),
    ("kelvin K", 1, "kelvin"),
    ("rad radian", 180, "degree pi-1"),
    ("% percent percentage", 1, "percent"),
    ("$ usd dollar buck", 1, "dollar"),
    ("€ eur euro", 1, "euro"),
    ("£ gbp pound", 1, "sterling"),
    ("¢ cent penny", "0.01", "dollar"),
    ("¢ cent", "0.01", "euro"),
    ("penny pence", "0.01", "sterling"),
    ("¥ yen yuan", 1, "¥"),
    ("₹ rupee", 1, "₹"),
    ("₩ won", 1, "₩"),
    ("₽ rouble ruble", 1, "₽"),
]
_SCALES = {
    "dozen": Fraction(12),
    "hundred": Fraction(100),
    "thousand": Fraction(10**3),
    "lakh": Fraction(10**5),
    "million": Fraction(10**6),
    "crore": Fraction(10**7),
    "billion": Fraction(10**9),
    "trillion": Fraction(10**12),
    "third": Fraction(1, 3),
    "fourth": Fraction(1, 4),
    "fifth": Fraction(1, 5),
    "sixth": Fraction(1, 6),
    "eighth": Fraction(1, 8),
    "tenth": Fraction(1, 10),
    "hundredth": Fraction(1, 100),
    "thousandth": Fraction(1, 1000),
}
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_POWERS_AFTER = {"squared": 2, "cubed": 3}
_SINGULARS = {
    "feet": "foot",
    "inches": "inch",
    "people": "person",
    "children": "child",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
    "geese": "goose",
    "centuries": "century",
    "pennies": "penny",
    "hertz": "hertz",
    "celsius": "celsius",
}
# Words that say nothing of what is counted.
_EMPTY = set(
    "a an the of in is are was were be there that this and at to for on with from by it "
    "so total altogether left remaining in all more long tall high wide deep old away "
    "about approximately exactly unit answer only".split()
)
_MONTHS = (
    "january february march april may june july august september october november "
    "december"
).split()
_TOKEN = re.compile(r"[^\W\d_]+|\^\s*\{?\s*-?\d+\s*\}?|[/%°$¢€£¥₹₩₽₺₪฿]")
_TEMPERATURE = re.compile(
    r"(?:\bdegrees?\b|°)\s*(celsius|centigrade|fahrenheit|kelvin|[CFK])(?!\w)", re.I
)
_MONTH = rf"({'|'.join(f'{m[:3]}(?:{m[3:]})?' for m in _MONTHS)}|sept)\b\.?"
_DAY = r"(\d{1,2})(?:\s?(?:st|nd|rd|th))?"
_DATE = re.compile(
    rf"(?:{_MONTH}\s+(?:the\s+)?{_DAY}|(?:the\s+)?{_DAY}\s+(?:of\s+)?{_MONTH})"
    r"(?:(?:\s*,\s*|\s+)(\d{4}))?(?!\w|\s*[-+*/^.:]?\s*\d)",
    re.I,
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
    >>> from sklearn_adaalloc.rewards._units import conversions
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
    if scale != 1:
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
    >>> from sklearn_adaalloc.rewards._units import add_units
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
    >>> from sklearn_adaalloc.rewards._units import read_unit
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
        if token[0] == "^" or word in _POWERS_AFTER:
            power = _POWERS_AFTER.get(word) or int(re.sub(r"[^-\d]", "", token))
            if parts:
                parts[-1] = parts[-1][0], parts[-1][1] * power
        elif token in ("/", "per", "Per") or (word in ("a", "an") and parts):
            sign = -1
        elif word in _POWERS:
            pending = _POWERS[word]
        elif word in _SCALES and sign == 1:
            scale *= _SCALES[word]
        elif meanings := _meanings(token, word, before):
            parts.append((meanings, sign * pending))
            pending = 1
        elif word not in _EMPTY:
            things.add(word)
        before = token
    return Unit(scale, _products(parts), frozenset(things))


def _meanings(token, word, before):
    """What a token may measure; () for a word that is no known unit."""
    if token == "in" and before[:1].isalpha() and before.casefold() not in _POWERS:
        return () if before != "per" else _NAMES["in"]
    for name in (token, token.casefold(), word):
        if name in _NAMES and (name == token or len(name) > 1):
            return _NAMES[name]
    return ()


def _singular(word):
    if word in _SINGULARS:
        return _SINGULARS[word]
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


def _dimension(text):
    """Basic units and their powers, as in "kg m s-2"."""
    parts = (re.fullmatch(r"(\D+?)(-?\d+)?", part) for part in text.split())
    return tuple((part[1], int(part[2] or 1)) for part in parts)


def _names():
    """All meanings of each name."""
    names = {}
    for symbol, words, factor, dimension in _PREFIXED:
        for short, long, prefix in _PREFIXES:
            for name in [short + symbol, *(long + word for word in words.split())]:
                meaning = Fraction(factor) * prefix, _dimension(dimension)
                names.setdefault(name, []).append(meaning)
    for words, factor, dimension in _KNOWN:
        for name in words.split():
            meaning = Fraction(factor), _dimension(dimension)
            names.setdefault(name, []).append(meaning)
    return names


_NAMES = _names()


def find_date(text, *, whole=False):
    r"""Find a day in a text.

    Parameters
    ----------
    text : str
        What may be a date, such as "June 20th", "20 June" or "the 20th of June, 2024".
    whole : bool, default=False
        Whether it must be all of the text.

    Returns
    -------
    date : tuple of (match, day, unit) or None
        Last date, its day as digits, its month and year as a unit for
        :func:`conversions`.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._units import find_date
    >>> find_date("20 June 2024", whole=True)[1:]
    ('20', 'date june 2024')
    """
    matches = [_DATE.fullmatch(text)] if whole else list(_DATE.finditer(text))
    if not matches or matches[-1] is None:
        return None
    month, day, other_day, other_month, year = matches[-1].groups()
    month = (month or other_month).casefold()[:3]
    month = next(name for name in _MONTHS if name.startswith(month))
    day = str(int(day or other_day))
    return matches[-1], day, " ".join(filter(None, ["date", month, year]))
