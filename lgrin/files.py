"""Files that are either whole or not there."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from lgrin.options import check_path


def write_atomically(path: str | os.PathLike[str], write: Callable[[str], object]) -> None:
    """Writes a file under a temporary name beside its place, flushes it to disk and renames it.

    Args:
        path: Where the file shall be; its folder is made if need be. A link is followed.
        write: Called with the temporary name; has to write the file.

    Raises:
        IsADirectoryError: If the place is a folder.
        OSError: If it cannot be written to.
        TypeError: If path is no path.
        ValueError: If it is anything else but a file, such as a device, which a rename would replace.

    Example:
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=f".tmp{path.suffix}")
    except OSError as error:  # which names the folder or the temporary name
        raise type(error)(error.errno, f"this place cannot be written to: {error.strerror}", str(path)) from error
    os.close(handle)
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
