r"""From what a model wrote to the answer at its end, in LaTeX that can be compared.

Pure functions on text that cannot hang: what may is left to the workers.
"""

import re
from collections import deque

from sklearn_adaalloc.rewards._mathematics.dates import find_date
from sklearn_adaalloc.rewards._mathematics.normal_forms import (
    CHANGED_NUMBER,
    CURRENCY,
    LONGEST,
    OPTION,
    PERIOD,
    QUANTITIES,
    split_unit,
)
from sklearn_adaalloc.rewards._mathematics.scripts import written_out
from sklearn_adaalloc.rewards._mathematics.units import leading_unit
from sklearn_adaalloc.rewards._mathematics.words import LATEX, PROSE

_MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.S)
# What stands at the end of a text without mark: numbers, times, ratios, and lists.
_ITEM = (
    rf"(?:(?<![\w.)])[a-z]\s?=\s?)?(?:(?<![\w.)])-\s?)?(?<![\w.)^])(?:\\?\$|{CURRENCY})?(?<!\^\{{)"
    r"(?:\d[\d,]*)?\.?\d+(?!\d*[nxyz]\b)(?:/\d+|(?::\d+)+)?"
    rf"(?:\s?\\?%|{PERIOD}(?!\w))?"
)
_SEPARATOR = r"(?:\s*[,;]\s*(?:(?:and|or)\s+)?|\s+(?:and|or)\s+)"
_NUMBER = re.compile(rf"{_ITEM}(?:{_SEPARATOR}{_ITEM})*", re.I)
_FORMULAS = re.compile(
    rf"(?:{_MATH.pattern})(?:(?:{_SEPARATOR}|\s*,\s*)(?:{_MATH.pattern}))*", re.S
)

# "The answer is", and what other languages write before a colon.
_INTRODUCTION = re.compile(
    r"(?:answers?\s*(?:is|are|:|=|\n)|(?:option|choice)\s*(?:is|:)(?=\s*\(?(?-i:[A-H])\b)"
    r"|answer\s*\([^()]*\)\s*:"
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
    >>> from sklearn_adaalloc.rewards._mathematics.final_answers import final_answer
    >>> final_answer(r"So x = 3, and \boxed{\frac{1}{2}}."), final_answer("It is 7.")
    ('\\frac{1}{2}', '7')
    """
    text = _without_thoughts(written_out(text))
    if boxed := _boxes(text):
        answer = boxed
    elif marked := re.search(r"####[ \t]*([^\n#]+?)\s*\Z", text[-LONGEST:]):
        answer = marked[1]
    elif r"\boxed" in text or r"\fbox" in text:
        answer = ""
    else:
        text = re.sub(r"^#+\s*", "", text[-LONGEST:], flags=re.M)
        text = re.sub(r"(\*\*|__)(.+?)\1", r"\2", text).strip()
        found = list(_INTRODUCTION.finditer(text))
        phrase = _phrase(text[found[-1].end() :]) if found else text
        answer = _formula(phrase, first=bool(found))
    return answer if len(answer) <= LONGEST else ""


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
    >>> from sklearn_adaalloc.rewards._mathematics.final_answers import reference_answer
    >>> reference_answer("June 20"), reference_answer("6 * 7 = 42\n#### 42")
    ('June 20', '42')
    """
    marked = r"\boxed" in text or r"\fbox" in text or "####" in text
    words = len(PROSE.findall(text))
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
    last = min(len(text), start + LONGEST + 3)
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
    words = PROSE.findall(LATEX.sub("", _MATH.sub("", text)))
    whole = _MATH.fullmatch(text)
    if split_unit(text)[1] or re.fullmatch(r"[!-~]+", text):
        return text
    if CHANGED_NUMBER.match(text):
        return text
    if OPTION.fullmatch(text) and len(words) <= 6 and "\n" not in text:
        return text
    if whole or not words or (len(words) <= 4 and not re.search(r"[\d$\\]", text)):
        return text
    found = [
        match
        for pattern in (_FORMULAS, _NUMBER)
        for match in pattern.finditer(text)
        if pattern is _NUMBER or not PROSE.search(LATEX.sub("", match.group()))
    ]
    found += [q for q in QUANTITIES.finditer(text) if split_unit(q.group())[1]]
    if date := find_date(text):
        found.append(date[0])
    if not found:
        return ""
    if first:
        chosen = min(found, key=lambda match: (match.start(), -match.end()))
    else:
        chosen = max(found, key=lambda match: (match.end(), -match.start()))
    answer = chosen.group()
    is_one = re.fullmatch(_ITEM, answer, re.I)
    return answer + leading_unit(text[chosen.end() :]) if is_one else answer
