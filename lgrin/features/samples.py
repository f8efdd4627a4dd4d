"""Audio that is in memory and not in a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lgrin.arrays import real
from lgrin.features.audio import BLOCK, MAX_RATE, MIN_RATE, Block
from lgrin.features.extractor import Extractor, Frames
from lgrin.options import check_path, check_whole

FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}  # of whole samples; floating ones have 1


@dataclass(frozen=True)
class Samples:
    """Samples of a recording.

    Args:
        samples: Float32 ``[T, C]``, between -1 and 1.
        rate: Samples a second.

    Example:
        >>> [len(block.samples) for block in Samples(np.zeros((100_000, 1), np.float32), 16_000).blocks()]
        [65536, 34464]
    """

    samples: np.ndarray
    rate: int

    @classmethod
    def read(cls, array: object, sampling_rate: object) -> "Samples":
        """Reads an array, as a file of these samples would be read.

        Args:
            array: ``[T]``, or two axes, of which the shorter is that of the channels; floating from -1 to 1, int16 or
                int32, of NumPy or PyTorch.
            sampling_rate: Samples a second, a whole number.

        Returns:
            The samples.

        Raises:
            TypeError: If the samples are of another type, or the rate is no whole number.
            ValueError: If there is no telling time from channels, or the rate is none of a recording.

        Example:
            >>> Samples.read(np.array([[0, -32768, 16384]], np.int16), 8_000).samples.tolist()
            [[0.0], [-1.0], [0.5]]
        """
        rate = check_whole("sampling_rate", sampling_rate)
        if not MIN_RATE <= rate <= MAX_RATE:
            raise ValueError(
                f"sampling_rate is {rate:,}; recordings have {MIN_RATE:,} to {MAX_RATE:,} samples a second"
            )
        given = array.detach().cpu() if isinstance(array, Tensor) else np.asarray(array)
        kind = str(given.dtype).removeprefix("torch.")
        if kind not in FULL_SCALE and "float" not in kind:
            raise TypeError(f"array is {kind}; samples are floating from -1 to 1, int16 or int32")
        values = real(given)
        if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[0] == values.shape[1]):
            raise ValueError(
                f"array has shape {list(values.shape)}; samples are [T], [C, T] or [T, C], the longer axis that of time"
            )
        channels = values[:, None] if values.ndim == 1 else values.T if values.shape[0] < values.shape[1] else values
        with np.errstate(over="ignore"):  # an infinity is refused with the reason
            return cls(np.ascontiguousarray(channels / FULL_SCALE.get(kind, 1.0), np.float32), rate)

    def blocks(self) -> Iterator[Block]:
        """The samples block by block."""
        for start in range(0, len(self.samples), BLOCK):
            yield Block(self.samples[start : start + BLOCK], self.rate)

    def __str__(self) -> str:
        return "array"


class AudioExtractor(Extractor):
    """An extractor of audio, which reads arrays of samples, too; :meth:`read` takes a path or :class:`Samples`."""

    def __call__(self, source: Any, sampling_rate: int | None = None) -> Frames:
        """Turns audio into frames.

        Args:
            source: A file by its path, an open binary file such as ``io.BytesIO``, or an array of samples: ``[T]``, or
                ``[C, T]`` or ``[T, C]``, of which the shorter axis is that of the channels; floating from -1 to 1,
                int16 or int32, of NumPy or PyTorch.
            sampling_rate: Samples a second of an array. The frames are those of a file with these samples, to the bit.

        Returns:
            Its frames.

        Raises:
            FileNotFoundError: If there is no such file.
            ImportError: If a library is not installed, with the extra that brings it.
            SignalError: If the source yields no frames, with the reason.
            TypeError: If samples or rate are of another type, or the rate of an array is missing.
            ValueError: If there is no telling time from channels, or the rate is none of a recording.
        """
        is_array = not isinstance(source, str | Path) and not hasattr(source, "read")
        if is_array and sampling_rate is None:
            if not hasattr(source, "shape"):
                check_path("path", source)  # raises
            raise TypeError(f"source is a {type(source).__name__}, and no sampling_rate was given; give both")
        if not is_array and sampling_rate is not None:
            raise ValueError("sampling_rate was given beside a file, which says its own; leave it out")
        if not is_array:
            return super().__call__(source)
        samples = Samples.read(source, sampling_rate)
        return self.checked(str(samples), self.read(samples))  # type: ignore[arg-type]
