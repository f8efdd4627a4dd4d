"""Which axis of an array is time, and what tables hold: a sequence each, or many of them one below the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch_geometric.data import Data, Dataset

from lgrin.arrays import real
from lgrin.extras import optional
from lgrin.options import check_option
from lgrin.warn import warn_user

AUTO, CHANNELS_FIRST, TIME_FIRST = "auto", "channels_first", "time_first"
LAYOUTS = (AUTO, CHANNELS_FIRST, TIME_FIRST)


def is_table(given: object) -> bool:
    """Whether something is a table with columns, of pandas or polars.

    Example:
        >>> is_table(np.zeros((2, 3)))
        False
    """
    return hasattr(given, "columns") and hasattr(given, "to_numpy")


def has_names(table: Any) -> bool:
    """Whether the columns of a table have names, and are not only numbered.

    Example:
        >>> from pandas import DataFrame
        >>> has_names(DataFrame(np.zeros((2, 3)))), has_names(DataFrame({"x": [1.0]}))
        (False, True)
    """
    return not all(isinstance(label, int | np.integer) for label in table.columns)


def to_rows(index: int, given: np.ndarray, layout: str, n_channels: int) -> np.ndarray:
    """Brings one sequence to ``[channels, time]``.

    Args:
        index: Its place in X.
        given: ``[channels, time]`` or ``[time, channels]``, or one row of a matrix with all its values.
        layout: ``"time_first"``, or anything else for channels first.
        n_channels: Channels of a row of a matrix.

    Returns:
        The same values, ``[channels, time]``.

    Raises:
        ValueError: If it has no value, more than two axes, or values that the channels cannot share.

    Example:
        >>> to_rows(0, np.arange(6), "time_first", n_channels=2).tolist()
        [[0, 2, 4], [1, 3, 5]]
    """
    axes = "[time, channels]" if layout == TIME_FIRST else "[channels, time]"
    if given.ndim == 1:
        if given.size % n_channels:
            raise ValueError(
                f"X[{index}] has {given.size} values, which n_channels={n_channels} channels cannot share evenly; set "
                f"n_channels, or pass an array [n, channels, time]"
            )
        given = given.reshape(-1, n_channels) if layout == TIME_FIRST else given.reshape(n_channels, -1)
    if given.ndim != 2 or given.size == 0:
        raise ValueError(f"X[{index}] has shape {list(given.shape)}; a sequence is {axes}, with one frame at least")
    return given.T if layout == TIME_FIRST else given


def warn_of_wide_arrays(shapes: Sequence[tuple[int, ...]], layout: str) -> None:
    """Warns where all arrays have more channels than frames, and could as well be ``[time, channels]``.

    Args:
        shapes: The shape of each, ``(channels, time)`` as it was read.
        layout: The ``layout`` of the estimator; only ``"auto"`` warns.
    """
    widths = {shape[1] for shape in shapes}
    if layout == AUTO and len(widths) == 1 and all(shape[0] > shape[1] for shape in shapes):
        warn_user(
            f"X holds sequences of {shapes[0][0]} channels and {shapes[0][1]} frames, more channels than frames. If "
            f"they are [time, channels], set layout='time_first'; layout='channels_first' reads them as now, without "
            f"this warning",
            about="wide arrays in X",
        )


def other_layout_hint(shapes: Sequence[tuple[int, ...]]) -> str:
    """What an error about unequal channels adds, where all arrays have one width.

    Example:
        >>> other_layout_hint([(20, 3), (25, 3)])
        "; all have 3 columns: if they are [time, channels], set layout='time_first'"
    """
    widths = {shape[1] for shape in shapes if len(shape) == 2}
    if len(shapes) < 2 or len(widths) != 1:
        return ""
    return f"; all have {widths.pop()} columns: if they are [time, channels], set layout='time_first'"


def is_dataset(given: object) -> bool:
    """Whether something is a data set of PyG, or a list of its ``Data``.

    Example:
        >>> is_dataset([Data()]), is_dataset([])
        (True, False)
    """
    if isinstance(given, Dataset):
        return True
    return isinstance(given, list | tuple) and len(given) > 0 and all(isinstance(one, Data) for one in given)


def read_dataset(dataset: Any) -> list[np.ndarray]:
    """Reads the sequences of a data set of lgrin.

    Args:
        dataset: Its ``Data`` have ``x [L, P]`` and perhaps ``mask [L]``.

    Returns:
        ``[P, L]`` each, NaN where a frame is missing.

    Raises:
        ValueError: If an ``x`` has no such shape.

    Example:
        >>> import torch
        >>> read_dataset([Data(x=torch.ones(2, 1), mask=torch.tensor([True, False]))])[0].tolist()
        [[1.0, nan]]
    """
    rows = []
    for index in range(len(dataset)):
        data = dataset[index]
        if data.x is None or data.x.dim() != 2:
            raise ValueError(f"X[{index}].x has shape {list(np.shape(data.x))}; a data set of sequences has x [L, P]")
        x = real(data.x).T.copy()
        if data.get("mask") is not None:
            x[:, ~data.mask.numpy()] = np.nan
        rows.append(x)
    return rows


def labels_of_dataset(dataset: Any) -> list[Any]:
    """The class of each sequence of a data set, by name where it has names.

    Example:
        >>> import torch
        >>> labels_of_dataset([Data(y=torch.tensor([1]))])
        [1]
    """
    numbers = [int(dataset[index].y) for index in range(len(dataset))]
    classes = getattr(dataset, "classes", None)
    return [classes[number] for number in numbers] if classes else numbers


def groups_of_dataset(dataset: Any) -> list[int] | None:
    """The group of each sequence of a data set; ``None`` if it has no groups."""
    groups = [dataset[index].get("group") for index in range(len(dataset))]
    return None if any(group is None for group in groups) else list(map(int, groups))


def extractor_of_dataset(given: Any) -> dict[str, Any] | None:
    """The settings of the extractor that made the frames of a data set, as far as it gives them unchanged.

    Args:
        given: What may be a data set of recordings.

    Returns:
        The settings; ``None`` where there is no extractor, or a transform comes behind it.

    Example:
        >>> extractor_of_dataset([Data()]) is None
        True
    """
    settings = getattr(getattr(given, "features", None), "settings", None)
    changed = getattr(given, "transform", None) is not None
    return None if settings is None or changed or not is_dataset(given) else dict(settings)


def split_table(table: Any, id: str | None) -> tuple[list[Any], list[object]] | None:
    """Splits a table that holds all sequences one below the other.

    Args:
        table: A long table, whose column ``id`` says which sequence a row belongs to, or a panel, whose index has the
            levels sequence and time.
        id: The name of that column; ``None`` for a panel.

    Returns:
        A table for each sequence and the id of each, in the order in which ids first appear, those of a panel sorted;
        ``None`` if it is neither.

    Raises:
        ImportError: If it is a panel, and aeon is not installed (extra ``train``).
        ValueError: If there is no such column.

    Example:
        >>> from pandas import DataFrame
        >>> tables, ids = split_table(DataFrame({"clip": ["b", "a", "b"], "x": [1.0, 2.0, 3.0]}), "clip")
        >>> ids, tables[0]["x"].tolist()
        (['b', 'a'], [1.0, 3.0])
    """
    if id is not None:
        if id not in table.columns:
            raise ValueError(f"id is {id!r}, and X has no such column; it has {list(map(str, table.columns))}")
        column = np.asarray(table[id])
        ids = list(dict.fromkeys(column.tolist()))
        groups = {key: part.drop(columns=id) for key, part in table.groupby(id, sort=False)}
        return [groups[key] for key in ids], list(ids)
    if getattr(getattr(table, "index", None), "nlevels", 1) != 2:
        return None
    with optional("train"):
        from aeon.utils.conversion import convert_collection
    panel = table.set_axis(table.index.remove_unused_levels(), axis=0).astype(float)
    parts = convert_collection(panel, "df-list")  # each [channels, time]
    return [part.T for part in parts], list(panel.index.levels[0])


def read_tables(tables: Sequence[Any], names: Sequence[str] | None, id: str | None, time: str | None) -> list[Any]:
    """Reads tables ``[time, columns]``, whose columns are the channels.

    Args:
        tables: The tables, with named columns.
        names: The channels that are wanted, in this order; ``None`` takes those of the first table.
        id: A column that is no channel.
        time: A column that orders the rows and is no channel.

    Returns:
        Arrays ``[channels, time]``, and the names of the channels.

    Raises:
        ValueError: If a table lacks a column, has one more, has one twice, or a column holds no numbers, with its name.

    Example:
        >>> from pandas import DataFrame
        >>> rows, names = read_tables([DataFrame({"t": [1, 0], "x": [5.0, 6.0]})], None, None, "t")
        >>> rows[0].tolist(), names
        ([[6.0, 5.0]], ['x'])
    """
    rows, wanted = [], None if names is None else list(map(str, names))
    for index, table in enumerate(tables):
        columns = _columns(index, table)
        for name in (id, time):
            columns.pop(name or "", None)
        if time is not None and time not in table.columns:
            raise ValueError(f"time is {time!r}, and X[{index}] has no such column; it has {list(columns)}")
        wanted = list(columns) if wanted is None else wanted
        _check_columns(index, list(columns), wanted)
        order = slice(None) if time is None else _order(index, time, np.asarray(table[time]))
        rows.append(np.stack([_column(index, name, table[columns[name]])[order] for name in wanted]))
    return [rows, wanted]


def _columns(index: int, table: Any) -> dict[str, Any]:
    """The columns of a table by name, each once."""
    columns: dict[str, Any] = {}
    for label in table.columns:
        if str(label) in columns:
            raise ValueError(f"X[{index}] has two columns {str(label)!r}; give each a name of its own")
        columns[str(label)] = label
    return columns


def _check_columns(index: int, found: list[str], wanted: list[str]) -> None:
    lacking = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    if lacking:
        raise ValueError(
            f"X[{index}] lacks the column {lacking[0]!r}; it has {found}, and the channels are {wanted}: for a "
            f"channel that was not recorded give a column of NaN, as table.reindex(columns={wanted}) does"
        )
    if extra:
        raise ValueError(
            f"X[{index}] has the column {extra[0]!r}, which is no channel; the channels are {wanted}: drop it, or name "
            f"it id= or time= if it says which recording or when"
        )
    if not wanted:
        raise ValueError(f"X[{index}] has no column beside id and time; a channel is a column")


def _order(index: int, time: str, values: np.ndarray) -> np.ndarray:
    """The order of rows by time, of which each occurs once."""
    order = np.argsort(values, kind="stable")
    again = np.flatnonzero(values[order][1:] == values[order][:-1])
    if len(again):
        raise ValueError(
            f"X[{index}] has two rows at {time}={values[order][again[0]]}; a time occurs once in a sequence: name the "
            f"column that tells sequences apart with id="
        )
    return order


def _column(index: int, name: str, column: Any) -> np.ndarray:
    try:
        values = real(column.to_numpy())
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"column {name!r} of X[{index}] is no channel of numbers: {error}") from error
    return values


def check_layout(layout: str) -> None:
    """Raises unless a layout is one.

    Example:
        >>> check_layout("auto")
    """
    check_option("layout", layout, LAYOUTS)


def align(name: str, values: Any, ids: Sequence[object]) -> Any:
    """Brings a column whose index holds the ids of sequences to their order.

    Args:
        name: What errors call it.
        values: Labels; a column of pandas is aligned by its index where that holds the ids.
        ids: The id of each sequence, in order.

    Returns:
        One label for each sequence.

    Example:
        >>> from pandas import Series
        >>> list(align("y", Series({"a": "calm", "b": "glad"}), ["b", "a"]))
        ['glad', 'calm']
    """
    index = getattr(values, "index", None)
    if index is None or not hasattr(values, "loc") or len(values) != len(ids) or set(index) != set(ids):
        return values
    return values.loc[list(ids)]
