import sqlite3
import subprocess
import sys
import warnings

import numpy as np
import pytest

from sklearn_adaalloc.features._cache import FeatureStore

RECIPE = {"model": "a", "layers": [1]}
QUERIES = [f"query {i}" for i in range(1200)]
FEATURES = np.random.default_rng(0).normal(size=(1200, 8)).astype(np.float32)
TRUNCATED = np.arange(1200) % 3 == 0

WRITER = """
import sys
import numpy as np
from sklearn_adaalloc.features._cache import FeatureStore
folder, start, then = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with FeatureStore(folder, {"model": "a", "layers": [1]}, 8) as store:
    for i in range(start, start + 50):
        store.put([f"query {i}"], np.full((1, 8), i, dtype=np.float32), [False])
    if then == "hang":  # in the middle of a transaction
        store._connection.execute("INSERT INTO features VALUES ('x', 'y', 1, 0)")
        store._connection.execute("PRAGMA cache_spill = 1")
        print("writing", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def filled(tmp_path):
    with FeatureStore(tmp_path, RECIPE, 8) as store:
        store.put(QUERIES, FEATURES, TRUNCATED)
    return tmp_path


def read(folder, queries, recipe=RECIPE):
    with FeatureStore(folder, recipe, 8) as store:
        return store.get(queries)


def test_what_was_put_is_found_in_any_order(filled):
    order = np.random.default_rng(1).permutation(1200)
    rows, features, truncated = read(filled, [QUERIES[i] for i in order])
    np.testing.assert_array_equal(rows, np.arange(1200))
    np.testing.assert_array_equal(features, FEATURES[order])
    np.testing.assert_array_equal(truncated, TRUNCATED[order])


def test_unknown_queries_are_left_out(filled):
    rows, features, _ = read(filled, ["other", QUERIES[7], "another"])
    np.testing.assert_array_equal(rows, [1])
    np.testing.assert_array_equal(features, FEATURES[[7]])


@pytest.mark.parametrize("recipe", [{"model": "b", "layers": [1]}, {"model": "a"}])
def test_another_recipe_finds_nothing(filled, recipe):
    rows, features, truncated = read(filled, QUERIES, recipe)
    assert len(rows) == len(features) == len(truncated) == 0


def test_a_row_put_again_is_replaced(filled):
    with FeatureStore(filled, RECIPE, 8) as store:
        store.put(QUERIES[:1], FEATURES[1:2], [True])
        _, features, truncated = store.get(QUERIES[:1])
    np.testing.assert_array_equal(features, FEATURES[1:2])
    assert truncated.tolist() == [True]


def test_a_damaged_row_counts_as_absent(filled):
    with sqlite3.connect(filled / "features.sqlite") as connection:
        connection.execute(
            "UPDATE features SET data = zeroblob(32) WHERE rowid IN (1, 5)"
        )
    connection.close()
    rows, features, _ = read(filled, QUERIES)
    np.testing.assert_array_equal(rows, np.delete(np.arange(1200), [0, 4]))
    np.testing.assert_array_equal(features, np.delete(FEATURES, [0, 4], axis=0))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"not a database" * 100,
        # SQLite's message quotes the schema, which is no text any more.
        lambda content: content.replace(
            b"CREATE TABLE features (", b"CREATE TABLE [\x80"
        ),
        lambda content: content.replace(b"checksum INTEGER", b"checksun INTEGER"),
        lambda content: content[:5000] + b"x" * (len(content) - 5000),
        lambda content: content[:6000],
    ],
)
def test_a_damaged_file_is_moved_aside_and_filled_again(filled, damage):
    path = filled / "features.sqlite"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(
        UserWarning, match="features.sqlite is damaged .* computed again"
    ):
        rows, _, _ = read(filled, QUERIES)
    assert len(rows) == 0
    assert (filled / "features.damaged").exists()
    with warnings.catch_warnings(), FeatureStore(filled, RECIPE, 8) as store:
        warnings.simplefilter("error")
        store.put(QUERIES, FEATURES, TRUNCATED)
        np.testing.assert_array_equal(store.get(QUERIES)[1], FEATURES)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ValueError, match=r"cache='.*file' is not a folder that can be"),
        FeatureStore(tmp_path / "file", RECIPE, 8),
    ):
        pass


def test_a_full_disk_is_no_damage(filled):
    with FeatureStore(filled, RECIPE, 8) as store:
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            store.put([f"new {i}" for i in range(1200)], FEATURES, TRUNCATED)
        np.testing.assert_array_equal(store.get(QUERIES)[1], FEATURES)


def start_writer(folder, start, then="leave"):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(start), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_write_at_once(tmp_path):
    writers = [start_writer(tmp_path, start) for start in (0, 25)]
    for writer in writers:
        writer.communicate(timeout=120)
    assert [writer.returncode for writer in writers] == [0, 0]
    rows, features, _ = read(tmp_path, QUERIES[:80])
    np.testing.assert_array_equal(rows, np.arange(75))
    np.testing.assert_array_equal(features[:, 0], np.arange(75))


def test_a_process_killed_while_writing_leaves_what_was_there(tmp_path):
    writer = start_writer(tmp_path, 0, then="hang")
    assert writer.stdout.readline() == "writing\n"
    writer.kill()
    writer.communicate(timeout=120)
    with FeatureStore(tmp_path, RECIPE, 8) as store:
        rows, features, _ = store.get(QUERIES[:80])
        count = store._connection.execute("SELECT COUNT(*) FROM features").fetchone()
        store.put(QUERIES[50:80], FEATURES[50:80], TRUNCATED[50:80])
    np.testing.assert_array_equal(features[:, 0], np.arange(50))
    assert count == (50,)
    assert len(rows) == 50


def test_a_row_that_is_no_blob_counts_as_absent(filled):
    with sqlite3.connect(filled / "features.sqlite") as connection:
        connection.execute("UPDATE features SET data = 7 WHERE rowid = 1")
    connection.close()
    np.testing.assert_array_equal(read(filled, QUERIES)[0], np.arange(1, 1200))


class TestEarlierVersions:
    @pytest.fixture
    def earlier(self, filled):
        """A file whose keys are those of an earlier version."""
        connection = sqlite3.connect(filled / "features.sqlite")
        connection.execute("PRAGMA user_version = 0")
        connection.close()
        return filled

    def test_their_rows_are_named_once(self, earlier):
        with pytest.warns(UserWarning, match="has 1200 rows of an earlier version"):
            read(earlier, QUERIES[:1])
        read(earlier, QUERIES[:1])

    def test_new_rows_go_into_the_same_file(self, earlier):
        with (
            pytest.warns(UserWarning, match="Delete the file to free its space"),
            FeatureStore(earlier, {"version": 2}, 8) as store,
        ):
            store.put(QUERIES[:3], FEATURES[:3], TRUNCATED[:3])
        rows, features, _ = read(earlier, QUERIES[:3], {"version": 2})
        np.testing.assert_array_equal(features, FEATURES[:3])
        assert len(rows) == 3

    def test_an_empty_file_says_nothing(self, tmp_path):
        sqlite3.connect(tmp_path / "features.sqlite").close()
        rows, _, _ = read(tmp_path, QUERIES[:1])
        assert len(rows) == 0
