"""The worker that compares formulas: one reply a line, whatever the line holds."""

import io
import json
import logging
import sys

import pytest

from sklearn_adaalloc.rewards._mathematics import worker

pytest.importorskip("math_verify", reason="needs the extra verify")


@pytest.fixture
def replies(monkeypatch):
    """Function that has the worker answer lines in this process."""
    monkeypatch.setattr(worker, "limit_memory", lambda: None)  # not ours
    disabled = logging.root.manager.disable

    def answer(*lines):
        output = io.StringIO()
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        monkeypatch.setattr(sys, "stdout", output)
        worker.main()
        return output.getvalue().splitlines()

    yield answer
    logging.disable(disabled)


def test_ready_then_one_verdict_a_line(replies):
    lines = [["\\frac{1}{2}", "0.5", 5], ["x+1", "1+x", 5], ["2", "3", 5]]
    assert replies(*lines) == ["ready", "true", "true", "false"]


def test_an_answer_that_is_no_formula_is_wrong_and_a_reference_unknown(replies):
    lines = [["1", "}{", 5], ["\\frac{1}{", "1", 5], ["", "", 5], ["7", "7", 5]]
    assert replies(*lines) == ["ready", "false", "null", "null", "true"]


@pytest.mark.parametrize(
    ("breaks_it", "verdict"), [("answer", "false"), ("gold", "null")]
)
def test_what_the_library_raises_or_prints_is_no_reply(
    replies, monkeypatch, breaks_it, verdict
):
    def same(*texts):
        print("news")
        if breaks_it in texts:
            raise RecursionError
        return True

    monkeypatch.setattr(worker, "load_same", lambda: same)
    assert replies(["gold", "answer", 5]) == ["ready", verdict]
