"""Files that are either whole or not there."""

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

LONGEST_SUFFIX = 32  # bytes: what is longer is no suffix that says how to write a file
FULL = (errno.ENOSPC, errno.EDQUOT)
SPARE = 1 << 16  # bytes: a disk with less is full


def write_atomically(path: str | os.PathLike[str], write: Callable[[str], object]) -> None:
    """Writes a file under a temporary name beside its place, flushes it to disk and renames it.

    Temporary files of the same place that a killed process has left are removed.

    Args:
        path: Where the file shall be; its folder is made if need be. A link is followed.
        write: Called with the temporary name; has to write the file.

    Raises:
        IsADirectoryError: If the place is a folder.
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
    with _temporary(path, _make_file) as temporary, name_full_disk(path):
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)


@contextmanager
def temporary_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Makes a hidden folder beside a place and removes it at the end.

    Folders for the same place that a killed process has left are removed, too; those of live processes stay.

    Args:
        path: The place; the folder that it is in is made if need be.

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
def name_full_disk(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns whatever a library raises when a disk is full into an error that names the disk and the file.

    Args:
        path: The file that is written.

    Raises:
        OSError: If the disk was full.

    Example:
        >>> with name_full_disk("model.pt"):
        ...     raise OSError(errno.ENOSPC, "no space left")
        Traceback (most recent call last):
        ...
        OSError: [Errno 28] the disk ... is full ...; free some space, or write to another disk: 'model.pt'
    """
    try:
        yield
    except Exception as error:  # torch and safetensors have their own
        disk = _disk(Path(path).absolute())
        free = shutil.disk_usage(disk).free
        said = getattr(error, "errno", None) in FULL or any(os.strerror(code) in str(error) for code in FULL)
        if not said and free >= SPARE:
            raise
        reason = f"the disk {disk} is full ({free / 1e6:,.1f} MB free); free some space, or write to another disk"
        raise OSError(errno.ENOSPC, reason, str(path)) from error


def _disk(path: Path) -> Path:
    """The folder at which the disk of a file is mounted."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir() and os.path.ismount(folder))


def remove_left(path: str | os.PathLike[str]) -> None:
    """Removes the temporary files of a place that belong to no live process.

    Args:
        path: The place.

    Example:
        >>> remove_left("/nowhere/model.pt")
    """
    path = Path(path).resolve()
    for number in itertools.count():
        if not os.path.lexists(_temporary_name(path, number)):
            return
        _remove(_temporary_name(path, number))


@contextmanager
def _temporary(path: Path, make: Callable[[str], object]) -> Iterator[str]:
    """Makes something hidden beside a place, which is this process's own: locked until it is done or killed."""
    try:
        with name_full_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_left(path)
            name, lock = _own(path, make)
    except OSError as error:  # which names the folder or the temporary name
        raise type(error)(error.errno, f"this place cannot be written to: {error.strerror}", str(path)) from error
    made = os.lstat(name)
    try:
        yield name
    finally:
        if os.path.lexists(name) and os.path.samestat(os.lstat(name), made):  # it may be another's, once renamed
            _delete(name)
        lock.close()


def _own(path: Path, make: Callable[[str], object]) -> tuple[str, Lock]:
    """Makes the first temporary name that is free, and locks it."""
    numbers = itertools.count()
    while True:
        name = _temporary_name(path, next(numbers))
        try:
            make(name)
        except FileExistsError:
            continue
        if lock := _lock(name):
            return name, lock  # if not, another process has taken it for one that was left, and removes it


def _make_file(name: str) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _temporary_name(path: Path, number: int) -> str:
    """A name that is no longer than a file's may be, and ends as the file does, since writers look at that."""
    short = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= LONGEST_SUFFIX else ""
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
