"""Faces as OpenFace measured them: its CSV files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from lgrin.extras import require
from lgrin.features.extractor import Extractor, Frames, SignalError
from lgrin.features.faces import LANDMARKS, normalize_landmarks

STATE = ["frame", "timestamp", "confidence", "success"]
POINTS = [f"{axis}_{point}" for point in range(LANDMARKS) for axis in "xy"]


@dataclass(frozen=True)
class OpenFace(Extractor):
    """Reads the 68 landmarks that OpenFace's ``FeatureExtraction`` wrote into a CSV file.

    Frame t is the one that OpenFace numbered t + 1. It is missing if the file leaves it out, if OpenFace lost the face
    in it, or was less sure than ``min_confidence``. Of several faces in a frame, the one it is surest of counts, and
    the first of those it is equally sure of.

    Args:
        min_confidence: The least confidence with which a frame is there, from 0 to 1.
        normalize: Whether to remove place, size and roll of the head; see :func:`~lgrin.features.normalize_landmarks`.

    Shapes:
        - **x:** ``[L, 136]``, L the largest frame number: x and y of the first point, of the second, and so on, in
          pixels; frames a second follow from the first and the last timestamp

    Raises:
        ImportError: If pandas is not installed (extra ``signals``).
        SignalError: If the file is no such table, lacks a column, has a row that is cut short or no number where there
            has to be one, or has no frame with a face.
        ValueError: If ``min_confidence`` is not between 0 and 1.

    Source:
        Baltrušaitis, Zadeh, Lim and Morency, "OpenFace 2.0: Facial behavior analysis toolkit", FG 2018.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "face.csv"
        >>> rows = [[t, (t - 1) / 25, 0.98, t != 2, *range(136)] for t in (1, 2, 3)]
        >>> lines = [", ".join(STATE + POINTS), *(", ".join(f"{value:g}" for value in row) for row in rows)]
        >>> _ = path.write_text("\\n".join(lines))
        >>> x, mask, frame_rate = OpenFace()(path)
        >>> x.shape, mask.tolist(), round(frame_rate, 3)
        (torch.Size([3, 136]), [True, False, True], 25.0)
    """

    min_confidence: float = 0.0
    normalize: bool = False

    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    num_features = 2 * LANDMARKS

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence is {self.min_confidence!r}; it has to lie between 0 and 1")

    def read(self, path: Path) -> Frames:
        """Reads one table."""
        table = _read_table(path)
        frame, timestamp, confidence, success = _numbers(path, table, STATE).T
        odd = (frame < 1) | (frame % 1 != 0)
        if odd.any():
            raise SignalError(
                path, f"frame is {frame[odd][0]:g} in row {odd.argmax() + 1}; OpenFace counts 1, 2, 3, ..."
            )
        found = np.flatnonzero((success == 1) & (confidence >= self.min_confidence))
        if len(found) == 0:
            raise SignalError(path, f"no row of its {len(table)} has a face with confidence {self.min_confidence:g}")
        surest_last = found[np.argsort(-confidence[found], kind="stable")[::-1]]
        points = np.full((int(frame.max()), self.num_features), np.nan, np.float32)
        points[frame[surest_last].astype(int) - 1] = _numbers(path, table.iloc[surest_last], POINTS)
        x = torch.from_numpy(points)
        x = normalize_landmarks(x) if self.normalize else x
        return Frames(x, ~x.isnan().any(-1), _frame_rate(path, frame, timestamp))


def _read_table(path: Path) -> Any:
    """Reads the columns that are needed as text, and the last one, which shows whether a row is all there."""
    pandas = require("pandas", extra="signals")
    options = {"skipinitialspace": True, "dtype": str, "keep_default_na": False, "index_col": False}
    try:
        names = pandas.read_csv(path, nrows=0, **options).columns
        missing = [name for name in STATE + POINTS if name not in names]
        if missing:
            raise SignalError(path, f"it lacks {_listed(missing)}, so it is no table of OpenFace's FeatureExtraction")
        table = pandas.read_csv(path, usecols=[*{*STATE, *POINTS, names[-1]}], **options)
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SignalError(path, f"it cannot be read as a table ({error})") from error
    if len(table) == 0:
        raise SignalError(path, "it holds no row below its header")
    short = (table[names[-1]] == "").to_numpy()
    if short.any():
        raise SignalError(path, f"row {short.argmax() + 1} is cut short: it has no {names[-1]}")
    return table


def _numbers(path: Path, table: Any, columns: list[str]) -> np.ndarray:
    """Turns text into numbers, ``[rows, columns]`` float64."""
    pandas = require("pandas", extra="signals")
    numbers = table[columns].apply(pandas.to_numeric, errors="coerce").to_numpy(np.float64)
    odd = np.argwhere(~np.isfinite(numbers))
    if len(odd):
        row, column = odd[0]
        text = table[columns[column]].iloc[row]
        raise SignalError(path, f"{columns[column]} is {text!r} in row {table.index[row] + 1}, which is not a number")
    return numbers


def _frame_rate(path: Path, frame: np.ndarray, timestamp: np.ndarray) -> float:
    first, last = frame.argmin(), frame.argmax()
    seconds = timestamp[last] - timestamp[first]
    if not seconds > 0:
        raise SignalError(
            path, "its timestamps do not rise, so there is no frame rate; run OpenFace on the video, not on its images"
        )
    return float((frame[last] - frame[first]) / seconds)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more columns" if len(names) > 4 else "")
