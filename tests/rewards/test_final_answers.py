"""The final answer of a text, and its normal form."""

import time

import pytest

from sklearn_adaalloc.rewards._mathematics.final_answers import (
    final_answer,
    reference_answer,
)
from sklearn_adaalloc.rewards._mathematics.normal_forms import normalise
from sklearn_adaalloc.rewards._mathematics.words import same_words


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{\frac{1}{2}} or so", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{\{1\}}", r"\{1\}"),
        (r"\boxed 7", "7"),
        (r"\boxed{\frac{1}{2}", r"\frac{1}{2}"),
        ("6 * 7 = 42\n#### 42 ", "42"),
        ("x = 3, so the answer is 4. That was 1 step.", "4"),
        ("The answer is 3.\nNo, the answer is 4.", "4"),
        ("x=2", "x=2"),
        ("(1, 2)", "(1, 2)"),
        ("no solution", "no solution"),
        ("She has 12 apples and 3 pears left", "3"),
        ("We find $x = 2$ in 3 steps", "3"),
        ("In 3 steps we find $x = 2$", "$x = 2$"),
        ("I have no idea what to say", ""),
        ("", ""),
    ],
)
def test_final_answer(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("June 20", "June 20"),
        ("12 apples", "12 apples"),
        (r"We get \boxed{3}.", "3"),
        ("2 and 2 make 4\n#### 4", "4"),
        ("Ann has 3 apples and Bob has 4, which makes 7", "7"),
    ],
)
def test_references_are_taken_whole_unless_they_are_solutions(text, answer):
    assert reference_answer(text) == answer


@pytest.mark.parametrize(
    ("answer", "formula"),
    [
        ("$5.00", "5.00"),
        (r"5\text{ cm}", "5"),
        ("1e-3", r"1 \times 10^{-3}"),
        (r"\left( 1, 2 \right)", "( 1, 2 )"),
        (r"\text{No solution.}", r"\emptyset"),
        (r"\frac{1}{2", r"\frac{1}{2}"),
        ("Two Words", "two words"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",) * 2,
    ],
)
def test_normalise(answer, formula):
    assert normalise(answer).formula == formula


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("x+1", "x+1", True),
        ("dog", "god", False),
        ("A", "(A) 12", True),
        ("A", "(B) 12", False),
        ("12", "", False),
        ("12", "13", None),
    ],
)
def test_letters_decide_where_they_can(gold, answer, same):
    assert same_words(gold, answer) is same


@pytest.mark.parametrize(
    "text",
    [
        "\\(",
        "$",
        "**a",
        "9",
        "9,",
        "\\boxed{",
        "{",
        "answer is ",
        "\\text{",
        "5 ",
        "``",
        "0.3",
        "5 cm ",
        "5 m5",
        "May 5 ",
        "(A) ",
        "5 m/",
    ],
)
def test_no_text_takes_long(text):
    start = time.process_time()
    normalise(final_answer(text * 50_000))
    normalise(final_answer("\\boxed{" + text * 50_000 + "}"))
    assert time.process_time() - start < 2
