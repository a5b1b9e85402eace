import hashlib
import json
import os
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from samplers import (
    EachSampler,
    Reward,
    SampledAnswer,
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
    "text": (lambda path: path.write_text("query,reward\n" * 99), "is not a store of"),
    "short": (lambda path: path.write_text("x"), "is not a store of"),
    "foreign": (foreign_database, "is not a store of"),
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


class AnyNan:
    """Equal to NaN."""

    def __eq__(self, other):
        return other != other


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
        "cut_off": [None] * 5,
        "cached_tokens": [AnyNan()] * 5,
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
        with pytest.raises(ValueError, match=r"sampler settings None are not among"):
            table.to_arrays()
        with pytest.raises(ValueError, match=r"reward settings \{'x': 1\} are not"):
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


def test_what_is_known_of_tokens_is_exported(store, tmp_path):
    pandas = pytest.importorskip("pandas")

    class Counting(Sampler):
        def sample_each(self, prompts, budgets, *, first_sample):
            yield SampledAnswer(0, 0, "a:0", 5, 3, None, 4, True)
            yield SampledAnswer(0, 1, "a:1", 2.5, np.nan, None, np.nan, False)
            yield SampledAnswer(0, 2, "a:2", np.nan, 7)

    with pytest.warns(UserWarning, match=r"1 of 2 answers \(50%\).*max_new_tokens"):
        collect("a", Counting(), Reward(), 3, store)
    with RewardStore(store) as table:
        frame = table.to_frame()
        pytest.importorskip("pyarrow")
        table.to_parquet(tmp_path / "table.parquet")
    assert list(frame.columns[-2:]) == ["cut_off", "cached_tokens"]
    np.testing.assert_array_equal(frame["prompt_tokens"], [5, 2.5, np.nan])
    np.testing.assert_array_equal(frame["answer_tokens"], [3, np.nan, 7])
    np.testing.assert_array_equal(frame["cached_tokens"], [4, np.nan, np.nan])
    assert frame["cut_off"].tolist() == [True, False, pandas.NA]
    pandas.testing.assert_frame_equal(
        pandas.read_parquet(tmp_path / "table.parquet"), frame
    )


# Other versions

FIRST_FORMAT = """
PRAGMA application_id = 1633968492;
CREATE TABLE answers (sampler INTEGER, query INTEGER, sample INTEGER, answer TEXT,
    prompt_tokens INTEGER, answer_tokens INTEGER,
    PRIMARY KEY (sampler, query, sample)) WITHOUT ROWID;
CREATE TABLE claims (work INTEGER, sampler INTEGER, query INTEGER, sample INTEGER,
    owner TEXT, PRIMARY KEY (work, sampler, query, sample)) WITHOUT ROWID;
CREATE TABLE owners (owner TEXT PRIMARY KEY, machine TEXT, pid INTEGER,
    heartbeat REAL);
CREATE TABLE queries (id INTEGER PRIMARY KEY, hash BLOB UNIQUE, content TEXT);
CREATE TABLE rewards (reward INTEGER, sampler INTEGER, query INTEGER, sample INTEGER,
    value REAL, PRIMARY KEY (reward, sampler, query, sample)) WITHOUT ROWID;
CREATE TABLE settings (id INTEGER PRIMARY KEY, role TEXT, hash BLOB, content TEXT,
    UNIQUE (role, hash));
INSERT INTO answers VALUES (1,1,0,'a:0',5,3), (1,1,1,'a:1',0,3);
INSERT INTO rewards VALUES (2,1,1,0,7.0), (2,1,1,1,8.0);
"""


def first_format(path, sampler_settings, reward_settings):
    """Make a file as the first version left it, in WAL mode."""
    contents = {
        "queries": [(1, None, '"a"')],
        "settings": [(1, "sampler", sampler_settings), (2, "reward", reward_settings)],
    }
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(FIRST_FORMAT)
        for table, rows in contents.items():
            for number, role, content in rows:
                digest = hashlib.sha256(content.encode()).digest()
                row = [number, role, digest, content]
                row = [value for value in row if value is not None]
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)
        connection.execute("PRAGMA journal_mode = WAL")


def test_a_file_of_the_first_format_is_brought_up_to_date(store):
    pandas = pytest.importorskip("pandas")
    first_format(store, '{"sampler": "Sampler"}', '{"offset": 0.0, "reward": "Reward"}')
    sampler, reward = Sampler(), Reward()
    table = collect("ab", sampler, reward, 2, store)
    np.testing.assert_array_equal(table, [[7, 8], [0, 1]])  # as they were stored
    assert sampler.asked == [("b", 0), ("b", 1)]
    with RewardStore(store) as file:
        frame = file.to_frame()
        assert file.read("PRAGMA user_version") == [(1,)]
    assert frame["cut_off"].tolist() == [pandas.NA] * 4
    assert frame["prompt_tokens"].tolist() == [5, 0, 5, 0]


def test_a_file_of_the_first_format_that_is_only_read(store):
    pytest.importorskip("pandas")
    first_format(store, '{"sampler": "Sampler"}', '{"offset": 0.0, "reward": "Reward"}')
    for _ in range(2):
        with RewardStore(store) as file:
            assert file.to_frame()["answer"].tolist() == ["a:0", "a:1"]


def test_a_file_of_a_newer_format_is_refused_and_left_as_it_is(store):
    collect("a", Sampler(), Reward(), 1, store)
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("PRAGMA user_version = 2")
    before = store.read_bytes()
    with pytest.raises(ValueError, match=r"newer version.*format is 2.*upgrade"):
        collect("a", Sampler(), Reward(), 1, store)
    with pytest.raises(ValueError, match="newer version"):
        RewardStore(store)
    assert store.read_bytes() == before


def seven(queries, answers):
    return [[7.0] * len(row) for row in answers]


LESS_TELLING = {
    "function": ({"function": f"{__name__}.seven", "source": "0"}, seven),
    "verifier": ({"reward": "Reward"}, Reward()),
}


@pytest.mark.parametrize(("old", "reward"), LESS_TELLING.values(), ids=LESS_TELLING)
def test_grades_of_an_earlier_version_are_not_used_and_it_says_so_once(
    store, old, reward
):
    first_format(store, '{"sampler": "Sampler"}', json.dumps(old, sort_keys=True))
    sampler = Sampler()
    name = old.get("reward", old.get("function"))
    with pytest.warns(UserWarning, match=f"grades of {name}.*earlier version.*again"):
        table = collect("a", sampler, reward, 2, store)
    assert table.tolist() == [[7, 7] if reward is seven else [0, 1]]
    assert sampler.asked == []  # the answers are used
    collect("a", sampler, reward, 2, store)  # no warning: they are graded


def test_answers_of_an_earlier_version(store):
    first_format(store, '{"sampler": "Sampler"}', '{"offset": 0.0, "reward": "Reward"}')
    sampler = Sampler()
    sampler.settings = {"sampler": "Sampler", "weights": "abc"}
    with pytest.warns(UserWarning, match="answers of Sampler.*sampled again"):
        collect("a", sampler, Reward(), 2, store)
    assert len(sampler.asked) == 2


@pytest.mark.parametrize("other", [{"reward": "Other"}, {"offset": 1.0}, {}, []])
def test_settings_of_another_are_no_reason_to_warn(store, other):
    first_format(store, '{"sampler": "Sampler"}', json.dumps(other, sort_keys=True))
    collect("a", Sampler(), Reward(), 2, store)
