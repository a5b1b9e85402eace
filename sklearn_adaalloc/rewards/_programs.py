"""From an answer to a program, and from an entry of `tests` to test source.

Pure functions. Nothing here looks at an answer with more than regular expressions: it
is parsed inside the sandbox, where a parser may crash.
"""

import ast
import builtins
import json
import keyword
import marshal
import re
import sys
from collections.abc import Mapping
from reprlib import repr as short_repr

_FENCE = re.compile(r"```[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.S | re.M)
_PYTHON = ("", "python", "python3", "py")
# Keys that an entry of each form has; those marked True it must have.
_FORMS = (
    {"test": True, "entry_point": True, "prompt": False},
    {"test_list": True, "test_setup_code": False, "entry_point": False},
    {"inputs": True, "outputs": True, "fn_name": False},
)
_ACCEPTED = (
    "Expected a list of asserts, or a dict in the form of HumanEval (test, "
    "entry_point, optionally prompt), of MBPP (test_list, optionally test_setup_code "
    "and entry_point), or of APPS and TACO (inputs, outputs, optionally fn_name; the "
    "JSON text of such a dict will do)."
)


def extract_code(answer, *, entry_point=None):
    r"""Find the program in an answer.

    Of the blocks fenced by three backticks and not labelled as another language, the
    first that defines `entry_point`, otherwise the longest; one that is not closed ends
    with the answer. Without such a block, the whole answer.

    Parameters
    ----------
    answer : str
        What the model wrote.
    entry_point : str, default=None
        Function that the program should define.

    Returns
    -------
    program : str
        Python source, as far as one can tell.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._programs import extract_code
    >>> extract_code("Sure:\n```python\ndef f(): pass\n```\nThis works.")
    'def f(): pass\n'
    """
    matches = _FENCE.findall(answer)
    blocks = [code for label, code in matches if label.lower() in _PYTHON]
    if not blocks:
        return answer
    defining = [block for block in blocks if _defines(block, entry_point)]
    return defining[0] if defining else max(blocks, key=len)


def complete_program(answer, entry):
    """Turn an answer into the program that the tests of an entry are for.

    With a prompt in the entry, an answer that defines the entry point itself follows
    the prompt, whose imports and helpers it may use; any other continues its text.

    Parameters
    ----------
    answer : str
        What the model wrote.
    entry : dict
        Checked entry, see :func:`check_entry`.

    Returns
    -------
    program : str
    """
    name, prompt = entry.get("entry_point"), entry.get("prompt", "")
    code = extract_code(answer, entry_point=name)
    if not code.strip() or not prompt:
        return code
    if not _defines(code, name):
        return prompt + code
    return f"{prompt}\n\n{code}" if _compiles(prompt) else code


def check_entry(entry, query):
    """Check what `tests` has for a query.

    Parameters
    ----------
    entry : dict, list of str or str
        In one of the accepted forms.
    query : str or list of dict
        Query that it belongs to, for the message.

    Returns
    -------
    entry : dict
        The same as a dict.

    Raises
    ------
    ValueError
        If it has none of these forms, or has no test.
    """
    start = f"tests has {short_repr(entry)} for query {short_repr(query)}: "
    if isinstance(entry, str):
        try:
            entry = json.loads(entry)
        except ValueError:
            raise ValueError(f"{start}this is not JSON. {_ACCEPTED}") from None
    elif isinstance(entry, (list, tuple)):
        entry = {"test_list": entry}
    if not isinstance(entry, Mapping) or not any(f.keys() & entry for f in _FORMS):
        raise ValueError(f"{start}this is no entry. {_ACCEPTED}")
    form = max(_FORMS, key=lambda form: len(form.keys() & entry))
    unknown = sorted(map(str, entry.keys() - form.keys()))
    missing = [key for key, needed in form.items() if needed and key not in entry]
    if unknown or missing:
        raise ValueError(
            f"{start}it lacks {missing} and has {unknown} beside the keys "
            f"{list(form)}. Give all that are needed and leave out all others."
        )
    for key in form.keys() & entry.keys():
        _check_value(entry[key], key, start)
    if "inputs" in entry and len(entry["inputs"]) != len(entry["outputs"]):
        raise ValueError(
            f"{start}it has {len(entry['inputs'])} inputs and {len(entry['outputs'])} "
            "outputs. Give one output per input."
        )
    for key in ("test", "test_setup_code", "test_list"):
        _check_source(entry.get(key, ""), key, start)
    if _compiles(entry.get("prompt", "")):
        _check_source(entry.get("prompt", ""), "prompt", start)
    return {key: value for key, value in entry.items() if value is not None}


def _is_plain(value):
    """Whether a value can be sent to the tests."""
    try:
        json.dumps(value)
        marshal.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _check_source(source, key, start):
    """Check that tests are Python and need no more than its standard library."""
    try:
        tree = ast.parse(source if isinstance(source, str) else "\n".join(source))
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            f"{start}{key} is not Python: {error}. Expected source text, or a list of "
            "such, that Python can compile."
        ) from None
    nodes = list(ast.walk(tree))
    imported = {
        a.name for node in nodes if isinstance(node, ast.Import) for a in node.names
    }
    imported |= {
        node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)
    }
    foreign = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    if foreign:
        raise ValueError(
            f"{start}{key} imports {min(foreign)!r}. Programs and their tests have "
            "Python's standard library only; rewrite these tests without it."
        )


def _check_value(value, key, start):
    """Check one value of an entry; None counts as left out where that is allowed."""
    if key in ("entry_point", "fn_name"):
        name = isinstance(value, str) and value.isidentifier()
        valid = name and not keyword.iskeyword(value)
        valid = valid or (value is None and key == "fn_name")
        accepted = "the name of a function"
    elif key in ("test_list", "inputs", "outputs"):
        valid = isinstance(value, (list, tuple)) and len(value) > 0
        accepted = "a list of at least one"
        if key == "test_list":
            valid = valid and all(isinstance(line, str) for line in value)
        elif valid and not _is_plain(value):
            valid, accepted = False, "numbers, texts, lists and dicts of them"
    else:
        valid, accepted = isinstance(value, str), "Python source"
    if not valid:
        raise ValueError(f"{start}{key}={short_repr(value)}. Expected {accepted}.")


def write_tests(entry):
    """Write the tests of a checked entry.

    Parameters
    ----------
    entry : dict
        Checked entry, see :func:`check_entry`.

    Returns
    -------
    tests : dict
        What :func:`~sklearn_adaalloc.rewards._sandbox.run_tests` takes.
    reads_input : bool
        Whether the program reads its standard input.
    """
    setup, required, cases = "", [], []
    if "test" in entry:
        required = [entry["entry_point"]]
        prompt = entry.get("prompt", "")
        setup = prompt if _compiles(prompt) else ""
        source = f"{entry['test']}\n\ncheck({required[0]})\n"
    elif "test_list" in entry:
        required = [entry["entry_point"]] if "entry_point" in entry else []
        source = "\n".join([entry.get("test_setup_code", ""), *entry["test_list"]])
    elif "fn_name" in entry:
        required = [entry["fn_name"]]
        source = (
            "for given, right in cases:\n"
            f"    assert same_value({required[0]}(*given), right)"
        )
        cases = list(zip(entry["inputs"], _unwrapped(entry["outputs"]), strict=True))
    else:
        source = "for given, right in cases: assert same_text(run(given), right)"
        cases = list(
            zip(map(_text, entry["inputs"]), map(_text, entry["outputs"]), strict=True)
        )
    modules, names, more = _outer_names(source)
    tests = {
        "setup": setup,
        "source": source,
        "modules": [name for name in modules if name not in required],
        "required": required,
        "names": names,
        "cases": cases,
        **more,
    }
    return tests, "inputs" in entry and "fn_name" not in entry


def _outer_names(source):
    """Modules of Python that a source uses, other names, and what else to prepare."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names -= set(dir(builtins))
    owners = {node.value for node in nodes if isinstance(node, ast.Attribute)}
    owners = {owner.id for owner in owners if isinstance(owner, ast.Name)}
    modules = names & owners & sys.stdlib_module_names
    imported = _imported(nodes)
    more = {
        # Functions in the form of pytest, which nobody calls.
        "functions": [
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and node.name.startswith("test")
            and node.name not in names
            and not (node.args.args or node.args.kwonlyargs)
        ],
        "ends_loops": bool(names & {"StopIteration", "StopAsyncIteration"})
        or "StopIteration" in source,
        # Modules in which the tests may replace something.
        "patched": sorted(imported | modules) if _patches(source, nodes) else [],
        "unittest": "unittest" in imported | modules,
        "seeds": "random" in imported | modules and "seed" in source,
    }
    return sorted(modules), sorted(names - modules), more


def _imported(nodes):
    """Modules of Python's library that the nodes of a tree import or name in a text."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value.rpartition(".")[0])  # patch("time.sleep")
    return {name for name in found if name.partition(".")[0] in sys.stdlib_module_names}


def _patches(source, nodes):
    """Whether tests may replace what a module of Python holds."""
    return (
        "patch" in source
        or "setattr" in source
        or any(
            isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            for node in nodes
        )
    )


def _unwrapped(outputs):
    """Outputs, out of the lists of one that APPS puts each of them into."""
    wrapped = all(isinstance(o, (list, tuple)) and len(o) == 1 for o in outputs)
    return [output[0] for output in outputs] if wrapped else list(outputs)


def _text(value):
    """Text of an input or output, which some rows of APPS give as a list of lines."""
    return value if isinstance(value, str) else "\n".join(map(str, value))


def _defines(code, name):
    """Whether a piece of source defines a function or class."""
    pattern = rf"^(async[ \t]+def|def|class)[ \t]+{re.escape(name or '')}\b"
    return name is not None and re.search(pattern, code, re.M) is not None


def _compiles(source):
    """Whether a piece of trusted source is complete."""
    try:
        compile(source, "<prompt>", "exec")
    except SyntaxError:
        return False
    return True
