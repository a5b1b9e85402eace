"""Columns of tables as queries, without a cluster."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc.distributed._blocks import rows_of_groups
from sklearn_adaalloc.distributed._columns import read_queries, write_rows

pyarrow = pytest.importorskip("pyarrow")


def column(values, **options):
    return pyarrow.chunked_array([pyarrow.array(values, **options)])


def test_texts_and_chats():
    texts = ["one", "two"]
    kinds = pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()
    for each in [column(texts, type=kind) for kind in kinds]:
        assert read_queries(each) == texts
    assert read_queries(column(texts).dictionary_encode()) == texts
    chats = [
        [{"role": "user", "content": "one"}],
        [{"role": "user", "content": "two", "name": "Ada"}],
    ]
    assert read_queries(column(chats)) == chats


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_vectors(dtype):
    rows = np.arange(12).reshape(4, 3).astype(dtype)
    parts = [write_rows(rows[:1]), write_rows(rows)[1:]]
    assert_array_equal(read_queries(pyarrow.chunked_array(parts)), rows)
    assert read_queries(pyarrow.chunked_array(parts)).dtype == dtype
    assert_array_equal(read_queries(column(rows.tolist())), rows)


@pytest.mark.parametrize(
    "values", [[1.0, 2.0], [[1.0], [1.0, 2.0]], [["one"], ["two"]], [True, False]]
)
def test_columns_of_no_queries(values):
    with pytest.raises(ValueError, match=r"Expected texts, chats .* or vectors"):
        read_queries(column(values))


def test_rows_without_a_query():
    with pytest.raises(ValueError, match="column has 1 rows without a value"):
        read_queries(column(["one", None]))


def test_rows_without_a_group():
    table = pyarrow.table({"tier": ["free", None]})
    with pytest.raises(ValueError, match="group='tier' has 1 rows without a value"):
        rows_of_groups(table, "tier")
