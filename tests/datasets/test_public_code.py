"""TACO on small files of its schema."""

import json

import pytest
from hub_files import write_rows

from sklearn_adaalloc.datasets import fetch_taco

ECHO = json.dumps({"inputs": ["1\n", "2\n"], "outputs": ["1\n", "2\n"]})
DOUBLE = json.dumps({"fn_name": "double", "inputs": [[2]], "outputs": [4]})


def taco_row(question, input_output=ECHO, source="codeforces", starter_code=""):
    return {
        "question": question,
        "solutions": json.dumps(["print(input())"]),
        "starter_code": starter_code,
        "input_output": input_output,
        "difficulty": "EASY",
        "raw_tags": "['strings']",
        "name": None,
        "source": source,
        "tags": "['String algorithms']",
        "skill_types": "[]",
        "url": "somewhere",
        "Expected Auxiliary Space": None,
        "time_limit": "1.0 seconds",
        "date": None,
        "picture_num": "0",
        "memory_limit": None,
        "Expected Time Complexity": None,
    }


def write(folder, rows):
    write_rows(folder, "BAAI/TACO/ALL/train", rows)


@pytest.fixture
def folder(tmp_path):
    """20 problems, and one row for each reason to be left out."""
    rows = [taco_row(f"Echo, {i} times.") for i in range(20)]
    rows[5:5] = [
        taco_row("From Geeks.", source="geeksforgeeks"),
        taco_row("From Aizu.", source="aizu"),
        taco_row("Empty text.", input_output=""),
        taco_row("No text.", input_output=None),
        taco_row("Empty dict.", input_output="{}"),
        taco_row("No inputs.", input_output='{"inputs": [], "outputs": []}'),
        taco_row("Echo,  3 times."),
    ]
    write(tmp_path, rows)
    return tmp_path


def test_what_cannot_be_graded_is_left_out(folder):
    table = fetch_taco(n_train=None, n_validation=4, n_test=3, data_home=folder)
    queries = table.queries_train + table.queries_validation + table.queries_test
    assert sorted(query.split("\n")[2] for query in queries) == sorted(
        f"Echo, {i} times." for i in range(20)
    )
    assert (len(table.queries_validation), len(table.queries_test)) == (4, 3)
    assert set(table.tests) == set(queries)
    assert all(tests == json.loads(ECHO) for tests in table.tests.values())
    assert "27 rows, of which 21 passed the filters, with 20 distinct" in table.DESCR


def test_sizes_are_those_of_the_paper(folder):
    message = "n_test=1000, n_validation=1000, n_train=10000 need at least 12000"
    with pytest.raises(ValueError, match=message):
        fetch_taco(data_home=folder)


def test_other_sources_are_kept(tmp_path):
    sources = ["codechef", "codeforces", "codewars", "hackerrank", "leetcode", None]
    write(tmp_path, [taco_row(str(source), source=source) for source in sources])
    table = fetch_taco(n_train=None, n_validation=0, n_test=0, data_home=tmp_path)
    assert len(table.queries_train) == 6


def test_the_query_says_how_the_program_is_run(tmp_path):
    starter = "def double(x):\n\t"
    rows = [
        taco_row("Print it."),
        taco_row("Double it.\n", DOUBLE, starter_code=starter),
        taco_row("Double it again.", DOUBLE, starter_code=None),
    ]
    write(tmp_path, rows)
    table = fetch_taco(n_train=None, n_validation=0, n_test=0, data_home=tmp_path)
    assert table.queries_train == [
        "\nQUESTION:\nPrint it.\nUse Standard Input format\nANSWER:\n",
        "\nQUESTION:\nDouble it.\ndef double(x):\n\t\nUse Call-Based format\nANSWER:\n",
        "\nQUESTION:\nDouble it again.\nUse Call-Based format\nANSWER:\n",
    ]
    assert table.tests_train[1:] == [json.loads(DOUBLE)] * 2


def read_tests(folder, text):
    """Tests of a problem that has this text for them; None if it is left out."""
    write(folder, [taco_row("One."), taco_row("Another.", text)])
    table = fetch_taco(n_train=None, n_validation=0, n_test=0, data_home=folder)
    assert table.tests_train[0] == json.loads(ECHO)
    return table.tests_train[1] if len(table.tests_train) == 2 else None


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"inputs": ["1"], "outputs": ["2"]}, {"inputs": ["1"], "outputs": ["2"]}),
        (
            {"inputs": [[1]], "outputs": [2], "fn_name": "f", "more": 1},
            {"inputs": [[1]], "outputs": [2], "fn_name": "f"},
        ),
        (
            {"inputs": ["1"], "outputs": ["2"], "fn_name": None},
            {"inputs": ["1"], "outputs": ["2"]},
        ),
        ({"inputs": ["1"], "outputs": ["2", "3"]}, None),
        ({"inputs": ["1"]}, None),
        ({"inputs": "1", "outputs": "2"}, None),
        ({"inputs": [[1]], "outputs": [2], "fn_name": "no name"}, None),
        ([["1"], ["2"]], None),
    ],
)
def test_unit_tests_that_can_be_run(tmp_path, given, read):
    assert read_tests(tmp_path, json.dumps(given)) == read


def test_a_number_too_long_to_read_is_no_test(tmp_path):
    text = f'{{"inputs": [[{"9" * 5000}]], "outputs": [1]}}'
    assert read_tests(tmp_path, text) is None


def test_damaged_tests_are_told(tmp_path):
    write(tmp_path, [taco_row("Echo.", ECHO[:-3])])
    with pytest.raises(ValueError, match=r"input_output of the problem 'Echo.' is not"):
        fetch_taco(n_train=1, n_validation=0, n_test=0, data_home=tmp_path)


def test_return_x_y(folder):
    columns = fetch_taco(
        n_train=3, n_validation=2, n_test=1, data_home=folder, return_X_y=True
    )
    assert [len(column) for column in columns] == [3, 2, 1, 3, 2, 1]
    assert columns[3][0] == json.loads(ECHO)


def test_the_tests_are_what_the_verifier_takes(tmp_path):
    from sklearn_adaalloc.rewards import CodeVerifier

    write(tmp_path, [taco_row("Echo."), taco_row("Double.", DOUBLE)])
    table = fetch_taco(n_train=None, n_validation=0, n_test=0, data_home=tmp_path)
    verifier = CodeVerifier(table.tests, sandbox="unsafe-none", n_jobs=1)
    right = ["print(input())", "def double(x):\n    return 2 * x\n"]
    wrong = ["print(1)", "def double(x):\n    return x\n"]
    rewards = verifier(table.queries_train, list(zip(right, wrong, strict=True)))
    assert [row.tolist() for row in rewards] == [[1.0, 0.0], [1.0, 0.0]]
