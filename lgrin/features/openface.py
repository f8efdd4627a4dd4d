"""Facial landmarks from the CSV files of OpenFace."""

import csv
import warnings
from dataclasses import dataclass
from io import StringIO
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from lgrin.extras import optional
from lgrin.features.extractor import Extractor, Frames, SignalError, SignalWarning
from lgrin.features.faces import LANDMARKS, normalize_landmarks
from lgrin.options import check_option

if TYPE_CHECKING:
    from pandas import DataFrame

FRAME_COLUMNS = ["frame", "timestamp", "confidence"]
SUCCESS = "success"  # optional: the tables published with RAVDESS have no such column
LANDMARK_COLUMNS = [f"{axis}_{point}" for point in range(LANDMARKS) for axis in "xy"]
FRAME_ALLOWANCE = 10_000  # that a table may number beyond those of its rows: frames without a face need no row
MAX_FRAMES_PER_ROW = 100
POINTS = LANDMARK_COLUMNS  # their name in version 0.1.0
FACE = "face_id"  # optional: a table of one face needs none
FACES = ("confident", "largest")
MIN_TOGETHER = 3  # frames that two faces share before they are two people, and not a false detection


@dataclass(frozen=True)
class OpenFace(Extractor):
    """Reads the 68 landmarks that OpenFace's ``FeatureExtraction`` wrote into a CSV file.

    Frame t has the number t + 1 in the file. It is missing if the file has no row for it, if OpenFace lost the face in
    it (``success`` is 0, where there is such a column), or if its confidence is below ``min_confidence``.

    Of several people one is followed, as ``face`` says, and a warning tells which and who else was in view. Two numbers
    (``face_id``) are two people if they share at least 3 frames; OpenFace gives one person a new number after it lost
    the face. Of several faces of one person in a frame the best is taken, and the first of them at a tie.

    Args:
        min_confidence: Frames of a lower confidence are missing; from 0 to 1.
        normalize: Whether to remove position, size and roll of the head; see
            :func:`~lgrin.features.normalize_landmarks`.
        face: ``"confident"`` follows the person with the largest sum of confidences, ``"largest"`` the one whose face
            is largest, summed over the frames; a number is a ``face_id``.

    Shapes:
        - **x:** ``[L, 136]``, L the largest frame number: x and y of the first point, of the second, and so on, in
          pixels; frames a second follow from the first and the last timestamp

    Raises:
        ImportError: If pandas is not installed (extra ``faces``).
        SignalError: If the file is no such table, lacks a column, has a row that is cut short or no number where there
            has to be one, numbers of frames that no table with so few rows has, no frame with a face, or timestamps
            that do not rise; or if it has no such ``face``.
        ValueError: If ``min_confidence`` is not between 0 and 1, or ``face`` is unknown.

    Source:
        Baltrušaitis, Zadeh, Lim and Morency, "OpenFace 2.0: Facial behavior analysis toolkit", FG 2018.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "face.csv"
        >>> rows = [[t, (t - 1) / 25, 0.98, t != 2, *range(136)] for t in (1, 2, 3)]
        >>> header = ", ".join([*FRAME_COLUMNS, "success", *LANDMARK_COLUMNS])
        >>> lines = [header, *(", ".join(f"{value:g}" for value in row) for row in rows)]
        >>> _ = path.write_text("\\n".join(lines))
        >>> x, mask, frame_rate = OpenFace()(path)
        >>> x.shape, mask.tolist(), round(frame_rate, 3)
        (torch.Size([3, 136]), [True, False, True], 25.0)
    """

    min_confidence: float = 0.0
    normalize: bool = False
    face: str | int = "confident"

    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    version: ClassVar[int] = 2
    num_features = 2 * LANDMARKS

    def __post_init__(self) -> None:
        lowest = self.min_confidence
        if isinstance(lowest, bool) or not isinstance(lowest, Real) or not 0 <= lowest <= 1:
            raise ValueError(f"min_confidence is {self.min_confidence!r}; it has to lie between 0 and 1")
        if isinstance(self.face, bool) or not isinstance(self.face, int):
            check_option("face", self.face, FACES)

    def read(self, path: Path) -> Frames:
        """Reads one table."""
        table = _read_table(path)
        frame, timestamp, confidence = _to_numbers(path, table, FRAME_COLUMNS).T
        success = _to_numbers(path, table, [SUCCESS])[:, 0] if SUCCESS in table else np.ones(len(table))
        odd = (frame < 1) | (frame % 1 != 0)
        if odd.any():
            raise SignalError(path, f"frame is {frame[odd][0]:g} in row {odd.argmax() + 1}, which is none of 1, 2, ...")
        most = FRAME_ALLOWANCE + MAX_FRAMES_PER_ROW * len(table)
        if frame.max() > most:
            where = f"{frame.max():g} in row {frame.argmax() + 1}"
            raise SignalError(path, f"frame is {where}; with {len(table)} rows it is {most:,} at most")
        found = np.flatnonzero((success == 1) & (confidence >= self.min_confidence))
        if len(found) == 0:
            raise SignalError(path, f"no row of its {len(table)} has a face with confidence {self.min_confidence:g}")
        faces = _to_numbers(path, table, [FACE])[:, 0].astype(int) if FACE in table else np.zeros(len(table), int)
        weight = _face_sizes(path, table, found) if self.face == "largest" else confidence
        found = found[self._follow(path, frame[found], faces[found], weight[found])]
        best_last = found[np.argsort(-weight[found], kind="stable")[::-1]]
        points = np.full((int(frame.max()), self.num_features), np.nan, np.float32)
        points[frame[best_last].astype(int) - 1] = _to_numbers(path, table.iloc[best_last], LANDMARK_COLUMNS)
        x = torch.from_numpy(points)
        x = normalize_landmarks(x) if self.normalize else x
        return Frames(x, ~x.isnan().any(-1), _frame_rate(path, frame, timestamp))

    def _follow(self, path: Path, frame: np.ndarray, faces: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Whether each row shows the person who is followed."""
        numbers = np.unique(faces)
        if self.face not in FACES:
            if self.face not in numbers:
                raise SignalError(path, f"it has no face {self.face}; its faces are {', '.join(map(str, numbers))}")
            return faces == self.face
        chosen = max(numbers.tolist(), key=lambda number: weight[faces == number].sum())
        own = frame[faces == chosen]
        others = [n for n in numbers.tolist() if n != chosen and np.isin(frame[faces == n], own).sum() >= MIN_TOGETHER]
        if others:
            told = ", ".join(map(str, others))
            warnings.warn(
                f"{path}: several people are in view; face {chosen} is followed (face={self.face!r}), and {told} not",
                SignalWarning,
                stacklevel=4,
            )
        return ~np.isin(faces, others)


def _face_sizes(path: Path, table: "DataFrame", rows: np.ndarray) -> np.ndarray:
    """The height and width of the landmarks of each of some rows, added up; 0 for the others."""
    points = _to_numbers(path, table.iloc[rows], LANDMARK_COLUMNS).reshape(len(rows), LANDMARKS, 2)
    sizes = np.zeros(len(table))
    sizes[rows] = np.ptp(points, axis=1).sum(-1)
    return sizes


def _read_table(path: Path) -> "DataFrame":
    """Reads the required columns as text; every row has to have as many values as the header has names."""
    with optional("faces"):
        from pandas import read_csv
    header, *rows = _read_lines(path)
    names = [name.strip() for name in header.split(",")]
    missing = [name for name in FRAME_COLUMNS + LANDMARK_COLUMNS if name not in names]
    if missing:
        raise SignalError(path, f"it lacks {_abbreviate(missing)}, so it is no table of OpenFace's FeatureExtraction")
    if not rows:
        raise SignalError(path, "it holds no row below its header")
    for number, row in enumerate(rows, start=1):
        if row.count(",") != header.count(","):
            raise SignalError(path, f"row {number} holds {row.count(',') + 1} values for {len(names)} columns")
    text = StringIO("\n".join([",".join(names), *rows]))
    options = {"skipinitialspace": True, "keep_default_na": False, "quoting": csv.QUOTE_NONE}
    columns = [*FRAME_COLUMNS, *(name for name in (SUCCESS, FACE) if name in names), *LANDMARK_COLUMNS]
    return read_csv(text, usecols=columns, dtype=str, **options)


def _read_lines(path: Path) -> list[str]:
    """Reads the lines that are not blank, and at least one."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SignalError(path, f"it is no text ({error})") from error
    return [line for line in lines if line.strip()] or [""]


def _to_numbers(path: Path, table: "DataFrame", columns: list[str]) -> np.ndarray:
    """Turns text into numbers, ``[rows, columns]`` float64."""
    with optional("faces"):
        from pandas import to_numeric
    numbers = table[columns].apply(to_numeric, errors="coerce").to_numpy(np.float64)
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


def _abbreviate(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more columns" if len(names) > 4 else "")
