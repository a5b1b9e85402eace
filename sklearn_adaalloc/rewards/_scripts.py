"""Digits and punctuation of other scripts, as in English."""

import re
import unicodedata

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
    if form.startswith("<fraction>"):
        top, _, bottom = unicodedata.normalize("NFKD", character).partition("\u2044")
        return rf"\frac{{{top}}}{{{bottom}}}" if bottom else character
    return character
