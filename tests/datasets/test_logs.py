"""What all readers of logs refuse: files that are none, and paths that are none."""

import gzip

import pytest

from sklearn_adaalloc.datasets import (
    read_eval_records,
    read_lm_eval_samples,
    read_samples,
)

READERS = [
    read_lm_eval_samples,
    read_eval_records,
    lambda path: read_samples(path, query="q.text", reward="graded.0.ok"),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", b"", "is empty. Expected one row per sample"),
        ("rows.jsonl", b"\n \n", "is empty. Expected one row per sample"),
        ("rows.jsonl", b'\n{"a": 1', "line 2 of .* is '{\"a\": 1'.*cut off"),
        ("rows.jsonl", b"[1]\n", r"line 1 of .* is '\[1\]'. Expected one JSON object"),
        ("rows.jsonl", b"\xff\xfe\n", "cannot be read after line 0.*UTF-8"),
        ("rows.jsonl.gz", b'{"a": 1}\n', "cannot be read after line 0.*damaged"),
        (
            "rows.jsonl.gz",
            gzip.compress(b"{}", mtime=0)[:-9],
            "cannot be read after line",
        ),
        ("rows.parquet", b"no parquet", "cannot be read as Parquet after row 0"),
        ("rows.csv", b"a,b\n1,2\n", "path=.*rows.csv' is not accepted.*.parquet"),
        ("rows.jsonl", b'{"a": 1}\n', "line 1 of"),
    ],
)
def test_files_that_are_no_logs(tmp_path, read, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ["missing.jsonl", "missing.parquet"])
def test_files_that_are_not_there(tmp_path, read, name):
    with pytest.raises(FileNotFoundError, match=name):
        read(tmp_path / name)


@pytest.mark.parametrize("read", [read_lm_eval_samples, read_eval_records])
@pytest.mark.parametrize("paths", [[], ["a.jsonl", "a.jsonl"], None, 3])
def test_paths_of_logs(read, paths):
    with pytest.raises(ValueError, match=r"path_or_paths=.*different paths"):
        read(paths)
