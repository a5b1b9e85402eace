"""Words in answers, which are compared as words."""

import re

TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mbox)\s*\{([^{}]*)\}"
)
LATEX = re.compile(rf"{TEXT.pattern}|\\(?:begin|end|operatorname)\s*\{{\w*\}}")
_FUNCTIONS = "sqrt|frac|pi|sin|cos|tan|log|ln|exp|infinity|oo|inf|or|and|max|min|gcd"
PROSE = re.compile(
    rf"(?<![\\A-Za-z])(?!(?:{_FUNCTIONS})\b)[A-Za-z]{{2,}}|[^\W\d_A-Za-z]{{2,}}"
)

# Letters that are a word in any case, though there are not four of them.
_SHORT_WORDS = frozenset(
    [
        *("yes", "no", "all", "any", "not", "none", "odd", "true", "red", "day"),
        *("one", "two", "six", "ten", "sum", "max", "min"),
        *("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
    ]
)


def same_words(gold, answer):
    """Compare two normalised formulas where letters decide; None where they do not.

    Equal texts are equal answers. A word is not a product of letters. A letter in
    parentheses is a choice, and what follows it is that choice's text.

    Parameters
    ----------
    gold, answer : str

    Returns
    -------
    bool or None
    """
    if not gold or not answer:
        return False
    if gold == answer or folded(gold) == folded(answer):
        return True
    choice = re.fullmatch(r"\(?\s*([A-Ha-h])\s*\)?", gold)
    if choice:
        chosen = re.match(
            r"\(?\s*([A-Ha-h])\s*(?:\)|[.:]|$)", TEXT.sub(r"\1", answer).strip()
        )
        if chosen:
            return chosen[1].casefold() == choice[1].casefold()
    return False if is_words(gold) or is_words(answer) else None


def has_words(text):
    """Whether a normalised answer holds words, so that it is no formula."""
    return PROSE.search(LATEX.sub(" words ", text)) is not None


def folded(text):
    """A text with its words in small letters; symbols and points keep their case."""
    return re.sub(r"\\?[^\W\d_]{2,}|^[AI](?=\s)", _folded_word, text)


def _folded_word(match):
    """One word in small letters: what names no points and no product of symbols."""
    word = match[0].casefold()
    if match[0] not in (word, word.capitalize(), word.upper()):  # \Delta, NaCl
        return match[0]
    if word in _SHORT_WORDS or len(word) == 1 or not word.isascii():
        return word
    capitals = match[0].isupper()
    points = capitals and len(word) <= 5 and re.fullmatch("[a-h]+", word)
    is_word = (
        re.search("[aeiouy]", word)
        if len(word) > 3
        else (len(word) == 3 and not capitals and re.search("[aeiou]", word[1:]))
    )
    return word if is_word and not points else match[0]


def is_words(text):
    """Whether a text is a word of at least three letters, or several words."""
    return (
        re.fullmatch(r"[^\W\d_]{3,}|[^\W\d_]{2,}(?:[\s'-]+[^\W\d_]+)+", text)
        is not None
    )
