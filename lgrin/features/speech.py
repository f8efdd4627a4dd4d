"""Speech: low-level descriptors every 10 ms, Sec. IV-B."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lgrin.features.audio import (  # noqa: F401  the limits of what is read belong to this module's interface
    LEAST_SIGNIFICANT_BIT,
    MAX_AMPLITUDE,
    MAX_RATE,
    MAX_SAMPLES_PER_BYTE,
    MIN_RATE,
    SAMPLE_ALLOWANCE,
    SAMPLING_RATE,
    read_one_channel,
    to_one_channel,
)
from lgrin.features.extractor import Frames, SignalError
from lgrin.features.pieces import Descriptors, resample
from lgrin.features.samples import AudioExtractor, Samples
from lgrin.options import check_option

WINDOW, STEP = 400, 160  # samples: 25 and 10 ms
DESCRIPTORS = (*(f"mfcc{order}" for order in range(13)), "zero_crossing_rate", "voicing", "f0", "log_energy")
OUTPUT_ORDER = (12, *range(12), 13, 14, 15, 16)  # openSMILE writes MFCC 0 after MFCC 12, under another name
STATICS, SMOOTHED, DELTAS = ([17 * level + place for place in OUTPUT_ORDER] for level in range(3))
COLUMNS = {"paper": SMOOTHED + DELTAS, "released": STATICS[:16] + DELTAS}
SPONTANEITY = {
    "paper": ["spontaneous"],
    "released": ["acted", "spontaneous"],
    "is09": ["spontaneous"],
    "compare": ["spontaneous"],
}
LAYOUTS = tuple(SPONTANEITY)
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".au"),
    *(".aifc", ".snd", ".caf", ".w64", ".rf64", ".sph", ".voc", ".wv", ".tta", ".ape"),
    *(".m4a", ".m4b", ".aac", ".opus", ".oga", ".spx", ".wma", ".mp2", ".amr", ".ac3", ".eac3", ".mka", ".weba"),
    *(".mp4", ".mov", ".webm", ".mkv", ".avi", ".3gp", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv"),
)
CONFIGURATION = Path(__file__).with_name("speech.conf")
OURS = Descriptors(CONFIGURATION)
IS09 = Descriptors(CONFIGURATION.with_name("is09.conf"), "is09-13/IS09_emotion_core.lld.conf.inc")
COMPARE = Descriptors(CONFIGURATION.with_name("compare.conf"), "compare/ComParE_2016_core.lld.conf.inc")
DESCRIBE = {"paper": OURS, "released": OURS, "is09": IS09, "compare": COMPARE}
STOCK = {"is09": 32, "compare": 65}  # openSMILE's own sets, and how many descriptors they have
LONG_WINDOW = 960  # samples, 60 ms, of pitch in the set of 2016


@dataclass(frozen=True)
class Speech(AudioExtractor):
    r"""Extracts low-level descriptors of speech with openSMILE: windows of 25 ms, one every 10 ms.

    The 17 descriptors are MFCC 0-12, zero-crossing rate, voicing probability, F0 in Hz (0 where unvoiced, before
    smoothing) and log energy; with :math:`s` their moving average over 3 frames, the delta is

    .. math:: \Delta_t = \frac{\sum_{d = 1}^{2} d \, (s_{t + d} - s_{t - d})}{2 \sum_{d = 1}^{2} d^2}

    Any sampling rate and number of channels: channels are averaged, unless they cancel each other
    (:func:`~lgrin.features.audio.read_one_channel`), and the signal is resampled to 16 kHz. Compressed audio is
    decoded to its end; of a video, the sound is read. MFCCs are
    those of HTK: Hamming window, pre-emphasis 0.97, 26 mel bands up to 8 kHz, lifter 22. openSMILE counts a sample of
    0 between two samples that do not have the same sign as a zero crossing, so digital silence within a file has a rate
    near 1.

    Args:
        layout: ``"paper"`` is 17 smoothed descriptors and their 17 deltas; ``"released"`` is 16 descriptors as
            measured, without log energy, and the same 17 deltas; ``"is09"`` is openSMILE's own set of the Interspeech
            2009 challenge, 16 smoothed descriptors and 16 deltas; ``"compare"`` is its set of the Computational
            Paralinguistics Challenge of 2016, 65 smoothed descriptors: loudness, 26 bands of an auditory spectrum,
            14 MFCCs, shape of the spectrum, pitch, jitter, shimmer and harmonics, the latter of windows of 60 ms.
        spontaneous: Whether the speech is spontaneous, which becomes a feature (:func:`append_spontaneity`); ``None``
            leaves it out.

    Attributes:
        num_features: 34, 33, 32 or 65, plus those of spontaneity.
        names: The name of each feature; those of ``"is09"`` and ``"compare"`` are openSMILE's.

    Shapes:
        - **x:** ``[L, num_features]``, :math:`L = \lfloor (T - 0.025) / 0.010 \rfloor + 1` for T seconds,
          with 0.060 in place of 0.025 for ``"compare"``

    Raises:
        ImportError: If openSMILE is not installed (extra ``speech``).
        SignalError: If the file is no audio, cut short (as far as its format says), silent, or shorter than one
            window.
        ValueError: If the layout is unknown.

    Source:
        "Node features" in Sec. IV-B of Shirian, Tripathi and Guha, 2021; Eyben, Wöllmer and Schuller, "openSMILE",
        ACM Multimedia 2010; Schuller, Steidl and Batliner, "The Interspeech 2009 Emotion Challenge"; Schuller and
        others, "The Interspeech 2016 Computational Paralinguistics Challenge".

    Example:
        >>> import tempfile, soundfile
        >>> path = f"{tempfile.mkdtemp()}/noise.wav"
        >>> soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, (44_100, 2)), 44_100)
        >>> x, mask, frame_rate = Speech()(path)
        >>> x.shape, frame_rate
        (torch.Size([98, 34]), 100.0)
        >>> Speech()(np.random.default_rng(0).normal(0, 0.1, 44_100), sampling_rate=44_100).x.shape
        torch.Size([98, 34])
    """

    layout: str = "paper"
    spontaneous: bool | None = None

    suffixes: ClassVar[tuple[str, ...]] = AUDIO_SUFFIXES
    libraries: ClassVar[tuple[str, ...]] = ("opensmile", "soxr", "soundfile", "av")
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_option("layout", self.layout, LAYOUTS)

    @property
    def num_features(self) -> int:  # type: ignore[override]
        """Features per frame."""
        told = [] if self.spontaneous is None else SPONTANEITY[self.layout]
        count = STOCK[self.layout] if self.layout in STOCK else len(COLUMNS[self.layout])
        return count + len(told)

    @property
    def names(self) -> list[str]:
        """The name of each feature."""
        told = [] if self.spontaneous is None else SPONTANEITY[self.layout]
        if self.layout in STOCK:
            return [*DESCRIBE[self.layout].names, *told]
        statics = DESCRIPTORS if self.layout == "paper" else DESCRIPTORS[:16]
        return [*statics, *(f"{name}_delta" for name in DESCRIPTORS), *told]

    def read(self, path: Path | Samples) -> Frames:
        """Reads one audio file, or samples."""
        count, window = 0, window_of(self.layout)

        def pieces() -> Iterator[np.ndarray]:
            nonlocal count
            for piece in read_pieces(path):
                count += len(piece)
                yield piece
            check_length(path, count, window)

        features = DESCRIBE[self.layout](pieces(), SAMPLING_RATE)
        length = 1 + (count - window) // STEP  # openSMILE's own set has a frame beyond the end of the signal
        x = torch.from_numpy(features[:length, COLUMNS.get(self.layout, slice(None))].copy())
        if self.spontaneous is not None:
            x = append_spontaneity(x, self.spontaneous, self.layout)
        return Frames(x, torch.ones(len(x), dtype=torch.bool), SAMPLING_RATE / STEP)


def window_of(layout: str) -> int:
    """The samples of the longest window of a layout.

    Example:
        >>> window_of("paper"), window_of("compare")
        (400, 960)
    """
    return LONG_WINDOW if layout == "compare" else WINDOW


def read_pieces(path: Path | Samples) -> Iterator[np.ndarray]:
    """Reads a file piece by piece, as one channel at 16 kHz of 16 bits; :func:`read_audio` reads it whole.

    Args:
        path: The file, or samples.

    Returns:
        Int16 pieces, some of which may be empty.

    Raises:
        SignalError: As :func:`read_audio`, at the piece in which the reason lies; silence is known at the end.

    Example:
        >>> import tempfile, soundfile
        >>> path = Path(tempfile.mkdtemp()) / "hum.wav"
        >>> soundfile.write(path, 0.1 * np.sin(np.arange(88_200) / 50), 44_100)
        >>> sum(len(piece) for piece in read_pieces(path))
        32000
    """
    blocks = to_one_channel(str(path), path.blocks) if isinstance(path, Samples) else read_one_channel(path)
    for rate, run in groupby(blocks, key=lambda block: block.rate):
        for piece in resample((block.samples for block in run), rate, SAMPLING_RATE):
            yield np.clip(np.round(piece / LEAST_SIGNIFICANT_BIT), -32_768, 32_767).astype(np.int16)


def read_audio(path: Path | Samples) -> np.ndarray:
    """Reads a file as one channel at 16 kHz, quantised to 16 bits.

    Args:
        path: The file, or samples.

    Returns:
        Float32 ``[T]``, between -1 and 1.

    Raises:
        ImportError: If soundfile or soxr is not installed, or PyAV for a format that only it reads (extra ``speech``).
        SignalError: If it is no audio, cut short or silent, has a rate that no speech has, or declares more samples
            than it can hold.

    Example:
        >>> read_audio(Path(__file__))
        Traceback (most recent call last):
        ...
        lgrin.features.extractor.SignalError: ...speech.py: it cannot be read as audio (...)
    """
    return np.concatenate(list(read_pieces(path))).astype(np.float32) * LEAST_SIGNIFICANT_BIT


def read_speech(path: Path | Samples) -> np.ndarray:
    """Reads a file as :func:`read_audio` does, and refuses one that is shorter than a window.

    Args:
        path: The file, or samples.

    Returns:
        Float32 ``[T]``, at least 400 samples.

    Raises:
        SignalError: As :func:`read_audio`, and for a file that is too short.

    Example:
        >>> import tempfile, soundfile
        >>> path = Path(tempfile.mkdtemp()) / "click.wav"
        >>> soundfile.write(path, np.array([0.0, 0.1, -0.1]), 16_000)
        >>> read_speech(path)
        Traceback (most recent call last):
        ...
        lgrin.features.extractor.SignalError: ...click.wav: it lasts 0 ms, less than a window of 25 ms
    """
    signal = read_audio(path)
    check_length(path, len(signal))
    return signal


def check_length(path: Path | Samples, length: int, window: int = WINDOW) -> None:
    """Raises unless a signal at 16 kHz has a window of so many samples.

    Example:
        >>> check_length(Path("clip.wav"), 400)
    """
    if length < window:
        span, needed = (samples / SAMPLING_RATE * 1000 for samples in (length, window))
        raise SignalError(str(path), f"it lasts {span:.0f} ms, less than a window of {needed:.0f} ms")


def append_spontaneity(x: Tensor, spontaneous: bool, layout: str) -> Tensor:
    """Appends to every frame whether its utterance was spontaneous or acted from a script.

    Args:
        x: ``[L, P]``.
        spontaneous: Whether it was.
        layout: Of :class:`Speech`; ``"released"`` appends two columns, one of them 1, the others append one.

    Returns:
        ``[L, P + 1]``, or ``[L, P + 2]``: 35 features for the paper and for the released code.

    Source:
        Sec. IV-B of Shirian, Tripathi and Guha, 2021, after Mangalam and Guha, "Learning spontaneity to improve
        emotion recognition in speech", Interspeech 2018.

    Example:
        >>> append_spontaneity(torch.zeros(2, 1), True, "paper").tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    check_option("layout", layout, LAYOUTS)
    columns = [float(not spontaneous), float(spontaneous)][-len(SPONTANEITY[layout]) :]
    return torch.cat([x, x.new_tensor(columns).expand(len(x), -1)], dim=1)
