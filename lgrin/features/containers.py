"""The sizes in the headers of containers: truncated files are detected, and sizes left open are filled in."""

import os
from pathlib import Path
from typing import BinaryIO, Literal

from lgrin.features.extractor import SignalError

REQUIRED_CHUNKS = {b"WAVE": (b"data",), b"AVI ": (b"movi", b"idx1")}  # that a file has to have
UNKNOWN_SIZE = 0x7FFFF000  # bytes: a writer that cannot seek back leaves 0, or at least this
MPEG_FRAME = 1_500  # bytes that a frame of mp3 has at most: some writers count the first one, others do not
TOP_LEVEL_BOXES = b"ftyp styp moov moof mdat mfra sidx free skip wide pnot udta meta uuid".split()


def check_not_truncated(path: Path) -> None:
    """Raises if a wav, avi, mp4, mov or mp3 file is shorter than its own headers say; other formats pass.

    It also raises for a wav or mp4 file behind which another one was appended, since decoders read only the first.
    Only headers are read. A size that the writer could not fill in, as when it wrote to a pipe, is ignored.

    Args:
        path: The file.

    Raises:
        SignalError: If the file is cut short, or is two.

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
        elif start[:3] == b"ID3" or start[:1] == b"\xff":
            _check_mpeg(path, file, size)


def complete_sizes(path: Path) -> bytes | None:
    """Fills in the sizes that a writer left open in the header of a wav, RF64, au or caf file.

    Args:
        path: The file.

    Returns:
        The content of the file with a size of the samples that reaches its end; ``None`` if no size is left open.

    Example:
        >>> import tempfile, wave
        >>> path = Path(tempfile.mkdtemp()) / "a.wav"
        >>> with wave.open(str(path), "wb") as file:
        ...     file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        ...     file.writeframes(bytes(3200))
        >>> whole = path.read_bytes()
        >>> _ = path.write_bytes(whole[:40] + bytes(4) + whole[44:])
        >>> complete_sizes(path) == whole
        True
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(12)
        sizes = next((find(file, size) for magic, find in OPEN_SIZES.items() if start.startswith(magic)), {})
        if not sizes:
            return None
        file.seek(0)
        content = bytearray(file.read())
    for place, value in sizes.items():
        content[place : place + len(value)] = value
    return bytes(content)


def _open_riff(file: BinaryIO, size: int) -> dict[int, bytes]:
    """The places and values of open sizes in a wav file."""
    place, length = _find_chunk(file, b"data", 12, "little", 4)
    rest = size - place - 8
    if place < 0 or length or rest < 1 or rest > 0xFFFF0000 or _is_chunks(file, place + 8, size):
        return {}
    return {4: (size - 8).to_bytes(4, "little"), place + 4: rest.to_bytes(4, "little")}


def _open_rf64(file: BinaryIO, size: int) -> dict[int, bytes]:
    """The same in an RF64 file, whose 64-bit sizes stand in a chunk of their own."""
    place, length = _find_chunk(file, b"data", 12, "little", 4)
    sizes, _ = _find_chunk(file, b"ds64", 12, "little", 4)
    rest = size - place - 8
    if min(place, sizes) < 0 or rest < 1 or length not in (0, 0xFFFFFFFF):
        return {}
    file.seek(sizes + 16)
    if int.from_bytes(file.read(8), "little"):
        return {}
    values = (size - 8, rest, 0)
    return {sizes + 8: b"".join(value.to_bytes(8, "little") for value in values), place + 4: b"\xff" * 4}


def _open_au(file: BinaryIO, size: int) -> dict[int, bytes]:
    """The same in an au file, where a size of all ones means up to the end."""
    header = _read_header(file, 0)
    is_open = int.from_bytes(header[8:12], "big") == 0 and size > int.from_bytes(header[4:8], "big")
    return {8: b"\xff" * 4} if is_open else {}


def _open_caf(file: BinaryIO, size: int) -> dict[int, bytes]:
    """The same in a caf file, where 0 and -1 mean unknown."""
    place, length = _find_chunk(file, b"data", 8, "big", 8)
    is_open = place >= 0 and length in (0, (1 << 64) - 1) and size > place + 16
    return {place + 4: (size - place - 12).to_bytes(8, "big")} if is_open else {}


OPEN_SIZES = {b"RIFF": _open_riff, b"RF64": _open_rf64, b".snd": _open_au, b"caff": _open_caf}


def _find_chunk(
    file: BinaryIO, name: bytes, offset: int, order: Literal["little", "big"], width: int
) -> tuple[int, int]:
    """The place of a chunk and the length that it states; -1 if there is none."""
    while len(header := _read_header(file, offset)) >= 4 + width:
        length = int.from_bytes(header[4 : 4 + width], order)
        if header[:4] == name:
            return offset, length
        offset += 4 + width + length + (length % 2 if width == 4 else 0)
    return -1, 0


def _is_chunks(file: BinaryIO, offset: int, size: int) -> bool:
    """Whether what is left of a file is chunks, one behind the other, and no samples."""
    while offset < size:
        header = _read_header(file, offset)
        if len(header) < 8 or not header[:4].isascii() or not header[:4].decode().isprintable():
            return False
        length = int.from_bytes(header[4:8], "little")
        offset += 8 + length + length % 2
    return offset - size in (0, 1)


def _check_riff(path: Path, file: BinaryIO, kind: bytes, size: int) -> None:
    """Checks the required chunks; a long avi file consists of several RIFF lists, each with frames of its own."""
    offset = 0
    while (header := _read_header(file, offset))[:4] == b"RIFF":
        declared = int.from_bytes(header[4:8], "little")
        for name in REQUIRED_CHUNKS[kind]:
            _check_chunk(path, file, offset + 12, name, size)
        if kind == b"WAVE" and not _is_unknown(declared):
            _check_only(path, file, offset + 8 + declared + declared % 2)
        if kind == b"WAVE" or _is_unknown(declared):  # anything else may follow the samples of a wav file
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
    offset, movies = 0, 0
    while len(header := _read_header(file, offset)) >= 8:
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length < 8:  # 0 means up to the end of the file
            return
        offset += length
        movies += header[4:8] == b"moov"
        if movies > 1:
            raise SignalError(path, "it is several recordings one behind the other; decode them and join their samples")
        if header[4:8] in TOP_LEVEL_BOXES:
            _check_end(path, header[4:8].decode(), offset, size)


def _check_only(path: Path, file: BinaryIO, offset: int) -> None:
    """Raises if a second wav file follows the first."""
    header = _read_header(file, offset)
    if header[:4] == b"RIFF" and header[8:12] == b"WAVE":
        raise SignalError(path, f"a second recording follows at byte {offset}; decode both and join their samples")


def _check_mpeg(path: Path, file: BinaryIO, size: int) -> None:
    """Compares the number of bytes in the first frame of an mp3 file, where its writer left one, with those there."""
    start, tag = 0, _read_header(file, 0)
    if tag[:3] == b"ID3" and len(tag) >= 10:  # its length has 7 bits in a byte
        start = 10 + sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(tag[6:10]))
    file.seek(start)
    frame = file.read(64)
    place = max(frame.find(b"Xing"), frame.find(b"Info"))
    if frame[:1] != b"\xff" or place < 0 or len(frame) < place + 16:
        return
    flags = int.from_bytes(frame[place + 4 : place + 8], "big")
    at = place + 8 + (4 if flags & 1 else 0)
    declared = int.from_bytes(frame[at : at + 4], "big") if flags & 2 else 0
    if declared:
        _check_end(path, frame[place : place + 4].decode(), start + declared - MPEG_FRAME, size)


def _check_end(path: Path, name: str, end: int, size: int) -> None:
    if end > size:
        raise SignalError(path, f"it is cut short: its {name!r} should end at byte {end}, and it ends at byte {size}")


def _read_header(file: BinaryIO, offset: int) -> bytes:
    """Reads the 16 bytes of a possible header; fewer at the end of the file."""
    file.seek(offset)
    return file.read(16)


def _is_unknown(length: int) -> bool:
    return length == 0 or length >= UNKNOWN_SIZE
