"""Downloads from public hosts that can be resumed, are verified, and are unpacked safely."""

import hashlib
import json
import shutil
import stat
import urllib.error
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from tqdm import tqdm

from lgrin.files import explain_full_disk, temporary_folder

CHUNK = 1 << 20
TIMEOUT = 60.0  # seconds
ZENODO = "https://zenodo.org/api/records"
SIZE_ALLOWANCE = 1 << 24  # bytes that any archive may unpack to
MAX_COMPRESSION = 100  # beyond them, bytes unpacked for each byte of the archive; text has about 10
ARCHIVE_ERRORS = (
    RuntimeError,
    NotADirectoryError,
    FileExistsError,
    IsADirectoryError,
)  # of damaged archives


class RemoteFile(NamedTuple):
    """A file on a public host.

    Attributes:
        url: Where it is.
        size: Bytes.
        checksum: Algorithm and digest, for example ``"md5:bc69..."``.
    """

    url: str
    size: int
    checksum: str


def zenodo_files(record: int) -> dict[str, RemoteFile]:
    """Lists the files of a Zenodo record with their sizes and checksums.

    Args:
        record: Number of the record.

    Returns:
        The files by name.

    Raises:
        OSError: If the host cannot be reached, or its answer is not a record.

    Source:
        https://developers.zenodo.org, "Records".
    """
    with urllib.request.urlopen(f"{ZENODO}/{record}", timeout=TIMEOUT) as answer:
        try:
            files = json.load(answer)["files"]
            return {file["key"]: RemoteFile(file["links"]["self"], file["size"], file["checksum"]) for file in files}
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ConnectionError(f"{ZENODO}/{record} sent no record ({error}); try again later") from error


def download(file: RemoteFile, path: str | Path, progress: bool = True) -> Path:
    """Downloads a file, or the rest of it if a part was downloaded before.

    The part is saved as ``<path>.part`` and renamed once its size and checksum are right.

    Args:
        file: The remote file.
        path: Where to save it; a file that is there and has the right checksum is kept.
        progress: Whether to show a progress bar.

    Returns:
        The path.

    Raises:
        OSError: If the host cannot be reached, the connection is interrupted, or the disk is full; the part that was
            downloaded stays, and the next call continues from there.
        ValueError: If the checksum or the size is wrong; the download is deleted.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        path.replace(part)  # verified below like a new download
    _check_space(file, part)
    with tqdm(total=file.size, unit="B", unit_scale=True, desc=path.name, disable=not progress) as bar:
        _fetch(file, part, bar)
    size = part.stat().st_size
    if size < file.size:
        raise ConnectionError(f"{file.url} broke off at {size} of {file.size} bytes; try again to go on")
    algorithm = file.checksum.partition(":")[0]
    with open(part, "rb") as content:
        checksum = f"{algorithm}:{hashlib.file_digest(content, algorithm).hexdigest()}"
    if (size, checksum) != (file.size, file.checksum):
        part.unlink()
        raise ValueError(
            f"{file.url} has {size} bytes and {checksum}, not {file.size} and {file.checksum}; deleted: try again"
        )
    part.replace(path)
    return path


def _fetch(file: RemoteFile, part: Path, bar: tqdm) -> None:
    start = part.stat().st_size if part.exists() else 0
    if start == file.size:
        return
    if start > file.size:
        part.unlink()
        start = 0
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        resumed = start > 0 and answer.status == 206
        bar.update(start if resumed else 0)
        with explain_full_disk(part), open(part, "ab" if resumed else "wb") as target:
            try:
                while chunk := answer.read(CHUNK):
                    target.write(chunk)
                    bar.update(len(chunk))
            except HTTPException as error:  # it is no OSError
                raise ConnectionError(f"{file.url} broke off ({error}); try again to go on") from error


def _check_space(file: RemoteFile, part: Path) -> None:
    needed = file.size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise OSError(f"{part.parent} has {free / 1e9:.1f} GB free, and {file.url} needs {needed / 1e9:.1f} GB more")


def unpack(archive: str | Path, folder: str | Path) -> None:
    """Unpacks a zip file: all of it, or nothing.

    Args:
        archive: The zip file.
        folder: Where its members go; files of the same name are replaced.

    Raises:
        OSError: If the disk is full.
        ValueError: If it is no zip file, a member is damaged, points outside the folder, is a link or is a file where a
            folder is (or the other way round), or they would take more than 100 times the archive's size.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with zipfile.ZipFile(f"{folder}/a.zip", "w") as bad:
        ...     bad.writestr("../escaped.txt", "x")
        >>> unpack(f"{folder}/a.zip", folder)
        Traceback (most recent call last):
        ...
        ValueError: ...a.zip holds '../escaped.txt', which lies outside of the folder it is unpacked to
    """
    folder = Path(folder)
    shutil.rmtree(folder / f".unpack-{Path(archive).name}", ignore_errors=True)  # left by a run of version 0.1
    try:
        with (
            temporary_folder(folder / Path(archive).name) as temporary,
            explain_full_disk(folder),
            zipfile.ZipFile(archive) as content,
        ):
            _check_size(archive, content.infolist())
            for member in content.infolist():
                _check_member(archive, member)
            content.extractall(temporary)
            _check_conflicts(archive, temporary, folder)
            _move(temporary, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, *ARCHIVE_ERRORS) as error:
        raise ValueError(f"{archive} is damaged ({error}); delete it and fetch it again") from error


def _check_size(archive: str | Path, members: list[zipfile.ZipInfo]) -> None:
    """Checks the sizes that the members declare, beyond which zipfile does not read."""
    size, unpacked = Path(archive).stat().st_size, sum(member.file_size for member in members)
    if unpacked > SIZE_ALLOWANCE + MAX_COMPRESSION * size:
        raise ValueError(f"{archive} has {size:,} bytes and would unpack to {unpacked:,}; no corpus compresses so far")


def _check_member(archive: str | Path, member: zipfile.ZipInfo) -> None:
    path = PureWindowsPath(member.filename)  # it knows both kinds of slash, and drives
    if path.anchor or ".." in path.parts:
        raise ValueError(f"{archive} holds {member.filename!r}, which lies outside of the folder it is unpacked to")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError(f"{archive} holds {member.filename!r}, which is a link; corpora have none")


def _check_conflicts(archive: str | Path, source: Path, target: Path) -> None:
    """Raises before anything is moved if a file would have to replace a folder, or a folder a file."""
    for path in source.rglob("*"):
        place = target / path.relative_to(source)
        if place.exists() and path.is_dir() != place.is_dir():
            kind, other = ("folder", "file") if path.is_dir() else ("file", "folder")
            raise ValueError(
                f"{archive} holds {path.relative_to(source).as_posix()!r}, a {kind}, but {place} is a {other}; move "
                f"that away, or unpack to another folder"
            )


def _move(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            path.replace(place)
