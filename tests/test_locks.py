"""Locks keep others away, are given back, and say where a system knows none."""

import errno
import os

import pytest

from lgrin import locks
from lgrin.locks import Lock
from lgrin.training.owner import sole_owner


def lock(path):
    return Lock(os.open(path, os.O_RDWR | os.O_CREAT))


def test_one_lock_at_a_time_holds_a_file(tmp_path):
    first, second = lock(tmp_path / "file"), lock(tmp_path / "file")
    assert (first.held, second.held) == (True, False)
    assert isinstance(second.error, OSError)
    second.close()
    third = lock(tmp_path / "file")
    assert third.held is False, "the loser gave nothing back"
    first.close()
    fourth = lock(tmp_path / "file")
    assert fourth.held is True
    third.close()
    fourth.close()
    fourth.close()  # once more does nothing


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the child is forked")
def test_a_child_neither_holds_nor_gives_back_the_lock_of_its_parent(tmp_path):
    held = lock(tmp_path / "file")
    child = os.fork()
    if child == 0:
        held.close()
        os._exit(0)
    os.waitpid(child, 0)
    other = lock(tmp_path / "file")
    assert other.held is False
    other.close()
    held.close()


def test_a_disk_without_locks_is_said_and_used_all_the_same(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_take", refuse)
    unlocked = lock(tmp_path / "file")
    assert unlocked.held is None
    assert unlocked.error.errno == errno.ENOLCK
    unlocked.close()
    with pytest.warns(UserWarning, match=r"cannot be locked \(.*No locks available\)"), sole_owner(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_without_a_file_nothing_is_locked():
    nothing = Lock(None)
    assert (nothing.held, nothing.error) == (None, None)
    nothing.close()
