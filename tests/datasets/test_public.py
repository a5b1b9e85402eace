"""Splits of public sets: sizes, no query twice, the same draw again."""

import numpy as np
import pytest

from sklearn_adaalloc.datasets._hub import HubSet, write_rows
from sklearn_adaalloc.datasets._public import draw_splits, fetch_public, truth_by_query

SOURCE = HubSet(
    "someone/something", {"train": ("train",), "test": ("test",)}, {"q": str, "a": str}
)
FROM_ONE = {"train": ("test", "validation", "train")}
FROM_BOTH = {"test": ("test",), "train": ("validation", "train")}


def write(folder, part, rows):
    rows = [{"q": query, "a": answer} for query, answer in rows]
    write_rows(folder, f"someone/something/{part}", rows)


def fetch(folder, drawn_from, n_train, n_validation, n_test, **options):
    return fetch_public(
        SOURCE,
        lambda row: None if row["a"] == "" else (row["q"], row["a"]),
        drawn_from,
        {"train": n_train, "validation": n_validation, "test": n_test},
        description="Ours.",
        data_home=folder,
        **options,
    )


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "train", [(f"query {i}", str(i)) for i in range(30)])
    return tmp_path


def test_sizes_and_answers(folder):
    table = fetch(folder, FROM_ONE, 12, 5, 3)
    queries = table.queries_train + table.queries_validation + table.queries_test
    answers = table.answers_train + table.answers_validation + table.answers_test
    assert len(table.queries_train) == 12
    assert len(table.queries_validation) == 5
    assert len(table.queries_test) == 3
    assert len(set(queries)) == 20
    assert queries == [f"query {answer}" for answer in answers]
    assert truth_by_query(table) == dict(zip(queries, answers, strict=True))


def test_the_draw_is_that_of_the_seed(folder):
    first, again, other = (
        fetch(folder, FROM_ONE, 12, 5, 3, random_state=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert set(first.queries_test) != set(other.queries_test)


def test_the_rest_keeps_its_order(folder):
    table = fetch(folder, FROM_ONE, None, 5, 3)
    numbers = [int(answer) for answer in table.answers_train]
    assert len(numbers) == 22
    assert numbers == sorted(numbers)
    assert fetch(folder, FROM_ONE, None, 0, 0).answers_train == list(
        map(str, range(30))
    )


def test_return_x_y_is_in_the_order_of_train_test_split(folder):
    table = fetch(folder, FROM_ONE, 3, 2, 1)
    assert fetch(folder, FROM_ONE, 3, 2, 1, return_X_y=True) == (
        table.queries_train,
        table.queries_validation,
        table.queries_test,
        table.answers_train,
        table.answers_validation,
        table.answers_test,
    )


def test_the_truth_can_have_another_name(folder):
    table = fetch(folder, FROM_ONE, 3, 2, 1, truth="tests")
    assert len(table.tests_train) == 3
    assert set(truth_by_query(table, "tests").values()) == set(
        table.tests_train + table.tests_validation + table.tests_test
    )


def test_a_repeated_query_counts_once_whatever_its_white_space(tmp_path):
    repeated = ["a b", "a  b", "a b\n", "c", "d", "C"]
    write(tmp_path, "train", [(query, "1") for query in repeated])
    table = fetch(tmp_path, FROM_ONE, None, 0, 1)
    assert len(table.queries_train + table.queries_test) == 4
    assert "6 rows, of which 6 passed the filters, with 4 distinct" in table.DESCR


def test_a_query_of_both_parts_belongs_to_the_test_part(tmp_path):
    write(tmp_path, "train", [("a", "train"), ("b", "train"), ("c", "train")])
    write(tmp_path, "test", [("b", "test"), ("d", "test")])
    table = fetch(tmp_path, FROM_BOTH, None, 0, None)
    assert (table.queries_test, table.answers_test) == (["b", "d"], ["test", "test"])
    assert table.queries_train == ["a", "c"]
    # Even where the test split does not take it.
    for seed in range(5):
        table = fetch(tmp_path, FROM_BOTH, None, 0, 1, random_state=seed)
        assert table.queries_train == ["a", "c"]


def test_rows_that_are_left_out_are_counted(tmp_path):
    write(tmp_path, "train", [("a", "1"), ("b", ""), ("c", "3")])
    table = fetch(tmp_path, FROM_ONE, None, 0, 0)
    assert table.queries_train == ["a", "c"]
    assert "3 rows, of which 2 passed the filters, with 2 distinct" in table.DESCR


def test_too_few_queries_are_told(folder):
    message = (
        "n_test=3, n_validation=8, n_train=20 need at least 31 queries, and there are "
        "30 .train part of someone/something: 30 rows"
    )
    with pytest.raises(ValueError, match=message):
        fetch(folder, FROM_ONE, 20, 8, 3)


def test_no_query_at_all_is_told(tmp_path):
    write(tmp_path, "train", [("a", "")])
    with pytest.raises(ValueError, match=r"there are 0 .*1 rows, of which 0 passed"):
        fetch(tmp_path, FROM_ONE, None, 0, 0)


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
        fetch("no such folder", FROM_ONE, *sizes, download_if_missing=False)


def test_drawn_splits_are_disjoint_and_random():
    sizes = {"test": 30, "validation": 20, "train": 50}
    rows = draw_splits(100, sizes, np.random.RandomState(0))
    assert list(rows) == list(sizes)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(100))
    # The mean of 30 out of 0..99 has a standard deviation of about 4.4.
    means = [
        draw_splits(100, sizes, np.random.RandomState(seed))["test"].mean()
        for seed in range(100)
    ]
    assert np.mean(means) == pytest.approx(49.5, abs=4 * 0.44)
