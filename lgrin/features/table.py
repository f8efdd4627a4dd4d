"""Recordings in tables: CSV, TSV and Parquet files with a row for each time."""

import csv
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from lgrin.arrays import real
from lgrin.delimited import choose_delimiter, read_text
from lgrin.extras import optional
from lgrin.features.extractor import Extractor, Frames, SignalError
from lgrin.text import one_line

if TYPE_CHECKING:
    from pandas import DataFrame, Series

DELIMITERS = (",", ";", "\t")
MOST_ROWS = 100  # resampling makes at most so many of each row


@dataclass(frozen=True)
class Table(Extractor):
    r"""Reads a table with a row for each time and a column for each channel.

    Text files name their columns in the first line, unless that holds numbers alone: then columns are numbered from
    "0". They are delimited by commas, semicolons (with a decimal comma where the numbers have one) or tabs.

    Args:
        columns: Names of the channels, matched in every file; ``None`` takes all columns of a file but ``time``.
        time: The column that says when a row was measured, in seconds or as an ISO 8601 date and time; rows are sorted
            by it.
        sampling_rate: Rows a second, of files without a column of times.
        frame_rate: Frames a second to resample to, of files with ``time`` or ``sampling_rate``. A lower rate than the
            file's averages the rows of each frame; a higher one interpolates linearly. ``None`` takes rows as frames.

    Attributes:
        num_features: The number of columns; ``None`` takes those of the file.

    Shapes:
        - **x:** float64 ``[L, P]``; an empty cell is NaN, and a row without any number, or a frame without a row, is a
          missing frame. Data sets and predictions fill single cells (:func:`lgrin.gaps.fill_gaps`)

    Raises:
        ImportError: If pandas is not installed (extra ``tables``).
        SignalError: If the file is no table, lacks a column, has one twice or a cell without a number, its times are no
            times or occur twice, or resampling would make more than 100 frames of each row.
        ValueError: If a setting is out of range.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "walk.csv"
        >>> _ = path.write_text("t,x,y\n0.0,1,2\n0.1,3,4\n0.2,5,6\n")
        >>> frames = Table(time="t")(path)
        >>> frames.x.tolist(), round(frames.frame_rate, 3)
        ([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], 10.0)
        >>> Table(time="t", frame_rate=5)(path).x.tolist()  # the mean of two rows, and the last one
        [[2.0, 3.0], [5.0, 6.0]]
    """

    columns: tuple[str, ...] | None = None
    time: str | None = None
    sampling_rate: float | None = None
    frame_rate: float | None = None

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".parquet")
    libraries: ClassVar[tuple[str, ...]] = ("pandas",)
    version: ClassVar[int] = 2
    keeps_float64: ClassVar[bool] = True
    has_gaps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("sampling_rate", "frame_rate"):
            rate: float | None = getattr(self, name)
            if rate is not None and (isinstance(rate, bool) or not isinstance(rate, Real) or not 0 < rate < math.inf):
                raise ValueError(f"{name} is {rate!r}; it has to be a number larger than 0")
        if self.columns is not None:
            if isinstance(self.columns, str) or not self.columns or len(set(self.columns)) != len(self.columns):
                raise ValueError(f"columns is {self.columns!r}; it has to be a list of different names")
            object.__setattr__(self, "columns", tuple(map(str, self.columns)))
        if self.time is not None and self.sampling_rate is not None:
            raise ValueError("time and sampling_rate were given, and both say when a row was measured; give one")
        if self.frame_rate is not None and self.time is None and self.sampling_rate is None:
            raise ValueError("frame_rate was given, and not when rows were measured; give time or sampling_rate")

    @property
    def num_features(self) -> int | None:  # type: ignore[override]
        """Features per frame, or ``None`` for the columns of the file."""
        return None if self.columns is None else len(self.columns)

    def channels_of(self, path: Path) -> tuple[str, ...]:
        """Names the columns of a file that are channels.

        Args:
            path: The file.

        Returns:
            ``columns``, or all columns of the file but ``time``.
        """
        return self.columns or tuple(name for name in _read(path).columns if name != self.time)

    def read(self, path: Path) -> Frames:
        """Reads one table."""
        table = _read(path)
        names = self.columns or [name for name in table.columns if name != self.time]
        for name in [*names, *([] if self.time is None else [self.time])]:
            if name not in table.columns:
                raise SignalError(
                    path,
                    f"it lacks the column {name!r}; it has {list(table.columns)}: add an empty column for a channel "
                    f"that was not recorded, or name the channels with columns=",
                )
        if len(table) == 0 or not names:
            raise SignalError(path, "it holds no row below its header" if names else "it has no column of a channel")
        x = np.stack([_numbers(path, name, table[name]) for name in names], axis=1)
        if self.time is None:
            seconds, rate = np.arange(len(x)) / (self.sampling_rate or 1.0), self.sampling_rate or 1.0
        else:
            seconds = _seconds(path, self.time, table[self.time])
            order = np.argsort(seconds, kind="stable")
            x, seconds = x[order], seconds[order]
            rate = _rate(path, self.time, seconds)
        if self.frame_rate is not None:
            x, rate = _resample(path, x, seconds, rate, self.frame_rate), float(self.frame_rate)
        return Frames(torch.from_numpy(x), torch.from_numpy(~np.isnan(x).all(1)), rate)


def _read(path: Path) -> "DataFrame":
    """Reads a table, whose columns have different names."""
    with optional("tables"):
        import pandas
        from pandas.errors import EmptyDataError, ParserError
    if path.suffix.lower() == ".parquet":
        with optional("tables"):
            import pyarrow.lib
        try:
            table = pandas.read_parquet(path, engine="pyarrow")
        except (pyarrow.lib.ArrowException, ValueError, OSError) as error:
            raise SignalError(path, f"it cannot be read as Parquet ({one_line(error)})") from error
        return table.set_axis(_different(path, list(map(str, table.columns))), axis=1)
    try:
        text = read_text(path)
        first, _, rest = text.lstrip("\n").partition("\n")
        delimiter = "\t" if path.suffix.lower() == ".tsv" else choose_delimiter(first, DELIMITERS)
        cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), [])]
        decimal = "," if delimiter == ";" and "," in rest else "."
        headless = all(_is_number(cell.replace(decimal, ".")) for cell in cells)
        names = list(map(str, range(len(cells)))) if headless else _different(path, cells)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            return pandas.read_csv(
                StringIO(text),
                sep=delimiter,
                decimal=decimal,
                header=None if headless else 0,
                names=names,
                index_col=False,
                skipinitialspace=True,
            )
    except SignalError:
        raise
    except (ParserError, EmptyDataError, pandas.errors.ParserWarning, csv.Error, ValueError) as error:
        raise SignalError(path, f"it is no whole table of text ({one_line(error)})") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _different(path: Path, names: Sequence[str]) -> list[str]:
    again = [name for index, name in enumerate(names) if name in names[:index]]
    if again:
        raise SignalError(path, f"it has two columns {again[0]!r}; give each a name of its own")
    return list(names)


def _numbers(path: Path, name: str, column: "Series") -> np.ndarray:
    """The numbers of a column, float64, NaN where a cell is empty."""
    with optional("tables"):
        from pandas import to_numeric
    numbers = to_numeric(column, errors="coerce") if column.dtype.kind not in "mMc" else None
    if numbers is None:
        raise SignalError(path, f"column {name!r} holds {column.dtype}, no numbers; name the channels with columns=")
    odd = np.flatnonzero(numbers.isna().to_numpy() & column.notna().to_numpy())
    if len(odd):
        raise SignalError(
            path,
            f"column {name!r} holds {str(column.iloc[odd[0]])!r} in row {odd[0] + 1}, which is no number; repair it, "
            f"or name the channels with columns=",
        )
    return np.asarray(real(numbers.to_numpy(dtype=float, na_value=np.nan)), np.float64)


def _seconds(path: Path, name: str, column: "Series") -> np.ndarray:
    """The times of rows in seconds, those of dates since the first."""
    with optional("tables"):
        from pandas import to_datetime, to_numeric
    if bool(column.isna().any()):
        row = int(np.flatnonzero(column.isna())[0]) + 1
        raise SignalError(path, f"time {name!r} is missing in row {row}; every row needs one")
    is_date = column.dtype.kind in "mM"
    numbers = column if is_date else to_numeric(column, errors="coerce")
    if is_date or bool(numbers.isna().any()):
        try:
            dates = column if is_date else to_datetime(column, utc=True, format="ISO8601")
        except (ValueError, TypeError) as error:
            raise SignalError(path, f"time {name!r} holds neither seconds nor dates as 2026-01-31T12:00:00") from error
        numbers = (dates - dates.min()).dt.total_seconds()
    return np.asarray(numbers, np.float64)


def _rate(path: Path, name: str, seconds: np.ndarray) -> float:
    """Rows a second, by the median of the steps between them."""
    steps = np.diff(seconds)
    if len(steps) and steps.min() <= 0:
        again = float(seconds[int(steps.argmin())])
        raise SignalError(path, f"time {name!r} is {again:g} in two rows; a time occurs once in a recording")
    return float(1 / np.median(steps)) if len(steps) else 1.0


def _resample(path: Path, x: np.ndarray, seconds: np.ndarray, rate: float, frame_rate: float) -> np.ndarray:
    """Brings rows ``[T, P]`` to another rate: averages of rows, or points on the lines between them."""
    since = seconds - seconds[0]
    slack = 1e-6  # of a frame: what rounding moves a time by
    count = math.floor(since[-1] * frame_rate + slack) + 1
    if count > MOST_ROWS * (len(x) + 1):
        raise SignalError(path, f"frame_rate={frame_rate:g} would make {count:,} frames of {len(x):,} rows")
    if frame_rate >= rate * (1 - slack):
        grid = np.arange(count) / frame_rate
        return np.stack([np.interp(grid, since, channel) for channel in x.T], axis=1)
    frame = np.floor(since * frame_rate + slack).astype(np.int64)
    present = np.zeros(x.shape)
    present[~np.isnan(x)] = 1
    sums, counts = np.zeros((2, count, x.shape[1]))
    np.add.at(sums, frame, np.nan_to_num(x))
    np.add.at(counts, frame, present)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: np.ndarray = sums / counts
    return means
