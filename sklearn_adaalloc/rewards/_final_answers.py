r"""From what a model wrote to the formula at its end, in LaTeX that math-verify reads.

Pure functions on text that cannot hang: what may is left to the workers.
"""

import re

_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_LATEX = re.compile(rf"{_TEXT.pattern}|\\(?:begin|end|operatorname)\s*\{{\w*\}}")
_MATH = re.compile(r"\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.S)
_NUMBER = re.compile(r"(?<![\w.)])-?(?:\d[\d,]*)?\.?\d+(?:/\d+)?(?:\s?\\?%)?")
_PHRASE = re.compile(r"answers?\s*(?:is|are|:|=)\s*:?\s*([^\n]+)", re.I)
_FUNCTIONS = "sqrt|frac|pi|sin|cos|tan|log|ln|exp|infinity|oo|inf|or|and|max|min|gcd"
_PROSE = re.compile(rf"(?<![\\A-Za-z])(?!(?:{_FUNCTIONS})\b)[A-Za-z]{{2,}}")
_PLAIN_NUMBER = r"-?(?:\d[\d,]*)?\.?\d+(?:/\d+|[eE][-+]?\d+)?"

_LONGEST = 1000  # characters of an answer; some patterns take the square of that

# One after the other; each is a pattern and what it becomes.
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        ("[−–]", "-"),
        ("×", r"\\times "),
        ("·", r"\\cdot "),
        ("÷", "/"),
        ("π", r"\\pi "),
        ("∞", r"\\infty "),
        ("≤", r"\\le "),
        ("≥", r"\\ge "),
        ("∪", r"\\cup "),
        ("∩", r"\\cap "),
        ("∈", r"\\in "),
        ("±", r"\\pm "),
        ("°", r"^\\circ "),
        ("²", "^2"),
        ("³", "^3"),
        ("½", r"\\frac{1}{2}"),
        ("¼", r"\\frac{1}{4}"),
        ("¾", r"\\frac{3}{4}"),
        (r"√\s*(\d+|\w)", r"\\sqrt{\1}"),
        (r"√\s*\(", r"sqrt("),
        (r"\\(?:left|right|displaystyle|limits|quad|qquad)(?![A-Za-z])", ""),
        (r"(?<!\\)\\[,;:! ]|~", ""),
        (r"\\[dtc]frac", r"\\frac"),
        (r"\{,\}", ","),
        (r"(?<![\\A-Za-z])sqrt\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![\\A-Za-z])sqrt\s*(\d+|[a-z])", r"\\sqrt{\1}"),
        (r"(?<![\\A-Za-z])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty "),
        (r"(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi "),
        (r"(?<=\d)[eE]([-+]?)0*(\d+)(?![\d.])", r" \\times 10^{\1\2}"),
        (r"\*\*", "^"),
        (r"(?<=\d)\s+(\d+)/(\d+)$", r"\\frac{\1}{\2}"),
        (r"(?<=[)\]])\s*U\s*(?=[(\[])", r" \\cup "),
        (r"\s+(?:or|and)\s+|\\text\{\s*(?:or|and)\s*\}", ", "),
        (r"\\varnothing|∅|^\\\{\s*\\\}$", r"\\emptyset "),
    ]
]
_UNIT = re.compile(
    rf"({_PLAIN_NUMBER})\s*(?![\dxyzn]\b){_PROSE.pattern}[^\d=]*(?:\^?[23])?"
)
_NOTHING = re.compile(
    r"(?:there (?:is|are) )?(?:no(?:ne| (?:real )?solutions?)|empty set)"
)


def final_answer(text):
    r"""Find the answer that a text ends with.

    What the last ``\boxed`` holds; else what follows ``####``; else the text itself if
    it is a formula or a word or two; else what follows the last "answer is" or
    "answer:"; else the last formula or number.

    Parameters
    ----------
    text : str
        What a model, or the author of the reference, wrote.

    Returns
    -------
    answer : str
        As written there; "" if there is none.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._final_answers import final_answer
    >>> final_answer(r"So x = 3, and \boxed{\frac{1}{2}}."), final_answer("It is 7.")
    ('\\frac{1}{2}', '7')
    """
    boxed = max(text.rfind(r"\boxed"), text.rfind(r"\fbox"))
    if boxed >= 0:
        answer = _braced(text[boxed:].partition("x")[2].removeprefix("ed"))
    elif "####" in text:
        answer = text.rpartition("####")[2].strip()
    else:
        text = re.sub(r"\*\*(.+?)\*\*", r"\1", text[-_LONGEST:]).strip()
        phrases = _PHRASE.findall(text)
        phrase = re.split(r"\.\s", phrases[-1])[0] if phrases else text
        answer = _formula(phrase, first=bool(phrases))
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
    is_solution = marked or _PHRASE.search(text) or len(_PROSE.findall(text)) > 6
    return final_answer(text) if is_solution else text.strip()


def _braced(text):
    """Content of the braces that a text begins with, closed or not; else a word."""
    text = text.lstrip()
    if not text.startswith("{"):
        return text.split()[0] if text else ""
    depth = 0
    for position, character in enumerate(text):
        escaped = text[position - 1 : position] == "\\"
        depth += 0 if escaped else (character == "{") - (character == "}")
        if depth == 0:
            return text[1:position].strip()
    return text[1:].split("\n")[0].rstrip("$. ")


def _formula(text, first):
    """The whole text if it is one; else the first or last formula or number in it."""
    text = text.strip().rstrip(".")
    words = _PROSE.findall(_LATEX.sub("", _MATH.sub("", text)))
    whole = _MATH.fullmatch(text)
    if whole or not words or (len(words) <= 4 and not re.search(r"[\d$\\]", text)):
        return text
    found = [
        match
        for pattern in (_MATH, _NUMBER)
        for match in pattern.finditer(text)
        if pattern is _NUMBER or not _PROSE.search(_LATEX.sub("", match.group()))
    ]
    if not found:
        return ""
    if first:
        return min(found, key=lambda match: (match.start(), -match.end())).group()
    return max(found, key=lambda match: (match.end(), -match.start())).group()


def normalise(answer):
    r"""Write an answer in LaTeX that math-verify reads as it was meant.

    Units, currencies and dollar signs go; Unicode, program-like and spoken forms become
    LaTeX; what is written as text becomes plain words.

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
    answer = answer.strip().strip("`")
    for opening, closing in (("\\(", "\\)"), ("\\[", "\\]")):
        answer = answer.removeprefix(opening).removesuffix(closing)
    answer = re.sub(r"\\?\$", "", answer).strip()
    if spoken := _TEXT.fullmatch(answer):
        answer = spoken[1].strip()
    if unit := _UNIT.fullmatch(_TEXT.sub(r" \1 ", answer).strip()):
        answer = unit[1]
    for pattern, replacement in _REWRITES:
        answer = pattern.sub(replacement, answer)
    answer = answer.strip().rstrip(".,;:").removeprefix("=").strip()
    words = _TEXT.sub(r" \1 ", answer).strip().rstrip(".").casefold()
    if _NOTHING.fullmatch(words):
        return r"\emptyset"
    if _is_words(words):
        return " ".join(words.split())
    missing = answer.count("{") - answer.count("}")
    return answer + "}" * missing if missing > 0 else answer


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
        chosen = re.match(r"\(?\s*([A-Ha-h])\s*(?:\)|[.:]|$)", _TEXT.sub(r"\1", answer))
        return chosen is not None and chosen[1].casefold() == choice[1].casefold()
    return False if _is_words(gold) or _is_words(answer) else None


def _is_words(text):
    """Whether a text is a word of at least three letters, or several words."""
    return (
        re.fullmatch(r"[^\W\d_]{3,}|[^\W\d_]{2,}(?:[\s'-]+[^\W\d_]+)+", text)
        is not None
    )
