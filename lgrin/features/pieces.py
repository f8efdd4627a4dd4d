"""Signals in pieces: the memory does not grow with the length, and the results are those of the whole signal."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lgrin.extras import optional

if TYPE_CHECKING:
    from opensmile.core.lib import OpenSMILE

PIECE = 1 << 16  # samples: 4 s at 16 kHz
HELD = 2 * PIECE  # samples that openSMILE holds: while it works on one piece, the next has room
SOURCE = Path(__file__).with_name("stream.conf")


def join(pieces: Iterable[np.ndarray], size: int = PIECE) -> Iterator[np.ndarray]:
    """Turns pieces of any lengths into pieces of one length; the last may be shorter.

    Args:
        pieces: Of a signal, in order.
        size: Samples of a piece afterwards.

    Returns:
        Copies with the same samples.

    Example:
        >>> [piece.tolist() for piece in join([np.array([0]), np.array([1, 2, 3]), np.array([4])], 2)]
        [[0, 1], [2, 3], [4]]
    """
    held, count = [], 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        while count >= size:
            whole = np.concatenate(held)
            yield whole[:size]
            held, count = [whole[size:]], count - size
    if count:
        yield np.concatenate(held)


def resample(pieces: Iterable[np.ndarray], rate: int, target: int) -> Iterator[np.ndarray]:
    """Resamples a signal piece by piece, to the same samples as :func:`audresample.resample` does the whole signal.

    Both are libsoxr at the quality "HQ", whose filter carries its state from one piece to the next.

    Args:
        pieces: Float32 ``[t]``, of a signal in order.
        rate: Its samples a second.
        target: Samples a second afterwards.

    Returns:
        Float32 pieces, some of which may be empty.

    Raises:
        ImportError: If soxr is not installed (extra ``speech``).

    Example:
        >>> pieces = np.random.default_rng(0).normal(size=(3, 10_000)).astype(np.float32)
        >>> sum(map(len, resample(pieces, 44_100, 16_000)))
        10884
    """
    if rate == target:
        yield from pieces
        return
    with optional("speech"):
        from soxr import ResampleStream
    stream = ResampleStream(rate, target, 1, dtype="float32", quality="HQ")
    for piece in pieces:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


@dataclass(frozen=True)
class Descriptors:
    """Descriptors that openSMILE computes of each window of a signal.

    One openSMILE runs over the whole signal and is given a piece whenever it has worked on the one before. What it
    carries from window to window, such as the mean pitch by which it corrects F0, therefore passes from piece to piece,
    and the descriptors do not depend on where the pieces end.

    Args:
        configuration: A file of openSMILE that reads level ``wave`` and writes level ``features``.
        descriptors: The file in openSMILE's own folder of configurations that it includes, if it includes one.

    Example:
        >>> Descriptors(SOURCE.with_name("speech.conf")).names[:2]
        ['pcm_fftMag_mfcc[0]', 'pcm_fftMag_mfcc[1]']
    """

    configuration: Path
    descriptors: str | None = None

    @property
    def names(self) -> list[str]:
        """The name of each descriptor."""
        smile, _, sink = self._start(16_000)
        try:
            count = smile.external_sink_get_num_elements(sink)
            return [smile.external_sink_get_element_name(sink, index) for index in range(count)]
        finally:
            smile.free()

    def __call__(self, pieces: Iterable[np.ndarray], rate: int) -> np.ndarray:
        """Computes the descriptors of a signal.

        Args:
            pieces: Int16 ``[t]``, of a signal in order, of at least one sample.
            rate: Samples a second.

        Returns:
            Float32 ``[L, D]``.

        Raises:
            ImportError: If openSMILE is not installed (extra ``speech``).
            BaseException: What the iteration over the pieces raises.
        """
        smile, source, sink = self._start(rate)
        try:
            return _Run(smile, source, sink, join(pieces)).result()
        finally:
            smile.free()

    def _start(self, rate: int) -> tuple["OpenSMILE", str, str]:
        """An openSMILE with this configuration, and the names of its source and sink."""
        with optional("speech"):
            import opensmile
        from opensmile.core.config import config
        from opensmile.core.lib import OpenSMILE

        folder = Path(opensmile.__file__).parent / "core" / config.CONFIG_ROOT
        ring, lagging = (folder / "shared" / f"BufferMode{kind}.conf.inc" for kind in ("Rb", "RbLag"))
        options: dict[str, Any] = {
            "source": SOURCE,
            "room": HELD,
            "sampleRate": rate,
            "sink": folder / config.EXTERNAL_OUTPUT_SINGLE_CONFIG,
            "sinkLevel": "features",
            "bufferModeRbConf": ring,
            "bufferModeRbLagConf": lagging,
            "bufferModeConf": lagging,
        }
        if self.descriptors is not None:
            options["descriptors"] = folder / self.descriptors
        smile = OpenSMILE()
        smile.initialize(str(self.configuration), options)
        return smile, config.EXTERNAL_SOURCE_COMPONENT, config.EXTERNAL_OUTPUT_COMPONENT


class _Run:
    """One pass over a signal: openSMILE hands over each frame, and is given the next piece when it has room."""

    def __init__(self, smile: "OpenSMILE", source: str, sink: str, pieces: Iterator[np.ndarray]) -> None:
        self.smile, self.source, self.pieces = smile, source, pieces
        self.frames, self.width = bytearray(), smile.external_sink_get_num_elements(sink)
        self.waiting: np.ndarray | None = next(pieces)
        self.error: BaseException | None = None
        smile.external_sink_set_callback_ex(sink, self._take)

    def result(self) -> np.ndarray:
        self._feed()
        self.smile.run()
        if self.error is not None:
            raise self.error
        return np.frombuffer(self.frames, np.float32).reshape(-1, self.width)

    def _take(self, frame: np.ndarray, _: Any) -> None:
        self.frames += frame.tobytes()
        self._feed()

    def _feed(self) -> None:
        """Writes the piece that waits, if there is room for it, and announces the end with the last one.

        A later frame could not announce it, since a last piece that is shorter than a step brings none.
        """
        if self.waiting is None:
            return
        try:
            if self.smile.external_audio_source_write_data(self.source, self.waiting.tobytes()):
                self.waiting = next(self.pieces, None)
        except BaseException as error:  # an error does not pass through openSMILE, which would wait for more
            self.waiting, self.error = None, error
        if self.waiting is None:
            self.smile.external_audio_source_set_eoi(self.source)
