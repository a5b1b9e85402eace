"""What names of units mean."""

import re
from fractions import Fraction

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
SCALES = {
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
POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
POWERS_AFTER = {"squared": 2, "cubed": 3}
SINGULARS = {
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
EMPTY = frozenset(
    word
    for line in [
        "a an the of in is are was were be there that this and at to for on with from",
        "by it so total altogether left remaining all more long tall high wide deep",
        "old away about approximately exactly unit answer only",
    ]
    for word in line.split()
)


def _dimension(text):
    """Basic units and their powers, as in "kg m s-2"."""
    parts = (re.fullmatch(r"(\D+?)(-?\d+)?", part) for part in text.split())
    return tuple((part[1], int(part[2] or 1)) for part in parts)


def _meanings():
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


MEANINGS = _meanings()
