"""Detection of truncated files: the sizes in a container's headers are compared with the size of the file."""

import os
from pathlib import Path
from typing import BinaryIO

from lgrin.features.extractor import SignalError

REQUIRED_CHUNKS = {b"WAVE": (b"data",), b"AVI ": (b"movi", b"idx1")}  # that a file has to have
UNKNOWN_SIZE = 0x7FFFF000  # bytes: a writer that cannot seek back leaves 0, or at least this
TOP_LEVEL_BOXES = b"ftyp styp moov moof mdat mfra sidx free skip wide pnot udta meta uuid".split()


def check_not_truncated(path: Path) -> None:
    """Raises if a wav, avi, mp4 or mov file is shorter than its own headers say; other formats pass.

    Only headers are read. A size that the writer could not fill in, as when it wrote to a pipe, is ignored.

    Args:
        path: The file.

    Raises:
        SignalError: If the file is cut short.

    Example:
        >>> import tempfile, wave
        >>> path = Path(tempfile.mkdtemp()) / "a.wav"
        >>> with wave.open(str(path), "wb") as file:
        ...     file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        ...     file.writeframes(bytes(3200))
        >>> check_not_truncated(path)
        >>> _ = path.write_bytes(path.read_bytes()[:-100])
        >>> check_not_truncated(path)
        Traceback (most recent call last):
        ...
        lgrin.features.extractor.SignalError: ...a.wav: it is cut short: its 'data' should end at byte 3244, and it ends
        at byte 3144
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(12)
        if start[:4] == b"RIFF" and start[8:] in REQUIRED_CHUNKS:
            _check_riff(path, file, start[8:], size)
        elif start[4:8] in TOP_LEVEL_BOXES:
            _check_boxes(path, file, size)


def _check_riff(path: Path, file: BinaryIO, kind: bytes, size: int) -> None:
    """Checks the required chunks; a long avi file consists of several RIFF lists, each with frames of its own."""
    offset = 0
    while (header := _read_header(file, offset))[:4] == b"RIFF":
        declared = int.from_bytes(header[4:8], "little")
        for name in REQUIRED_CHUNKS[kind]:
            _check_chunk(path, file, offset + 12, name, size)
        if kind == b"WAVE" or _is_unknown(declared):  # anything may follow the samples of a wav file
            return
        offset += 8 + declared
        if offset - size != 8:  # some writers count the 8 bytes of the header
            _check_end(path, "RIFF", offset, size)


def _check_chunk(path: Path, file: BinaryIO, offset: int, name: bytes, size: int) -> None:
    """Walks through the chunks to the one of this name; chunks are padded to an even number of bytes."""
    while len(header := _read_header(file, offset)) >= 8:
        length = int.from_bytes(header[4:8], "little")
        if name in (header[:4], header[8:12]):
            return None if _is_unknown(length) else _check_end(path, name.decode(), offset + 8 + length, size)
        offset += 8 + length + length % 2
    return None


def _check_boxes(path: Path, file: BinaryIO, size: int) -> None:
    """Walks through the top-level boxes; unknown boxes and trailing bytes are ignored."""
    offset = 0
    while len(header := _read_header(file, offset)) >= 8:
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length < 8:  # 0 means up to the end of the file
            return
        offset += length
        if header[4:8] in TOP_LEVEL_BOXES:
            _check_end(path, header[4:8].decode(), offset, size)


def _check_end(path: Path, name: str, end: int, size: int) -> None:
    if end > size:
        raise SignalError(path, f"it is cut short: its {name!r} should end at byte {end}, and it ends at byte {size}")


def _read_header(file: BinaryIO, offset: int) -> bytes:
    """Reads the 16 bytes of a possible header; fewer at the end of the file."""
    file.seek(offset)
    return file.read(16)


def _is_unknown(length: int) -> bool:
    return length == 0 or length >= UNKNOWN_SIZE
