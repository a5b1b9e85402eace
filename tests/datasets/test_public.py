"""Splits of public sets: sizes, no query twice, the same draw again."""

import numpy as np
import pytest
from hub_files import write_rows

from sklearn_adaalloc.datasets import fetch_gsm8k, fetch_numina_math


def write(folder, rows):
    """Rows of a set of one part: problems and answers, "" for none."""
    solutions = {answer: rf"\boxed{{{answer}}}" for _, answer in rows} | {"": "?"}
    rows = [{"problem": query, "solution": solutions[a]} for query, a in rows]
    write_rows(folder, "AI-MO/NuminaMath-CoT/data/train", rows)


def write_part(folder, part, rows):
    """Rows of a set of two parts."""
    rows = [{"question": query, "answer": f"#### {answer}"} for query, answer in rows]
    write_rows(folder, f"openai/gsm8k/main/{part}", rows)


def fetch(folder, n_train, n_validation, n_test, **options):
    sizes = {"n_train": n_train, "n_validation": n_validation, "n_test": n_test}
    return fetch_numina_math(**sizes, data_home=folder, **options)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, [(f"query {i}", str(i)) for i in range(30)])
    return tmp_path


def test_sizes_and_answers(folder):
    table = fetch(folder, 12, 5, 3)
    queries = table.queries_train + table.queries_validation + table.queries_test
    answers = table.answers_train + table.answers_validation + table.answers_test
    assert len(table.queries_train) == 12
    assert len(table.queries_validation) == 5
    assert len(table.queries_test) == 3
    assert len(set(queries)) == 20
    assert queries == [f"query {answer}" for answer in answers]
    assert table.references == dict(zip(queries, answers, strict=True))


def test_the_draw_is_that_of_the_seed(folder):
    first, again, other = (
        fetch(folder, 12, 5, 3, random_state=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert set(first.queries_test) != set(other.queries_test)


def test_the_rest_keeps_its_order(folder):
    table = fetch(folder, None, 5, 3)
    numbers = [int(answer) for answer in table.answers_train]
    assert len(numbers) == 22
    assert numbers == sorted(numbers)
    assert fetch(folder, None, 0, 0).answers_train == list(map(str, range(30)))


def test_return_x_y_is_in_the_order_of_train_test_split(folder):
    table = fetch(folder, 3, 2, 1)
    assert fetch(folder, 3, 2, 1, return_X_y=True) == (
        table.queries_train,
        table.queries_validation,
        table.queries_test,
        table.answers_train,
        table.answers_validation,
        table.answers_test,
    )


def test_a_repeated_query_counts_once_whatever_its_white_space(tmp_path):
    repeated = ["a b", "a  b", "a b\n", "c", "d", "C"]
    write(tmp_path, [(query, "1") for query in repeated])
    table = fetch(tmp_path, None, 0, 1)
    assert len(table.queries_train + table.queries_test) == 4
    assert "6 rows, of which 6 passed the filters, with 4 distinct" in table.DESCR


def test_a_query_of_both_parts_belongs_to_the_test_part(tmp_path):
    write_part(tmp_path, "train", [("a", "train"), ("b", "train"), ("c", "train")])
    write_part(tmp_path, "test", [("b", "test"), ("d", "test")])
    table = fetch_gsm8k(data_home=tmp_path)
    assert (table.queries_test, table.answers_test) == (["b", "d"], ["test", "test"])
    assert table.queries_train == ["a", "c"]
    # Even where the test split does not take it.
    for seed in range(5):
        table = fetch_gsm8k(n_test=1, data_home=tmp_path, random_state=seed)
        assert table.queries_train == ["a", "c"]


def test_rows_that_are_left_out_are_counted(tmp_path):
    write(tmp_path, [("a", "1"), ("b", ""), ("c", "3")])
    table = fetch(tmp_path, None, 0, 0)
    assert table.queries_train == ["a", "c"]
    assert "3 rows, of which 2 passed the filters, with 2 distinct" in table.DESCR


def test_too_few_queries_are_told(folder):
    message = (
        "n_test=3, n_validation=8, n_train=20 need at least 31 queries, and there are "
        "30 .train part of AI-MO/NuminaMath-CoT: 30 rows"
    )
    with pytest.raises(ValueError, match=message):
        fetch(folder, 20, 8, 3)


def test_no_query_at_all_is_told(tmp_path):
    write(tmp_path, [("a", "")])
    with pytest.raises(ValueError, match=r"there are 0 .*1 rows, of which 0 passed"):
        fetch(tmp_path, None, 0, 0)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((-1, 0, 0), "n_train=-1 is not accepted"),
        ((1, 2.5, 0), "n_validation=2.5 is not accepted"),
        ((1, None, 0), "n_validation=None is not accepted"),
        ((1, 0, None), "n_test=None is not accepted"),
        ((1, 0, True), "n_test=True is not accepted"),
    ],
)
def test_sizes_that_mean_nothing_are_refused_before_anything_is_read(sizes, message):
    with pytest.raises(ValueError, match=message):
        fetch("no such folder", *sizes, download_if_missing=False)


def test_drawn_splits_are_random(tmp_path):
    write(tmp_path, [(f"query {i}", str(i)) for i in range(100)])
    # The mean of 30 out of 0..99 has a standard deviation of about 4.4.
    draws = (fetch(tmp_path, 50, 20, 30, random_state=seed) for seed in range(100))
    means = [np.mean([float(answer) for answer in t.answers_test]) for t in draws]
    assert np.mean(means) == pytest.approx(49.5, abs=4 * 0.44)
