"""Parts of a collection in Parquet files."""

import pytest

from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.collect._parts import PartFolder, read_part, table_of
from sklearn_adaalloc.sampling._protocol import SampledAnswer

IDENTITY = {"settings": {"sampler": 1}, "reward_settings": {"reward": 1}}


def write_one(folder):
    answers = [SampledAnswer(0, 0, "right", 5.0, 2.0), SampledAnswer(0, 1, "?", 0.0, 1)]
    return PartFolder(folder).write(
        answers, {(0, 0): 1.0}, queries=['"query"'], **IDENTITY
    )


def test_a_part_says_what_it_holds(tmp_path):
    path = write_one(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    rewards, homes, files = table_of(PartFolder(tmp_path), ['"query"'], 3, **IDENTITY)
    assert files == [path]
    assert rewards[0, 0] == 1
    assert homes.tolist() == [[0, 0, -1]]
    other = {**IDENTITY, "settings": {"sampler": 2}}
    _, homes, _ = table_of(PartFolder(tmp_path), ['"query"'], 3, **other)
    assert (homes < 0).all()


def test_a_damaged_part_is_named(tmp_path):
    path = write_one(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with (
        RewardStore(tmp_path / "store", create=True) as store,
        pytest.raises(ValueError, match="is damaged, or no part of a collection"),
    ):
        store.add_parts(tmp_path)


def test_a_part_of_a_later_version(tmp_path, monkeypatch):
    monkeypatch.setattr("sklearn_adaalloc.collect._parts._VERSION", 2)
    path = write_one(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="has version 2"):
        read_part(path)


def test_a_folder_that_is_not_there(tmp_path):
    with (
        RewardStore(tmp_path / "store", create=True) as store,
        pytest.raises(ValueError, match="is not a folder"),
    ):
        store.add_parts(tmp_path / "parts")
