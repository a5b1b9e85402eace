r"""Extract the right answer from the LaTeX of a problem and its solution.

Pure functions on text.
"""

import re

# LaTeX around the letter of a choice, as in \textbf{(A)} and (\mathrm{A}).
_WRAPPED = r"(?:\\(?:text|textbf|textrm|mathrm|mathbf|bf|rm)\s*\{?\s*)"
# A letter in brackets that is not an argument, as in P(A), or an operand.
_BRACKETED = [rf"(?<!\w)\(\s*{_WRAPPED}?{x}\s*\}}?\s*\)(?!\s*[+=,;])" for x in "ABC"]
# A letter with a mark. A letter may also end a sentence, so four are needed.
_MARKED = [rf"(?<![\w\\(]){x}\}}?\s*[).:、．：](?!\s*[=,;])" for x in "ABCD"]
_CHOICES = [[re.compile(mark) for mark in marks] for marks in (_BRACKETED, _MARKED)]
_LONE_LETTER = re.compile(rf"\$?{_WRAPPED}*(?:\(\s*[A-E]\s*\)|[A-E]\s*(?:[).:}}$]|$))")


def boxed_answer(solution):
    r"""Find the content of the last ``\boxed`` or ``\fbox`` of a solution.

    Parameters
    ----------
    solution : str
        LaTeX.

    Returns
    -------
    answer : str or None
        None if there is none, if it is empty, or if its braces are not closed.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._solutions import boxed_answer
    >>> boxed_answer(r"First $\boxed{1}$, then $\boxed{\frac{1}{2}}$.")
    '\\frac{1}{2}'
    """
    marks = list(re.finditer(r"\\(?:boxed|fbox)(?![A-Za-z])\s*", solution))
    if not marks:
        return None
    rest = solution[marks[-1].end() :]
    if not rest.startswith("{"):
        return re.match(r"[^\s$.,}]*", rest)[0] or None
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", rest, re.S):  # \\. skips escaped braces
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return rest[1 : brace.start()].strip() or None
    return None


def is_multiple_choice(problem, answer):
    r"""Say whether a problem looks like a multiple-choice question.

    Parameters
    ----------
    problem : str
        (A), (B) and (C), or A., B., C. and D., in this order, count as choices.
    answer : str
        A single letter from A to E counts as a choice.

    Returns
    -------
    bool

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._solutions import is_multiple_choice
    >>> is_multiple_choice("Which is it? (A) 1 (B) 2 (C) 3", "2")
    True
    >>> is_multiple_choice("Find $P(A)$, $P(B)$ and $P(C)$.", "2")
    False
    """
    if _LONE_LETTER.match(answer):
        return True
    return any(_in_order(marks, problem) for marks in _CHOICES)


def _in_order(patterns, text):
    """Whether the patterns are found one after the other."""
    position = 0
    for pattern in patterns:
        match = pattern.search(text, position)
        if match is None:
            return False
        position = match.end()
    return True
