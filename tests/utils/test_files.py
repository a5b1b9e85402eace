"""Files that are written as a whole, and what is no file."""

import os
from pathlib import Path

import pytest

from sklearn_adaalloc._utils.files import write_whole


def test_a_link_stays_a_link(tmp_path):
    target = tmp_path / "target.txt"
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    for text in ("new", "newer"):
        write_whole(link, text)
        assert target.read_text() == text
        assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "link.txt",
        "target.txt",
    ]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_whole("/dev/full", "text")
    assert Path("/dev/full").is_char_device()
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fill(number):
        with open("/dev/full", "w") as full:
            full.write("text")

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(OSError, match=r"No space left on device: '.*/file\.txt'"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file.txt"]
