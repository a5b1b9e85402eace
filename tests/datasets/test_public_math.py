"""NuminaMath-CoT, MATH and GSM8K on small files of their schemas."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet
import pytest
from hub_files import write_rows

from sklearn_adaalloc.datasets import fetch_gsm8k, fetch_math, fetch_numina_math

SUBJECTS = [
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
]


def numina_row(problem, solution, source="cn_k12"):
    messages = [
        {"content": problem, "role": "user"},
        {"content": solution, "role": "assistant"},
    ]
    return {
        "source": source,
        "problem": problem,
        "solution": solution,
        "messages": messages,
    }


@pytest.fixture
def numina(tmp_path):
    """30 questions, and one row for each reason to be left out."""
    rows = [numina_row(f"What is {i}+1?", f"$\\boxed{{{i + 1}}}$") for i in range(30)]
    rows[10:10] = [
        numina_row("Which? (A) 1 (B) 2 (C) 3", r"It is $\boxed{2}$.", "amc_aime"),
        numina_row("Which is it?", r"$\boxed{\textbf{(C)}}$", "amc_aime"),
        numina_row("Prove that 1 < 2.", "This is clear.", "olympiads"),
        numina_row("What is  3+1? ", r"$\boxed{4}$", "synthetic_math"),
        numina_row(" ", r"$\boxed{4}$"),
    ]
    folder = tmp_path / "AI-MO/NuminaMath-CoT/data"
    folder.mkdir(parents=True)
    for number, part in enumerate([rows[:12], rows[12:]]):
        pa.parquet.write_table(
            pa.Table.from_pylist(part), folder / f"train-{number:05d}-of-00002.parquet"
        )
    return tmp_path


def test_numina_leaves_out_what_cannot_be_checked(numina):
    table = fetch_numina_math(n_train=None, n_validation=5, n_test=4, data_home=numina)
    queries = table.queries_train + table.queries_validation + table.queries_test
    assert sorted(queries) == sorted(f"What is {i}+1?" for i in range(30))
    assert (len(table.queries_validation), len(table.queries_test)) == (5, 4)
    assert table.references == {f"What is {i}+1?": str(i + 1) for i in range(30)}
    assert table.answers_test == [table.references[q] for q in table.queries_test]
    assert "35 rows, of which 31 passed the filters, with 30 distinct" in table.DESCR


def test_numina_has_the_sizes_of_the_paper(numina):
    message = "n_test=3000, n_validation=2000, n_train=15000 need at least 20000"
    with pytest.raises(ValueError, match=message):
        fetch_numina_math(data_home=numina)


def test_numina_draws_the_same_splits_from_another_format(numina, tmp_path):
    table = fetch_numina_math(n_train=9, n_validation=5, n_test=4, data_home=numina)
    folder = numina / "AI-MO/NuminaMath-CoT/data"
    rows = pa.parquet.read_table(folder).to_pylist()
    other = tmp_path / "other"
    write_rows(other, "AI-MO/NuminaMath-CoT/data/train", rows)
    again = fetch_numina_math(n_train=9, n_validation=5, n_test=4, data_home=other)
    assert again == table


def test_return_x_y(numina):
    sizes = {"n_train": 9, "n_validation": 5, "n_test": 4}
    table = fetch_numina_math(**sizes, data_home=numina)
    columns = fetch_numina_math(**sizes, data_home=numina, return_X_y=True)
    assert [len(column) for column in columns] == [9, 5, 4, 9, 5, 4]
    assert columns[0] == table.queries_train
    assert columns[5] == table.answers_test


@pytest.fixture
def math(tmp_path):
    """Two problems of each subject and part; one problem is in both parts."""
    for subject in SUBJECTS:
        for part in ("train", "test"):
            rows = [
                {
                    "problem": f"{subject} {part} {i}",
                    "level": "Level 1",
                    "type": subject.title(),
                    "solution": rf"Because. $\boxed{{\frac{{{i}}}{{7}}}}$",
                }
                for i in range(2)
            ]
            write_rows(tmp_path, f"EleutherAI/hendrycks_math/{subject}/{part}", rows)
    both = {
        "problem": "geometry test 1",
        "level": "Level 5",
        "type": "Geometry",
        "solution": r"$\boxed{0}$",
    }
    path = tmp_path / "EleutherAI/hendrycks_math/algebra/train.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(both))
    return tmp_path


def test_math_keeps_the_official_parts(math):
    table = fetch_math(data_home=math)
    for part in ("train", "test"):
        assert table[f"queries_{part}"] == [
            f"{subject} {part} {i}" for subject in SUBJECTS for i in range(2)
        ]
    assert table.queries_validation == []
    assert table.references["geometry test 1"] == r"\frac{1}{7}"
    assert len(table.references) == 28


def test_math_draws_validation_from_the_training_part(math):
    table = fetch_math(n_train=8, n_validation=5, n_test=4, data_home=math)
    train = table.queries_train + table.queries_validation
    assert (len(table.queries_train), len(set(train))) == (8, 13)
    assert {query.split()[1] for query in train} == {"train"}
    assert {query.split()[1] for query in table.queries_test} == {"test"}
    assert len(set(table.queries_test)) == 4


def test_math_needs_all_subjects(math):
    (math / "EleutherAI/hendrycks_math/geometry/test.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file geometry/test\*"):
        fetch_math(data_home=math, download_if_missing=False)


@pytest.fixture
def gsm8k(tmp_path):
    folder = tmp_path / "openai/gsm8k/main"
    folder.mkdir(parents=True)
    train = [
        {"question": f"How many are {i}?", "answer": f"<<{i}>>{i}\n#### {i},000"}
        for i in range(1, 9)
    ]
    test = [
        {"question": "How much?", "answer": "So 2-5=<<2-5=-3>>-3\n#### -3"},
        {"question": "No answer?", "answer": "We do not know."},
        {"question": "Empty answer?", "answer": "#### "},
        {"question": "How far?", "answer": "#### 1,234,567.5 "},
    ]
    for part, rows in (("train", train), ("test", test)):
        lines = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{part}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return tmp_path


def test_gsm8k_takes_the_number_at_the_end(gsm8k):
    table = fetch_gsm8k(data_home=gsm8k)
    assert table.queries_test == ["How much?", "How far?"]
    assert table.answers_test == ["-3", "1234567.5"]
    assert table.answers_train == [f"{i}000" for i in range(1, 9)]
    assert table.references["How many are 3?"] == "3000"
    assert "test part of openai/gsm8k: 4 rows, of which 2 passed" in table.DESCR


def test_gsm8k_draws_validation_from_the_training_part(gsm8k):
    table = fetch_gsm8k(n_validation=3, n_test=1, data_home=gsm8k)
    queries = table.queries_train + table.queries_validation
    assert sorted(queries) == [f"How many are {i}?" for i in range(1, 9)]
    assert len(table.queries_validation) == 3
    assert len(table.queries_test) == 1


def test_a_missing_field_is_named(tmp_path):
    rows = [{"problem": "Half of 25?", "answer": "12.5"}]
    write_rows(tmp_path, "AI-MO/NuminaMath-CoT/data/train", rows)
    with pytest.raises(ValueError, match=r"Expected the fields \['problem', 'solution"):
        fetch_numina_math(data_home=tmp_path)


def test_the_answers_are_what_the_verifier_takes(gsm8k):
    pytest.importorskip("math_verify")
    from sklearn_adaalloc.rewards import MathVerifier

    table = fetch_gsm8k(data_home=gsm8k)
    verifier = MathVerifier(table.references, n_jobs=1)
    answers = [["The answer is -3.", "The answer is 3."], [r"\boxed{1{,}234{,}567.5}"]]
    rewards = verifier(table.queries_test, answers)
    assert [row.tolist() for row in rewards] == [[1.0, 0.0], [1.0]]
