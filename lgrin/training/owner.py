"""One run at a time in a folder."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NAME = ".lock"
_held: set[IO[bytes]] = set()


@contextmanager
def sole_owner(folder: str | Path) -> Iterator[None]:
    """Keeps other threads and processes out of the folder of a run.

    The operating system holds the lock on the empty file ``.lock``, so a process that is killed leaves the folder free.

    Args:
        folder: The folder; made if need be.

    Raises:
        FileExistsError: If another run is going on in it.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with sole_owner(folder), sole_owner(folder):
        ...     pass
        Traceback (most recent call last):
        ...
        FileExistsError: another run is going on in ...; wait for its end, or take another folder
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / NAME).open("ab") as file:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError) as error:
            raise FileExistsError(
                f"another run is going on in {folder}; wait for its end, or take another folder"
            ) from error
        except OSError as error:  # a file system without locks
            warnings.warn(f"{folder} cannot be locked ({error}); let no other run use it meanwhile", stacklevel=3)
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)
            _unlock(file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: IO[bytes]) -> None:
        """Nothing: to close the file is to unlock it."""

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: IO[bytes]) -> None:
        if not file.closed:  # as it is in a child
            fcntl.flock(file, fcntl.LOCK_UN)

    def _leave_to_parent() -> None:
        """Closes what a child has inherited, which would hold the lock of a parent that was killed."""
        while _held:
            _held.pop().close()

    os.register_at_fork(after_in_child=_leave_to_parent)
