r"""Reading and comparing formulas: what is read, what is not, and what is equal."""

import time

import pytest

pytest.importorskip("math_verify", reason="needs the extra verify")

from sklearn_adaalloc.rewards._mathematics.formulas import NotRead, read, same


@pytest.mark.parametrize(
    "text",
    [
        r"\sqrt[",
        r"\frac{1}",
        r"\frac{}{2}",
        "2)",
        "(2",
        "1.2.3",
        "3..5",
        "5 apples",
        "1 2",
        r"2\unknown{3}(",
        "7 ? 8",
        "答",
        "",
        ",",
        "3 <",
        r"\begin{pmatrix}1&2",
        "9^{9^{9^{9}}}",
        r"10^{10^{10}}!",
    ],
)
def test_what_is_no_formula_is_not_read_in_part(text):
    with pytest.raises(NotRead):
        read(text)


def test_an_answer_that_cannot_be_read_is_wrong_and_a_reference_unknown():
    assert same("2", "2)") is False
    assert same("2)", "2") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\frac12", r"\frac{1}{2}"),
        (r"\frac1{23}", "1/23"),
        (r"\frac{\sqrt2}2", r"\frac{\sqrt{2}}{2}"),
        (r"\sqrt(x+1)", r"\sqrt{x+1}"),
        (r"\sqrt[3](8)", "2"),
        (r"\binom52", "10"),
        (r"\mathrm{e}^{2}", "e^2"),
        (r"\operatorname{arctan}(1)", r"\frac{\pi}{4}"),
        (r"\text{x} + 1", "x+1"),
        (r"\left\lbrace 1, 2 \right\rbrace", r"\{2,1\}"),
        (r"0.1\overline{6}", r"\frac{1}{6}"),
        ("1,234", "1234"),
        ("x^10", "x^{10}"),
        (r"\log_2 8", "3"),
        ("0.30000000000000004", "0.3"),
        ("0.142857", r"\frac17"),
        ("-0.333333", r"-\frac13"),
        ("1.41421", r"\sqrt2"),
        ("y=2x+1", "2y-4x=2"),
        ("2x<4", "x<2"),
        ("-2x<4", "x>-2"),
        ("x=1,x=2", "2,1"),
        ("x=1,y=2", "(1,2)"),
        ("[1,2,3]", "(1,2,3)"),
        (r"\{x \mid x>3\}", r"(3,\infty)"),
        (r"(-\infty,1)\cup(2,\infty)", "x>2,x<1"),
        (r"\mathbb{R}\setminus\{1\}", r"\mathbb{R} \setminus \{ 1 \}"),
        ("1011_2", r"1011_{\text{2}}"),
        ("15_8", "13_{10}"),
        ("2:3:4", "4:6:8"),
    ],
)
def test_equal_either_way_round(one, other):
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10^{-30}", "10^{-31}"),
        ("0", "10^{-30}"),
        ("10^{30}", "10^{30}+1"),
        (r"\frac13", "0.33333"),
        (r"\frac13", "0.333334"),
        (r"-\frac13", "0.333333"),
        ("0.333333", "0.333334"),
        ("1234567.8", "1234567.9"),
        (r"\sqrt{x^2}", "x"),
        ("x", "y"),
        ("y=2x+1", "y=2x"),
        ("2x<4", "x>2"),
        ("x<1", "y<1"),
        ("x=1,y=2", "x=2,y=1"),
        ("x=1,y=2", "2,1"),
        ("1,1,2", "1,2"),
        ("(1,2)", "[1,2]"),
        (r"(0,1)\cup(2,3)", r"(0,1)\cap(2,3)"),
        (r"\mathbb{R}\setminus\{1\}", r"\mathbb{R}"),
        ("1011_2", "1011_3"),
        ("1011_2", "11"),
        ("9:30", "3:10"),
        ("2:3:4", "2:3:5"),
        (r"\infty", r"-\infty"),
        (r"\frac00", r"\frac10"),
        (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ],
)
def test_different_either_way_round(one, other):
    assert same(one, other) is False
    assert same(other, one) is False


@pytest.mark.parametrize(
    ("equation", "value", "is_answer"),
    [
        ("AB=5", "5", True),
        ("f(2)=5", "5", True),
        ("x+y=5", "5", True),
        ("|x|=5", "5", True),
        (r"\tan A=5", "5", True),
        (r"2+3=5", "5", True),
        (r"x=\frac{10}{2}=5", "5", True),
        ("2x=10", "10", False),
        ("x^2=4", "4", False),
        ("x^3-x=6", "6", False),
    ],
)
def test_the_right_side_is_the_answer_unless_there_is_something_to_solve(
    equation, value, is_answer
):
    assert same(value, equation) is is_answer


def test_numbers_too_long_to_write_take_no_time():
    start = time.process_time()
    assert same("1", "9^{9^{9^{9}}}") is False
    assert same("1", r"\binom{10^{9}}{10^{8}}") is False
    assert time.process_time() - start < 2
