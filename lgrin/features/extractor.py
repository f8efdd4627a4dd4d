"""The base class of feature extractors, which turn files into frames."""

import dataclasses
import hashlib
import inspect
import json
import math
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from io import TextIOBase
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple

from torch import Tensor

from lgrin.options import check_option, check_path
from lgrin.text import one_line


class Frames(NamedTuple):
    """A sequence of frames.

    Attributes:
        x: Float32 ``[L, P]``, float64 of tables; the rows of missing frames are NaN, and missing cells of tables.
        mask: Bool ``[L]``, which frames are there.
        frame_rate: Frames a second.

    Example:
        >>> import torch
        >>> Frames(torch.zeros(3, 2), torch.tensor([True, True, False]), 25.0).frame_rate
        25.0
    """

    x: Tensor
    mask: Tensor
    frame_rate: float


class SignalError(ValueError):
    """A file from which no frames can be extracted, with the reason.

    Args:
        path: The file.
        reason: What is wrong with it.

    Example:
        >>> print(SignalError("clip.wav", "it is empty"))
        clip.wav: it is empty
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path, self.reason = str(path), reason

    def __str__(self) -> str:
        return f"{one_line(self.path, 5_000)}: {one_line(self.reason, 5_000)}"


class SignalWarning(UserWarning):
    """What an extractor decided about a file that its user may want to decide otherwise.

    Example:
        >>> import warnings
        >>> warnings.simplefilter("error", SignalWarning)  # a decision becomes an error
        >>> warnings.simplefilter("default", SignalWarning)
    """


class Extractor(ABC):
    """Turns a file into frames.

    An extractor is a frozen dataclass, and its fields are its settings. A subclass implements :meth:`read`, which may
    raise :class:`SignalError`; a call checks what it returns.

    Attributes:
        suffixes: Endings of the files that it reads, in lower case.
        libraries: Distributions whose version its results depend on.
        version: Increased whenever its results change.
        has_gaps: Whether single values of a frame may be missing: NaN in ``x``, while the frame is there.
        keeps_float64: Whether frames are float64, as numbers on large offsets need, and not float32.
        num_features: Features per frame, P; ``None`` if they depend on the file.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Sizes(Extractor):
        ...     unit: int = 1
        ...     num_features = 1
        ...     def read(self, path):
        ...         return Frames(torch.ones(2, 1) * path.stat().st_size / self.unit, torch.ones(2).bool(), 1.0)
        >>> Sizes(1000).settings
        {'name': 'Sizes', 'unit': 1000}
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    keeps_float64: ClassVar[bool] = False
    has_gaps: ClassVar[bool] = False
    num_features: int | None

    @abstractmethod
    def read(self, path: Path) -> Frames:
        """Reads a file that exists and is not empty."""

    def __call__(self, path: str | Path | BinaryIO) -> Frames:
        """Turns a file into frames.

        Args:
            path: The file, or one that is open for reading bytes, such as ``io.BytesIO``.

        Returns:
            Its frames; those that are missing are NaN in ``x`` and False in ``mask``.

        Raises:
            FileNotFoundError: If there is no such file.
            ImportError: If a library is not installed, with the extra that brings it.
            SignalError: If the file yields no frames, with the reason.
        """
        if not isinstance(path, str | Path) and hasattr(path, "read"):
            with _as_file(path, next(iter(self.suffixes), "")) as copy:
                return self(copy)
        path = check_path("path", path)
        if path.stat().st_size == 0:
            raise SignalError(path, "it is empty")
        return self.checked(path, self.read(path))

    def checked(self, path: str | Path, frames: Frames) -> Frames:
        """Checks what :meth:`read` has returned.

        Args:
            path: What errors call the source.
            frames: The frames.

        Returns:
            The same in the dtype of this extractor, with NaN in missing frames.

        Raises:
            SignalError: If the frames cannot be used, with the reason.
        """
        x, mask, frame_rate = frames
        if x.dim() != 2 or self.num_features not in (None, x.size(1)) or mask.shape != x.shape[:1]:
            raise SignalError(path, f"{self!r} made frames of shape {list(x.shape)}, not [L, {self.num_features}]")
        if not bool(mask.any()):
            raise SignalError(path, "no frame of it could be used")
        bad = x[mask].isinf() if self.has_gaps else ~x[mask].isfinite()
        if bool(bad.any()):
            raise SignalError(path, "it holds numbers that are not finite")
        if not 0 < frame_rate < math.inf:
            raise SignalError(path, f"its frame rate is {frame_rate:g}; it has to be larger than 0")
        x = x.double() if self.keeps_float64 else x.float()
        return Frames(x.masked_fill(~mask.unsqueeze(-1), float("nan")), mask, float(frame_rate))

    def columns_of(self, path: Path) -> tuple[str, ...] | None:
        """The names of the features of a file, where they depend on the file."""
        return None

    def aligned_to(self, columns: Sequence[str]) -> "Extractor":
        """The same extractor for files whose features are put into this order, by their names."""
        return self

    @property
    def settings(self) -> dict[str, object]:
        """Its name and fields as plain values, from which :func:`from_settings` builds it again."""
        return {"name": type(self).__name__, **dataclasses.asdict(self)}  # type: ignore[call-overload]

    @property
    def fingerprint(self) -> str:
        """A short hash of what its results depend on: settings, its own version and those of its libraries."""
        libraries = {name: _version(name) for name in self.libraries}
        content = json.dumps([self.settings, self.version, libraries], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def from_settings(settings: Mapping[str, object]) -> Extractor:
    """Builds the extractor whose :attr:`Extractor.settings` these are.

    Args:
        settings: Name and fields.

    Returns:
        The extractor.

    Raises:
        ValueError: If there is no extractor of this name.

    Example:
        >>> from lgrin.features import Speech
        >>> from_settings(Speech(layout="is09").settings)
        Speech(layout='is09', spontaneous=None)
    """
    fields = dict(settings)
    name = fields.pop("name", None)
    kinds = (kind for kind in _subclasses(Extractor) if not inspect.isabstract(kind))
    known: dict[str, type] = {kind.__name__: kind for kind in kinds}
    check_option("name", name, known)
    return known[str(name)](**fields)


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None  # reading a file raises an error that says how to install it


def _subclasses(kind: type) -> list[type]:
    children: list[type] = kind.__subclasses__()
    return children + [below for child in children for below in _subclasses(child)]


@contextmanager
def _as_file(file: BinaryIO, suffix: str) -> Iterator[Path]:
    """Copies an open file to a temporary one, since decoders seek in files and look at names.

    Args:
        file: Open for reading bytes; read from where it stands to its end.
        suffix: The ending of a file that has no name.

    Returns:
        The path of the copy, within the context.

    Raises:
        SignalError: Instead of one that names the copy.
        TypeError: If the file was opened as text.

    """
    if isinstance(file, TextIOBase):
        raise TypeError(f"{file!r} was opened as text; open it with mode='rb'")
    name = getattr(file, "name", None)
    known = name if isinstance(name, str) else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{Path(known).suffix if known else suffix}"
        with open(path, "wb") as copy:
            shutil.copyfileobj(file, copy)
        try:
            if path.stat().st_size == 0:
                raise SignalError(path, "nothing is left to read in it; go back to its start with seek(0)")
            yield path
        except SignalError as error:
            raise SignalError(known or "file object", error.reason) from error
