"""What a verifier of code depends on: copies, settings and digests of tests."""

import json
import pickle

import pytest
from sklearn.base import clone

from sklearn_adaalloc.rewards import CodeVerifier

READS_INPUT = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}


@pytest.mark.parametrize("copy", [clone, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_grade_the_same(copy):
    verifier = CodeVerifier({"q": ["assert f() == 1"]}, sandbox="unsafe-none")
    assert copy(verifier)(["q"], [["def f(): return 1"]])[0].tolist() == [1]


def test_settings_hold_what_a_grade_depends_on():
    settings = CodeVerifier({}, timeout=3, n_jobs=2).settings
    assert settings.keys() == {
        *("reward", "rules", "tests", "timeout", "memory_mb", "sandbox", "python"),
        *("preamble", "packages"),
    }
    assert settings["reward"] == "CodeVerifier"
    assert settings["timeout"] == 3
    json.dumps(settings)


def doubled(query):
    return [f"assert f() == {query}"]


@pytest.mark.parametrize(
    ("tests", "others"),
    [
        ({"q": ["f() == 1"]}, {"q": ["f() == 2"]}),
        ({"q": ["f()"]}, {"r": ["f()"]}),
        ({"q": {"inputs": ["1"], "outputs": ["1"]}}, {"q": READS_INPUT}),
        (doubled, lambda query: ["f()"]),
        (lambda query: ["f() == 1"], lambda query: ["f() == 2"]),
        ({"q": [str(i) for i in range(99)]}, {"q": [str(i) for i in range(98)]}),
    ],
)
def test_other_tests_have_other_settings(tests, others):
    settings = CodeVerifier(tests).settings
    assert settings != CodeVerifier(others).settings
    assert settings == CodeVerifier(tests, n_jobs=3).settings


def test_equal_tests_in_another_order_have_equal_settings():
    tests = {"a": {"inputs": ["1"], "outputs": ["2"]}, "b": ("f()",)}
    again = {"b": ["f()"], "a": {"outputs": ["2"], "inputs": ["1"]}}
    assert CodeVerifier(tests).settings == CodeVerifier(again).settings
