import errno
import multiprocessing
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lgrin.checksum import load_tensors
from lgrin.files import temporary_folder, write_atomically

fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system knows no locks that end with their process")


def write(path, text="new"):
    write_atomically(path, lambda name: Path(name).write_text(text))


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "file.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("file.txt")
    write(tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "file.txt").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["file.txt", "link.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="fcntl is not there")
def test_what_is_flushed_is_open_for_writing_as_windows_demands(tmp_path, monkeypatch):
    import fcntl

    modes = []
    monkeypatch.setattr(os, "fsync", lambda number: modes.append(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE))
    write(tmp_path / "file.txt")
    assert modes == [os.O_RDWR]


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


@pytest.mark.parametrize("name", [250 * "a", 255 * "b", 251 * "c" + ".txt", "d." + 248 * "e", 125 * "\u00e4"])
def test_any_name_that_the_system_allows_can_be_written(tmp_path, name):
    write(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "new"


def kill_while_writing(path):
    """Leaves what a process does that is killed in the middle of a file."""

    def write_and_die(name):
        Path(name).write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=write_atomically, args=(path, write_and_die))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@fork
def test_what_a_killed_process_has_left_is_removed_by_the_next_write(tmp_path):
    kill_while_writing(tmp_path / "a.txt")
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".")
    write(tmp_path / "b.txt")
    assert sorted(os.listdir(tmp_path)) == [left, "b.txt"], "the next write of that file"
    write(tmp_path / "a.txt")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt"]


@fork
def test_what_a_killed_process_has_left_is_removed_when_the_file_is_read(tmp_path):
    torch.save({"a": 1}, tmp_path / "a.pt")
    kill_while_writing(tmp_path / "a.pt")
    assert len(os.listdir(tmp_path)) == 2
    assert load_tensors(tmp_path / "a.pt", "file", "save it again") == {"a": 1}
    assert os.listdir(tmp_path) == ["a.pt"]


@fork
def test_the_file_of_a_live_process_is_left_alone(tmp_path):
    path, go_on = tmp_path / "a.txt", tmp_path / "go on"

    def write_slowly(name):
        Path(name).write_text("slow")
        while not go_on.exists():
            time.sleep(0.01)

    process = multiprocessing.get_context("fork").Process(target=write_atomically, args=(path, write_slowly))
    process.start()
    while not any(entry.read_text() == "slow" for entry in tmp_path.iterdir()):
        time.sleep(0.01)
    (theirs,) = tmp_path.iterdir()
    kill_while_writing(path)
    write(path, "quick")
    assert sorted(tmp_path.iterdir()) == [theirs, path]
    assert theirs.read_text() == "slow"
    go_on.touch()
    process.join()
    assert process.exitcode == 0
    assert path.read_text() == "slow", "it was the last to end"
    assert sorted(tmp_path.iterdir()) == [path, go_on]


def test_writers_of_one_file_do_not_meet(tmp_path):
    texts = [str(number) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=write, args=(tmp_path / "a.txt", text)) for text in texts for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a.txt").read_text() in texts
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="the system has no links")
def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path):
    write_atomically(tmp_path / "a.txt", lambda name: (tmp_path / "name").write_text(Path(name).name))
    (tmp_path / "mine").write_text("mine")
    (tmp_path / (tmp_path / "name").read_text()).symlink_to(tmp_path / "mine")
    write(tmp_path / "a.txt")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "a.txt").is_symlink()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_named_with_the_file(tmp_path, error):
    def fail(name):
        raise error

    with pytest.raises(
        OSError, match=r"the disk /\S* is full \(.* MB free\); free some space, or write to another"
    ) as named:
        write_atomically(tmp_path / "a.txt", fail)
    assert (named.value.errno, named.value.filename) == (errno.ENOSPC, str((tmp_path / "a.txt").resolve()))
    assert os.listdir(tmp_path) == []


def test_an_error_that_does_not_say_why_is_explained_if_nothing_is_free(tmp_path, monkeypatch):
    def fail(name):
        raise RuntimeError("unexpected pos 704 vs 598")

    with pytest.raises(RuntimeError, match="unexpected pos"):
        write_atomically(tmp_path / "a.pt", fail)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(OSError, match=r"is full \(0\.0 MB free\)"):
        write_atomically(tmp_path / "a.pt", fail)


@fork
def test_temporary_folders_go_with_their_process(tmp_path):
    def make_and_die():
        with temporary_folder(tmp_path / "corpus") as folder:
            (folder / "part").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=make_and_die)
    process.start()
    process.join()
    assert len(list(tmp_path.iterdir())) == 1
    with temporary_folder(tmp_path / "corpus") as mine, temporary_folder(tmp_path / "corpus") as other:
        assert mine != other
        assert sorted(tmp_path.iterdir()) == sorted([mine, other])
        assert list(mine.iterdir()) == []
    assert list(tmp_path.iterdir()) == []
