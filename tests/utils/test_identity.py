"""Functions that differ have other identities; equal ones the same, in any process."""

import abc
import copy
import enum
import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import sklearn_adaalloc
from sklearn_adaalloc._utils.identity import function_identity
from sklearn_adaalloc.datasets import grade_arithmetic

MARK = 5


def passing(mark, *, least=0):
    def reward(queries, answers, mark=mark, *, least=least):
        return [[float(answer) >= mark for answer in row] for row in answers]

    return reward


def closing_over(value):
    return lambda queries, answers: value


def reading_a_global(queries, answers):
    return [[float(answer) >= MARK for answer in row] for row in answers]


def helper(answer):
    return float(answer) >= MARK


def calling_a_helper(queries, answers):
    return [[helper(answer) for answer in row] for row in answers]


class Judge:
    def __init__(self, mark):
        self.mark = mark

    def __call__(self, queries, answers):
        return self.grade(queries, answers)

    def grade(self, queries, answers):
        return [[float(answer) >= self.mark for answer in row] for row in answers]


class Slotted:
    __slots__ = ("mark",)

    def __init__(self, mark):
        self.mark = mark


@dataclass(frozen=True)
class Settings:
    mark: int = 3


class Pair(NamedTuple):
    mark: int
    least: int = 0


class Verdict(enum.Enum):
    RIGHT = 1
    WRONG = 0


class Abstract(abc.ABC):
    @abc.abstractmethod
    def grade(self): ...


def using_classes(queries, answers):
    return Settings(), Pair(3), Verdict.RIGHT, Abstract


ONES, ZEROS = lambda q, a: [[1.0] for _ in q], lambda q, a: [[0.0] for _ in q]
FIRST, SECOND = lambda q, a: q[0].lower(), lambda q, a: q[0].upper()


def written(function):
    return json.dumps(function_identity(function))


# Pairs of functions that grade differently and have the same name and text.
DIFFERENT = {
    "default": (passing(4), passing(5)),
    "keyword default": (passing(4, least=1), passing(4, least=2)),
    "closure": (closing_over(4), closing_over(5)),
    "number type": (closing_over(1), closing_over(1.0)),
    "truth value": (closing_over(1), closing_over(True)),
    "closure over a function": (closing_over(passing(4)), closing_over(passing(5))),
    "closure over an array": (closing_over(np.zeros(3)), closing_over(np.ones(3))),
    "closure over a dtype": (
        closing_over(np.zeros(2, "f4")),
        closing_over(np.zeros(4, "f2")),
    ),
    "closure over an object": (closing_over(Judge(4)), closing_over(Judge(5))),
    "closure over slots": (closing_over(Slotted(4)), closing_over(Slotted(5))),
    "closure over a dataclass": (closing_over(Settings(4)), closing_over(Settings(5))),
    "named tuple": (closing_over(Pair(4)), closing_over(Pair(5))),
    "enumeration": (closing_over(Verdict.RIGHT), closing_over(Verdict.WRONG)),
    "references": (closing_over({"q": "4"}), closing_over({"q": "5"})),
    "pattern": (closing_over(re.compile("a")), closing_over(re.compile("a", re.I))),
    "path": (closing_over(Path("a")), closing_over(Path("b"))),
    "long text": (closing_over("x" * 999), closing_over("x" * 998 + "y")),
    "default factory": (
        closing_over(defaultdict(int)),
        closing_over(defaultdict(float)),
    ),
    "lambdas on one line": (ONES, ZEROS),
    "lambdas that call other methods": (FIRST, SECOND),
    "partial": (functools.partial(passing, 4), functools.partial(passing, 5)),
    "partial by name": (
        functools.partial(grade_arithmetic, answers=4),
        functools.partial(grade_arithmetic, answers=5),
    ),
    "bound method": (Judge(4).grade, Judge(5).grade),
    "object": (Judge(4), Judge(5)),
    "wrapped": (functools.lru_cache(passing(4)), functools.lru_cache(passing(5))),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_functions_that_differ_have_other_identities(one, other):
    one, other = closing_over(one), closing_over(other)
    assert written(one) != written(other)
    assert written(one) == written(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [pair for name, pair in DIFFERENT.items() if name != "wrapped"],
    ids=[name for name in DIFFERENT if name != "wrapped"],
)
def test_so_do_they_by_themselves(one, other):
    assert written(one) != written(other)


@pytest.mark.parametrize("make", [passing, closing_over, Judge])
def test_made_twice_it_is_the_same(make):
    assert function_identity(make(4)) == function_identity(make(4))


@pytest.mark.parametrize("reward", [reading_a_global, calling_a_helper])
def test_a_constant_of_the_module_counts(reward, monkeypatch):
    before = function_identity(reward)
    monkeypatch.setattr(sys.modules[__name__], "MARK", 4)
    assert function_identity(reward) != before
    monkeypatch.setattr(sys.modules[__name__], "MARK", 5)
    assert function_identity(reward) == before


def test_a_helper_and_a_class_of_the_module_count(monkeypatch):
    before = function_identity(calling_a_helper), function_identity(Judge(4))
    monkeypatch.setattr(sys.modules[__name__], "helper", lambda answer: True)
    monkeypatch.setattr(Judge, "grade", lambda self, queries, answers: answers)
    after = function_identity(calling_a_helper), function_identity(Judge(4))
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_what_leads_back_to_itself():
    nested = [1]
    nested.append(nested)

    def recursive(queries, answers):
        return recursive(queries[1:], answers) if queries else nested

    assert function_identity(recursive) == function_identity(recursive)


def test_all_sorts_of_classes():
    brings = function_identity(using_classes)["brings"]
    assert len({json.dumps(each) for each in brings.values()}) == 4


def test_settings_speak_for_an_object():
    judge = Judge(4)
    judge.settings, judge.lock = {"mark": 4}, threading.Lock()
    same = Judge(5)
    same.settings = {"mark": 4}
    assert function_identity(judge) == function_identity(same)


def endless():
    """Object whose attributes have no end."""

    class Chain:
        @property
        def settings(self):
            return {"next": Chain()}

    return Chain()


UNTOLD = {
    "lock": (closing_over(threading.Lock()), r"closure value: one _thread.lock"),
    "iterator": (closing_over(iter([1])), r"closure value: one builtins.list_iterator"),
    "generator": (
        closing_over(np.random.default_rng(0)),
        "Generator cannot be disting",
    ),
    "file": (closing_over(sys.stderr), "cannot be distinguished from another"),
    "inside": (closing_over({"a": [threading.Lock()]}), "one _thread.lock"),
    "of a partial": (functools.partial(passing, threading.Lock()), "partial: one"),
    "built in": (len, "a builtin_function_or_method has no source text"),
    "class": (Judge, "a type has no source text"),
    "no function": (5, "a int has no source text"),
    "no end": (closing_over(endless()), "has no end"),
}


@pytest.mark.parametrize(("function", "message"), UNTOLD.values(), ids=UNTOLD)
def test_what_cannot_be_told_from_another(function, message):
    with pytest.raises(ValueError, match=message):
        function_identity(function)


PROGRAM = """
import functools, json, sys
from sklearn_adaalloc._utils.identity import function_identity
WORDS = {"one", "two", "three", "four"}
def is_word(answer):
    return answer in WORDS or answer in {"five", "six", "seven"}
def reward(queries, answers, marks=frozenset("abcdef")):
    return [[is_word(answer) for answer in row] for row in answers]
class Judge:
    words = WORDS
    def grade(self, queries, answers):
        return reward(queries, answers)
functions = [
    reward,
    Judge().grade,
    functools.partial(reward, marks=WORDS),
    lambda queries, answers: answers[0] in {"x", "y", "z"},
]
print(json.dumps([function_identity(function) for function in functions]))
"""


def test_another_process_says_the_same(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    package = Path(sklearn_adaalloc.__file__).parents[1]
    said = [
        subprocess.run(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(package), "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert said[0] == said[1] == said[2]
    assert len(json.loads(said[0])) == 4


def test_without_a_source_text_the_code_tells(tmp_path):
    names, others = {}, {}
    exec("def reward(queries, answers):\n    return 1.0", names)
    exec("def reward(queries, answers):\n    return 2.0", others)
    one, other = (function_identity(each["reward"]) for each in (names, others))
    assert one["source"] is None
    assert one["code"] != other["code"]


@pytest.mark.parametrize("text", ["# A title\n\nText: (\n", "x = 1\n" * 9])
def test_a_file_that_the_function_did_not_come_from(text, tmp_path, monkeypatch):
    (tmp_path / "page.md").write_text(text)
    monkeypatch.chdir(tmp_path)
    identities = []
    for value in (1.0, 2.0):
        names = {}
        lines = f"\n\ndef reward(queries, answers):\n    return {value}"
        exec(compile(lines, "page.md", "exec"), names)
        identities.append(written(names["reward"]))
    assert identities[0] != identities[1]


def test_frames_of_references():
    pandas = pytest.importorskip("pandas")
    frames = [pandas.DataFrame({"query": ["q"], "answer": [a]}) for a in "xyx"]
    one, other, again = (written(closing_over(frame)) for frame in frames)
    assert one == again != other
    series = [frame.set_index("query")["answer"] for frame in frames]
    one, other, again = (written(closing_over(each)) for each in series)
    assert one == again != other


def test_functions_of_other_modules_count_by_name(tmp_path):
    (tmp_path / "judges.py").write_text("def strict(answer):\n    return 1.0\n")
    location = importlib.util.spec_from_file_location("judges", tmp_path / "judges.py")
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    strict = module.strict
    before = function_identity(closing_over(strict))
    assert before["brings"] == {"closure value": ["builtins.function", "judges.strict"]}


def test_copying_an_object_does_not_change_its_class():
    class Passing:
        def __call__(self, queries, answers):
            return [[True] * len(row) for row in answers]

    identity = function_identity(Passing())
    copied = copy.deepcopy(Passing())  # Python notes the names of slots in the class
    assert "__slotnames__" in vars(Passing)
    assert function_identity(copied) == function_identity(Passing()) == identity
