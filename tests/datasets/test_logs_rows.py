"""Readers of rows of any kind."""

import gzip
import json

import numpy as np
import pytest
from logs import write_lines
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor
from sklearn_adaalloc.datasets import read_samples

NAN = np.nan
ROWS = [
    {"q": {"text": "2+3="}, "by": "small", "graded": [{"ok": True}], "n": 12, "a": "5"},
    {"q": {"text": "9-4="}, "by": "small", "graded": [{"ok": False}], "n": 9, "a": ""},
    {"q": {"text": "2+3="}, "by": "large", "graded": [{"ok": 0.5}], "n": 50, "a": 7},
    {"q": {"text": "2+3="}, "by": "small", "graded": [{"ok": 0}], "n": 11, "a": None},
    {"q": {"text": "9-4="}, "by": "large", "graded": [{"ok": 1}], "n": 70, "a": "5"},
]
NAMES = {"query": "q.text", "reward": "graded.0.ok"}
ALL = {**NAMES, "decoder": "by", "cost": "n", "answer": "a", "score": "n"}


def write_parquet(path, rows):
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    return path


def write_gzip(path, rows):
    text = "\n".join(json.dumps(row) for row in rows)
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("rows.jsonl", write_lines),
        ("rows.json", write_lines),
        ("r.jsonl.gz", write_gzip),
    ],
)
def test_rows_by_the_names_of_their_fields(tmp_path, name, write):
    queries, table = read_samples(write(tmp_path / name, ROWS), **ALL)
    assert queries == ["2+3=", "9-4="]
    assert table.decoders == ["small", "large"]
    assert_array_equal(table.rewards, [[[1, 0], [0.5, NAN]], [[0, NAN], [1, NAN]]])
    assert_array_equal(table.costs, [[[12, 11], [50, NAN]], [[9, NAN], [70, NAN]]])
    assert_array_equal(table.scores, table.costs)
    assert table.answers[0].tolist() == [["5", None], [7, None]]


def test_rows_of_parquet(tmp_path):
    # Each column of Parquet has one type.
    rows = [
        {**row, "graded": {"ok": row["n"] > 10}, "a": str(row["a"])} for row in ROWS
    ]
    path = write_parquet(tmp_path / "rows.parquet", rows)
    queries, table = read_samples(path, query="q.text", reward="graded.ok", cost="n")
    assert queries == ["2+3=", "9-4="]
    assert_array_equal(table.rewards, [[1, 1, 1], [0, 1, NAN]])
    assert_array_equal(table.costs, [[12, 50, 11], [9, 70, NAN]])


def test_a_name_with_a_dot_is_a_name(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [{"q.text": "2+3=", "r": 1}])
    assert read_samples(path, query="q.text", reward="r")[0] == ["2+3="]


def test_chats_are_queries(tmp_path):
    chat = [{"role": "user", "content": "2+3="}]
    rows = [{"q": chat, "r": 1}, {"q": chat, "r": 0}, {"q": "2+3=", "r": 0}]
    queries, table = read_samples(
        write_lines(tmp_path / "rows.jsonl", rows), query="q", reward="r"
    )
    assert queries == [chat, "2+3="]
    assert_array_equal(table.rewards, [[1, 0], [0, NAN]])


def test_rows_without_a_reward_are_left_out(tmp_path):
    rows = [{"q": "2+3=", "r": None}, {"q": "2+3=", "r": 1}, {"q": "9-4=", "r": None}]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    with pytest.warns(UserWarning, match="2 samples without a reward .* 1 queries"):
        queries, table = read_samples(path, query="q", reward="r")
    assert queries == ["2+3="]
    assert_array_equal(table.rewards, [[1]])


def test_what_was_read_is_fitted(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"q": "1" * length, "r": int(rng.random() < 1 / length)}
        for length in range(1, 21)
        for _ in range(8)
    ]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    queries, table = read_samples(path, query="q", reward="r")
    X = [[len(query)] for query in queries]
    policy = AdaptiveAllocator(RewardRegressor(Ridge()), budget=2).fit(X, table)
    assert policy.predict(X).sum() <= 40
    assert 0 < policy.score(X, table) <= 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"r": 1}, r"query='q' is no field of line 2 of .*\['r'\].*query of each"),
        ({"q": "a"}, r"reward='r' is no field of line 2 of"),
        ({"q": 5, "r": 1}, r"line 2 of .*has the query 5. Expected a text, or a list"),
        ({"q": "a", "r": "yes"}, r"line 2 of .*has r='yes'. Expected a number"),
        ({"q": "a", "r": float("inf")}, r"line 2 of .*has r=inf"),
    ],
)
def test_rows_that_are_refused(tmp_path, row, message):
    path = write_lines(tmp_path / "rows.jsonl", [{"q": "a", "r": 1}, row])
    with pytest.raises(ValueError, match=message):
        read_samples(path, query="q", reward="r")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n": None}, r"line 3 of .*has no cost, as 1 of 5.*cost=None"),
        ({"n": "many"}, r"line 3 of .*has n='many'. Expected a number"),
        ({"by": None}, r"line 3 of .*has by=None. Expected the name of a decoder"),
        ({"a": 0.5}, r"line 3 of .*has answer=0.5. Expected a text or a whole"),
    ],
)
def test_fields_of_rows_that_are_refused(tmp_path, fields, message):
    rows = [*ROWS[:2], {**ROWS[2], **fields}, *ROWS[3:]]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    with pytest.raises(ValueError, match=message):
        read_samples(path, **ALL)


def test_decoders_without_a_common_query_are_refused(tmp_path):
    rows = [{**row, "by": row["q"]["text"]} for row in ROWS]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    with pytest.raises(ValueError, match=r"no query with a graded sample of each of"):
        read_samples(path, **NAMES, decoder="by")


@pytest.mark.parametrize(
    "names", [{"query": None, "reward": "r"}, {"query": "q", "reward": 1}]
)
def test_names_of_fields_are_texts(tmp_path, names):
    with pytest.raises(ValueError, match=r"=(None|1) is not accepted.*name of a field"):
        read_samples(tmp_path / "rows.jsonl", **names)
