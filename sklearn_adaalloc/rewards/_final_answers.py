r"""From what a model wrote to the answer at its end, in LaTeX that can be compared.

Pure functions on text that cannot hang: what may is left to the workers.
"""

import re
from collections import deque

from sklearn_adaalloc.rewards._scripts import in_one_script

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
_CURRENCY = "[€£¥₹₩₽₺₪฿]"

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

# One after the other; each is a pattern and what it becomes.
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        ("×", r"\\times "),
        ("[·⋅]", r"\\cdot "),
        ("÷", "/"),
        ("π", r"\\pi "),
        ("θ", r"\\theta "),
        ("∞", r"\\infty "),
        ("≤|⩽", r"\\le "),
        ("≥|⩾", r"\\ge "),
        ("≠", r"\\ne "),
        ("∪", r"\\cup "),
        ("∩", r"\\cap "),
        ("∈", r"\\in "),
        ("±", r"\\pm "),
        ("°|º", r"^\\circ "),
        (r"√\s*(\d+|\w)", r"\\sqrt{\1}"),
        (r"√\s*\(", r"sqrt("),
        (r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\.?", ""),
        (r"\\(?:displaystyle|limits|quad|qquad|hspace\{\w*\})(?![A-Za-z])", " "),
        (r"\\\\(?=[A-Za-z])(?!.*\\end\{)", r"\\"),
        (r"\\([()\[\]])", r"\1"),
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
_NOTHING = re.compile(
    r"(?:there (?:is|are) )?(?:no(?:ne| (?:real )?solutions?)|empty set)"
)


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
    text = _without_thoughts(in_one_script(text))
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
    return final_answer(text) if is_solution else in_one_script(text).strip()


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
    if _without_unit(text) != text or re.fullmatch(r"[!-~]+", text):
        return text
    if whole or not words or (len(words) <= 4 and not re.search(r"[\d$\\]", text)):
        return text
    found = [
        match
        for pattern in (_FORMULAS, _NUMBER)
        for match in pattern.finditer(text)
        if pattern is _NUMBER or not _PROSE.search(_LATEX.sub("", match.group()))
    ]
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
    formula : str

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._final_answers import normalise
    >>> normalise("$1e3$ km"), normalise("√2/2"), normalise(r"\text{No solution}.")
    ('1 \\times 10^{3}', '\\sqrt{2}/2', '\\emptyset')
    """
    answer = re.sub(r"(?<!\\)\\!", "", in_one_script(answer))
    answer = _SPACE.sub(" ", answer).strip("` \n").rstrip("\\.,;: \n")
    answer = re.sub(r"\\\((.*?)\\\)|\\\[(.*?)\\\]", r"\1\2", answer, flags=re.S)
    answer = re.sub(r"\\?\$", "", answer).strip()
    answer = re.sub(
        r"(?<=\d)\s*\^?\{?(?:\\text|\\mathrm)?\{?(?:st|nd|rd|th)\b\}*", "", answer
    )
    if spoken := _TEXT.fullmatch(answer):
        answer = spoken[1].strip()
    if time := _TIME.fullmatch(answer):
        return _time(*time.groups())
    answer = _without_unit(answer)
    for pattern, replacement in _REWRITES:
        answer = pattern.sub(_ungrouped if replacement is None else replacement, answer)
    answer = re.sub(rf"{_CURRENCY}\s*|\s*{_CURRENCY}", "", answer)
    answer = answer.strip().rstrip(".,;:").removeprefix("=").strip()
    words = _TEXT.sub(r" \1 ", answer).strip().rstrip(".").casefold()
    if _NOTHING.fullmatch(words):
        return r"\emptyset"
    if _is_words(words):
        return " ".join(words.split())
    missing = answer.count("{") - answer.count("}")
    return answer + "}" * missing if missing > 0 else answer


def _without_unit(answer):
    spoken = _TEXT.sub(r" \1 ", _STRIPPED_UNIT.sub(" ", answer)).strip()
    if unit := _UNITS.fullmatch(spoken):
        return unit[1]
    unit = _UNIT.fullmatch(spoken)
    if unit is None:
        return answer
    joined = not spoken[unit.end(1)].isspace()
    words = _PROSE.findall(spoken, unit.end(1))
    # Letters that are neither a word nor a known unit are variables.
    is_unit = len(max(words, key=len)) > 2 + joined or re.fullmatch(_SYMBOL, words[0])
    return unit[1] if is_unit else answer


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


def same_words(gold, answer):
    """Compare two normalised answers where letters decide; None where they do not.

    Equal texts are equal answers. A word is not a product of letters. A letter in
    parentheses is a choice, and what follows it is that choice's text.

    Returns
    -------
    bool or None
    """
    if not gold or not answer:
        return False
    if gold == answer or (_PROSE.search(gold) and gold.lower() == answer.lower()):
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


def _is_words(text):
    """Whether a text is a word of at least three letters, or several words."""
    return (
        re.fullmatch(r"[^\W\d_]{3,}|[^\W\d_]{2,}(?:[\s'-]+[^\W\d_]+)+", text)
        is not None
    )
