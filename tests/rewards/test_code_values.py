"""What crosses between tests and program, and what is not known where it cannot."""

import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from sklearn_adaalloc.rewards import CodeVerifier

pytest.importorskip("resource", reason="the driver needs a POSIX system")
SANDBOX = "bubblewrap" if shutil.which("bwrap") else "unsafe-none"
NEEDS = {"exception group": (3, 11)}  # versions of Python


def read_cases():
    """Tests and program of each case in crossing.txt that this Python can write."""
    text = Path(__file__).with_name("crossing.txt").read_text()
    for section in text.split("=== ")[1:]:
        name, _, rest = section.partition("\n")
        tests, _, program = rest.partition("--- program\n")
        if sys.version_info >= NEEDS.get(name, (3, 10)):
            yield pytest.param(tests, program, id=name)


def grade(tests, *programs, **options):
    """Grades of programs by one list of asserts."""
    verifier = CodeVerifier(
        {"q": tests if isinstance(tests, dict) else [tests]},
        n_jobs=2,
        sandbox=SANDBOX,
        timeout=20,
        **options,
    )
    return verifier(["q"], [list(programs)])[0]


@pytest.mark.parametrize(("tests", "program"), [*read_cases()])
def test_what_a_right_program_does_reaches_its_tests(tests, program):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert grade(tests, program).tolist() == [1]


@pytest.mark.parametrize(
    ("tests", "right", "wrong"),
    [
        ("assert f() == 1 + 2j", "def f(): return 1 + 2j", "def f(): return 1 - 2j"),
        (
            "x = [2, 1]\nf(x)\nassert x == [1, 2]",
            "def f(x): x.sort()",
            "def f(x): x = sorted(x)",
        ),
        (
            "x = [1]\nassert f(x) is not x",
            "def f(x): return list(x)",
            "def f(x): return x",
        ),
        (
            "assert f(lambda x: x + 1, 2) == 3",
            "def f(g, x): return g(x)",
            "def f(g, x): return x",
        ),
        (
            "try: f()\nexcept LookupError: pass\nelse: assert False",
            "class Gone(KeyError): pass\ndef f(): raise Gone",
            "class Gone(ValueError): pass\ndef f(): raise Gone",
        ),
        (
            "import unittest\nclass T(unittest.TestCase):\n"
            "    def test(self): self.assertEqual(f(), 1)",
            "def f(): return 1",
            "def f(): return 2",
        ),
        (
            "def test_f(): assert f() == 1",
            "def f(): return 1",
            "def f(): return 2",
        ),
    ],
)
def test_wrong_programs_get_nothing(tests, right, wrong):
    assert grade(tests, right, wrong).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("tests", "program", "reason"),
    [
        (
            "assert Money(5) == 5",
            "class Money:\n    def __init__(s, v): s.v = v\n"
            "    def __eq__(s, o): return s.v == o",
            "object of the program's own class 'Money'",
        ),
        (
            "class B(A): pass\nassert B().f() == 1",
            "class A:\n    def f(self): return 1",
            "derive a class 'B' from one of the program's",
        ),
        (
            "import re\nassert f() == re.compile('a')",
            "import re\ndef f(): return re.compile('a')",
            "object of the library class 'Pattern'",
        ),
        (
            "import dataclasses\nassert dataclasses.asdict(P(1)) == {'x': 1}",
            "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int",
            "take apart the program's dataclass 'P'",
        ),
        (
            "import sys\nassert f(sys._getframe())",
            "def f(x): return True",
            "hand a frame to the program",
        ),
        (
            "from enum import Enum\nassert isinstance(f(), Enum)",
            "from enum import Enum\nclass C(Enum):\n    R = 1\ndef f(): return C.R",
            "ask whether an object of the program is a 'Enum'",
        ),
        (
            "import types\nassert isinstance(f(), (str, types.FunctionType))",
            "def f(): return lambda: 1",
            "ask whether an object of the program is a 'function'",
        ),
        (
            "import inspect\nassert len(inspect.signature(f).parameters) == 2",
            "def f(a, b): return a",
            "ask for the signature of a function",
        ),
        (
            "import pickle\nassert pickle.loads(pickle.dumps(f())).x == 1",
            "class A:\n    x = 1\ndef f(): return A()",
            "an object of the program is pickled",
        ),
    ],
)
def test_what_cannot_be_known_is_nan_and_said(tests, program, reason):
    with pytest.warns(UserWarning, match=f"1 of 2 programs have no grade.*{reason}"):
        grades = grade(tests, program, "")
    assert np.isnan(grades[0])
    assert grades[1] == 0


@pytest.mark.parametrize(
    ("check", "value", "right"),
    [
        ("isinstance(f(), list)", "A()", 0),
        ("isinstance(f(), (int, (str, list)))", "A()", 0),
        ("isinstance(f(), (list, tuple))", "[1]", 1),
        ("isinstance(f(), A) and not isinstance(f(), int)", "A()", 1),
        ("isinstance(f(), Iterator)", "iter([1])", 1),
        ("isinstance(f(), Exception)", "B()", 1),
    ],
)
def test_stand_ins_know_their_own_kind(check, value, right):
    tests = f"from collections.abc import Iterator\nassert {check}"
    program = f"class A: pass\nclass B(ValueError): pass\ndef f(): return {value}"
    assert grade(tests, program).tolist() == [right]


def test_a_reason_is_told_once_and_counted():
    programs = [f"import re\ndef f(): return re.compile('{i}')" for i in range(3)]
    with pytest.warns(UserWarning, match=r"3 of 3.*\(NaN\): 3 because") as caught:
        grade("import re\nassert f() == re.compile('a')", *programs)
    assert len(caught) == 1


@pytest.mark.parametrize("sandbox", [SANDBOX, "unsafe-none"])
def test_packages_are_there_if_asked_for(sandbox):
    tests = {
        "q": [
            "import numpy as np\nx = np.arange(3.0)\n"
            "assert np.array_equal(f(x), [0, 2, 4]) and f(x).dtype == x.dtype\n"
            "g(x)\nassert x[0] == 9"
        ]
    }
    program = "import numpy as np\ndef f(x): return 2 * x\ndef g(x): x[0] = 9"
    verifier = CodeVerifier(
        tests, packages=("numpy",), sandbox=sandbox, timeout=60, memory_mb=4096
    )
    assert verifier(["q"], [[program]])[0].tolist() == [1]
    with pytest.raises(ValueError, match=r"imports 'numpy'.*name it in packages"):
        CodeVerifier(tests, sandbox=sandbox)(["q"], [[program]])
