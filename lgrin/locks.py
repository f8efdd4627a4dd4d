"""Locks on open files and folders, which the operating system ends with their process."""

import os
import sys

_open: set["Lock"] = set()


class Lock:
    """Keeps other threads and processes away from an open file or folder.

    The operating system holds it. A process that is killed therefore gives it back, even if a forked child lives on.

    Args:
        descriptor: The file or folder, opened for this lock alone, which closes it; ``None`` locks nothing.

    Attributes:
        held: Whether this lock holds it; ``False`` if another one does, ``None`` where the system or the disk knows no
            locks.
        error: What the system said if it is not held.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/.lock"
        >>> first, second = (Lock(os.open(path, os.O_RDWR | os.O_CREAT)) for _ in range(2))
        >>> first.held, second.held
        (True, False)
        >>> first.close(), second.close()
        (None, None)
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self.held: bool | None = None
        self.error: OSError | None = None
        if descriptor is None:
            return
        _open.add(self)
        try:
            _take(descriptor)
            self.held = True
        except TAKEN as error:
            self.held, self.error = False, error
        except OSError as error:  # a file system without locks
            self.error = error

    def close(self) -> None:
        """Gives the lock back; in a forked child it does nothing, since the lock is the parent's."""
        if self._descriptor is not None and self in _open:
            _open.discard(self)
            if self.held:
                _give_back(self._descriptor)
            os.close(self._descriptor)


if sys.platform == "win32":
    import msvcrt

    TAKEN = PermissionError

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _give_back(descriptor: int) -> None:
        """Nothing: to close the file is to unlock it."""

else:
    import fcntl

    TAKEN = BlockingIOError

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _give_back(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _leave_to_parent() -> None:
        """Closes what a child has inherited: it would keep the lock of a parent that was killed."""
        while _open:
            lock = _open.pop()
            if lock._descriptor is not None:
                os.close(lock._descriptor)

    os.register_at_fork(after_in_child=_leave_to_parent)
