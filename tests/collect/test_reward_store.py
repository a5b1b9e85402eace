import os
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from samplers import (
    EachSampler,
    Reward,
    Sampler,
    collect,
    expected,
    range_of_texts,
)

from sklearn_adaalloc.collect import RewardStore

# The file


def foreign_database(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE answers (mine TEXT)")


def overwrite(start, stop):
    def damage(path):
        collect(range_of_texts(300), Sampler(), Reward(), 4, path)
        content = bytearray(path.read_bytes())
        content[start:stop] = os.urandom(16) * ((stop - start) // 16)
        path.write_bytes(content)

    return damage


def cut(path):
    collect(range_of_texts(300), Sampler(), Reward(), 4, path)
    path.write_bytes(path.read_bytes()[:20_000])


BAD_FILES = {
    "text": (lambda path: path.write_text("query,reward\n" * 99), "is no store of"),
    "short": (lambda path: path.write_text("x"), "is no store of"),
    "foreign": (foreign_database, "is no store of"),
    "cut": (cut, "is damaged"),
    "page overwritten": (overwrite(8192, 12288), "is damaged"),
    "schema overwritten": (overwrite(112, 4096), "is damaged"),
}


@pytest.mark.parametrize(("make", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_and_left_as_it_is(store, make, message):
    make(store)
    before = store.read_bytes()
    with pytest.raises(ValueError, match=rf"store='.*store.sqlite' {message}"):
        collect("a", Sampler(), Reward(), 1, store)
    with pytest.raises(ValueError, match=message):
        RewardStore(store)
    assert store.read_bytes() == before
    waiting = store.with_name("store.sqlite-wal")  # to be written to the file
    assert not waiting.exists() or waiting.stat().st_size == 0


def test_a_folder_in_place_of_the_file(tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        collect("a", Sampler(), Reward(), 1, tmp_path)


def test_a_store_that_does_not_exist(store):
    with pytest.raises(ValueError, match=r"store\.sqlite' does not exist"):
        RewardStore(store)
    assert not store.exists()


def test_folders_are_made_and_an_empty_file_is_filled(tmp_path):
    path = tmp_path / "a" / "b" / "store"
    collect("a", Sampler(), Reward(), 1, path)
    (tmp_path / "empty").touch()
    table = collect("a", Sampler(), Reward(), 1, str(tmp_path / "empty"))
    np.testing.assert_array_equal(table, [[0]])


# Export


def test_export(store, tmp_path):
    pandas = pytest.importorskip("pandas")
    collect("ba", EachSampler(), Reward(), 2, store)
    with pytest.warns(UserWarning, match="1 samples failed"):
        collect("ba", EachSampler(failing=[("a", 2)]), Reward(), 3, store)
    with RewardStore(store) as table:
        queries, rewards = table.to_arrays()
        frame = table.to_frame()
        pytest.importorskip("pyarrow")
        table.to_parquet(tmp_path / "table.parquet")
    assert queries == ["b", "a"]
    np.testing.assert_array_equal(rewards, [[0, 1, 2], [0, 1, np.nan]])
    assert frame.to_dict("list") == {
        "query": ["b", "b", "b", "a", "a"],
        "sample": [0, 1, 2, 0, 1],
        "answer": ["b:0", "b:1", "b:2", "a:0", "a:1"],
        "reward": [0, 1, 2, 0, 1],
        "prompt_tokens": [5, 5, 5, 5, 5],
        "answer_tokens": [3, 3, 3, 3, 3],
    }
    pandas.testing.assert_frame_equal(
        pandas.read_parquet(tmp_path / "table.parquet"), frame
    )


def test_prompt_tokens_add_up_to_what_was_paid(store):
    pytest.importorskip("pandas")
    collect("ab", Sampler(), Reward(), 4, store, batch_size=6)
    with RewardStore(store) as table:
        frame = table.to_frame()
    # One prefill of a, and two of b, whose samples fell into two batches.
    assert frame["prompt_tokens"].tolist() == [5, 0, 0, 0, 5, 0, 5, 0]
    assert frame["answer_tokens"].sum() == 24


def test_export_of_one_of_several(store):
    collect("a", Sampler(), Reward(), 1, store)
    collect("ab", Sampler(), Reward(offset=1.0), 2, store, settings={"t": 1})
    with RewardStore(store) as table:
        with pytest.raises(ValueError, match=r"sampler settings None do not name one"):
            table.to_arrays()
        with pytest.raises(ValueError, match=r"reward settings \{'x': 1\} do not name"):
            table.to_arrays(settings={"t": 1}, reward_settings={"x": 1})
        queries, rewards = table.to_arrays(
            settings={"t": 1}, reward_settings=Reward(offset=1.0).settings
        )
        assert queries == ["a", "b"]
        np.testing.assert_array_equal(rewards, expected(2, 2) + 1)
        _, ungraded = table.to_arrays(
            settings={"t": 1}, reward_settings=Reward().settings
        )
        assert np.isnan(ungraded).all()


@pytest.mark.parametrize("path", [0, None, b"store", "a\0b", {}])
def test_what_is_no_path(path):
    with pytest.raises(ValueError, match=r"store=.*Expected a str or path"):
        RewardStore(path)
