"""Rows of public sets: from files of all formats, or from a hub of our own."""

import gzip
import json
import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet
import pytest
from hub_files import write_rows

from sklearn_adaalloc.datasets import _hub
from sklearn_adaalloc.datasets._hub import HubSet, find_files, read_rows

SOURCE = HubSet(
    "someone/something", {"train": ("data/train",)}, {"text": str, "count": int}
)
ROWS = [{"text": "ä\n1", "count": 1}, {"text": "b", "count": 2}]
LINES = "".join(f"{json.dumps(row)}\n" for row in ROWS)


@pytest.fixture
def folder(tmp_path):
    """Where the files of the set with a prefix of data/ lie."""
    path = tmp_path / SOURCE.repository / "data"
    path.mkdir(parents=True)
    return path


def read(tmp_path, **options):
    return list(read_rows(SOURCE, "train", data_home=tmp_path, **options))


def write_parquet(path, rows):
    pa.parquet.write_table(pa.Table.from_pylist(rows), path)


# Formats


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.jsonl", LINES),
        ("train-00000-of-00001.jsonl", f"\n{LINES}\n"),
        ("train.json", json.dumps(ROWS, indent=1)),
        ("train.json", LINES),
    ],
)
def test_json_is_read(tmp_path, folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    assert read(tmp_path) == ROWS


@pytest.mark.parametrize("ending", [".jsonl.gz", ".json.gz"])
def test_compressed_json_is_read(tmp_path, folder, ending):
    (folder / f"train{ending}").write_bytes(gzip.compress(LINES.encode()))
    assert read(tmp_path) == ROWS


def test_parquet_is_read_in_the_order_of_its_files_without_other_columns(
    tmp_path, folder
):
    other = [{**row, "other": [1.0]} for row in ROWS]
    write_parquet(folder / "train-00001-of-00002.parquet", other[1:])
    write_parquet(folder / "train-00000-of-00002.parquet", other[:1])
    assert read(tmp_path) == ROWS


def test_written_rows_are_found(tmp_path):
    write_rows(tmp_path, "someone/something/data/train", ROWS)
    assert read(str(tmp_path)) == ROWS


def test_files_of_other_parts_are_left_alone(tmp_path, folder):
    (folder / "train.jsonl").write_text(LINES, encoding="utf-8")
    for name in ("test.jsonl", "training.jsonl", "train_notes.jsonl", "train.txt"):
        (folder / name).write_text("nonsense", encoding="utf-8")
    assert read(tmp_path) == ROWS


def test_of_two_formats_one_is_read(tmp_path, folder):
    (folder / "train.jsonl").write_text(LINES, encoding="utf-8")
    write_parquet(folder / "train-00000-of-00001.parquet", ROWS)
    assert find_files(folder.parent, "data/train") == [
        folder / "train-00000-of-00001.parquet"
    ]
    assert read(tmp_path) == ROWS


def test_without_a_data_home_it_is_that_of_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    write_rows(tmp_path, "someone/something/data/train", ROWS)
    assert list(read_rows(SOURCE, "train")) == ROWS


# Bad files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.jsonl", LINES[:-5].encode()),
        ("train.jsonl", b'{"text": "\xff"}'),
        ("train.json", json.dumps(ROWS)[:-1].encode()),
        ("train.jsonl.gz", b"no gzip"),
        ("train.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)[:-9]),
        ("train.parquet", b"PAR1 no parquet PAR1"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read as .*download or"):
        read(tmp_path)


def test_a_missing_file_of_several_is_told(tmp_path, folder):
    write_parquet(folder / "train-00000-of-00003.parquet", ROWS)
    write_parquet(folder / "train-00002-of-00003.parquet", ROWS)
    with pytest.raises(ValueError, match=r"has 2 files train\*, but .* there are 3"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a"}, r"row 1 of .*train.jsonl is .* Expected the fields \['text'"),
        (["a", 1], "Expected the fields"),
        ({"text": None, "count": 1}, "has text=None. Expected a value of type str"),
        ({"text": "a", "count": "1"}, "has count='1'. Expected a value of type int"),
    ],
)
def test_rows_of_another_schema_are_refused(tmp_path, row, message):
    write_rows(tmp_path, "someone/something/data/train", [ROWS[0], row])
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_parquet_of_another_schema_is_refused(tmp_path, folder):
    write_parquet(folder / "train.parquet", [{"text": "a"}])
    with pytest.raises(ValueError, match=r"row 0 of .* Expected the fields"):
        read(tmp_path)


# The hub


class FakeDatasets(SimpleNamespace):
    """What is used of Hugging Face datasets, over rows of our own."""

    def __init__(self, rows):
        super().__init__(calls=[], table=pa.Table.from_pylist(rows))

    def load_dataset(self, builder, *, data_files, split, cache_dir):
        self.calls.append((builder, data_files, split))
        return self

    def select_columns(self, names):
        self.selected = self.table.select(names)
        return self

    def to_parquet(self, path):
        pa.parquet.write_table(self.selected, path)


def test_what_is_missing_is_downloaded_once(tmp_path, monkeypatch):
    hub = FakeDatasets([{**row, "other": "x"} for row in ROWS])
    monkeypatch.setitem(sys.modules, "datasets", hub)
    assert read(tmp_path) == ROWS
    assert read(tmp_path) == ROWS
    pattern = "hf://datasets/someone/something/data/train-*.parquet"
    assert hub.calls == [("parquet", pattern, "train")]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["train-00000-of-00001.parquet"]
    assert pa.parquet.read_schema(files[0]).names == ["text", "count"]


def test_json_on_the_hub_is_downloaded_as_json(tmp_path, monkeypatch):
    hub = FakeDatasets(ROWS)
    monkeypatch.setitem(sys.modules, "datasets", hub)
    source = HubSet("a/b", {"test": ("c/test",)}, SOURCE.fields, ".jsonl.gz")
    assert list(read_rows(source, "test", data_home=tmp_path)) == ROWS
    assert hub.calls == [("json", "hf://datasets/a/b/c/test.jsonl.gz", "train")]


def test_local_files_need_no_datasets(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    (folder / "train.jsonl").write_text(LINES, encoding="utf-8")
    assert read(tmp_path) == ROWS


def test_nothing_is_downloaded_if_that_is_not_wanted(tmp_path, monkeypatch):
    hub = FakeDatasets(ROWS)
    monkeypatch.setitem(sys.modules, "datasets", hub)
    message = r"no file data/train\* and download_if_missing=False.*hf download someone"
    with pytest.raises(FileNotFoundError, match=message):
        read(tmp_path, download_if_missing=False)
    assert hub.calls == []


def test_without_datasets_the_message_names_both_ways_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = r"no file data/train\*.*pip install .*\[datasets\].*Or copy.*--local-dir"
    with pytest.raises(ImportError, match=message):
        read(tmp_path)


def test_a_hub_out_of_reach_leaves_nothing_behind(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError("no route to host")

    hub = SimpleNamespace(load_dataset=refuse)
    monkeypatch.setitem(sys.modules, "datasets", hub)
    message = r"could not be downloaded .*no route to host.*Go online.*copy the set's"
    with pytest.raises(OSError, match=message):
        read(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_download_that_breaks_off_leaves_nothing_behind(tmp_path, monkeypatch):
    hub = FakeDatasets(ROWS)

    def break_off(path):
        with open(path, "wb") as file:
            file.write(b"PAR1")
        raise ConnectionError("reset")

    monkeypatch.setattr(hub, "to_parquet", break_off, raising=False)
    monkeypatch.setitem(sys.modules, "datasets", hub)
    with pytest.raises(OSError, match="reset"):
        read(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_real_library_if_it_is_installed(tmp_path, folder, monkeypatch):
    pytest.importorskip("datasets")
    hub = tmp_path / "hub" / SOURCE.repository / "data"
    hub.mkdir(parents=True)
    other = [{**row, "other": "x"} for row in ROWS]
    write_parquet(hub / "train-00000-of-00002.parquet", other[:1])
    write_parquet(hub / "train-00001-of-00002.parquet", other[1:])
    monkeypatch.setattr(_hub, "_HUB", str(tmp_path / "hub"))
    assert read(tmp_path) == ROWS
