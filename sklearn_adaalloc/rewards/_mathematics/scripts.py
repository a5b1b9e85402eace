"""Digits and punctuation of other scripts, as in English; decimals without end."""

import re
import unicodedata
from fractions import Fraction

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_PUNCTUATION = str.maketrans(
    {
        "、": ",",
        "，": ",",
        "،": ",",
        "؛": ";",
        "。": ". ",
        "٫": ".",
        "٬": ",",
        "٪": "%",
        "−": "-",
        "–": "-",
        "‐": "-",
        "‑": "-",
        "’": "'",
        "\u200b": "",
        "\u200e": "",
        "\u200f": "",
        "\ufeff": "",
    }
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
)


_REPEATING = re.compile(
    r"(?<![\d.,/^])(\d{0,20})\.(\d{0,9}?)(\d{1,9}?)(\3{1,30})\s?(?:\.{3}|…|\\[lc]?dots(?![A-Za-z]))"
)


def written_out(text):
    """A text in one script, its periodic decimals as fractions."""
    return _REPEATING.sub(_fraction, in_one_script(text))


def _fraction(match):
    """The fraction that a decimal with an ellipsis is, where its period is clear."""
    whole, start, period, more = match.groups()
    digits = len((whole + start + period + more).lstrip("0"))
    if len(period) > 1 and digits >= 6 and len(more) < 2 * len(period):
        return f"{whole}.{start}{period}{more}"  # stands for what begins like this
    value = Fraction(int(whole + start or 0), 10 ** len(start))
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(start))
    return str(value)


def in_one_script(text):
    """Digits, digits above and below, fractions and punctuation as in English."""
    if text.isascii():
        return text
    text = text.translate(_PUNCTUATION)
    text = "".join(_digit(character) for character in text)
    text = re.sub(
        "[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+",
        lambda m: f"^{{{m[0].translate(_SUPERSCRIPTS)}}}",
        text,
    )
    return re.sub("[₀-₉]+", lambda m: f"_{{{m[0].translate(_SUBSCRIPTS)}}}", text)


def _digit(character):
    if character.isascii():
        return character
    value = unicodedata.decimal(character, None)
    if value is not None:
        return str(value)
    form = unicodedata.decomposition(character)
    if ord(character) >= 0x1D400 and form.startswith("<font>"):  # slanted, bold, ...
        return unicodedata.normalize("NFKC", character)
    if form.startswith("<fraction>"):
        top, _, bottom = unicodedata.normalize("NFKD", character).partition("\u2044")
        return rf"\frac{{{top}}}{{{bottom}}}" if bottom else character
    return character
