"""Find the program in an answer.

Pure functions. They examine an answer only by regular expressions. It is parsed inside
the sandbox, because a parser may crash.
"""

import re

from sklearn_adaalloc.rewards._programs.entries import compiles

_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*([^\s`{]*)(.*)")
_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.S)
_PYTHON = ("", "python", "python3", "py", "python2", "py3", "{.python")
_CODE_LINE = re.compile(
    r"(@\w|(async[ \t]+)?def[ \t]+\w+[ \t]*\(|class[ \t]+\w+[ \t]*[:(]"
    r"|import[ \t]+\w|from[ \t]+[\w.]+[ \t]+import[ \t])"
)


def extract_code(answer, *, entry_point=None):
    r"""Find the program in an answer, as Python source.

    Thoughts between ``<think>`` and ``</think>`` are removed. Candidates are blocks
    fenced by backticks or tildes that are not labelled as another language. The program
    is the last block that defines `entry_point`, with earlier blocks whose definitions
    it uses but lacks. If there is no such block or no `entry_point`, it is the last
    block that is more than an example of use. A block without an end goes to the end of
    the answer. Without any block, the program is the whole answer, or the part of it
    that defines the entry point.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._programs.extraction import extract_code
    >>> extract_code("Sure:\n```python\ndef f(): pass\n```\nThis works.")
    'def f(): pass\n'
    """
    answer = _without_thoughts(answer.removeprefix("\ufeff").replace("\r\n", "\n"))
    blocks = list(_fenced(answer))
    labelled = any(label in _PYTHON[1:] for label, _ in blocks)
    blocks = [code for label, code in blocks if label in _PYTHON]
    if not blocks:
        return _program_in_prose(answer, entry_point)
    defining = [i for i, code in enumerate(blocks) if _defines(code, entry_point)]
    if defining:
        last = defining[-1]
        return _with_helpers(blocks[:last], blocks[last])
    if entry_point is None or labelled or len(blocks) > 1:
        programs = [i for i, code in enumerate(blocks) if _is_program(code)]
        if programs:
            return _with_helpers(blocks[: programs[-1]], blocks[programs[-1]])
    return max(blocks, key=len)


def _without_thoughts(answer):
    """An answer without thoughts; all of it if nothing else remains."""
    if "</think>" in answer and "<think>" not in answer:  # the prompt opened it
        return answer.rpartition("</think>")[2]
    rest = _THOUGHTS.sub("", answer)
    return rest if rest.strip() else answer


def _fenced(answer):
    """Labels and texts of the fenced blocks of an answer."""
    lines, block, fence = answer.split("\n"), None, None
    for line in lines:
        match = _FENCE.match(line.removeprefix("> "))
        if block is None:
            # A line that opens a fence of backticks has no further backticks.
            if match and not (match[2][0] == "`" and "`" in match[4]):
                fence, label, block = match, match[3].lower(), []
        elif (
            match
            and match[2].startswith(fence[2])
            and not (match[3] + match[4]).strip()
        ):
            yield label, _dedented(block, fence[1])
            block = None
        else:
            block.append(line)
    if block is not None and any(line.strip() for line in block):
        yield label, _dedented(block, fence[1])


def _dedented(lines, indent):
    """Text of a block without the indentation of its fence."""
    if indent and all(line.startswith(indent) or not line.strip() for line in lines):
        lines = [line[len(indent) :] for line in lines]
    text = "\n".join(lines)
    return text if not lines or text.endswith("\n") else text + "\n"


def _with_helpers(earlier, program):
    """A program with earlier blocks whose definitions it uses but lacks."""
    used = []
    for code in reversed(earlier):
        names = set(re.findall(r"^(?:def|class)[ \t]+(\w+)", code, re.M))
        needed = [name for name in names if re.search(rf"\b{name}\b", program)]
        if needed and not any(_defines(program, name) for name in names):
            used.insert(0, code)
            program = f"{code}\n{program}"
    return program


def _is_program(code):
    """Whether a block is more than a shell session, an output or an example call."""
    if code.lstrip().startswith((">>>", "$ ")):
        return False
    if re.search(r"^(async[ \t]+def|def|class)[ \t]", code, re.M):
        return True
    if re.search(r"\b(input|sys\.stdin|open)\b", code):
        return True
    lines = [line for line in code.splitlines() if line.strip()]
    return any(
        re.match(r"\s*(for|while|if|import|from|with)\b", line) for line in lines
    )


def _program_in_prose(answer, name):
    """An answer without fences, or its part that defines the entry point.

    If the answer as a whole is not Python, prose before the first and after the last
    line of code is removed.
    """
    if not _defines(answer, name):
        return answer
    lines = answer.split("\n")
    starts = [i for i, line in enumerate(lines) if _CODE_LINE.match(line)]
    start, end = starts[0], len(lines)
    for i in range(starts[-1] + 1, len(lines)):
        if lines[i][:1] not in (
            "",
            " ",
            "\t",
            "#",
            ")",
            "]",
            "}",
            "@",
        ) and not re.match(
            r"(if|for|while|try|else|elif|except|with|return|print)\b|[\w.\[\]]+ *[=(]",
            lines[i],
        ):
            end = i
            break
    return "\n".join(lines[start:end]) if start or end < len(lines) else answer


def complete_program(answer, entry):
    """Convert an answer to the program for the tests of a checked entry.

    If the entry has a prompt and the answer defines the entry point, the program is the
    prompt followed by the answer, which may use the prompt's imports and helpers. Any
    other answer continues the text of the prompt.
    """
    name, prompt = entry.get("entry_point"), entry.get("prompt", "")
    code = extract_code(answer, entry_point=name)
    if not code.strip() or not prompt:
        return code
    if not _defines(code, name):
        return prompt + _as_body(code, prompt)
    return f"{prompt}\n\n{code}" if compiles(prompt) else code


def _as_body(code, prompt):
    """Indent a function body that was written without indentation."""
    inside = prompt.rstrip().endswith(('"""', "'''", ":"))
    first = next(line for line in code.split("\n") if line.strip())
    if not inside or first[:1] in (" ", "\t") or not prompt.endswith("\n"):
        return code
    return "\n".join(
        f"    {line}" if line.strip() else line for line in code.split("\n")
    )


def _defines(code, name):
    """Whether source text defines this function or class."""
    pattern = rf"^(async[ \t]+def|def|class)[ \t]+{re.escape(name or '')}\b"
    return name is not None and re.search(pattern, code, re.M) is not None
