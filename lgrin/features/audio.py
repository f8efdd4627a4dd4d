"""Decoding of audio files: PCM by libsndfile, everything else by FFmpeg, always to the end of the file."""

import math
import mmap
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lgrin.extras import optional
from lgrin.features.containers import check_not_truncated, complete_sizes
from lgrin.features.extractor import SignalError

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from soundfile import SoundFile

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
