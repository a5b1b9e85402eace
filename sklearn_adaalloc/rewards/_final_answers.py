r"""From what a model wrote to the answer at its end, in LaTeX that can be compared.

Pure functions on text that cannot hang: what may is left to the workers.
"""

import re
from collections import deque
from typing import NamedTuple

from sklearn_adaalloc.rewards._scripts import written_out
from sklearn_adaalloc.rewards._units import add_units, conversions, find_date, read_unit

_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mbox)\s*\{([^{}]*)\}"
)
_LATEX = re.compile(rf"{_TEXT.pattern}|\\(?:begin|end|operatorname)\s*\{{\w*\}}")
_MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.S)
_FUNCTIONS = "sqrt|frac|pi|sin|cos|tan|log|ln|exp|infinity|oo|inf|or|and|max|min|gcd"
_PROSE = re.compile(
    rf"(?<![\\A-Za-z])(?!(?:{_FUNCTIONS})\b)[A-Za-z]{{2,}}|[^\W\d_A-Za-z]{{2,}}"
)
_PLAIN_NUMBER = r"-?(?:\d[\d,]*)?\.?\d+(?:/\d+|[eE][-+]?\d+)?"
_CURRENCY = "[€£¥₹₩₽₺₪฿¢]"

# What stands at the end of a text without mark: numbers, times, ratios, and lists.
_PERIOD = r"\s?[ap]\.?\s?m\b\.?"
_ITEM = (
    rf"(?:(?<![\w.)])[a-z]\s?=\s?)?(?:(?<![\w.)])-\s?)?(?<![\w.)^]){_CURRENCY}?(?<!\^\{{)"
    r"(?:\d[\d,]*)?\.?\d+(?:/\d+|(?::\d+)+)?"
    rf"(?:\s?\\?%|{_PERIOD}(?!\w))?"
)
_SEPARATOR = r"(?:\s*[,;]\s*(?:(?:and|or)\s+)?|\s+(?:and|or)\s+)"
_NUMBER = re.compile(rf"{_ITEM}(?:{_SEPARATOR}{_ITEM})*", re.I)
_FORMULAS = re.compile(
    rf"(?:{_MATH.pattern})(?:(?:{_SEPARATOR}|\s*,\s*)(?:{_MATH.pattern}))*", re.S
)

# "The answer is", and what other languages write before a colon.
_INTRODUCTION = re.compile(
    r"(?:answers?\s*(?:is|are|:|=|\n)|answer\s*\([^()]*\)\s*:"
    r"|(?:réponse|reponse|respuesta|antwort|lösung|ergebnis|risposta|resposta|antwoord"
    r"|svar|vastaus|odpowiedź|odpověď|cevap|yanıt|jawaban|đáp án|đáp số|ответ|відповідь"
    r"|απάντηση|答案|答え|解答|答|정답|답|الجواب|الإجابة|الاجابة|उत्तर|คำตอบ|תשובה)"
    r"(?:\s*(?:finale?|final|является))?"
    r"\s*(?:est|es|ist|è|é|is|är|jest|to|это|—|:|=|是|為|为|は|은|는|هو|هي|है|\n)\s*:?)"
    r"\s*:?\s*",
    re.I,
)
_THOUGHTS = re.compile(
    r"<(think|thinking|thought|reasoning|scratchpad)>.*?(?:</\1>|\Z)", re.S | re.I
)
_THOUGHTS_END = re.compile(r"</(?:think|thinking|thought|reasoning|scratchpad)>", re.I)

_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_BETWEEN = re.compile(  # two boxes that make a list
    r"[\s$]*(?:[,;][\s$]*(?:and|or)?|and|or|\\text\{\s*(?:and|or)\s*\})[\s$]*"
)

_MOST_BOXES = 20  # that are looked at
_LONGEST = 1000  # characters of an answer; some patterns take the square of that

_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξρστφχψωΓΔΘΛΞΠΣΦΨΩ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho "
        "sigma tau phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi "
        "Omega".split(),
        strict=True,
    )
)
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
    rf"({_CURRENCY}?{_PLAIN_NUMBER}(?:\s*\\times\s*10\^\{{?-?\d+\}}?)?"
    r"|-?\\[dtc]?frac\{\d+\}\{\d+\}|-?\d*\\sqrt\{\d+\}|-?\d*\\pi)"
    rf"\s*(?:\^?\\circ\s*)?(?![\dxyzn]\b)(?:{_PROSE.pattern})[^\d=]*"
    r"(?:[\^/][^\d=]*\{?-?\d\}?[^\d=]*)*"
)
_SYMBOL = (  # of a unit
    r"(?:[kcmdµμn]?m|[kmµμ]?g|[mµμn]?s|min|hr?|[mc]?[lL]|[kM]?[NJW]|[kM]?Pa|[kMG]?Hz"
    r"|mol|[mk]?[VA]|°?[CFK]|ft|in|mi|yd|lbs?|oz)"
)
_UNITS = re.compile(
    rf"({_PLAIN_NUMBER})(?:\s+{_SYMBOL}|\s*(?:\^?\\circ|[°º])\s*[CFK]|\s*{_SYMBOL}(?=\s*[\^/*·]))"
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
_TIME = re.compile(rf"(\d{{1,2}})(?::(\d\d))?({_PERIOD})", re.I)
_DEGREES = re.compile(r"(?:\^\s*\{?\s*\\circ\s*\}?|\^?\s*\{?\s*\\degree\s*\}?)$")
_OPTION = re.compile(
    r"(?:\(\s*([A-Ha-h])\s*\)|([A-Ha-h])\)|([A-H])[.:])\s+(\S.*)", re.S
)
_CHOICE = re.compile(r"(?:choice|option)\s*(\(?[A-H]\)?)", re.I)
_QUANTITY = rf"({_PLAIN_NUMBER})\s*([^\W\d_]+)\.?"
_AND = r"(?:\s*,)?\s*(?:and\s+)?"
_QUANTITIES = re.compile(rf"{_QUANTITY}(?:{_AND}{_QUANTITY})+")
_NOTHING = re.compile(
    r"(?:there (?:is|are) )?(?:no(?:ne| (?:real )?solutions?)|empty set)"
)

# Letters that are a word in any case, though there are not four of them.
_SHORT_WORDS = set(
    "yes no odd true all any one two six ten not none red sum max min day sun mon tue "
    "wed thu fri sat".split()
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


def final_answer(text):
    r"""Find the answer that a text ends with.

    Thoughts between ``<think>`` and ``</think>`` are no part of it. What the last
    ``\boxed`` holds, or the last few with nothing but commas, "and" or "or" between
    them; else what follows ``####`` on the last line; else the text itself if it is a
    formula, a list or a word or two; else what follows the last "answer is" or
    "answer:", in one of some thirty languages; else the last formula, number or list.

    Parameters
    ----------
    text : str
        What a model, or the author of the reference, wrote.

    Returns
    -------
    answer : str
        As written there, but digits and punctuation of other scripts as in English; ""
        if there is none.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._final_answers import final_answer
    >>> final_answer(r"So x = 3, and \boxed{\frac{1}{2}}."), final_answer("It is 7.")
    ('\\frac{1}{2}', '7')
    """
    text = _without_thoughts(written_out(text))
    if boxed := _boxes(text):
        answer = boxed
    elif marked := re.search(r"####[ \t]*([^\n#]+?)\s*\Z", text[-_LONGEST:]):
        answer = marked[1]
    elif r"\boxed" in text or r"\fbox" in text:
        answer = ""
    else:
        text = re.sub(r"^#+\s*", "", text[-_LONGEST:], flags=re.M)
        text = re.sub(r"(\*\*|__)(.+?)\1", r"\2", text).strip()
        found = list(_INTRODUCTION.finditer(text))
        phrase = _phrase(text[found[-1].end() :]) if found else text
        answer = _formula(phrase, first=bool(found))
    return answer if len(answer) <= _LONGEST else ""


def reference_answer(text):
    r"""Find the answer in a reference: the text itself unless it is a whole solution.

    Parameters
    ----------
    text : str
        What the author of the reference wrote.

    Returns
    -------
    answer : str

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._final_answers import reference_answer
    >>> reference_answer("June 20"), reference_answer("6 * 7 = 42\n#### 42")
    ('June 20', '42')
    """
    marked = r"\boxed" in text or r"\fbox" in text or "####" in text
    words = len(_PROSE.findall(text))
    is_solution = marked or _INTRODUCTION.search(text) or words > 6
    return final_answer(text) if is_solution else written_out(text).strip()


def _without_thoughts(text):
    """What comes after thoughts, in tags or in a channel of their own."""
    text = text.rpartition("<|channel|>final<|message|>")[2]
    text = _THOUGHTS.sub(" ", text)
    *_, text = _THOUGHTS_END.split(text)
    return text


def _boxes(text):
    """Content of the last box that has any, and of those listed with it."""
    listed = []
    following = len(text)
    for mark in reversed(deque(_BOX.finditer(text), maxlen=_MOST_BOXES)):
        content, end = _box(text, mark.end())
        if listed and not (content and _BETWEEN.fullmatch(text, end, following)):
            break
        if content:
            listed.append(content)
            following = mark.start()
    return ", ".join(dict.fromkeys(reversed(listed)))


def _box(text, start):
    """Content of the braces, closed or not, or else the word at a position; its end."""
    last = min(len(text), start + _LONGEST + 3)
    if text[start : start + 1] != "{":
        word = re.match(r"\S*", text[start:last])[0]
        return word, start + len(word)
    depth = 0
    for position in range(start, last):
        escaped = text[position - 1] == "\\"
        if not escaped:
            depth += (text[position] == "{") - (text[position] == "}")
        if depth == 0:
            return text[start + 1 : position].strip(), position + 1
    return text[start + 1 : last].split("\n")[0].rstrip("$. "), last


def _phrase(text):
    """What was introduced: a formula to its end, else the first sentence of a line."""
    text = text.lstrip()
    if formula := _FORMULAS.match(text):
        line = text[formula.end() :].split("\n")[0]
        return formula.group() + re.split(r"\.(?:\s|$)", line)[0]
    line = text.split("\n")[0]
    return re.split(r"(?<![ap])\.\s", line)[0]


def _formula(text, first):
    """The whole text if it is one; else the first or last formula or number in it."""
    text = text.strip().rstrip(".").strip("`")
    words = _PROSE.findall(_LATEX.sub("", _MATH.sub("", text)))
    whole = _MATH.fullmatch(text)
    if _without_unit(text)[1] or re.fullmatch(r"[!-~]+", text):
        return text
    if _OPTION.fullmatch(text) and len(words) <= 6 and "\n" not in text:
        return text
    if whole or not words or (len(words) <= 4 and not re.search(r"[\d$\\]", text)):
        return text
    found = [
        match
        for pattern in (_FORMULAS, _NUMBER)
        for match in pattern.finditer(text)
        if pattern is _NUMBER or not _PROSE.search(_LATEX.sub("", match.group()))
    ]
    if date := find_date(text):
        found.append(date[0])
    if not found:
        return ""
    if first:
        return min(found, key=lambda match: (match.start(), -match.end())).group()
    return max(found, key=lambda match: (match.end(), -match.start())).group()


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
    >>> from sklearn_adaalloc.rewards._final_answers import normalise
    >>> normalise("$1e3$ km")[:2], normalise(r"\text{No solution}.").formula
    (('1 \\times 10^{3}', 'km'), '\\emptyset')
    """
    answer = re.sub(r"(?<!\\)\\!", "", written_out(answer))
    answer = _SPACE.sub(" ", answer).strip("` \n").rstrip("\\.,;: \n")
    answer = re.sub(
        r"(?<!\\)\\(?:\((.*?)\\\)|\[(.*?)\\\])", r"\1\2", answer, flags=re.S
    )
    spoken = _TEXT.sub(r"\1", answer).strip()
    if choice := _CHOICE.fullmatch(spoken):
        return Answer(choice[1])
    option = _OPTION.fullmatch(spoken)
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
    if spoken := _TEXT.fullmatch(answer):
        answer = spoken[1].strip()
    if time := _TIME.fullmatch(answer):
        return Answer(_time(*time.groups()))
    answer, unit = _without_unit(answer)
    if re.fullmatch(r"per\s?cent", unit, re.I):
        answer += r"\%"
    for pattern, replacement in _REWRITES:
        answer = pattern.sub(_ungrouped if replacement is None else replacement, answer)
    answer = re.sub(rf"{_CURRENCY}\s*|\s*{_CURRENCY}", "", answer)
    answer = answer.strip().rstrip(".,;:").removeprefix("=").strip()
    unit = f"{currency} {unit}".strip()
    if not unit and (mark := re.search(r"%$", answer) or _DEGREES.search(answer)):
        unit = mark[0]
    words = _TEXT.sub(r" \1 ", answer).strip().rstrip(".")
    if _NOTHING.fullmatch(words.casefold()):
        return Answer(r"\emptyset")
    if _is_words(words):
        return Answer(_folded(" ".join(words.split())), unit)
    missing = answer.count("{") - answer.count("}")
    return Answer(answer + "}" * missing if missing > 0 else answer, unit)


def _currency(answer):
    """Sign of a currency in an answer; a dollar that encloses a formula is none."""
    if r"\$" in answer or (
        answer.count("$") == 1 and re.match(r"-?\$\s?[\d.]|.*\d\$$", answer)
    ):
        return "$"
    sign = re.search(_CURRENCY, answer)
    return sign[0] if sign else ""


def _without_unit(answer):
    """Value and unit of an answer; the answer and "" where it has none."""
    spoken = _TEXT.sub(r" \1 ", _STRIPPED_UNIT.sub(" ", answer)).strip()
    if _QUANTITIES.fullmatch(spoken):
        found = [match.groups() for match in re.finditer(_QUANTITY, spoken)]
        if added := add_units(found):
            return added
    unit = _UNITS.fullmatch(spoken)
    if unit is None and (unit := _UNIT.fullmatch(spoken)):
        joined = not spoken[unit.end(1)].isspace()
        words = _PROSE.findall(spoken, unit.end(1))
        # Letters that are neither a word nor a known unit are variables.
        is_word = len(max(words, key=len)) > 2 + joined
        unit = unit if is_word or re.fullmatch(_SYMBOL, words[0]) else None
    if unit is not None:
        return unit[1], spoken[unit.end(1) :].strip()
    return _without_known_unit(spoken) or (answer, "")


def _without_known_unit(spoken):
    """A longer formula and the unit at its end; None if it is no known unit."""
    for cut in re.finditer(r"(?<=[\d})i])\s+(?=[^\W\d_])", spoken[-_LONGEST:]):
        value, unit = spoken[: cut.start()], spoken[cut.end() :]
        is_long = re.search(r"[^\W\d_]{2}", unit) and len(unit) < 60
        if not is_long or re.search(r"[=,()\\]|(?<![\^{-])\d", unit):
            continue
        known = read_unit(unit)
        if known.measures and not known.things:
            return None if _PROSE.search(_LATEX.sub("", value)) else (value, unit)
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
    if gold == answer or _folded(gold) == _folded(answer):
        return True
    choice = re.fullmatch(r"\(?\s*([A-Ha-h])\s*\)?", gold)
    if choice:
        chosen = re.match(
            r"\(?\s*([A-Ha-h])\s*(?:\)|[.:]|$)", _TEXT.sub(r"\1", answer).strip()
        )
        return chosen is not None and chosen[1].casefold() == choice[1].casefold()
    return False if _is_words(gold) or _is_words(answer) else None


def has_words(text):
    """Whether a normalised answer holds words, so that it is no formula."""
    return _PROSE.search(_LATEX.sub(" words ", text)) is not None


def _folded(text):
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


def _is_words(text):
    """Whether a text is a word of at least three letters, or several words."""
    return (
        re.fullmatch(r"[^\W\d_]{3,}|[^\W\d_]{2,}(?:[\s'-]+[^\W\d_]+)+", text)
        is not None
    )
