"""Files that were cut off: what a container's own headers promise and the file does not hold."""

import os
from pathlib import Path
from typing import BinaryIO

from lgrin.features.extractor import SignalError

CHUNKS = {b"WAVE": (b"data",), b"AVI ": (b"movi", b"idx1")}  # what each kind of RIFF file cannot do without
OPEN = 0x7FFFF000  # writers that cannot go back to fill in a size leave 0, or this much and more
BOXES = b"ftyp styp moov moof mdat mfra sidx free skip wide pnot udta meta uuid".split()


def check_whole(path: Path) -> None:
    """Raises if a wav, avi, mp4 or mov file is shorter than its own headers say; other formats pass.

    Only headers are read, and a size that the writer left open, as into a pipe, promises nothing.

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
        >>> check_whole(path)
        >>> _ = path.write_bytes(path.read_bytes()[:-100])
        >>> check_whole(path)
        Traceback (most recent call last):
        ...
        lgrin.features.extractor.SignalError: ...a.wav: it is cut short: its 'data' should end at byte 3244, and it ends
        at byte 3144
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(12)
        if start[:4] == b"RIFF" and start[8:] in CHUNKS:
            _check_riff(path, file, start[8:], size)
        elif start[4:8] in BOXES:
            _check_boxes(path, file, size)


def _check_riff(path: Path, file: BinaryIO, kind: bytes, size: int) -> None:
    """Looks at the chunks that matter; an avi file goes on with RIFF after RIFF, each with frames of its own."""
    at = 0
    while (header := _read(file, at))[:4] == b"RIFF":
        promised = int.from_bytes(header[4:8], "little")
        for name in CHUNKS[kind]:
            _check_chunk(path, file, at + 12, name, size)
        if kind == b"WAVE" or _is_open(promised):  # anything may follow the samples of a wav file
            return
        at += 8 + promised
        if at - size != 8:  # some writers count the 8 bytes of the header in
            _check_end(path, "RIFF", at, size)


def _check_chunk(path: Path, file: BinaryIO, at: int, name: bytes, size: int) -> None:
    """Follows the chunks up to the one of this name; each takes an even number of bytes."""
    while len(header := _read(file, at)) >= 8:
        length = int.from_bytes(header[4:8], "little")
        if name in (header[:4], header[8:12]):
            return None if _is_open(length) else _check_end(path, name.decode(), at + 8 + length, size)
        at += 8 + length + length % 2
    return None


def _check_boxes(path: Path, file: BinaryIO, size: int) -> None:
    """Follows the outermost boxes; what is none of them is passed over, and so is anything at the end."""
    at = 0
    while len(header := _read(file, at)) >= 8:
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length < 8:  # 0 means up to the end of the file
            return
        at += length
        if header[4:8] in BOXES:
            _check_end(path, header[4:8].decode(), at, size)


def _check_end(path: Path, name: str, end: int, size: int) -> None:
    if end > size:
        raise SignalError(path, f"it is cut short: its {name!r} should end at byte {end}, and it ends at byte {size}")


def _read(file: BinaryIO, at: int) -> bytes:
    """Reads what may be a header; less than 16 bytes at the end of the file."""
    file.seek(at)
    return file.read(16)


def _is_open(length: int) -> bool:
    return length == 0 or length >= OPEN
