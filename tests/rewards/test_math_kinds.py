r"""Kinds of answers that look alike, or unlike, and what tells them apart.

Each kind by several pairs of a reference and an answer, all by the first stage.
"""

import numpy as np
import pytest

from sklearn_adaalloc.rewards import MathVerifier

pytest.importorskip("math_verify", reason="the extra 'verify' is not installed")

UNITS_RIGHT = [
    ("5 hours", "300 minutes"),
    ("1.5 m", "150 cm"),
    ("5 cm^2", "500 mm^2"),
    ("1 m^3", "1000 L"),
    ("36 km/h", "10 m/s"),
    ("60 km/h", "60 kilometers per hour"),
    ("1/2 hour", "30 minutes"),
    ("3 lb", "48 oz"),
    ("4 cups", "1 quart"),
    ("1 mile", "5280 feet"),
    ("$5", "500 cents"),
    ("$5 per hour", "$5 an hour"),
    ("5¢", "5 cents"),
    ("£3", "3 pounds"),
    ("3 lb", "3 pounds"),
    ("2 days", "48 hours"),
    ("20°C", "20 degrees Celsius"),
    ("20°C", "20 degrees"),
    (r"90^\circ", r"\frac{\pi}{2}"),
    (r"90^\circ", r"\frac{\pi}{2} \text{ radians}"),
    ("5 KM", "5 km"),
    ("5 m^2", "5 meters squared"),
    ("5 ft^2", "5 sq ft"),
    ("16 square units", "16 cm^2"),
    ("5 units", "5 cm"),
    ("3 apples", "3 apple"),
    ("3 red apples", "3 apples"),
    ("10 people", "10 persons"),
    ("5 cities", "5 city"),
    (r"2+\sqrt{3} \text{ cm}", r"2+\sqrt{3}"),
    ("x = 5 cm", "5"),
    ("5 million", "5,000,000"),
    ("$2 million", "2000000"),
    ("2 dozen eggs", "24 eggs"),
    ("3 fifths", "0.6"),
    ("25 percent", "0.25"),
    ("2 hours 30 minutes", "150 minutes"),
    ("5 feet 6 inches", "5.5 feet"),
    ("5 dollars and 20 cents", "$5.20"),
    ("3 cm, 4 cm", "4, 3"),
    ("5 km", "The distance is 5 km."),
    ("200 minutes", "It takes them 3 hours and 20 minutes in all"),
    ("5", "She has 5 in her bag now"),
]
UNITS_WRONG = [
    ("5 cm", "5 m"),
    (r"5 \text{ cm}", r"\boxed{5 \text{ m}}"),
    ("5 kg", "5 g"),
    ("5 hours", "5 minutes"),
    ("5 cm", "5 kg"),
    ("5 cm^2", "5 cm"),
    ("1 m^2", "100 cm^2"),
    ("60 km/h", "60 mph"),
    ("60 miles per hour", "60 miles"),
    ("5 m/s", "5 m/s^2"),
    ("5 m", "5 min"),
    ("12 years", "12 months"),
    ("$5", "5 cents"),
    ("$5", "€5"),
    ("$5 per hour", "$5"),
    ("20°C", "20°F"),
    (r"90^\circ", "90 cm"),
    (r"30^\circ", r"\frac{\pi}{3}"),
    ("25%", "25 cm"),
    ("50%", "0.5 cm"),
    ("3 apples", "4 oranges"),
    ("5 billion", "5 million"),
    ("3 cm, 4 cm", "3 m, 4 m"),
    ("2 hours 30 minutes", "2 hours"),
    ("5 km", "The distance is 5 m."),
    ("12 euros", "It costs him $12"),
    ("5", "5 squared"),
    ("5", "5 and a half"),
    ("5", "5 more than x"),
    ("5", "5 degrees below zero"),
    ("5", "5x cm"),
]
UNKNOWN = [
    ("3 apples", "3 oranges"),
    ("5 boys", "5 girls"),
    ("5 apples", "5 cm"),
    ("5", "5 million"),
    ("5 million", "5"),
    ("2", "2 dozen"),
]

CASE_RIGHT = [
    ("Yes", "YES"),
    ("NO", "no"),
    ("ODD", "odd"),
    ("MONDAY", "Monday"),
    ("Isosceles", "isosceles"),
    ("The blue car", "the blue car"),
    ("(b)", "(B)"),
    ("c", "C"),
    (r"\Pi", r"\Pi"),
    (r"\Gamma", r"\Gamma"),
    (r"\Gamma(5)", "24"),
    ("30", r"\gamma=30"),
    (r"\sin X", r"\operatorname{sin} X"),
    (r"2\pi", "2π"),
    ("3+4i", "3+4I"),
    ("FF_{16}", "ff_{16}"),
    ("𝑥+1", "x+1"),
    ("α", r"\alpha"),
]
CASE_WRONG = [
    ("A+1", "a+1"),
    ("R^2", "r^2"),
    ("x", "X"),
    ("2x", "2X"),
    (r"\pi R^2", r"\pi r^2"),
    ("E^2", "e^2"),
    (r"\Pi", r"\pi"),
    (r"\Gamma", r"\gamma"),
    (r"\Delta", r"\delta"),
    ("x_A", "x_a"),
    (r"\sin X", r"\sin x"),
    ("P(A)", "p(a)"),
    ("AB", "ab"),
    ("ABC", "abc"),
    ("BAC", "bac"),
    ("ABCD", "abcd"),
    ("NaCl", "nacl"),
    (r"\{a,b\}", r"\{A,B\}"),
]

NOTATIONS_RIGHT = [
    # Intervals as in French
    ("]0,1[", "(0,1)"),
    ("]0,1]", "(0,1]"),
    ("[0;1[", "[0,1)"),
    (r"\left]0,1\right[", "(0,1)"),
    (r"]-\infty,1[\cup]2,\infty[", r"(-\infty,1)\cup(2,\infty)"),
    (r"(0,1]\cup[2,3)", r"[2,3)\cup(0,1]"),
    (r"\mathopen{]}0,1\mathclose{[}", "(0,1)"),
    # Real numbers
    (r"\mathbb{R}", r"(-\infty,\infty)"),
    ("ℝ", r"\mathbb{R}"),
    (r"x \ne 2", r"(-\infty,2)\cup(2,\infty)"),
    (r"\mathbb{R}\setminus\{0,1\}", r"(-\infty,0)\cup(0,1)\cup(1,\infty)"),
    # Decimals without end
    ("1/3", "0.333..."),
    ("1/3", "0.33…"),
    ("1/3", r"0.333\ldots"),
    ("1/3", r"0.\overline{3}"),
    ("1/6", "0.1666..."),
    ("4/33", "0.1212..."),
    ("1", "0.999..."),
    (r"\mathrm{e}", "2.718281828..."),
    (r"\pi", "3.14159265..."),
    ("1.5", "The answer is 1.5..."),
    # Dates
    ("June 20", "20 June"),
    ("June 20", "June 20th"),
    ("June 20", "the 20th of June"),
    ("June 20", "Jun. 20"),
    ("June 20", "20 June 2024"),
    ("June 20, 2024", "20 June 2024"),
    ("June 20", "We meet on the 20th of June."),
    ("20", "The day is June 20."),
    # Choices with their texts
    ("B. 12 apples", "B"),
    ("B. 12 apples", "(b)"),
    ("B. 12 apples", "12 apples"),
    ("B. 12 apples", "The correct option is B."),
    ("B", "B. 12 apples"),
    ("B", "B) 12 apples"),
    ("12", r"\boxed{(B) 12}"),
    ("B", "Option B"),
    ("A. Smith", "Smith"),
    # Matrices
    ("(-1&0,0&-1)", r"\begin{pmatrix}-1&0\\0&-1\end{pmatrix}"),
    (r"-1&0\\0&-1", "[[-1,0],[0,-1]]"),
    ("[1&2;3&4]", r"\begin{bmatrix}1&2\\[2mm]3&4\end{bmatrix}"),
    (r"1&2", r"\begin{pmatrix}1&2\end{pmatrix}"),
    ("[[1,2],[3,4]]", r"\begin{smallmatrix}1&2\\3&4\end{smallmatrix}"),
    # Points and bases
    ("P(1,2)", "(1,2)"),
    ("A(1,2), B(3,4)", "(1,2),(3,4)"),
    (r"101_{\text{two}}", "101_2"),
    ("FF_{16}", "255_{10}"),
    ("2", "∛8"),
]
NOTATIONS_WRONG = [
    ("]0,1[", "[0,1]"),
    ("[0,1[", "(0,1]"),
    (r"(0,1]\cup[2,3)", r"(0,1)\cup[2,3)"),
    (r"\mathbb{R}", r"\mathbb{Q}"),
    (r"x \ne 2", r"(-\infty,2)\cup(3,\infty)"),
    ("0.3", "0.333..."),
    ("1/3", "0.334..."),
    ("1/3", "0.1333..."),
    ("June 20", "June 21"),
    ("June 20", "20 July"),
    ("June 20", "20"),
    ("June 20, 2024", "June 20, 2023"),
    ("June 20, 2024", "June 20"),
    ("B. 12 apples", "C"),
    ("B. 12 apples", "C. 12 apples"),
    ("B. 12 apples", "B. 13 apples"),
    ("A. Smith", "A. Jones"),
    ("B. x^2", "x^3"),
    ("B", "C. 12 apples"),
    ("B", "Option C"),
    ("(-1&0,0&-1)", "(-1&0,0&1)"),
    ("(-1&0,0&-1)", "1"),
    ("(-1&0,0&-1)", "-(1&0,0&1)"),
    ("(1&2,3&4)", "(1&3,2&4)"),
    ("[[1,2],[3,4]]", r"\begin{bmatrix}1&2\\3&5\end{bmatrix}"),
    ("P(1,2)", "P(2,1)"),
    ("A(1,2)", "B(1,2)"),
    ("101_{two}", "101_3"),
    ("1A_{16}", "1B_{16}"),
]


@pytest.mark.parametrize(("gold", "answer"), UNITS_RIGHT + CASE_RIGHT + NOTATIONS_RIGHT)
def test_right(verify, gold, answer):
    assert verify(gold, answer) == [1]


@pytest.mark.parametrize(("gold", "answer"), UNITS_WRONG + CASE_WRONG + NOTATIONS_WRONG)
def test_wrong(verify, gold, answer):
    assert verify(gold, answer) == [0]


@pytest.mark.parametrize(("gold", "answer"), UNKNOWN)
@pytest.mark.filterwarnings("ignore:1 of 1 answers could not be graded")
def test_equal_numbers_of_what_may_differ_are_not_decided(verify, gold, answer):
    np.testing.assert_array_equal(verify(gold, answer), [np.nan])


def test_what_is_not_decided_for_its_unit_is_said_so():
    verifier = MathVerifier({"q": "3 apples"}, n_jobs=1)
    with pytest.warns(UserWarning, match="what they count may differ"):
        verifier(["q"], [["3 oranges"]])
