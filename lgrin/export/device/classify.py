"""Classifies recordings with an exported model. It needs only numpy, onnxruntime and opensmile.

    pip install numpy onnxruntime opensmile
    python classify.py model.onnx clip.wav
    python classify.py model.onnx clip.wav other.wav --json

With --json each recording is one line: {"recording": ..., "class": ..., "probabilities": {...}}. With --time the script
says how long a recording took, and how much memory.

A model file is treated as data. Its metadata hold the classes, the sizes and the settings of the extractor. The
configurations of openSMILE are at the end of this script, and a model that was made with other settings is refused.
soundfile and audresample are installed with opensmile; they read PCM and flac. mp3, ogg, m4a and other compressed files
also take PyAV (pip install av). Recordings that cannot be read are named on stderr, the others
are classified, and the exit status is then 1.
"""

import argparse
import hashlib
import json
import math
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple

try:
    import audresample  # comes with opensmile
    import numpy as np
    import onnxruntime
    import opensmile
except ModuleNotFoundError as error:
    raise SystemExit(
        f"{error.name} is not installed; install what this script needs: pip install numpy onnxruntime opensmile"
    ) from None

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from soundfile import SoundFile

FORMATS = (1, 2, 3)  # of 2 the network takes any number of frames; of 3 an offset is subtracted first
ENTRIES = ("classes", "features", "in_channels", "num_nodes", "opensmile", "transform")
THINNINGS = ("mean", "max", "lowpass")
MAX_ENTRY_LENGTH = 1 << 20  # characters
MARK, ZEROS = b"lgrin-sha256:", 64 * b"0"
WINDOW, STEP = 400, 160  # samples
COLUMNS = {  # of what openSMILE measures, by layout; MFCC 0 comes behind MFCC 12
    "paper": [29, *range(17, 29), *range(30, 34), 46, *range(34, 46), *range(47, 51)],
    "released": [12, *range(12), *range(13, 16), 46, *range(34, 46), *range(47, 51)],
}


def plain(text, longest=2_000):
    """Makes one line of any text, with codes that a terminal would obey written out."""
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(text)[:longest])
    return shown + "..." * (len(str(text)) > longest)


class Unusable(ValueError):
    """Why a recording cannot be classified."""

    def __init__(self, reason):
        super().__init__(plain(reason))


class SignalError(Unusable):
    """The same by the name that lgrin has for it."""

    def __init__(self, path, reason):
        super().__init__(f"{path} {reason[3:]}" if reason.startswith("it ") else f"{path}: {reason}")


@contextmanager
def optional(extra):
    """Says how to install a library that only some recordings take."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} is not installed; it reads this kind of file: pip install {error.name}"
        ) from None


# Word for word lgrin/features/containers.py.
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


# Word for word lgrin/features/audio.py.
SAMPLING_RATE = 16_000  # Hz
LEAST_SIGNIFICANT_BIT = 2.0**-15
MAX_AMPLITUDE = 8.0  # relative to full scale; beyond full scale samples are clipped
MIN_RATE, MAX_RATE = 1_000, 1_000_000  # Hz that a recording of speech may have
SAMPLE_ALLOWANCE = 1 << 20  # that a file may declare beyond those of its bytes
MAX_SAMPLES_PER_BYTE = 100  # about as many as speech at 4 kbit/s has
BLOCK = 1 << 16  # samples that are read at once
UNKNOWN_LENGTH = (1 << 63) - 1  # samples that libsndfile gives a flac stream of unknown length
CANCELLED = 0.1  # of the power that unrelated channels leave when they are averaged


class Block(NamedTuple):
    """Samples of a recording.

    Attributes:
        samples: Float32 ``[T, C]``, or ``[T]`` of one channel, between -1 and 1.
        rate: Samples a second.
    """

    samples: np.ndarray
    rate: int


def read_one_channel(path: Path) -> Iterator[Block]:
    """Reads a file block by block, as one channel, and checks the samples.

    Channels are averaged. Where they cancel each other over the whole file, as two of opposite polarity do, the one
    with the most power is taken.

    Args:
        path: The file.

    Returns:
        Blocks ``[T]``, whose rate changes only where recordings of unlike rates were joined.

    Raises:
        ImportError: If soundfile is not installed, or PyAV for a format that only it reads (extra ``speech``).
        SignalError: If it is no audio, cut short or silent, has a rate that no speech has, or declares more samples
            than it can hold.

    Example:
        >>> list(read_one_channel(Path(__file__)))
        Traceback (most recent call last):
        ...
        lgrin.features.extractor.SignalError: ...audio.py: it cannot be read as audio (...)
    """
    return to_one_channel(path, lambda: read_blocks(path))


def to_one_channel(path: str | Path, read: Callable[[], Iterator[Block]]) -> Iterator[Block]:
    """Does the same with blocks from elsewhere.

    Args:
        path: What errors call them.
        read: Returns the blocks ``[T, C]`` from the start each time it is called.

    Returns:
        Blocks ``[T]``.

    Raises:
        SignalError: As :func:`read_one_channel`.

    Example:
        >>> stereo = Block(np.array([[0.0, 1.0], [1.0, 2.0]], np.float32), 16_000)
        >>> next(to_one_channel("array", lambda: iter([stereo]))).samples.tolist()
        [0.5, 1.5]
    """
    channel, count, lowest, highest = _channel_to_take(read()), 0, math.inf, -math.inf
    for channels, rate in read():
        amplitude = np.abs(channels).max(initial=0)
        if amplitude > MAX_AMPLITUDE:
            told = "far beyond -1 and 1; floating audio lies within -1 and 1"
            raise SignalError(path, f"its samples go up to {amplitude:g}, {told}")
        if not np.isfinite(channels).all():
            raise SignalError(path, "it holds samples that are not finite")
        signal = channels.mean(axis=1) if channel is None else np.ascontiguousarray(channels[:, channel])
        count += len(signal)
        lowest, highest = signal.min(initial=lowest), signal.max(initial=highest)
        yield Block(signal, rate)
    if count == 0:
        raise SignalError(path, "it holds no sample")
    if highest - lowest < LEAST_SIGNIFICANT_BIT:
        raise SignalError(path, "it is silent")


def _channel_to_take(blocks: Iterator[Block]) -> int | None:
    """The channel with the most power if all of them cancel each other; ``None`` if their average is taken."""
    count, total, squares, averaged = 0, np.zeros(()), np.zeros(()), np.zeros(2)
    for channels, _ in blocks:
        if channels.shape[1] == 1 or (count and channels.shape[1] != total.size):
            return None
        exact = channels.astype(np.float64)
        mean = exact.mean(axis=1)
        count, total, squares = count + len(exact), total + exact.sum(0), squares + (exact**2).sum(0)
        averaged += mean.sum(), (mean**2).sum()
    if count == 0:
        return None
    power, left = squares / count - (total / count) ** 2, averaged[1] / count - (averaged[0] / count) ** 2
    return int(power.argmax()) if left < CANCELLED * power.mean() / power.size else None


def read_blocks(path: Path) -> Iterator[Block]:
    """Decodes a file to its end; what is counted is what was read, not what its header estimates.

    Args:
        path: The file.

    Returns:
        Its samples, block by block; rate and channels change only where unlike recordings were joined.

    Raises:
        ImportError: If soundfile is not installed, or PyAV for a format that only it reads (extra ``speech``).
        SignalError: As :func:`read_one_channel`, but silence is decoded.

    Example:
        >>> import tempfile, soundfile
        >>> path = Path(tempfile.mkdtemp()) / "hum.flac"
        >>> soundfile.write(path, 0.1 * np.sin(np.arange(44_100) / 50), 44_100)
        >>> [(block.samples.shape, block.rate) for block in read_blocks(path)]
        [((44100, 1), 44100)]
    """
    check_not_truncated(path)
    file = None if _is_compressed(path) else _open_with_libsndfile(path)
    return _decode_with_ffmpeg(path) if file is None else _decode_with_libsndfile(path, file)


def _is_compressed(path: Path) -> bool:
    """Whether a file is mp3 or ogg, whose lengths libsndfile estimates, or takes from the first of several parts."""
    with open(path, "rb") as file:
        start = file.read(4)
    return start[:3] == b"ID3" or start == b"OggS" or (start[:1] == b"\xff" and start[1:2] >= b"\xe0")


def _open_with_libsndfile(path: Path) -> "SoundFile | None":
    """Opens a format whose length libsndfile knows; ``None`` for the others, and for what it does not recognise."""
    with optional("speech"):
        from soundfile import SoundFile, SoundFileError
    completed = complete_sizes(path)
    try:
        file = SoundFile(path if completed is None else BytesIO(completed))
    except (SoundFileError, TypeError):  # of a name that ends in .raw, soundfile asks for the rate
        return None
    if file.subtype.startswith("MPEG") or _is_stream(path, file):  # mp3 has many covers, wav among them
        file.close()
        return None
    return file


def _decode_with_libsndfile(path: Path, file: "SoundFile") -> Iterator[Block]:
    from soundfile import SoundFileError

    with file:
        _check_header(path, file)
        declared, count = file.frames, 0
        try:
            for channels in file.blocks(BLOCK, dtype="float32", always_2d=True):
                count += len(channels)
                yield Block(channels, file.samplerate)
        except SoundFileError as error:
            reason = getattr(error, "error_string", error)
            raise SignalError(path, f"it cannot be read as audio ({reason})") from error
        if count < declared:
            raise SignalError(path, f"it is cut short: {count} of {declared} samples are there")


def _is_stream(path: Path, file: "SoundFile") -> bool:
    """Whether a flac file does not say its length, or is several files one behind the other."""
    if file.format != "FLAC":
        return False
    if file.frames == UNKNOWN_LENGTH:
        return True
    with open(path, "rb") as content, mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as bytes_of_file:
        return bytes_of_file.find(b"fLaC\x00\x00\x00\x22", 4) > 0


def _check_header(path: Path, file: "SoundFile") -> None:
    """Checks the sizes in the header before memory is allocated for them."""
    if not file.seekable():
        raise SignalError(path, f"it cannot be read as audio ({file.subtype_info} cannot be sought; convert it to PCM)")
    _check_rate(path, file.samplerate)
    size = path.stat().st_size
    if max(file.frames * file.channels, file.frames * SAMPLING_RATE // file.samplerate) > _most_samples(size):
        raise SignalError(path, f"it promises {file.frames:,} samples, more than its {size:,} bytes can hold")


def _check_rate(path: Path, rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise SignalError(path, f"it has {rate:,} samples a second, not {MIN_RATE:,} to {MAX_RATE:,}")


def _most_samples(size: int) -> int:
    return SAMPLE_ALLOWANCE + MAX_SAMPLES_PER_BYTE * size


def _decode_with_ffmpeg(path: Path) -> Iterator[Block]:
    """Decodes the first audio stream, which may change its format on the way."""
    av, size, total = _pyav(), path.stat().st_size, 0
    options = {"protocol_whitelist": "file"}  # a playlist must not make this process fetch anything
    try:
        with av.open(str(path.resolve()), metadata_errors="replace", options=options) as container:
            if not container.streams.audio:
                raise SignalError(path, "it cannot be read as audio (it holds no sound)")
            for frame in _frames(container, container.streams.audio[0]):
                _check_rate(path, frame.sample_rate)
                block = Block(_to_float(frame), frame.sample_rate)
                total += max(block.samples.size, len(block.samples) * SAMPLING_RATE // block.rate)
                if total > _most_samples(size):
                    raise SignalError(path, f"it unpacks to more samples than its {size:,} bytes can hold")
                yield block
    except av.error.FFmpegError as error:
        raise SignalError(path, f"it cannot be read as audio ({error.strerror})") from error


def _frames(container: "InputContainer", stream: "AudioStream") -> Iterator["AudioFrame"]:
    """Decodes a stream packet by packet."""
    from av.error import InvalidDataError

    may_be_joined, decoded, failed = stream.codec_context.name.startswith(("mp1", "mp2", "mp3")), 0, 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except InvalidDataError:
            failed += 1
            if not may_be_joined or failed > 1 + decoded:
                raise
            continue  # between mp3 files that were joined lie their tags, which are no audio
        decoded += 1
        yield from frames


def _to_float(frame: "AudioFrame") -> np.ndarray:
    """The samples of a frame, ``[T, C]`` float32 between -1 and 1, as libsndfile scales them."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels))
    if samples.dtype.kind == "u":  # 8 bits: 128 is silence
        return ((samples.astype(np.int16) - 128) / 2**7).astype(np.float32)
    if samples.dtype.kind == "i":
        return (samples / 2.0 ** (8 * samples.itemsize - 1)).astype(np.float32)
    return samples.astype(np.float32)


def _pyav() -> ModuleType:
    with optional("speech"):
        import av
    return av


# End of what is word for word lgrin's.


class Refused(SystemExit):
    """Why a model cannot be used."""

    def __init__(self, reason):
        super().__init__(plain(reason))


def open_model(path):
    """Loads a model, and what its metadata say of it, as far as it is what lgrin writes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # whatever goes wrong is said below
    if not Path(path).is_file():
        raise Refused(f"there is no model {path}")
    content = Path(path).read_bytes()
    whole = is_whole(content)
    if whole is False:
        raise Refused(f"{path} is no whole ONNX file: it differs from its checksum; export it again")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        names = [name for name in ("format", "offset", *ENTRIES) if f"lgrin.{name}" in metadata]
        said = {name: read_entry(metadata[f"lgrin.{name}"]) for name in names}
    except Exception as error:  # onnxruntime has a class for each way in which a file can be broken
        reason = plain(error, 300)
        raise Refused(f"{path} is no whole ONNX file, or newer than this onnxruntime ({reason})") from None
    if said.get("format") not in FORMATS:
        shown = plain(said.get("format"), 40)
        raise Refused(f"{path} has format {shown}; this script reads formats 1, 2 and 3 of lgrin.export")
    entries = (*ENTRIES, "offset") if said["format"] == 3 else ENTRIES
    if missing := [name for name in entries if name not in said]:
        raise Refused(f"{path} is cut short: it does not say its {missing[0]}; export it again")
    any_length = said["num_nodes"] is None
    if said["opensmile"] is None or (said["transform"] is None and not any_length):
        shown = plain(said["features"], 300)
        raise Refused(
            f"{path} does not say how speech becomes frames; its features are {shown}. Fit the model to a data set of "
            f"recordings (lgrin.datasets.AudioFolder), or name the extractor when you export it: "
            f"to_onnx(model, path, features=Speech().settings)"
        )
    said["opensmile"] = known_extractor(said["opensmile"])
    if said["opensmile"] is None:
        raise Refused(f"{path} asks for openSMILE settings that are not lgrin's; export it again, or do not trust it")
    if said["in_channels"] in (len(said["opensmile"]["columns"]) + more for more in (1, 2)):
        raise Refused(f"{path} was also told which speech is spontaneous, which this script does not know")
    check_sizes(path, said, session)
    said["offset"] = known_offset(path, said)
    if whole is None:
        print(plain(f"{path} carries no checksum, so damage to it may go unseen; export it again"), file=sys.stderr)
    if any_length and said["transform"] is None:
        return session, said
    said["transform"] = known_transform(said["transform"], said["num_nodes"])
    if said["transform"] is None:
        raise Refused(f"{path} asks for a transform that this script does not know; export it again")
    return session, said


def is_whole(content):
    """Says whether a file is as it was written, by the digits behind its last mark; None if it carries no checksum."""
    start = content.rfind(MARK) + len(MARK)
    if start < len(MARK):
        return None
    blank = content[:start] + ZEROS + content[start + len(ZEROS) :]
    return content[start : start + len(ZEROS)] == hashlib.sha256(blank).hexdigest().encode()


def read_entry(text):
    """Reads the JSON of one entry, which is short."""
    if len(text) > MAX_ENTRY_LENGTH:
        raise ValueError(f"an entry has {len(text):,} characters, where {MAX_ENTRY_LENGTH:,} are allowed")
    return json.loads(text)


def known_extractor(settings):
    """Finds the settings of this script that a model asks for, or None."""
    every = {"sampling_rate": SAMPLING_RATE, "window": WINDOW, "step": STEP}
    known = [{**every, "config": CONFIGURATION, "columns": columns} for columns in COLUMNS.values()]
    known += [{**every, "columns": list(range(count)), **stock} for count, stock in STOCK]
    return next((one for one in known if one == settings), None)


def known_transform(settings, nodes):
    """Finds the transform to a number of nodes that a model asks for, or None."""
    known = [{"name": "CyclicPad", "num_nodes": nodes, "longer": longer} for longer in ("error", "crop", "resample")]
    known += [{"name": "Resample", "num_nodes": nodes, "how": how} for how in THINNINGS]
    return next((one for one in [{"name": "Resample", "num_nodes": nodes}, *known] if one == settings), None)


def known_offset(path, said):
    """Reads what is subtracted from each feature, ``[P]`` in float64; 0 in files that have none."""
    if said["format"] != 3:
        return np.zeros(said["in_channels"])
    numbers = said["offset"] if isinstance(said["offset"], list) else []
    finite = (type(one) in (int, float) and abs(one) <= sys.float_info.max for one in numbers)
    if len(numbers) != said["in_channels"] or not all(finite):
        raise Refused(f"{path} is damaged: its offset is no number for each feature; export it again")
    return np.array(numbers, np.float64)


def check_sizes(path, said, session):
    """Raises unless the names are names and the sizes those of the network."""
    sizes, classes = [said["num_nodes"], said["in_channels"]], said["classes"]
    if said["format"] != 1 and sizes[0] is None:
        sizes[0] = "frames"  # the name of an axis of any length
    if not all(type(size) is int and size > 0 for size in sizes if size != "frames"):
        raise Refused(f"{path} is damaged: its sizes are no positive whole numbers; export it again")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise Refused(f"{path} is damaged: its classes are no list of names; export it again")
    taken = {one.name: (one.type, one.shape[1:]) for one in (*session.get_inputs(), *session.get_outputs())}
    expected = {
        "x": ("tensor(float)", sizes),
        "mask": ("tensor(bool)", sizes[:1]),
        "logits": ("tensor(float)", [len(classes)]),
        "probabilities": ("tensor(float)", [len(classes)]),
    }
    if taken != expected:
        raise Refused(f"{path} is damaged: its network does not have the sizes that it says; export it again")


def open_smile(settings, folder):
    """Builds the extractor from the configuration of this script, which is read whenever the extractor runs."""
    if known_extractor(settings) is None:
        raise Refused("the model asks for openSMILE settings that are not lgrin's")
    path, options = Path(folder) / "speech.conf", {}
    path.write_text(settings["config"], encoding="utf-8")
    if "descriptors" in settings:
        root = Path(opensmile.__file__).parent / "core" / "config"
        options = {"descriptors": root / settings["descriptors"]}
        for mode in ("", "Rb", "RbLag"):
            options[f"bufferMode{mode}Conf"] = root / "shared" / f"BufferMode{mode}.conf.inc"
    options = {name: str(place) for name, place in options.items()}
    return opensmile.Smile(str(path), feature_level="features", options=options)


def read_audio(path):
    """Reads a file as one channel at 16 kHz in steps of 16 bits."""
    parts = []
    for rate, run in groupby(read_one_channel(path), key=lambda block: block.rate):
        signal = np.concatenate([block.samples for block in run])
        parts.append(audresample.resample(signal[None], rate, SAMPLING_RATE)[0])
    steps = np.clip(np.round(np.concatenate(parts) / LEAST_SIGNIFICANT_BIT), -32_768, 32_767)
    return (steps * LEAST_SIGNIFICANT_BIT).astype(np.float32)


def describe(path, smile, settings):
    """Computes the descriptors of each frame, ``[L, P]``."""
    if not Path(path).is_file():
        raise Unusable(f"there is no recording {path}")
    signal = read_audio(Path(path))
    length = 1 + (len(signal) - settings["window"]) // settings["step"]
    if length < 1:
        raise Unusable(f"{path} is shorter than one window of {settings['window']} samples")
    return smile(signal[None], settings["sampling_rate"])[0][settings["columns"], :length].T


def take(length, transform):
    """Says which frames a sequence of fixed length is made of."""
    nodes, longer = transform["num_nodes"], transform.get("longer", "resample")
    cyclic = transform["name"] == "CyclicPad"
    if cyclic and (length <= nodes or longer == "crop"):
        return np.arange(nodes) % length
    if longer == "error":
        raise Unusable(f"the recording has {length} frames, and the model takes at most {nodes}")
    step, node = (length - 1) / max(nodes - 1, 1), np.arange(nodes)
    place = np.where(node < max(nodes // 2, 1), step * node, length - 1 - step * (nodes - 1 - node))
    return np.round(place).astype(int)  # counted from the nearer end as in PyTorch, so that halves fall alike


def thin(frames, nodes, how):
    """Makes a sequence shorter from all of its frames, ``[L, P]`` to ``[M, P]``."""
    start = np.searchsorted(np.arange(len(frames)) * nodes // len(frames), np.arange(nodes))  # of each segment
    if how == "max":
        return np.maximum.reduceat(frames, start)
    if how == "mean":
        count = np.diff(start, append=len(frames))[:, None]
        return (np.add.reduceat(frames.astype(np.float64), start) / count).astype(frames.dtype)
    width = len(frames) / nodes
    distance = (np.arange(len(frames)) - ((np.arange(nodes) + 0.5) * width - 0.5)[:, None]) / width
    weight = np.where(np.abs(distance) < 1, np.cos(distance * np.pi / 2) ** 2, 0)
    return (weight @ frames.astype(np.float64) / weight.sum(1, keepdims=True)).astype(frames.dtype)


def to_length(frames, transform):
    """Brings a sequence to the length that the network takes."""
    if transform is None:
        return frames
    if "how" in transform and len(frames) > transform["num_nodes"]:
        return thin(frames, transform["num_nodes"], transform["how"])
    return frames[take(len(frames), transform)]


def classify(path, session, said, smile):
    """Computes the probability of each class."""
    frames = to_length(describe(path, smile, said["opensmile"]), said["transform"])
    x = (frames - said["offset"]).astype(np.float32)[None]
    try:
        probabilities = session.run(["probabilities"], {"x": x, "mask": np.ones(x.shape[:2], bool)})[0]
    except Exception as error:  # onnxruntime has a class for each way in which a network can be wrong
        raise Refused(f"the network of the model cannot be run ({plain(error, 300)})") from None
    if probabilities.shape != (1, len(said["classes"])) or not np.isfinite(probabilities).all():
        raise Refused("the network of the model does not compute one probability for each class; export it again")
    return probabilities[0]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", help="a file that lgrin.export has written")
    parser.add_argument("recording", nargs="+")
    parser.add_argument("--time", action="store_true", help="say what a recording takes, from file to answer")
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON for each recording, in full precision"
    )
    options = parser.parse_args(arguments)
    session, said = open_model(options.model)
    show = print_json if options.json else print_rows
    with tempfile.TemporaryDirectory() as folder:
        smile = open_smile(said["opensmile"], folder)
        failed, taken = 0, []
        for path in options.recording:
            start = time.perf_counter()
            try:
                probabilities = classify(path, session, said, smile)
            except Exception as error:  # whatever one recording raises, the others are classified
                known = isinstance(error, Unusable)
                reason = error if known else Unusable(f"{path} cannot be read ({type(error).__name__}: {error})")
                print(reason, file=sys.stderr)
                failed += 1
                continue
            taken.append(time.perf_counter() - start)
            show(path, said["classes"], probabilities)
    if options.time and taken:
        print_cost(taken)
    return int(failed > 0)


def print_rows(path, classes, probabilities):
    """Prints the classes of a recording, the most probable first."""
    print(plain(path))
    for index in np.argsort(-probabilities):
        print(f"  {plain(classes[index], 100):<12} {probabilities[index]:.3f}")


def print_json(path, classes, probabilities):
    """Prints them as one line for a program, in full precision."""
    found = dict(zip(classes, map(float, probabilities), strict=True))
    print(json.dumps({"recording": path, "class": classes[int(np.argmax(probabilities))], "probabilities": found}))


def print_cost(taken):
    """Prints the seconds of the first recording, for which libraries are loaded, and the median of the others."""
    others = f", then {1000 * np.median(taken[1:]):.0f} ms, the median of {len(taken) - 1}" if taken[1:] else ""
    print(
        f"from file to answer: {1000 * taken[0]:.0f} ms for the first recording{others}{peak_memory()}", file=sys.stderr
    )


def peak_memory():
    """Says how much memory the process took at most, where the system tells."""
    try:
        from resource import RUSAGE_SELF, getrusage
    except ModuleNotFoundError:  # Windows
        return ""
    unit = 1 if sys.platform == "darwin" else 1024
    return f"; at most {getrusage(RUSAGE_SELF).ru_maxrss * unit / 1e6:.0f} MB of memory"


# Word for word lgrin/features/speech.conf.
CONFIGURATION = r"""; Low-level descriptors of speech after Sec. IV-B of Shirian, Tripathi and Guha, 2021.
; Level "statics" holds them as they are measured, "smoothed" their moving average over 3 frames, "deltas" the slope of that.
; frames: 25 ms every 10 ms | MFCC 0-12: Hamming window, pre-emphasis 0.97, 26 mel bands up to 8 kHz, lifter 22

[componentInstances:cComponentManager]
instance[dataMemory].type=cDataMemory

\{\cm[source{?}:source include config]}

[componentInstances:cComponentManager]
instance[framer].type=cFramer
instance[emphasis].type=cVectorPreemphasis
instance[windower].type=cWindower
instance[fft].type=cTransformFFT
instance[magnitude].type=cFFTmagphase
instance[mel].type=cMelspec
instance[mfcc].type=cMfcc
instance[acf].type=cAcf
instance[cepstrum].type=cAcf
instance[pitch].type=cPitchACF
instance[crossings].type=cMZcr
instance[energy].type=cEnergy
instance[statics].type=cVectorConcat
instance[smoother].type=cContourSmoother
instance[delta].type=cDeltaRegression
instance[features].type=cVectorConcat

[framer:cFramer]
reader.dmLevel=wave
writer.dmLevel=frames
copyInputName=1
noPostEOIprocessing=1
frameSize=0.025
frameStep=0.010
frameMode=fixed
frameCenterSpecial=left

[emphasis:cVectorPreemphasis]
reader.dmLevel=frames
writer.dmLevel=emphasised
k=0.97
de=0

[windower:cWindower]
reader.dmLevel=emphasised
writer.dmLevel=windowed
winFunc=ham
gain=1.0

[fft:cTransformFFT]
reader.dmLevel=windowed
writer.dmLevel=spectrum
zeroPadSymmetric=0

[magnitude:cFFTmagphase]
reader.dmLevel=spectrum
writer.dmLevel=magnitudes
magnitude=1
phase=0

[mel:cMelspec]
reader.dmLevel=magnitudes
writer.dmLevel=bands
nBands=26
usePower=0
lofreq=0
hifreq=8000
htkcompatible=1
specScale=mel

[mfcc:cMfcc]
reader.dmLevel=bands
writer.dmLevel=mfcc
firstMfcc=0
lastMfcc=12
cepLifter=22.0
htkcompatible=1

[acf:cAcf]
reader.dmLevel=magnitudes
writer.dmLevel=acf
nameAppend=acf
usePower=1
cepstrum=0

[cepstrum:cAcf]
reader.dmLevel=magnitudes
writer.dmLevel=cepstrum
nameAppend=acf
usePower=1
cepstrum=1

; reads the autocorrelation and then the cepstrum, in this order
[pitch:cPitchACF]
reader.dmLevel=acf;cepstrum
writer.dmLevel=pitch
processArrayFields=0
maxPitch=500
voiceProb=1
F0=1
voicingCutoff=0.55

[crossings:cMZcr]
reader.dmLevel=frames
writer.dmLevel=crossings
zcr=1
amax=0
mcr=0
maxmin=0
dc=0

[energy:cEnergy]
reader.dmLevel=frames
writer.dmLevel=energy
nameAppend=energy
rms=0
log=1

[statics:cVectorConcat]
reader.dmLevel=mfcc;crossings;pitch;energy
writer.dmLevel=statics
includeSingleElementFields=1

[smoother:cContourSmoother]
reader.dmLevel=statics
writer.dmLevel=smoothed
nameAppend=sma
smaWin=3

[delta:cDeltaRegression]
reader.dmLevel=smoothed
writer.dmLevel=deltas
nameAppend=de
deltawin=2
blocksize=1

[features:cVectorConcat]
reader.dmLevel=statics;smoothed;deltas
writer.dmLevel=features
includeSingleElementFields=1

\{\cm[sink{?}:include external sink]}
"""  # noqa: E501


# Word for word lgrin/features/is09.conf.
IS09 = r"""; openSMILE's own descriptors of the Interspeech 2009 challenge and their deltas side by side, without its functionals,
; which look at the whole recording.

[componentInstances:cComponentManager]
instance[dataMemory].type=cDataMemory

\{\cm[source{?}:source include config]}
\{\cm[descriptors{?}:openSMILE's own file of descriptors]}

[componentInstances:cComponentManager]
instance[features].type=cVectorConcat

[features:cVectorConcat]
reader.dmLevel=is09_lld;is09_lld_de
writer.dmLevel=features
includeSingleElementFields=1

\{\cm[sink{?}:include external sink]}
"""  # noqa: E501

# Word for word lgrin/features/compare.conf.
COMPARE = r"""; openSMILE's own descriptors of the Computational Paralinguistics Challenge of 2016, without its functionals, which look
; at the whole recording.

[componentInstances:cComponentManager]
instance[dataMemory].type=cDataMemory

\{\cm[source{?}:source include config]}
\{\cm[descriptors{?}:openSMILE's own file of descriptors]}

[componentInstances:cComponentManager]
instance[features].type=cVectorConcat

[features:cVectorConcat]
reader.dmLevel=is13_lld_nzsmo;is13_lldA_smo;is13_lldB_smo
writer.dmLevel=features
includeSingleElementFields=1

\{\cm[sink{?}:include external sink]}
"""  # noqa: E501

STOCK = [  # how many descriptors, and the settings, of those that openSMILE ships
    (32, {"config": IS09, "descriptors": "is09-13/IS09_emotion_core.lld.conf.inc"}),
    (65, {"config": COMPARE, "window": 960, "descriptors": "compare/ComParE_2016_core.lld.conf.inc"}),
]

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a pipe on Windows has a code page, which lacks most letters
        stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
