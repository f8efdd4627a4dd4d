import os
from pathlib import Path

import pytest

from lgrin.files import write_atomically


def write(path, text="new"):
    write_atomically(path, lambda name: Path(name).write_text(text))


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "file.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("file.txt")
    write(tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "file.txt").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["file.txt", "link.txt"]


def test_a_folder_is_no_place_for_a_file_and_is_left_as_it_was(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder', a folder; give the name of a file in it"):
        write(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"pipe', which is no file"):
        write(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_place_that_cannot_be_written_to_is_named_as_it_was_given(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(OSError, match="this place cannot be written to: ") as caught:
        write(tmp_path / "file" / "new.txt")
    assert caught.value.filename == str((tmp_path / "file" / "new.txt").resolve())
    assert os.listdir(tmp_path) == ["file"]
