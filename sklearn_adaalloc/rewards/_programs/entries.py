"""Check entries of `tests`, and write the source of tests and preambles.

Pure functions.
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

# Keys of the entries of each form. Those marked True are required.
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


def check_entry(entry, query, *, packages=()):
    """Check the entry of a query in `tests`, and return it as a dict.

    In the result, inputs of functions are lists of arguments. Raises ValueError if the
    entry has none of the accepted forms or no test. `packages` may be imported by
    tests, in addition to Python's library.
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
            f"{start}it lacks {missing} and has {unknown} besides the keys "
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
        _check_source(entry.get(key, ""), key, start, packages)
    if compiles(entry.get("prompt", "")):
        _check_source(entry.get("prompt", ""), "prompt", start, packages)
    entry = {key: value for key, value in entry.items() if value is not None}
    return _read_calls(entry, start) if "fn_name" in entry else entry


def _read_calls(entry, start):
    """Inputs and outputs of a function. Some data sets give them as JSON texts."""
    inputs, outputs = list(entry["inputs"]), list(entry["outputs"])
    if all(isinstance(given, str) for given in inputs):
        try:
            inputs = [
                [json.loads(line) for line in g.splitlines() if line.strip()]
                for g in inputs
            ]
            outputs = [json.loads(o) if isinstance(o, str) else o for o in outputs]
        except ValueError as error:
            raise ValueError(
                f"{start}its inputs are texts that are not one JSON value a line, or "
                f"its outputs are no JSON: {error}. With fn_name, give each input as "
                "a list of arguments, or as text with the JSON of one argument a line."
            ) from None
        return {**entry, "inputs": inputs, "outputs": outputs, "exact": True}
    for given in inputs:
        if not isinstance(given, (list, tuple)):
            raise ValueError(
                f"{start}an input is {short_repr(given)}. With fn_name, give each "
                "input as a list of arguments, or all of them as texts with the JSON "
                "of one argument a line."
            )
    return {**entry, "inputs": inputs, "outputs": outputs}


def _is_plain(value):
    """Whether a value can be sent to the tests."""
    try:
        json.dumps(value)
        marshal.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _check_source(source, key, start, packages):
    """Check that tests are Python and import only what is available."""
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
    foreign -= set(packages)
    if foreign:
        raise ValueError(
            f"{start}{key} imports {min(foreign)!r}. Programs and their tests have "
            "Python's standard library only; rewrite these tests without it, or name "
            "it in packages."
        )


def _check_value(value, key, start):
    """Check one value of an entry; None is accepted for optional keys."""
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

    Returns
    -------
    tests : dict
        For :func:`~sklearn_adaalloc.rewards._programs.sandbox.run_tests`.
    reads_input : bool
        Whether the program reads its standard input.
    """
    setup, required, cases = "", [], []
    if "test" in entry:
        required = [entry["entry_point"]]
        prompt = entry.get("prompt", "")
        setup = prompt if compiles(prompt) else ""
        source = f"{entry['test']}\n\ncheck({required[0]})\n"
    elif "test_list" in entry:
        required = [entry["entry_point"]] if "entry_point" in entry else []
        source = "\n".join([entry.get("test_setup_code", ""), *entry["test_list"]])
    elif "fn_name" in entry:
        required = [entry["fn_name"]]
        source = (
            "for given, rights in cases:\n"
            f"    value = {required[0]}(*given)\n"
            "    assert any(same_value(value, right) for right in rights)"
        )
        cases = list(zip(entry["inputs"], _accepted(entry), strict=True))
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
    """Python modules that a source uses, other names, and further preparations."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names -= set(dir(builtins))
    owners = {node.value for node in nodes if isinstance(node, ast.Attribute)}
    owners = {owner.id for owner in owners if isinstance(owner, ast.Name)}
    modules = names & owners & sys.stdlib_module_names
    imported = _imported(nodes)
    more = {
        # Test functions in the style of pytest. Nothing else calls them.
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
        # Modules in which the tests may replace objects.
        "patched": sorted(imported | modules) if _patches(source, nodes) else [],
        "unittest": "unittest" in imported | modules,
        "seeds": "random" in imported | modules and "seed" in source,
    }
    return sorted(modules), sorted(names - modules), more


def _imported(nodes):
    """Python modules that a syntax tree imports or names in a text."""
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
    """Whether tests may replace objects in Python modules."""
    return (
        "patch" in source
        or "setattr" in source
        or any(
            isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            for node in nodes
        )
    )


def _accepted(entry):
    """All accepted values of each output.

    APPS puts each output into a list with one item. An output that is a list may have
    this form, or be the answer itself. The harnesses accept both.
    """
    outputs = entry["outputs"]
    if entry.get("exact"):
        return [[output] for output in outputs]
    return [
        [output, output[0]]
        if isinstance(output, (list, tuple)) and len(output) == 1
        else [output]
        for output in outputs
    ]


def _text(value):
    """Text of an input or output. Some rows of APPS have a list of lines instead."""
    return value if isinstance(value, str) else "\n".join(map(str, value))


def compiles(source):
    """Whether a trusted source text is complete."""
    try:
        compile(source, "<prompt>", "exec")
    except SyntaxError:
        return False
    return True


# Names that public harnesses give to every contest program, by module.
_CONTEST_MODULES = (
    *("bisect", "collections", "copy", "datetime", "functools", "heapq", "io"),
    *("itertools", "json", "math", "operator", "os", "random", "re", "statistics"),
    *("string", "sys", "time", "typing"),
)
_CONTEST_NAMES = {
    "typing": (
        "Any Callable DefaultDict Deque Dict FrozenSet Generator Generic Iterable "
        "Iterator List Literal Mapping NamedTuple Optional Sequence Set Tuple Type "
        "TypeVar Union"
    ),
    "collections": "Counter OrderedDict defaultdict deque namedtuple ChainMap",
    "heapq": (
        "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest"
    ),
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "functools": "cache cmp_to_key lru_cache partial reduce total_ordering",
    "itertools": (
        "accumulate chain combinations combinations_with_replacement compress count "
        "cycle dropwhile groupby islice pairwise permutations product repeat starmap "
        "takewhile tee zip_longest"
    ),
    "math": (
        "acos asin atan atan2 ceil comb cos degrees dist e exp fabs factorial floor "
        "fmod gcd hypot inf isclose isnan isqrt lcm log log10 log2 nan perm pi prod "
        "radians sin sqrt tan tau trunc"
    ),
    "operator": "add itemgetter attrgetter mul sub xor",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits punctuation",
    "random": "choice randint randrange sample shuffle",
    "datetime": "date timedelta",
    "copy": "deepcopy",
    "io": "BytesIO StringIO",
}


def contest_preamble(program):
    r"""Write imports of the names that contest harnesses give to every program.

    Only names that the program mentions are imported, which is faster.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._programs.entries import contest_preamble
    >>> contest_preamble("def f(x: List[int]): return inf")
    'from typing import List\nfrom math import inf\n'
    """
    words = set(re.findall(r"\w+", program))
    lines = []
    for module, names in _CONTEST_NAMES.items():
        used = [name for name in names.split() if name in words]
        if used:
            lines.append(f"from {module} import {', '.join(used)}")
    lines += [f"import {name}" for name in _CONTEST_MODULES if name in words]
    return "".join(f"{line}\n" for line in lines)
