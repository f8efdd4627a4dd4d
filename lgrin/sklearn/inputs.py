"""From what scikit-learn's users call X and y to sequences of nodes."""

from collections import deque
from collections.abc import Mapping, Sequence, Set
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin.arrays import from_tensor, real, refuse_kinds
from lgrin.extras import optional
from lgrin.gaps import fill_gaps
from lgrin.labels import as_array, number
from lgrin.options import check_seed, check_whole
from lgrin.sklearn.layouts import (
    AUTO,
    TIME_FIRST,
    align,
    check_layout,
    groups_of_dataset,
    has_names,
    is_dataset,
    is_table,
    labels_of_dataset,
    other_layout_hint,
    read_dataset,
    read_tables,
    split_table,
    to_rows,
    warn_of_wide_arrays,
)
from lgrin.sklearn.missing import check_channels, warn_of_missing_values
from lgrin.transforms import Resample
from lgrin.transforms.resample import NEAREST
from lgrin.warn import warn_user

with optional("train"):
    from sklearn.base import BaseEstimator
    from sklearn.utils import validation

Input: TypeAlias = ArrayLike | Tensor | Sequence[ArrayLike | Tensor]

KINDS = "an array [n, channels, time], a list of arrays [channels, time], or a matrix [n, channels * time]"
HINTS = {  # what errors of scikit-learn contain, and what they do not say
    "features as input": "a matrix has the columns that it was fitted with, and one sequence alone is a list of one",
    "setting an array element": f"its cells hold sequences; X may be {KINDS}",
}


def read_sequences(estimator: BaseEstimator, X: Input, in_channels: int | None = None) -> list[np.ndarray]:
    """Reads sequences in any of the layouts that :class:`lgrin.sklearn.LGrINClassifier` lists, and checks them.

    Args:
        estimator: The estimator, whose ``n_channels`` a matrix has, whose ``layout``, ``id`` and ``time`` say how to
            read X, and on which scikit-learn's checks leave and find ``n_features_in_`` and ``feature_names_in_``.
        X: The sequences.
        in_channels: The channels that it was fitted with; ``None`` fits it with those of X.

    Returns:
        Arrays ``[channels, time]``, float32 or, where that holds less than was given, float64; NaN where values are
        missing or masked.

    Raises:
        TypeError: If X or a part of it is something else.
        ValueError: If a sequence is empty, infinite, complex, holds dates or has other channels, with its index.

    Example:
        >>> from lgrin.sklearn import LGrINClassifier
        >>> matrix = [[1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]]
        >>> read_sequences(LGrINClassifier(n_channels=2), matrix)[0].tolist()
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    """
    check_whole("n_channels", estimator.n_channels)
    check_layout(estimator.layout)
    given, reset = _unwrapped(X), in_channels is None
    tables = _named_tables(estimator, given, in_channels)
    if tables is not None:
        names = None if reset else getattr(estimator, "feature_names_in_", None)
        rows, found = read_tables(tables, names, estimator.id, estimator.time)
        return _checked(estimator, [_finite(index, row) for index, row in enumerate(rows)], in_channels, found)
    if is_dataset(given):
        rows = [_finite(index, row) for index, row in enumerate(read_dataset(given))]
        return _checked(estimator, rows, in_channels)
    several = _holds_sequences(given)
    if several:
        _warn_of_numbered_tables(estimator, given, reset)
        rows = [_row(index, one) for index, one in enumerate(given)]
    else:
        rows = _rows_of_matrix(estimator, given, reset=reset)
    if several and reset and all(row.ndim == 2 for row in rows):
        warn_of_wide_arrays([row.shape for row in rows], estimator.layout)
    rows = [to_rows(index, row, estimator.layout, estimator.n_channels) for index, row in enumerate(rows)]
    return _checked(estimator, rows, in_channels, several=several)


def _checked(
    estimator: BaseEstimator,
    sequences: list[np.ndarray],
    in_channels: int | None,
    names: list[str] | None = None,
    several: bool = True,
) -> list[np.ndarray]:
    """Raises unless there are sequences that have the channels of the estimator, which keeps their number and names."""
    if not sequences:
        raise ValueError("X holds 0 sequences; give it at least one")
    expected = len(sequences[0]) if in_channels is None else in_channels
    for index, sequence in enumerate(sequences):
        if sequence.size == 0:
            raise ValueError(f"X[{index}] has no row; a sequence has one frame at least")
        if len(sequence) != expected:
            hint = "" if estimator.layout == TIME_FIRST else other_layout_hint([one.shape for one in sequences])
            raise ValueError(
                f"X[{index}] has {len(sequence)} channels, but {type(estimator).__name__} is expecting {expected}; all "
                f"sequences are [channels, time] and have the channels of the first that it was fitted with{hint}"
            )
    if several and in_channels is None:
        estimator.n_features_in_ = expected
        vars(estimator).pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = np.array(names, object)
    if any(np.isnan(sequence).any() for sequence in sequences):
        channels = names or list(map(str, range(expected)))
        if in_channels is None:
            check_channels(sequences, channels)
        warn_of_missing_values(sequences, channels)
    return sequences


def _named_tables(estimator: BaseEstimator, given: Any, in_channels: int | None) -> list[Any] | None:
    """The tables ``[time, columns]`` that X is or holds; ``None`` where it is something else."""
    if is_table(given):
        parts = split_table(given, estimator.id)
        return None if parts is None else parts[0]
    if not isinstance(given, list | tuple) or not given or not all(map(is_table, given)):
        return None
    if estimator.layout == TIME_FIRST:
        return list(given)
    if estimator.layout != AUTO or not any(map(has_names, given)):
        return None
    known = in_channels is not None and hasattr(estimator, "feature_names_in_")
    if not known and {len(table) for table in given} == {in_channels or len(given[0])}:  # both readings would fit
        warn_user(
            "each table of X is read as [time, columns], its columns as channels; lgrin 0.1 read it as [channels, "
            "time]. layout='time_first' reads it as now, without this warning, and layout='channels_first' as before",
            FutureWarning,
        )
    return list(given)


def _warn_of_numbered_tables(estimator: BaseEstimator, given: Any, reset: bool) -> None:
    """Warns that tables whose columns have no names will be read otherwise."""
    if reset and estimator.layout == AUTO and isinstance(given, list | tuple) and any(map(is_table, given)):
        warn_user(
            "each table of X is read as [channels, time], since its columns have no names; from lgrin 0.3 on it will "
            "be [time, columns]. layout='time_first' reads it so now, and layout='channels_first' keeps this reading",
            FutureWarning,
        )


def read_labels(
    estimator: BaseEstimator, X: Any, y: ArrayLike | Tensor | None, groups: ArrayLike | Tensor | None
) -> tuple[Any, Any]:
    """Finds the labels and groups that come with X, or by its ids, and leaves any others as they are.

    Args:
        estimator: The estimator, whose ``id`` names the column of a long table.
        X: The sequences.
        y: Classes; ``None`` takes those of a data set.
        groups: Groups; ``None`` takes those of a data set that has some.

    Returns:
        Both, one for each sequence in the order of :func:`read_sequences`.

    Raises:
        ValueError: If y has one value for each row of a long table.

    Example:
        >>> from lgrin.datasets import from_arrays
        >>> from lgrin.sklearn import LGrINClassifier
        >>> data = from_arrays([[[1.0]], [[2.0]]], labels=["calm", "glad"], groups=["anna", "bert"])
        >>> read_labels(LGrINClassifier(), data, None, None)
        (['calm', 'glad'], [0, 1])
    """
    if is_dataset(X):
        return labels_of_dataset(X) if y is None else y, groups_of_dataset(X) if groups is None else groups
    parts = split_table(X, estimator.id) if is_table(X) else None
    if parts is None:
        return y, groups
    given: tuple[tuple[str, Any], ...] = (("y", y), ("groups", groups))
    for name, values in given:
        if values is not None and np.ndim(values) == 1 and len(values) == len(X) != len(parts[1]):
            raise ValueError(
                f"{name} has one value for each of the {len(X)} rows of X, which holds {len(parts[1])} sequences; give "
                f"one for each sequence, such as table.groupby(id)[{name!r}].first()"
            )
    return align("y", y, parts[1]), align("groups", groups, parts[1])


def _unwrapped(X: Input) -> Any:
    """A tensor, a buffer or a queue as an array or a list, and anything else as it is."""
    if isinstance(X, Tensor) and X.is_nested:
        return list(X.unbind())
    if isinstance(X, Tensor):
        try:
            return from_tensor(X)
        except TypeError as error:
            raise TypeError(f"X is no array of numbers: {error}") from error
    return np.asarray(X) if isinstance(X, memoryview) else list(X) if isinstance(X, deque) else X


def _holds_sequences(X: object) -> bool:
    """Tells sequences, each an array of its own, from a matrix."""
    counted = hasattr(X, "__len__") and not isinstance(X, str | bytes | bytearray | Mapping | Set)
    if not counted and not hasattr(X, "shape") and not hasattr(X, "__array__"):
        raise TypeError(f"X is a {type(X).__name__}; it may be {KINDS}")
    if getattr(X, "ndim", 2) == 0:
        raise TypeError(f"X is {X!r}, which has no dimension; it may be {KINDS}")
    if not isinstance(X, list | tuple):
        return getattr(X, "ndim", 2) > 2 or (isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype == object)
    lengths = {len(one) if isinstance(one, list | tuple) else None for one in X}
    nested = any(isinstance(one, list | tuple) and len(one) > 0 and hasattr(one[0], "__len__") for one in X)
    return len(lengths) != 1 or nested or any(hasattr(one, "ndim") and np.ndim(one) > 0 for one in X)


def _row(index: int, one: object) -> np.ndarray:
    """Reads one sequence."""
    if one is None or isinstance(one, str | Mapping):
        raise TypeError(f"X[{index}] is a {type(one).__name__}; a sequence is an array [channels, time]")
    if (plain := _plain_floats(one)) is not None:
        return plain
    name = f"X[{index}]"
    try:
        return _finite(index, real(one))
    except (TypeError, ValueError) as error:
        if name in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} is no array [channels, time] of numbers: {error}") from error


def _plain_floats(one: object) -> np.ndarray | None:
    """An array of floats with nothing to complain about, as scikit-learn's check would return it; ``None`` otherwise.

    That check takes longer than the network does.
    """
    if type(one) is not np.ndarray or one.dtype not in (np.float32, np.float64) or one.ndim not in (1, 2):
        return None
    return one if _fits_float32(one) else None


def _fits_float32(values: np.ndarray) -> bool:
    """Whether no value is infinite, or would be in float32."""
    with np.errstate(over="ignore"):
        return not np.isinf(np.asarray(values, np.float32)).any()


def _finite(index: int, values: np.ndarray) -> np.ndarray:
    """Raises if a sequence holds infinity; NaN is missing."""
    if values.dtype.kind == "f" and _fits_float32(values):
        return values
    options = {"ensure_2d": False, "allow_nd": True, "ensure_min_samples": 0, "ensure_min_features": 0}
    return validation.check_array(
        values, dtype=np.float32, ensure_all_finite="allow-nan", input_name=f"X[{index}]", **options
    )


def _rows_of_matrix(estimator: BaseEstimator, X: object, reset: bool) -> list[np.ndarray]:
    """Reads a matrix, and says what scikit-learn's errors do not."""
    options = {"dtype": (np.float64, np.float32), "ensure_all_finite": "allow-nan", "reset": reset}
    try:
        matrix = validation.validate_data(estimator, _real_matrix(X), **options)
        return [_finite(index, row) for index, row in enumerate(matrix)]
    except (OverflowError, TypeError, ValueError) as error:
        for sign, hint in HINTS.items():
            if sign in str(error):
                raise ValueError(f"{str(error).rstrip('.')}; {hint}") from error
        if "X" in str(error) or "2D array" in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X is no matrix of numbers: {error}") from error


def _real_matrix(X: object) -> object:
    """Fills what is masked with NaN, and refuses what NumPy would make real numbers of; anything else stays."""
    if hasattr(X, "dtypes"):  # a table keeps the names of its columns
        for dtype in X.dtypes:
            refuse_kinds(dtype)
        return X
    rows = X if isinstance(X, list | tuple) else [X]
    dtype = X.dtype if hasattr(X, "dtype") else np.asarray(X).dtype
    refuse_kinds(dtype)
    return real(X) if dtype.kind == "O" or any(np.ma.isMaskedArray(row) for row in rows) else X


def encode_labels(values: ArrayLike | Tensor, name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers the different values of y or groups.

    Args:
        values: ``[n]``, numbers or strings.
        name: What errors call them.
        count: The number of sequences, n.

    Returns:
        The different values in order, and for each sequence the number of its own.

    Raises:
        TypeError: If they cannot be sorted, such as numbers beside strings, or are neither.
        ValueError: If there is not one for each sequence, or one is missing, infinite or has a fraction.

    Example:
        >>> [part.tolist() for part in encode_labels(["calm", "glad", "calm"], "y", 3)]
        [['calm', 'glad'], [0, 1, 0]]
    """
    given = from_tensor(values) if isinstance(values, Tensor) and values.dtype == torch.bfloat16 else values
    try:
        column = validation.column_or_1d(given, warn=True)
    except ValueError as error:
        reason = str(error).replace("y should be", f"{name} should be", 1)
        raise ValueError(reason if reason.startswith(name) else f"{name}: {reason}") from error
    if len(column) != count:
        raise ValueError(f"{name} has {len(column)} values, but X holds {count} sequences; give it one for each")
    found, numbers = number(name, _column(given) if hasattr(given, "__len__") else column)
    return as_array(found, column.dtype), numbers


def _column(given: Any) -> Any:
    """The entries of a column, as they were given."""
    if hasattr(given, "iloc"):
        return given.iloc[:, 0] if given.ndim == 2 else given
    if hasattr(given, "reshape"):
        return given.reshape(-1)
    return [one[0] if isinstance(one, list | tuple) else one for one in given]


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Turns what scikit-learn calls a random state into a seed.

    Args:
        random_state: A whole number, which is the seed; a generator, which draws one; ``None`` takes NumPy's.

    Returns:
        The seed.

    Raises:
        ValueError: If it is anything else, or out of range.

    Example:
        >>> draw_seed(3)
        3
    """
    if isinstance(random_state, Real | np.bool_):
        return check_seed("random_state", random_state)
    try:
        generator = validation.check_random_state(random_state)
    except ValueError as error:
        raise ValueError(
            f"random_state is {random_state!r}; it may be None, a whole number from 0 to {2**32 - 1}, or a "
            f"numpy.random.RandomState"
        ) from error
    return int(generator.randint(np.iinfo(np.int32).max))


def to_nodes(
    sequences: list[np.ndarray], labels: np.ndarray | None = None, groups: np.ndarray | None = None
) -> list[Data]:
    """Makes nodes of sequences at their own lengths; a frame without any value is absent.

    Single values that are missing are filled in time (:func:`lgrin.gaps.fill_gaps`). A channel that a sequence lacks
    stays NaN, and standardisation fills it with the mean of the training sequences.

    Args:
        sequences: Arrays ``[channels, time]``, all float32 or all float64.
        labels: ``[n]``, the number of each one's class.
        groups: ``[n]``, the number of each one's group.

    Returns:
        For each ``x [L, P]``, ``y [1]`` and ``group [1]`` if there are any, and ``mask [L]`` if any sequence lacks a
        frame.

    Raises:
        ValueError: If a sequence has no value at all, with its index.

    Example:
        >>> to_nodes([np.array([[1.0, np.nan]], np.float32)])[0].mask.tolist()
        [True, False]
    """
    missing = any(np.isnan(sequence).all(0).any() for sequence in sequences)
    nodes = []
    for index, sequence in enumerate(sequences):
        data = Data(x=torch.from_numpy(fill_gaps(sequence.T).copy()))
        if missing:
            data.mask = ~data.x.isnan().all(-1)
            if not data.mask.any():
                raise ValueError(f"X[{index}] has no frame without NaN; leave it out")
        for name, numbers in (("y", labels), ("group", groups)):
            if numbers is not None:
                data[name] = torch.tensor([int(numbers[index])])
        nodes.append(data)
    return nodes


def warn_of_thinning(nodes: list[Data], resample: Resample | None) -> None:
    """Warns where the network will see less than half of the frames of a sequence, and the others reach nothing.

    Args:
        nodes: What :func:`to_nodes` has made.
        resample: Brings each sequence to the length; ``None`` leaves all frames.

    Example:
        >>> warn_of_thinning(to_nodes([np.zeros((1, 9), np.float32)]), None)
    """
    longest = max(len(data.x) for data in nodes)
    if resample is not None and resample.how == NEAREST and longest > 2 * resample.num_nodes:
        warn_user(
            f"X holds sequences of up to {longest:,} frames, of which the network sees {resample.num_nodes}, every "
            f"{longest / resample.num_nodes:.3g}th; what happens between them is lost. thin='max' keeps short events, "
            f"thin='mean' and thin='lowpass' keep levels and slow movements; recipe='any_length' takes every frame",
            about="frames of X that the network does not see",
        )


def to_one_length(nodes: list[Data], resample: BaseTransform | None) -> None:
    """Brings the nodes of all sequences to one length, in place.

    Args:
        nodes: What :func:`to_nodes` has made.
        resample: Brings one sequence to the length; ``None`` leaves sequences as they are.

    Raises:
        ValueError: If none of the frames that are taken of a sequence is without NaN, with its index.

    Example:
        >>> from lgrin.transforms import Resample
        >>> nodes = to_nodes([np.zeros((1, 2), np.float32)])
        >>> to_one_length(nodes, Resample(3))
        >>> nodes[0].x.shape
        torch.Size([3, 1])
    """
    if resample is None:
        return
    for index, data in enumerate(nodes):
        resample.forward(data)
        if data.get("mask") is not None and not data.mask.any():
            raise ValueError(f"X[{index}] has no frame without NaN among those that {resample} takes; leave it out")
