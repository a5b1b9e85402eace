"""Answers in LaTeX that is read as it was meant, their units apart.

Pure functions on text that cannot hang: what may is left to the workers.
"""

import re
from typing import NamedTuple

from sklearn_adaalloc.rewards._mathematics.dates import find_date
from sklearn_adaalloc.rewards._mathematics.scripts import written_out
from sklearn_adaalloc.rewards._mathematics.units import (
    add_units,
    conversions,
    read_unit,
)
from sklearn_adaalloc.rewards._mathematics.words import (
    LATEX,
    PROSE,
    TEXT,
    folded,
    is_words,
)

PLAIN_NUMBER = r"-?(?:\d[\d,]*)?\.?\d+(?:/\d+|[eE][-+]?\d+)?"
CURRENCY = "[€£¥₹₩₽₺₪฿¢]"

PERIOD = r"\s?[ap]\.?\s?m\b\.?"
LONGEST = 1000  # characters of an answer; some patterns take the square of that
_GREEK = {
    letter: name
    for letters, names in [
        ("αβγδεζη", "alpha beta gamma delta epsilon zeta eta"),
        ("θικλμνξρ", "theta iota kappa lambda mu nu xi rho"),
        ("στφχψω", "sigma tau phi chi psi omega"),
        ("ΓΔΘΛΞΠΣΦΨΩ", "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"),
    ]
    for letter, name in zip(letters, names.split(), strict=True)
}
# One after the other; each is a pattern and what it becomes.
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        ("×", r"\\times "),
        ("[·⋅]", r"\\cdot "),
        ("÷", "/"),
        ("π", r"\\pi "),
        *((rf"(?<![Ͱ-Ͽ]){x}(?![Ͱ-Ͽ])", rf"\\{name} ") for x, name in _GREEK.items()),
        ("∞", r"\\infty "),
        ("≤|⩽", r"\\le "),
        ("≥|⩾", r"\\ge "),
        ("≠", r"\\ne "),
        ("∪", r"\\cup "),
        ("∩", r"\\cap "),
        ("∈", r"\\in "),
        ("±", r"\\pm "),
        ("°|º", r"^\\circ "),
        ("ℝ", r"\\mathbb{R}"),
        ("ℤ", r"\\mathbb{Z}"),
        ("ℚ", r"\\mathbb{Q}"),
        ("ℕ", r"\\mathbb{N}"),
        (r"∛\s*(\d+|\w)", r"\\sqrt[3]{\1}"),
        (r"√\s*(\d+|\w)", r"\\sqrt{\1}"),
        (r"√\s*\(", r"sqrt("),
        (r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\.?", ""),
        (r"\\(?:displaystyle|limits|quad|qquad|hspace\{\w*\})(?![A-Za-z])", " "),
        (r"\\\\(?=[A-Za-z])(?!.*\\end\{)", r"\\"),
        (r"(?<!\\)\\([()\[\]])", r"\1"),
        (r"\\[dtc]frac", r"\\frac"),
        (r"\\[dt]binom", r"\\binom"),
        (r"(\d)\{,\}(?=\d)", r"\1,"),
        (r"\{,\}", ","),
        (r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d+)(?![\d,.])", None),
        (r"(?<![\d.,])(?<!\d )\d{1,3}(?:[ ']\d{3})+(?![\d,]|\s\d)", None),
        (r"(?<![\\A-Za-z])sqrt\s*(?=\()", r"\\sqrt"),
        (r"(?<![\\A-Za-z])sqrt\s*(\d+|[a-z])", r"\\sqrt{\1}"),
        (r"(?<![\\A-Za-z])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty "),
        (r"(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi "),
        (r"(?<=\d)[eE]([-+]?)0*(\d+)(?![\d.])", r" \\times 10^{\1\2}"),
        (r"\*\*", "^"),
        (r"(?<=\d)\s*\*\s*|\s*\*\s*(?=\w)", r" \\cdot "),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=", r"\\ne "),
        (r"(?<=\d)\s+(\d+)\s*/\s*(\d+)$", r"\\frac{\1}{\2}"),
        (r"(?<=[)\]])\s*U\s*(?=[(\[])", r" \\cup "),
        (r"\\text\{\s*,?\s*(?:or|and)\s*\}", " and "),
        (r"\s*,?\s*(?<![A-Za-z])(?:or|and)(?![A-Za-z])\s*,?\s*|\\lor\b", ", "),
        (r"\\varnothing|∅|^\\\{\s*\\\}$", r"\\emptyset "),
    ]
]
_SPACE = re.compile(r"(?<!\\)\\[,;: ]|~|[\u00a0\u2009\u202f]")
_UNIT = re.compile(
    rf"({CURRENCY}?{PLAIN_NUMBER}(?:\s*\\times\s*10\^\{{?-?\d+\}}?)?"
    r"|-?\\[dtc]?frac\{\d+\}\{\d+\}|-?\d*\\sqrt\{\d+\}|-?\d*\\pi)"
    rf"\s*(?:\^?\\circ\s*)?(?![\dxyzn]\b)(?:{PROSE.pattern})[^\d=]*"
    r"(?:[\^/][^\d=]*\{?-?\d\}?[^\d=]*)*"
)
_SYMBOL = (  # of a unit
    r"(?:[kcmdµμn]?m|[kmµμ]?g|[mµμn]?s|min|hr?|[mc]?[lL]|[kM]?[NJW]|[kM]?Pa|[kMG]?Hz"
    r"|mol|[mk]?[VA]|°?[CFK]|ft|in|mi|yd|lbs?|oz)"
)
_UNITS = re.compile(
    rf"({PLAIN_NUMBER})(?:\s+{_SYMBOL}|\s*(?:\^?\\circ|[°º])\s*[CFK]|\s*{_SYMBOL}(?=\s*[\^/*·]))"
    rf"(?:\s*\^\{{?-?\d\}}?)?"
    rf"(?:\s*(?:[/*·]|\\cdot|\s)\s*{_SYMBOL}(?:\s*\^\{{?-?\d\}}?)?)*"
)
# Commands that may follow a number. Any other word after a backslash is a unit whose
# "\\ " before it lost the space, as in 15\cm^2.
_COMMANDS = (
    "pi|sqrt|cdot|times|[dtc]?frac|div|pm|mp|sin|cos|tan|cot|sec|csc|log|ln|exp|arc[a-z]+"
    "|leq?|geq?|neq?|lt|gt|in(?![/^]|$)|notin|cup|cap|setminus|infty|circ|degree|text[a-z]*"
    "|math[a-z]+|mbox|operatorname|left|right|[bB]igg?[lr]?|q?quad|to|[a-z]*rightarrow|l?dots"
    "|cdots|overline|bar|hat|vec|begin|end|[dt]?binom|[pb]?mod|equiv|cong|sim|approx|mid"
    "|vert|angle|triangle|perp|parallel|[lr](?:floor|ceil)|land|lor|min|max|gcd|lcm|prime"
    "|hspace|displaystyle|limits|boxed|fbox|alpha|beta|gamma|delta|epsilon|theta|lambda|mu"
    "|nu|omega|phi|varphi|psi|rho|sigma|tau|[GDTLPSO][a-z]+"
)
_STRIPPED_UNIT = re.compile(
    rf"(?<=[\d}}])\\(?!(?:{_COMMANDS})(?![A-Za-z]))(?=[A-Za-z])"
)
_TIME = re.compile(rf"(\d{{1,2}})(?::(\d\d))?({PERIOD})", re.I)
_DEGREES = re.compile(r"(?:\^\s*\{?\s*\\circ\s*\}?|\^?\s*\{?\s*\\degree\s*\}?)$")
OPTION = re.compile(r"(?:\(\s*([A-Ha-h])\s*\)|([A-Ha-h])\)|([A-H])[.:])\s+(\S.*)", re.S)
_CHOICE = re.compile(r"(?:choice|option)\s*(\(?[A-H]\)?)", re.I)
# Read in one way only: a list of them in two ways each would take for ever.
_QUANTITY = r"(?<![\d.,])(\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?)(?![\d.,])\s*([^\W\d_]+)\.?"
_AND = r"(?:\s*,)?\s*(?:(?<![^\W\d_])and\s+)?"
QUANTITIES = re.compile(rf"{_QUANTITY}(?:{_AND}{_QUANTITY})+")
# A number that the words after it change.
CHANGED_NUMBER = re.compile(
    rf"{PLAIN_NUMBER}\s+(?:(?:squared|cubed|factorial|and (?:an?|one|two|three)"
    r" (?:half|halves|thirds?|fourths?|quarters?|fifths?|eighths?|tenths?))\W*$"
    r"|(?:plus|minus|times|over|divided by|mod|modulo)\s+(?:\w\b|\d)"
    r"|(?:more|less|fewer|greater) than\b|or (?:more|less|fewer|greater)\b"
    r"|at (?:least|most)\b|(?:degrees? )?below zero\b)",
    re.I,
)
_NOTHING = re.compile(
    r"(?:there (?:is|are) )?(?:no(?:ne| (?:real )?solutions?)|empty set)"
)


class Answer(NamedTuple):
    """A normalised answer.

    Parameters
    ----------
    formula : str
        What it is, without a unit, in LaTeX or words.
    unit : str
        What it counts, as written; "" for nothing.
    letter : str
        Of the choice whose text the answer is; "" if it is no choice with a text.
    """

    formula: str
    unit: str = ""
    letter: str = ""


def normalise(answer):
    r"""Write an answer in LaTeX that is read as it was meant.

    Units, currencies and dollar signs go; Unicode, program-like and spoken forms become
    LaTeX; what is written as text becomes plain words; times of day have 24 hours.

    Parameters
    ----------
    answer : str
        See :func:`final_answer`.

    Returns
    -------
    answer : Answer

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._mathematics.normal_forms import normalise
    >>> normalise("$1e3$ km")[:2], normalise(r"\text{No solution}.").formula
    (('1 \\times 10^{3}', 'km'), '\\emptyset')
    """
    answer = re.sub(r"(?<!\\)\\!", "", written_out(answer))
    answer = _SPACE.sub(" ", answer).strip("` \n").rstrip("\\.,;: \n")
    answer = re.sub(
        r"(?<!\\)\\(?:\((.*?)\\\)|\[(.*?)\\\])", r"\1\2", answer, flags=re.S
    )
    spoken = TEXT.sub(r"\1", answer).strip()
    if choice := _CHOICE.fullmatch(spoken):
        return Answer(choice[1])
    option = OPTION.fullmatch(spoken)
    if option:
        letter = (option[1] or option[2] or option[3]).upper()
        return normalise(option[4])._replace(letter=letter)
    currency = _currency(answer)
    answer = re.sub(r"\\?\$", "", answer).strip()
    if date := find_date(spoken, whole=True):
        return Answer(*date[1:])
    answer = re.sub(
        r"(?<=\d)\s*\^?\{?(?:\\text|\\mathrm)?\{?(?:st|nd|rd|th)\b\}*", "", answer
    )
    if spoken := TEXT.fullmatch(answer):
        answer = spoken[1].strip()
    if time := _TIME.fullmatch(answer):
        return Answer(_time(*time.groups()))
    answer, unit = split_unit(answer)
    if re.fullmatch(r"per\s?cent", unit, re.I):
        answer += r"\%"
    for pattern, replacement in _REWRITES:
        answer = pattern.sub(_ungrouped if replacement is None else replacement, answer)
    answer = re.sub(rf"{CURRENCY}\s*|\s*{CURRENCY}", "", answer)
    answer = answer.strip().rstrip(".,;:").removeprefix("=").strip()
    unit = f"{currency} {unit}".strip()
    if not unit and (mark := re.search(r"%$", answer) or _DEGREES.search(answer)):
        unit = mark[0]
    words = TEXT.sub(r" \1 ", answer).strip().rstrip(".")
    if _NOTHING.fullmatch(words.casefold()):
        return Answer(r"\emptyset")
    if is_words(words):
        return Answer(folded(" ".join(words.split())), unit)
    missing = answer.count("{") - answer.count("}")
    return Answer(answer + "}" * missing if missing > 0 else answer, unit)


def _currency(answer):
    """Sign of a currency in an answer; a dollar that encloses a formula is none."""
    if r"\$" in answer or (
        answer.count("$") == 1 and re.match(r"-?\$\s?[\d.]|.*\d\$$", answer)
    ):
        return "$"
    sign = re.search(CURRENCY, answer)
    return sign[0] if sign else ""


def split_unit(answer):
    """Value and unit of an answer; the answer and "" where it has none."""
    spoken = TEXT.sub(r" \1 ", _STRIPPED_UNIT.sub(" ", answer)).strip()
    if CHANGED_NUMBER.match(spoken):
        return answer, ""
    if QUANTITIES.fullmatch(spoken):
        found = [match.groups() for match in re.finditer(_QUANTITY, spoken)]
        if added := add_units(found):
            return added
    unit = _UNITS.fullmatch(spoken)
    if unit is None and (unit := _UNIT.fullmatch(spoken)):
        joined = not spoken[unit.end(1)].isspace()
        words = PROSE.findall(spoken, unit.end(1))
        # Letters that are neither a word nor a known unit are variables.
        is_word = len(max(words, key=len)) > 2 + joined
        unit = unit if is_word or re.fullmatch(_SYMBOL, words[0]) else None
    if unit is not None:
        return unit[1], spoken[unit.end(1) :].strip()
    return _without_known_unit(spoken) or (answer, "")


def _without_known_unit(spoken):
    """A longer formula and the unit at its end; None if it is no known unit."""
    for cut in re.finditer(r"(?<=[\d})i])\s+(?=[^\W\d_])", spoken[-LONGEST:]):
        value, unit = spoken[: cut.start()], spoken[cut.end() :]
        is_long = re.search(r"[^\W\d_]{2}", unit) and len(unit) < 60
        if not is_long or re.search(r"[=,()\\]|(?<![\^{-])\d", unit):
            continue
        known = read_unit(unit)
        if known.measures and not known.things:
            return None if PROSE.search(LATEX.sub("", value)) else (value, unit)
    return None


def _ungrouped(match):
    """A number without the signs between its thousands, its decimals after a point."""
    whole, _, decimals = match[0].partition(",")
    whole = re.sub("[ .']", "", whole)
    return f"{whole}.{decimals}" if decimals else whole


def _time(hours, minutes, period):
    """Time of day; before noon as if "am" were not written."""
    afternoon = "p" in period.lower()
    hours = int(hours) % 12 + 12 if afternoon else int(hours)
    return f"{hours}:{minutes}" if minutes else str(hours)


def readings(gold, answer):
    """Ways in which an answer may be right: formulas to compare.

    Parameters
    ----------
    gold, answer : Answer

    Returns
    -------
    readings : list of (pair, verdict)
        Formulas of reference and answer, and the grade if these are equal: 1.0, or NaN
        where it cannot be decided. An empty list for an answer that is wrong.
    """
    if gold.letter and answer.letter and gold.letter != answer.letter:
        return []
    found = [
        ((gold.formula, _times(answer.formula, factor)), verdict)
        for factor, verdict in conversions(gold.unit, answer.unit)
    ]
    if gold.letter and not answer.letter:
        found.append(((gold.letter, answer.formula), 1.0))
    if answer.letter and not gold.letter:
        found.append(((gold.formula, answer.letter), 1.0))
    return found


def _times(formula, factor):
    return rf"({formula}) \cdot {factor}" if factor else formula
