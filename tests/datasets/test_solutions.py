"""Right answers and multiple choice, on texts as the sets have them."""

import pytest
from hub_files import write_rows

from sklearn_adaalloc.datasets import fetch_numina_math

OTHER = {"problem": "What is 6 times 6?", "solution": r"$\boxed{36}$"}


@pytest.fixture
def read(tmp_path):
    """Function from a problem and its solution to the answer, None if left out."""

    def read(problem, solution):
        row = {"problem": problem, "solution": solution}
        write_rows(tmp_path, "AI-MO/NuminaMath-CoT/data/train", [OTHER, row])
        table = fetch_numina_math(
            n_train=None, n_validation=0, n_test=0, data_home=tmp_path
        )
        assert table.answers_train[0] == "36"
        return table.references.get(problem)

    return read


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"It is $\boxed{42}$.", "42"),
        (r"$\boxed{1}$, no, $\boxed{2}$", "2"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{ \left\{ 1, 2 \right\} }", r"\left\{ 1, 2 \right\}"),
        (r"\boxed{\{x : x > 0}\}}", r"\{x : x > 0"),
        (r"\boxed{a \\{b}}", r"a \\{b}"),
        (r"\boxed {3}", "3"),
        ("\\boxed{\n3\n}", "3"),
        (r"so $\fbox{4}$", "4"),
        (r"so $\boxed 5$.", "5"),
        (r"so $\boxed\pi$.", r"\pi"),
        (r"\boxed{\boxed{6}}", "6"),
        ("The answer is 42.", None),
        (r"\boxed{}", None),
        (r"\boxed{ }", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed", None),
        (r"\boxedsomething{7}", None),
    ],
)
def test_boxed_answer(read, solution, answer):
    assert read("What is it?", solution) == answer


@pytest.mark.parametrize(
    "problem",
    [
        "Which?\n(A) 256\n(B) 959\n(C) 960\n(D) 961",
        "Which? (A) -1 (B) 0 (C) 1",
        r"$\textbf{(A) }12\qquad\textbf{(B) }-3\qquad\textbf{(C) }14$",
        r"$\mathrm{(A)\ } 2 \qquad \mathrm{(B)\ } 3\qquad \mathrm{(C)\ }4$",
        r"$\text{(A)}\ 1 \qquad \text{(B)}\ 2 \qquad \text{(C)}\ 3$",
        r"(\mathrm{A}) 2 (\mathrm{B}) 3 (\mathrm{C}) 4 (\mathrm{D}) 5",
        "equals ( ).\nA. -1\nB. $-\\frac{1}{2}$\nC. $\\frac{1}{2}$\nD. 1",
        "is ( )\nA: $3$\nB: $4$\nC: $5$\nD: $6$",
        "A) red B) green C) blue D) none",
        "( ) A、1 B、2 C、3 D、4",
        r"$\bullet$ A. $50$ $\bullet$ B. $38$ $\bullet$ C. $34$ $\bullet$ D. $26$",
    ],
)
def test_listed_choices_are_seen(read, problem):
    assert read(problem, r"\boxed{17}") is None


@pytest.mark.parametrize(
    "answer",
    ["A", "(B)", r"\text{(C)}", r"\textbf{(D) }12", r"\mathrm{E}", "B.", "$A$"],
)
def test_an_answer_that_is_a_choice_is_seen(read, answer):
    assert read("See the picture.", rf"\boxed{{{answer}}}") is None


@pytest.mark.parametrize(
    "problem",
    [
        "What is 6 times 7?",
        "Triangle $ABC$ has $AB = 3$. The points A, B and C lie on a circle.",
        "Find $P(A)$, $P(B)$ and $P(C)$, given that P(A) = P(B) = P(C).",
        "It goes from A. It passes by B. It ends at C.",
        "Show (A) and (B).",
        "(C) comes first, then (B), then (A).",
        "Let A = {1}, B = {2}, C = {3} and D = {4}.",
    ],
)
def test_other_problems_are_kept(read, problem):
    assert read(problem, r"\boxed{17}") == "17"


@pytest.mark.parametrize(
    "answer", [r"A \cup B", "(A, B)", "E^2", "D=3", "a", "Alice", "Bx", "2", "F"]
)
def test_an_answer_that_is_no_choice_is_kept(read, answer):
    assert read("What is it?", rf"\boxed{{{answer}}}") == answer
