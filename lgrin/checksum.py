"""Files that carry a checksum of all their bytes, which is checked before anything else is read."""

import hashlib
import mmap
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile, ZipFile

import torch

from lgrin.bounds import check_parts, check_tensors
from lgrin.files import remove_leftovers, write_atomically
from lgrin.options import check_path
from lgrin.text import one_line

Content = TypeVar("Content")
MARK = b"lgrin-sha256:"
ZEROS = 64 * b"0"
BLANK = (MARK + ZEROS).decode()  # a placeholder that a writer puts into the file's metadata


def is_whole(content: bytes | mmap.mmap) -> bool | None:
    """Says whether a file is unchanged since it was written.

    Its last ``lgrin-sha256:`` is followed by the SHA-256 of all its bytes, computed with zeros for these 64 digits.

    Args:
        content: The file's bytes.

    Returns:
        Whether it is; ``None`` if it carries no checksum.

    Example:
        >>> is_whole(b"weights")
        >>> is_whole(b"weights" + BLANK.encode())
        False
    """
    start = content.rfind(MARK) + len(MARK)
    if start < len(MARK):
        return None
    return content[start : start + len(ZEROS)] == _digest(content, start)


def _digest(content: bytes | mmap.mmap, start: int) -> bytes:
    with memoryview(content) as view:
        digest = hashlib.sha256(view[:start])
        digest.update(ZEROS)
        digest.update(view[start + len(ZEROS) :])
    return digest.hexdigest().encode()


def write_with_checksum(path: str | os.PathLike[str], write: Callable[[str], object]) -> None:
    """Writes a file atomically and fills in its checksum.

    Args:
        path: The file.
        write: Called with a temporary name; writes the file with ``BLANK`` in it.

    Raises:
        OSError: If it cannot be written to, or the disk is full.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> write_with_checksum(path, lambda name: Path(name).write_text("text " + BLANK))
        >>> is_whole(path.read_bytes())
        True
    """

    def fill(name: str) -> None:
        write(name)
        with open(name, "r+b") as file, mmap.mmap(file.fileno(), 0) as content:
            start = content.rfind(BLANK.encode()) + len(MARK)
            if start < len(MARK):
                raise ValueError(f"write has to put {BLANK!r} into the file")
            content[start : start + len(ZEROS)] = _digest(content, start)

    write_atomically(path, fill)


def verify(content: bytes, path: str | Path, problem: str, way_out: str) -> None:
    """Raises if a file has changed since it was written, and warns if it carries no checksum.

    Args:
        content: The file's bytes.
        path: The file.
        problem: How the error describes a file that has changed.
        way_out: What the error advises.

    Raises:
        ValueError: If it has changed.

    Example:
        >>> verify(b"weights" + BLANK.encode(), "model.pt", "is damaged", "save it again")
        Traceback (most recent call last):
        ...
        ValueError: model.pt is damaged: it differs from its checksum; save it again
    """
    whole = is_whole(content)
    if whole is None:
        warnings.warn(f"{path} carries no checksum, so damage to it may go unseen; {way_out}", stacklevel=3)
    elif not whole:
        raise ValueError(f"{path} {problem}: it differs from its checksum; {way_out}")


def read_kept(paths: Iterable[Path], read: Callable[[Path], Content], kind: str) -> dict[Path, Content]:
    """Reads results that are kept in files; damaged ones are left out, with one warning for all.

    Args:
        paths: The files; those that are not there are left out.
        read: Reads one and raises ValueError if it is not what it should be.
        kind: What they are, in the plural.

    Returns:
        The content of those that are whole.

    Example:
        >>> import tempfile
        >>> read_kept([Path(tempfile.mkdtemp()) / "a.txt"], Path.read_text, "texts")
        {}
    """
    found, damaged, unmarked = {}, [], []
    for path in dict.fromkeys(paths):
        remove_leftovers(path)
        if not path.exists():
            continue
        try:
            if (whole := _file_is_whole(path)) is False:
                raise ValueError("it differs from its checksum")
            found[path] = read(path)
            unmarked += [] if whole else [path]
        except ValueError as error:
            damaged.append(f"{path} ({error})")
    if damaged:
        warnings.warn(f"{kind} are damaged and are made again: {', '.join(damaged)}", stacklevel=3)
    if unmarked:
        some = ", ".join(map(str, unmarked[:4])) + (f" and {len(unmarked) - 4} more" if len(unmarked) > 4 else "")
        warnings.warn(
            f"{kind} carry no checksum, so damage to them may go unseen: {some}; delete them, and they are made "
            f"again with one",
            stacklevel=3,
        )
    return found


def read_if_whole(path: Path, read: Callable[[Path], Content]) -> Content | None:
    """Reads a result that another process may have left meanwhile.

    Args:
        path: The file.
        read: Reads it and raises ValueError if it is not what it should be.

    Returns:
        Its content; ``None`` if it is not there, or not whole.

    Example:
        >>> import tempfile
        >>> read_if_whole(Path(tempfile.mkdtemp()) / "a.txt", Path.read_text)
    """
    try:
        return read(path) if _file_is_whole(path) else None
    except (FileNotFoundError, ValueError):
        return None


def _file_is_whole(path: Path) -> bool | None:
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:  # an empty file cannot be mapped
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return is_whole(content)


def save_tensors(content: object, path: str | os.PathLike[str]) -> None:
    """Writes tensors and plain values to a file that carries a checksum.

    Args:
        content: What ``torch.load`` can read with ``weights_only=True``.
        path: The file.

    Raises:
        OSError: If it cannot be written to, or the disk is full.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/a.pt"
        >>> save_tensors({"x": torch.ones(2)}, path)
        >>> load_tensors(path, "file", "save it again")
        {'x': tensor([1., 1.])}
    """

    def write(name: str) -> None:
        torch.save(content, name)
        with ZipFile(name, "a") as archive:
            archive.comment = BLANK.encode()

    write_with_checksum(path, write)


def load_tensors(path: str | Path, name: str, way_out: str) -> Any:
    """Reads what ``torch.save`` has written, if no part of it has changed, without running code from the file.

    Args:
        path: The file.
        name: What errors call the file.
        way_out: What errors advise.

    Returns:
        The content, its tensors on the CPU.

    Raises:
        FileNotFoundError: If it is not there.
        PermissionError: If it may not be read.
        TypeError: If path is no path.
        ValueError: If it is damaged or holds more than tensors and plain values.

    Example:
        >>> load_tensors(__file__, "file", "save it again")
        Traceback (most recent call last):
        ...
        ValueError: file ...checksum.py is damaged (File is not a zip file); save it again
    """
    path = check_path("path", path)
    remove_leftovers(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no {name} {path}")
    try:
        check_parts(path)
        with ZipFile(path) as archive:  # it has a checksum of each of its parts
            if (part := archive.testzip()) is not None:
                raise BadZipFile(f"{part} has changed")
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(content, path.stat().st_size)
        return content
    except (PermissionError, MemoryError):
        raise
    except Exception as error:  # zipfile and the unpickler raise many classes without a common base
        reason = one_line(str(error).partition("\n")[0])
        raise ValueError(f"{name} {path} is damaged ({reason}); {way_out}") from error
