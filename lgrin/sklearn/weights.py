"""What each training sequence counts."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor


class Chosen(NamedTuple):
    """The sequences that count, and how much.

    Attributes:
        kept: Indices of the sequences with a weight above 0, ``[k]``.
        classes: The classes of these, in order.
        labels: The number of the class of each, ``[k]``.
        weight: What each counts, ``[k]``.
    """

    kept: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    weight: np.ndarray


def choose(
    class_weight: str | Mapping[Any, float] | None,
    sample_weight: ArrayLike | Tensor | None,
    classes: np.ndarray,
    labels: np.ndarray,
) -> Chosen:
    """Drops sequences of weight 0, and weighs the others by themselves and by their classes.

    Args:
        class_weight: ``None`` weighs sequences alike, ``"balanced"`` classes alike; or the weight of each class by its
            name.
        sample_weight: ``[n]``, 0 or more; ``None`` means 1.
        classes: The classes ``[C]``.
        labels: The number of the class of each sequence, ``[n]``.

    Returns:
        The sequences that count; classes without any are gone.

    Raises:
        ValueError: If fewer than two classes are left, or a weight is out of range.

    Example:
        >>> chosen = choose("balanced", [1, 1, 1, 0], np.array(["calm", "glad"]), np.array([0, 0, 1, 1]))
        >>> chosen.kept.tolist(), chosen.weight.tolist()
        ([0, 1, 2], [0.75, 0.75, 1.5])
    """
    weight = _of_sequences(sample_weight, len(labels))
    kept = np.flatnonzero(weight)
    present, numbers = np.unique(labels[kept], return_inverse=True)
    if len(present) < 2:
        raise ValueError(f"y holds one class, {classes.tolist()[present[0]]!r}; a classifier needs two or more")
    weight = weight[kept]
    return Chosen(
        kept, classes[present], numbers, weight * _of_classes(class_weight, classes[present], numbers, weight)
    )


def _of_classes(
    class_weight: str | Mapping[Any, float] | None, classes: np.ndarray, labels: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The weight of each sequence's class."""
    names = classes.tolist()
    if class_weight is None:
        return np.ones(len(labels))
    if isinstance(class_weight, Mapping):
        if unknown := set(class_weight) - set(names):
            raise ValueError(f"class_weight has {sorted(map(str, unknown))}; the classes are {names}")
        each = np.array([float(class_weight.get(name, 1)) for name in names])
        if not (np.isfinite(each) & (each > 0)).all():
            raise ValueError(f"class_weight is {class_weight!r}; weights are finite and above 0")
        return each[labels]
    if class_weight != "balanced":
        raise ValueError(f"class_weight is {class_weight!r}; it may be None, 'balanced' or weights by class")
    total = np.bincount(labels, weight)
    return (weight.sum() / (len(names) * total))[labels]


def _of_sequences(sample_weight: ArrayLike | Tensor | None, count: int) -> np.ndarray:
    """The weight of each sequence as it was given."""
    if sample_weight is None:
        return np.ones(count)
    weight = np.asarray(sample_weight, dtype=float)
    if weight.ndim == 0:
        weight = np.full(count, float(weight))
    if weight.shape != (count,):
        raise ValueError(
            f"sample_weight has shape {list(weight.shape)}; X holds {count} sequences: give it one for each"
        )
    if not (np.isfinite(weight) & (weight >= 0)).all():
        index = int(np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))[0])
        raise ValueError(f"sample_weight[{index}] is {weight[index]}; weights are finite and 0 or more")
    if not weight.any():
        raise ValueError("sample_weight is zero for every sequence; a weight has to be above 0 somewhere")
    return weight
