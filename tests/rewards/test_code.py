"""CodeVerifier: forms of tests, what passes and what does not, what it refuses."""

import json
import shutil

import numpy as np
import pytest

from sklearn_adaalloc.rewards import CodeVerifier
from sklearn_adaalloc.rewards._programs import sandbox as _sandbox
from sklearn_adaalloc.rewards._programs.entries import check_entry, write_tests
from sklearn_adaalloc.rewards._programs.extraction import complete_program, extract_code

needs_bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed"
)

HUMANEVAL = {
    "prompt": "import math\n\n\ndef area(r):\n    '''Area of a circle.'''\n",
    "test": "def check(candidate):\n    assert math.isclose(candidate(1), math.pi)\n",
    "entry_point": "area",
}
READS_INPUT = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}


@pytest.fixture(
    params=[pytest.param("bubblewrap", marks=needs_bubblewrap), "unsafe-none"]
)
def grade(request):
    """Function that grades answers to one query with the given tests."""

    def grade(entry, *answers):
        verifier = CodeVerifier(lambda query: entry, sandbox=request.param, n_jobs=2)
        return verifier(["query"], [list(answers)])[0].tolist()

    return grade


# Forms of tests; all answers here are our own


def test_humaneval_takes_completions_and_whole_functions(grade):
    completion = "    return math.pi * r**2\n"
    wrong = "    return 3 * r**2\n"
    whole = "Sure!\n```python\ndef area(r):\n    return math.pi * r * r\n```\nDone."
    assert grade(HUMANEVAL, completion, wrong, whole, "") == [1, 0, 1, 0]


def test_mbpp_calls_functions_by_name(grade):
    tests = ["assert add(1, 2) == 3", "assert add('a', 'b') == 'ab'"]
    right = "def add(a, b):\n    return a + b"
    numbers_only = "def add(a, b):\n    return int(a) + int(b)"
    assert grade(tests, right, numbers_only, "def plus(a, b): ...") == [1, 0, 0]
    assert grade({"test_list": tests}, right) == [1]


def test_a_function_may_have_the_name_of_a_builtin_if_it_is_named(grade):
    tests = {"test_list": ["assert sum(10, 5) == 50"], "entry_point": "sum"}
    assert grade(tests, "def sum(a, b): return a * b", "x = 1") == [1, 0]


def test_tests_may_use_classes_of_the_program(grade):
    program = """
class Stack:
    def __init__(self, items=()):
        self.items = list(items)
    def push(self, item):
        self.items.append(item)
        return self
    def __len__(self):
        return len(self.items)
    def __iter__(self):
        return iter(self.items)
    def __getitem__(self, i):
        return self.items[i]
    def __str__(self):
        return "-".join(map(str, self.items))
def total(stack):
    return sum(stack.items)
"""
    tests = {
        "test_setup_code": "stack = Stack([1])\nstack.push(2).push(3)\nstack.seen = 7",
        "test_list": [
            "assert total(stack) == 6",
            "assert len(stack) == 3 and stack[0] == 1 and stack",
            "assert list(stack) == [1, 2, 3] and str(stack) == '1-2-3'",
            "assert stack.items == [1, 2, 3] and stack.seen == 7",
        ],
    }
    assert grade(tests, program) == [1]


def test_results_of_derived_types_compare_as_their_plain_type(grade):
    program = """
from collections import Counter, namedtuple, OrderedDict
from enum import IntEnum
Point = namedtuple("Point", "x y")
Color = IntEnum("Color", "RED GREEN")
def counts(): return Counter("aab")
def point(): return [Point(1, 2)]
def color(): return {Color.GREEN}
def ordered(): return OrderedDict(a=(1, None, 2.5, True, b"x"))
def numbers(): yield from range(3)
"""
    tests = [
        "assert counts() == {'a': 2, 'b': 1}",
        "assert point() == [(1, 2)]",
        "assert color() == {2}",
        "assert ordered() == {'a': (1, None, 2.5, True, b'x')}",
        "assert list(numbers()) == [0, 1, 2]",
    ]
    assert grade(tests, program) == [1]


def test_tests_see_which_error_a_program_raises(grade):
    tests = """
def check(candidate):
    try:
        candidate(-1)
    except ValueError:
        return
    raise AssertionError
"""
    entry = {"test": tests, "entry_point": "root"}
    right = "def root(x):\n    if x < 0: raise ValueError('negative')"
    other = "def root(x):\n    if x < 0: raise KeyError('negative')"
    assert grade(entry, right, other, "def root(x): return 0") == [1, 0, 0]


def test_programs_read_standard_input(grade):
    right = "a, b = map(int, input().split())\nprint(a + b)"
    wrong = "print(3)"
    fails = right + "\nraise SystemExit(1)"
    ends = right + "\nimport sys\nsys.exit(0)"
    guarded = (
        "if __name__ == '__main__':\n    print(sum(map(int, open(0).read().split())))"
    )
    assert grade(READS_INPUT, right, wrong, fails, ends, guarded) == [1, 0, 0, 1, 1]


def test_each_input_has_a_fresh_process(grade):
    counts = "import builtins\nbuiltins.n = getattr(builtins, 'n', 0) + 1\nprint(n)"
    assert grade({"inputs": ["", ""], "outputs": ["1", "1"]}, counts) == [1]


def test_programs_may_use_threads(grade):
    program = """
import sys, threading
sys.setrecursionlimit(10**6)
threading.stack_size(2**26)
def main():
    print(sum(map(int, input().split())))
threading.Thread(target=main).start()
"""
    assert grade(READS_INPUT, program) == [1]


def test_white_space_and_the_seventh_decimal_are_forgiven(grade):
    entry = {"inputs": [""], "outputs": ["0.333333 7\nyes\n"]}
    close = "print(' 0.3333333', 7)\nprint('yes')"
    far = "print(0.3334, 7, 'yes')"
    not_whole = "print(0.333333, 7.0000001, 'yes')"
    more = "print(0.333333, 7, 'yes', 1)"
    assert grade(entry, close, far, not_whole, more) == [1, 0, 0, 0]


def test_a_program_need_not_read_all_of_a_long_input(grade):
    entry = {"inputs": ["1\n" * 500_000] * 2, "outputs": ["1", "1"]}
    assert grade(entry, "print(input())") == [1]


def test_tests_may_be_long_and_results_may_not(grade):
    long = "x" * 10**7
    entry = {"inputs": [[long, 2]], "outputs": [3], "fn_name": "f"}
    returns_much = "def f(x, n): return 3 if len(x) == 10**7 else 0"
    too_much = "def f(x, n): return n * x"
    assert grade(entry, returns_much) == [1]
    assert grade(entry | {"outputs": [2 * long]}, too_much) == [0]


def test_more_inputs_than_files_may_be_open(grade):
    entry = {"inputs": ["2"] * 80, "outputs": ["4"] * 80}
    assert grade(entry, "print(int(input()) ** 2)") == [1]


def test_functions_are_called_with_lists_of_arguments(grade):
    entry = {
        "inputs": [[[3, 1, 2]], [[]]],
        "outputs": [[[1, 2, 3]], [[]]],  # in lists of one, as APPS has them
        "fn_name": "ordered",
    }
    function = "def ordered(x): return tuple(sorted(x))"
    method = "class Solution:\n    def ordered(self, x):\n        return sorted(x)"
    wrong = "def ordered(x): return x"
    assert grade(entry, function, method, wrong) == [1, 1, 0]
    assert grade(json.dumps(entry), function) == [1]
    plain = {"inputs": [[2], [3]], "outputs": [4, 6], "fn_name": "twice"}
    assert grade(plain, "def twice(x): return 2 * x") == [1]


@pytest.mark.parametrize(
    "program",
    [
        "def add(a, b): return a +",
        "raise ValueError",
        "import package_that_is_not_there\ndef add(a, b): return a + b",
        "def add(a, b): return add(a, b)",
        "\x00",
        "((((((((" * 1000,
        "def add(a, b):\n    import time\n    time.sleep(60)",
        "I cannot help with that.",
    ],
)
def test_broken_programs_get_nothing(program):
    verifier = CodeVerifier(
        {"q": ["assert add(1, 2) == 3"]}, sandbox="unsafe-none", timeout=2, n_jobs=1
    )
    assert verifier(["q"], [[program]])[0].tolist() == [0]


# One call


def test_one_array_per_query_in_the_order_of_the_answers():
    tests = {"one": ["assert f() == 1"], "two": ["assert f() == 2"], "three": ["f()"]}
    verifier = CodeVerifier(tests, sandbox="unsafe-none", n_jobs=2)
    programs = [f"def f(): return {i}" for i in (1, 2)]
    rewards = verifier(["one", "two", "three"], [programs, programs, []])
    assert [reward.tolist() for reward in rewards] == [[1, 0], [0, 1], []]
    assert {reward.dtype for reward in rewards} == {np.dtype("float64")}


def test_each_distinct_program_of_a_query_is_run_once(monkeypatch):
    runs = []
    monkeypatch.setattr(
        "sklearn_adaalloc.rewards._code.run_tests",
        lambda program, tests, **options: runs.append(program) or True,
    )
    verifier = CodeVerifier(lambda query: ["f()"], sandbox="unsafe-none")
    fenced = "```\nf = int\n```"
    rewards = verifier(["a"], [["f = int\n", fenced, "f = str", ""]])
    assert rewards[0].tolist() == [1, 1, 1, 0]
    assert sorted(runs) == ["f = int\n", "f = str"]


# Contests


@pytest.mark.parametrize(
    ("outputs", "result", "reward"),
    [
        ([0.3], "0.1 + 0.2", 1),
        ([0.3], "0.31", 0),
        ([1.0], "1", 1),
        ([[1, 2.5]], "(1, 2.5000000001)", 1),
        ([[7]], "[7]", 1),
        ([[7]], "7", 1),  # APPS: in a list of one
        ([{"1": 2}], "{1: 2}", 1),
        ([{"1": [0.3]}], "{1: (0.1 + 0.2,)}", 1),
        ([{"1": 2}], "{1: 3}", 0),
        ([{"true": 1}], "{True: 1}", 1),
        (["1"], "1", 0),
        ([10**20], "10**20 + 1", 0),
        ([[[1], []]], "[[1], ()]", 1),
        ([True], "True", 1),
        ([None], "None", 1),
    ],
)
def test_values_of_functions_compare_as_in_public_harnesses(outputs, result, reward):
    entry = {"inputs": [[]], "outputs": outputs, "fn_name": "f"}
    verifier = CodeVerifier({"q": entry}, sandbox="unsafe-none")
    assert verifier(["q"], [[f"def f(): return {result}"]])[0].tolist() == [reward]


def test_inputs_of_functions_may_be_texts(grade):
    entry = {
        "fn_name": "f",
        "inputs": ['[1, 2]\n"a"', '[]\n"b"'],
        "outputs": ["2", "0"],
    }
    assert grade(entry, "def f(x, y): return len(x)", "def f(x, y): return 2") == [1, 0]
    lists = {"fn_name": "f", "inputs": ["[1]"], "outputs": ["[1]"]}
    assert grade(lists, "def f(x): return x", "def f(x): return 1") == [1, 0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"inputs": ["1 2"], "outputs": ["3"]}, "not one JSON value a line"),
        ({"inputs": ["x"], "outputs": [3]}, "not one JSON value a line"),
        ({"inputs": ["1"], "outputs": ["x"]}, "outputs are no JSON"),
        ({"inputs": [[1], "2"], "outputs": [1, 2]}, "an input is '2'. With fn_name"),
        ({"inputs": [5], "outputs": [5]}, "an input is 5. With fn_name, give each"),
    ],
)
def test_inputs_that_are_no_arguments_are_named(entry, message):
    with pytest.raises(ValueError, match=message):
        check_entry({**entry, "fn_name": "f"}, "q")


NAMES = "def f(x: Optional[List[int]]): return Counter(deque(x))[1], inf, gcd(4, 6)"


@pytest.mark.parametrize(
    ("preamble", "form", "reward"),
    [
        ("auto", "contest", 1),
        ("contest", "contest", 1),
        (None, "contest", 0),
        ("auto", "asserts", 0),
        ("contest", "asserts", 1),
        (
            "from typing import *\nfrom collections import *\nfrom math import *\n",
            "asserts",
            1,
        ),
    ],
)
def test_names_that_contests_give(preamble, form, reward):
    tests = {
        "contest": {
            "inputs": [[[1]]],
            "outputs": [[1, float("inf"), 2]],
            "fn_name": "f",
        },
        "asserts": ["assert f([1]) == (1, float('inf'), 2)"],
    }
    verifier = CodeVerifier(tests, preamble=preamble, sandbox="unsafe-none")
    assert verifier([form], [[NAMES]])[0].tolist() == [reward]


@pytest.mark.parametrize(
    "end",
    ["exit()", "quit()", "exit(0)", "import sys\nsys.exit()", "raise SystemExit", ""],
)
def test_programs_may_end_with_exit(grade, end):
    right = f"a, b = map(int, input().split())\nprint(a + b)\n{end}"
    assert grade(READS_INPUT, right) == [1]
    assert grade(["assert f() == 1"], f"def f(): return 1\n{end}") == [1]


@pytest.mark.parametrize(
    "program",
    [
        "print(sum(map(int, input().split())))\nexit(1)",
        "import atexit\na = input().split()\natexit.register(lambda: print('x'))\n"
        "print(sum(map(int, a)))",
    ],
)
def test_programs_that_end_otherwise_fail(grade, program):
    assert grade(READS_INPUT, program) == [0]


@pytest.mark.parametrize(
    "program",
    [
        "\ufeffprint(sum(map(int, input().split())))",
        "print(sum(map(int, input().split())))\r\n",
        "import sys\nsys.stdout.write(str(sum(map(int, sys.stdin.read().split()))))",
        "import atexit\natexit.register(lambda: print(sum(map(int, input().split()))))",
        "import os\nos.write(1, str(sum(map(int, open(0).read().split()))).encode())",
        "def main():\n\tprint(sum(map(int, input().split())))\n\n"
        "if __name__ == '__main__':\n\tmain()",
    ],
)
def test_programs_are_run_as_scripts_are(grade, program):
    assert grade(READS_INPUT, program) == [1]


# From answers to programs


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("print(1)", "print(1)"),
        ("Text\n```python\nx = 1\n```\nmore", "x = 1\n"),
        ("```py\nx = 1\n```\nThen\n```\nlonger = 2\n```", "longer = 2\n"),
        ("<think>```py\ndef f(): 0\n```</think>```py\ndef f(): 1\n```", "def f(): 1\n"),
        ("```py\ndef f(): 0\n```</think>\n```py\ndef f(): 1\n```", "def f(): 1\n"),
        ("```py\ndef f(): 0\n```\nBetter:\n```py\ndef f(): 1\n```", "def f(): 1\n"),
        ("```py\ndef f(): 1\n```\nPrints:\n```text\n1\n```", "def f(): 1\n"),
        ("```py\ndef f(): 1\n```\nUse:\n```py\nprint(f())\n```", "def f(): 1\n"),
        ("- So:\n\n  ```python\n  def f(): 1\n  ```", "def f(): 1\n"),
        ("~~~python\ndef f(): 1\n~~~", "def f(): 1\n"),
        ('```python title="a.py"\ndef f(): 1\n```', "def f(): 1\n"),
        ("````Python3\ndef f(): '```'\n````", "def f(): '```'\n"),
        ("```python\r\ndef f(): 1\r\n```", "def f(): 1\n"),
        (
            "```py\ndef g(): 1\n```\nand\n```py\ndef f(): g()\n```",
            "def g(): 1\n\ndef f(): g()\n",
        ),
        (
            "Here is f:\n\ndef f():\n    return 1\n\nIt returns 1.",
            "def f():\n    return 1\n",
        ),
        (
            "```py\ndef f(): 0\n```\nNo:\n```py\ndef f():\n    return 1",
            "def f():\n    return 1\n",
        ),
        ("```\nf(1)  # how it is used\n```\n```\ndef f(): 1\n```", "def f(): 1\n"),
        ("```bash\npip install something-long\n```\n```\nx = 1\n```", "x = 1\n"),
        ("```python\ndef f():\n    return 1", "def f():\n    return 1\n"),
        ("```python title='a'\nx = '```'\n```", "x = '```'\n"),
    ],
)
def test_extract_code(answer, code):
    assert extract_code(answer, entry_point="f") == code


def test_a_prompt_that_is_no_whole_program_is_only_continued():
    entry = {"prompt": "def f(x):", "entry_point": "f", "test": ""}
    assert complete_program(" return x", entry) == "def f(x): return x"
    whole = "def f(y): return y"
    assert complete_program(whole, entry) == whole
    assert write_tests(entry)[0]["setup"] == ""


# Errors


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "tests has 3 for query 'q': this is no entry. Expected a list of asserts"),
        ({}, "this is no entry"),
        ("assert f() == 1", "this is not JSON"),
        ([], r"test_list=\[\]. Expected a list of at least one"),
        ([1], r"test_list=\[1\]"),
        ({"test": "x"}, r"it lacks \['entry_point'\]"),
        ({"test": "x", "entrypoint": "f"}, r"and has \['entrypoint'\] beside"),
        ({"test": 1, "entry_point": "f"}, "test=1. Expected Python source"),
        ({"test": "def", "entry_point": "f"}, "test is not Python: invalid syntax"),
        (["assert f() = 1"], "test_list is not Python"),
        (["import numpy", "f()"], "test_list imports 'numpy'. Programs and their"),
        (
            {"test": "", "entry_point": "f()"},
            "entry_point='f\\(\\)'. Expected the name",
        ),
        ({"test": "", "entry_point": "def"}, "entry_point='def'"),
        ({"inputs": ["1"]}, r"it lacks \['outputs'\]"),
        ({"inputs": ["1"], "outputs": ["1", "2"]}, "it has 1 inputs and 2 outputs"),
        ({"inputs": [[{1, 2}]], "outputs": [3]}, "Expected numbers, texts, lists"),
        ({"inputs": [np.ones(2)], "outputs": [3]}, "Expected numbers, texts, lists"),
        ({"inputs": [], "outputs": []}, r"inputs=\[\]|outputs=\[\]"),
    ],
)
def test_entries_in_another_form_are_named(entry, message):
    with pytest.raises(ValueError, match=message):
        check_entry(entry, "q")


@pytest.mark.parametrize(
    ("parameters", "queries", "answers", "message"),
    [
        ({"timeout": -1}, ["q"], [["1"]], "timeout=-1 is not accepted"),
        ({"memory_mb": 1.5}, ["q"], [["1"]], "memory_mb=1.5 is not accepted"),
        ({"sandbox": None}, ["q"], [["1"]], "sandbox=None is not accepted"),
        ({"sandbox": "docker"}, ["q"], [["1"]], "sandbox='docker' is not accepted"),
        ({}, ["other"], [["1"]], "tests has no entry for query 'other'"),
        ({"preamble": "contests"}, ["q"], [["1"]], "preamble='contests' is not acc"),
        ({"preamble": "def f("}, ["q"], [["1"]], r"preamble='def f\(' is not"),
        ({"preamble": 3}, ["q"], [["1"]], "preamble=3 is not accepted"),
        ({"packages": "numpy"}, ["q"], [["1"]], "packages='numpy' is not accepted"),
        (
            {"packages": ["no_such"]},
            ["q"],
            [["1"]],
            "'no_such', which is not installed",
        ),
        ({}, ["q"], [], "inconsistent lengths: 1 and 0"),
        ({}, ["q"], [[None]], "an answer to query 'q' is None"),
    ],
)
def test_bad_input_is_named(parameters, queries, answers, message):
    parameters = {"tests": {"q": ["f()"]}, "sandbox": "unsafe-none", **parameters}
    with pytest.raises(ValueError, match=message):
        CodeVerifier(**parameters)(queries, answers)


def test_without_bubblewrap_nothing_is_run(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    _sandbox.bubblewrap_command.cache_clear()
    touched = tmp_path / "touched"
    program = f"open({str(touched)!r}, 'w')\ndef f(): return 1"
    verifier = CodeVerifier({"q": ["assert f() == 1"]})
    with pytest.raises(RuntimeError, match=r"apt install bubblewrap(.|\n)*unsafe-none"):
        verifier(["q"], [[program]])
    assert not touched.exists()


def test_a_sandbox_that_does_not_start_is_an_error_and_no_grade(monkeypatch):
    broken = ["sh", "-c", "echo no name space >&2; exit 1"]
    monkeypatch.setattr(_sandbox, "bubblewrap_command", lambda: broken)
    monkeypatch.setattr(
        "sklearn_adaalloc.rewards._code.bubblewrap_command", lambda: broken
    )
    with pytest.raises(RuntimeError, match=r"did not start(.|\n)*no name space"):
        CodeVerifier({"q": ["f()"]})(["q"], [["f = int"]])
