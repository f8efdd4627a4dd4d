"""From what scikit-learn's users call X and y to sequences of nodes."""

from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin.extras import require
from lgrin.options import check_whole

validation = require("sklearn.utils.validation", extra="train")


def read_sequences(estimator: Any, X: Any, in_channels: int | None = None) -> list[np.ndarray]:
    """Reads an array ``[n, channels, time]``, a list of arrays ``[channels, time]`` or a matrix, and checks them.

    Args:
        estimator: The estimator, whose ``n_channels`` a matrix has, and on which scikit-learn's checks leave and find
            ``n_features_in_`` and ``feature_names_in_``.
        X: The sequences.
        in_channels: The channels that it was fitted with; ``None`` fits it with those of X.

    Returns:
        Float32 arrays ``[channels, time]``, NaN where values are missing.

    Raises:
        ValueError: If a sequence is empty, infinite or has other channels, with its index.

    Example:
        >>> from lgrin.sklearn import LGrINClassifier
        >>> matrix = [[1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]]
        >>> read_sequences(LGrINClassifier(n_channels=2), matrix)[0].tolist()
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    """
    options: dict[str, Any] = {"dtype": np.float32, "ensure_all_finite": "allow-nan"}
    several = _holds_sequences(X)
    if several:
        options.update(ensure_2d=False, allow_nd=True, ensure_min_samples=0, ensure_min_features=0)
        rows = [validation.check_array(one, input_name=f"X[{index}]", **options) for index, one in enumerate(X)]
    else:
        rows = list(validation.validate_data(estimator, X, reset=in_channels is None, **options))
    if not rows:
        raise ValueError("X holds 0 sequences; give it at least one")
    sequences = [_channels_first(index, row, estimator.n_channels) for index, row in enumerate(rows)]
    expected = len(sequences[0]) if in_channels is None else in_channels
    for index, sequence in enumerate(sequences):
        if len(sequence) != expected:
            raise ValueError(
                f"X[{index}] has {len(sequence)} channels, but {type(estimator).__name__} is expecting {expected}; all "
                f"sequences are [channels, time] and have the channels of the first that it was fitted with"
            )
    if several and in_channels is None:
        estimator.n_features_in_ = expected
        vars(estimator).pop("feature_names_in_", None)
    return sequences


def _holds_sequences(X: Any) -> bool:
    """Tells sequences, each an array of its own, from a matrix."""
    if isinstance(X, list | tuple):
        return len(X) > 0 and (hasattr(X[0], "ndim") or np.ndim(X[0]) > 1)
    return getattr(X, "ndim", 2) > 2 or (isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype == object)


def _channels_first(index: int, row: np.ndarray, n_channels: int) -> np.ndarray:
    """Folds a row of a matrix, and takes any other sequence as it is."""
    if row.ndim == 1:
        channels = check_whole("n_channels", n_channels)
        if row.size % channels:
            raise ValueError(
                f"X[{index}] has {row.size} values, which n_channels={channels} channels cannot share evenly; set "
                f"n_channels, or pass an array [n, channels, time]"
            )
        row = row.reshape(channels, -1)
    if row.ndim != 2 or row.size == 0:
        raise ValueError(
            f"X[{index}] has shape {list(row.shape)}; a sequence is [channels, time], with one frame at least"
        )
    return row


def encode(values: Any, name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers the different values of y or groups.

    Args:
        values: ``[n]``, numbers or strings.
        name: What errors call them.
        count: The number of sequences, n.

    Returns:
        The different values in order, and for each sequence the number of its own.

    Raises:
        ValueError: If there is not one for each sequence, or one is NaN.

    Example:
        >>> [part.tolist() for part in encode(["calm", "glad", "calm"], "y", 3)]
        [['calm', 'glad'], [0, 1, 0]]
    """
    values = validation.column_or_1d(values, warn=True)
    validation.assert_all_finite(values, input_name=name)
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values, but X holds {count} sequences; give it one for each")
    return np.unique(values, return_inverse=True)


def to_graphs(
    sequences: list[np.ndarray],
    resample: BaseTransform,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> list[Data]:
    """Makes nodes of sequences; a frame with NaN is absent.

    Args:
        sequences: Float32 arrays ``[channels, time]``.
        resample: Brings them to one length.
        labels: ``[n]``, the number of each one's class.
        groups: ``[n]``, the number of each one's group.

    Returns:
        For each ``x [M, P]``, ``frame [M]``, ``y [1]`` and ``group [1]`` if there are any, and ``mask [M]`` if any
        sequence lacks a frame.

    Raises:
        ValueError: If a sequence has no frame without NaN, with its index.

    Example:
        >>> from lgrin.transforms import Resample
        >>> to_graphs([np.array([[1.0, np.nan]], np.float32)], Resample(2))[0].mask.tolist()
        [True, False]
    """
    missing = any(np.isnan(sequence).any() for sequence in sequences)
    graphs = []
    for index, sequence in enumerate(sequences):
        data = Data(x=torch.from_numpy(sequence.T.copy()))
        if missing:
            data.mask = ~data.x.isnan().any(-1)
        data = resample(data)
        if missing and not data.mask.any():
            raise ValueError(f"X[{index}] has no frame without NaN among those that {resample} takes; leave it out")
        for name, numbers in (("y", labels), ("group", groups)):
            if numbers is not None:
                data[name] = torch.tensor([int(numbers[index])])
        graphs.append(data)
    return graphs
