"""Atomic writes: a file is either complete or not there."""

import errno
import hashlib
import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lgrin.locks import Lock
from lgrin.options import check_path

MAX_SUFFIX = 32  # bytes; no longer suffix names a format
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
MIN_FREE = 1 << 16  # bytes: a disk with less is full


def write_atomically(path: str | os.PathLike[str], write: Callable[[str], object]) -> None:
    """Writes a file under a temporary name beside its place, flushes it to disk and renames it.

    Temporary files of the same path that a killed process has left are removed.

    Args:
        path: The file; its folder is made if need be. A link is followed.
        write: Called with the temporary name; writes the file.

    Raises:
        IsADirectoryError: If the path is a folder.
        OSError: If it cannot be written to, or the disk is full.
        TypeError: If path is no path.
        ValueError: If it is anything else but a file, such as a device, which a rename would replace.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> write_atomically(f"{folder}/a.txt", lambda name: Path(name).write_text("whole"))
        >>> os.listdir(folder)
        ['a.txt']
    """
    path = check_path("path", path).resolve()
    if path.is_dir():
        raise IsADirectoryError(f"path is {str(path)!r}, a folder; give the name of a file in it")
    if path.exists() and not path.is_file():
        raise ValueError(f"path is {str(path)!r}, which is no file; give the name of a file")
    with _temporary(path, _make_file) as temporary, explain_full_disk(path):
        write(temporary)
        with open(temporary, "r+b") as file:  # Windows flushes no file that is open for reading alone
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)


@contextmanager
def temporary_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Makes a hidden folder beside a path and removes it at the end.

    Folders for the same path that a killed process has left are removed, too; those of running processes stay.

    Args:
        path: The path; its parent folder is made if need be.

    Yields:
        The folder.

    Raises:
        OSError: If it cannot be made.

    Example:
        >>> import tempfile
        >>> with temporary_folder(f"{tempfile.mkdtemp()}/corpus") as folder:
        ...     folder.is_dir()
        True
        >>> folder.exists()
        False
    """
    with _temporary(Path(path).resolve(), os.mkdir) as temporary:
        yield Path(temporary)


@contextmanager
def explain_full_disk(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns any error of a library about a full disk into one that names the disk and the file.

    Args:
        path: The file that is written.

    Raises:
        OSError: If the disk was full.

    Example:
        >>> with explain_full_disk("model.pt"):
        ...     raise OSError(errno.ENOSPC, "no space left")
        Traceback (most recent call last):
        ...
        OSError: [Errno 28] the disk ... is full ...; free some space, or write to another disk: 'model.pt'
    """
    try:
        yield
    except Exception as error:  # torch and safetensors raise classes of their own
        disk = _mount_point(Path(path).absolute())
        free = shutil.disk_usage(disk).free
        told = getattr(error, "errno", None) in DISK_FULL or any(os.strerror(code) in str(error) for code in DISK_FULL)
        if not told and free >= MIN_FREE:
            raise
        reason = f"the disk {disk} is full ({free / 1e6:,.1f} MB free); free some space, or write to another disk"
        raise OSError(errno.ENOSPC, reason, str(path)) from error


def _mount_point(path: Path) -> Path:
    """The folder at which the disk of a path is mounted."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir() and os.path.ismount(folder))


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Removes the temporary files of a path that belong to no running process.

    Args:
        path: The path.

    Example:
        >>> remove_leftovers("/nowhere/model.pt")
    """
    path = Path(path).resolve()
    for number in itertools.count():
        if not os.path.lexists(_temporary_name(path, number)):
            return
        _remove(_temporary_name(path, number))


@contextmanager
def _temporary(path: Path, make: Callable[[str], object]) -> Iterator[str]:
    """Makes a hidden file or folder beside a path, and locks it until the block or the process ends."""
    try:
        with explain_full_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(path)
            name, lock = _claim(path, make)
    except OSError as error:  # it names the folder or the temporary file, not the path
        raise type(error)(error.errno, f"this place cannot be written to: {error.strerror}", str(path)) from error
    made = os.lstat(name)
    try:
        yield name
    finally:
        if os.path.lexists(name) and os.path.samestat(os.lstat(name), made):  # it may be another's once renamed
            _delete(name)
        lock.close()


def _claim(path: Path, make: Callable[[str], object]) -> tuple[str, Lock]:
    """Makes the first temporary name that is free, and locks it."""
    numbers = itertools.count()
    while True:
        name = _temporary_name(path, next(numbers))
        try:
            make(name)
        except FileExistsError:
            continue
        if lock := _lock(name):
            return name, lock  # otherwise another process takes it for a leftover and removes it


def _make_file(name: str) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _temporary_name(path: Path, number: int) -> str:
    """A name of bounded length that keeps the file's suffix, by which some writers choose the format."""
    short = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= MAX_SUFFIX else ""
    return str(path.with_name(f".lgrin-{short}-{number}.tmp{suffix}"))


def _lock(name: str) -> Lock | None:
    """Locks a temporary file or folder; ``None`` if another process has locked or removed it."""
    if sys.platform == "win32":  # it renames no file that is open
        return Lock(None)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    lock = Lock(descriptor)
    if lock.held is False or (lock.held and not _is_open_as(name, descriptor)):
        lock.close()
        return None
    return lock


def _is_open_as(name: str, descriptor: int) -> bool:
    """Whether a name still stands for what was opened by it."""
    return os.path.lexists(name) and os.path.samestat(os.fstat(descriptor), os.lstat(name))


def _remove(name: str) -> None:
    """Removes a temporary file or folder if no process has locked it and the system allows it."""
    with suppress(OSError):  # a link, another user's, or gone meanwhile
        if lock := _lock(name):
            if lock.held:
                _delete(name)
            lock.close()


def _delete(name: str) -> None:
    if os.path.isdir(name):
        shutil.rmtree(name, ignore_errors=True)
    else:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
