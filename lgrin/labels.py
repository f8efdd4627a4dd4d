"""Labels of classes and groups, and their numbers."""

from collections.abc import Iterable, Mapping, Set
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from torch import Tensor

Label = str | bool | int | float


def entries(name: str, given: Iterable[object]) -> list[object]:
    """Lists the entries of a list, tuple, range, array, tensor or pandas column.

    Args:
        name: Name of the argument.
        given: The argument.

    Returns:
        The entries in order; those of an array as plain values of Python.

    Raises:
        TypeError: If it has no order or no length.

    Example:
        >>> entries("labels", np.array([2, 1]))
        [2, 1]
    """
    if isinstance(given, Tensor):
        given = given.tolist()
    elif isinstance(given, np.ndarray) and given.dtype != object:
        given = list(given) if given.dtype.kind in "mM" else given.tolist()
    unordered = isinstance(given, str | bytes | bytearray | memoryview | Mapping | Set)
    if unordered or getattr(given, "ndim", 1) == 0 or not hasattr(given, "__len__") or hasattr(given, "toarray"):
        kind = None if given is None else f"a {type(given).__name__}"
        raise TypeError(
            f"{name} is {kind}; it may be a list, a tuple, an array, a tensor or a column of pandas, "
            f"with one entry for each sequence"
        )
    return list(given)


def is_missing(entry: object) -> bool:
    """Tells whether an entry stands for no value: ``None``, NaN, NaT, ``pandas.NA``, or masked.

    Args:
        entry: A scalar.

    Example:
        >>> [is_missing(entry) for entry in (None, float("nan"), np.ma.masked, 0, "")]
        [True, True, True, False, False]
    """
    if entry is None or entry is np.ma.masked:
        return True
    try:
        return bool(entry != entry)
    except TypeError:  # comparing pandas.NA with itself gives pandas.NA, which is no bool
        return True
    except ValueError:  # an array
        return False


def number(name: str, given: Iterable[object]) -> tuple[list[Label], np.ndarray]:
    """Numbers the different labels of a list by their exact values.

    Whole numbers are compared as Python compares them, so ``2**53`` and ``2**53 + 1.0`` are not mixed up, and strings
    by all their characters, so ``"a"`` and ``"a\\0"`` differ. Labels of different types, such as
    ``1`` and ``"1"``, are not mixed.

    Args:
        name: Name of the argument.
        given: Its entries, all strings, all bools, or all whole numbers (which may be floats).

    Returns:
        The different labels in order, as ``str``, ``bool``, ``int`` or ``float``, and for each entry the number of its
        own, int64.

    Raises:
        TypeError: If labels are of several kinds, or of another kind.
        ValueError: If one is missing, infinite or has a fraction, with its index.

    Example:
        >>> labels, numbers = number("labels", ["calm", "glad", "calm"])
        >>> labels, numbers.tolist()
        (['calm', 'glad'], [0, 1, 0])
    """
    plain = [_to_python(name, index, entry) for index, entry in enumerate(entries(name, given))]
    kinds = sorted({type(label).__name__ for label in plain})
    if len(kinds) > 1 and kinds != ["float", "int"]:
        raise TypeError(
            f"{name} holds {' and '.join(kinds)}, which cannot be sorted; make them all numbers or all strings, and "
            f"leave out sequences without one"
        )
    if kinds == ["float", "int"]:
        plain = [_float_if_exact(label) for label in plain]
    found = sorted(set(plain))
    place = {label: position for position, label in enumerate(found)}
    return found, np.array([place[label] for label in plain], dtype=np.int64)


def as_array(labels: list[Label], dtype: DTypeLike) -> np.ndarray:
    """Makes an array of labels that holds each as it is.

    Args:
        labels: Labels of one kind.
        dtype: The dtype that is wanted, which is taken if it holds them.

    Returns:
        An array of this dtype, else of the dtype that NumPy chooses, else of objects.

    Example:
        >>> as_array([2, 3], np.int32).dtype, as_array(["a", "a\\0"], "U1").dtype
        (dtype('int32'), dtype('O'))
    """
    for wanted in (dtype, None):
        try:
            array = np.array(labels, wanted)
        except (TypeError, ValueError, OverflowError):
            continue
        held = array.tolist()
        if held == labels and [type(label) for label in held] == [type(label) for label in labels]:
            return array
    return np.array(labels, object)


def _to_python(name: str, index: int, entry: object) -> Label:
    """Converts a label to a plain value of Python."""
    if isinstance(entry, Tensor) and entry.dim() == 0:
        entry = entry.item()
    if is_missing(entry):
        raise ValueError(f"{name}[{index}] is {entry!r}; every sequence needs a name or a number")
    if isinstance(entry, str):
        return str.__str__(entry)
    if isinstance(entry, bool | np.bool_):
        return bool(entry)
    if isinstance(entry, Integral) and not isinstance(entry, np.timedelta64):
        return int(entry)
    if not isinstance(entry, Real) or isinstance(entry, np.timedelta64):
        way_out = "label.decode()" if isinstance(entry, bytes) else "str(label)"
        raise TypeError(
            f"{name}[{index}] is {entry!r}, a {type(entry).__name__}; a label is a string, a whole number or a bool: "
            f"pass {way_out}"
        )
    whole = _as_int(entry)
    if whole is None:
        raise ValueError(
            f"{name}[{index}] is {entry!r}; a label is a string or a whole number: divide a continuous target into "
            f"classes first"
        )
    return _float_if_exact(whole)


def _as_int(entry: Any) -> int | None:
    """A real number as an int, or ``None`` if it has a fraction or is infinite."""
    try:
        return int(entry) if entry == int(entry) else None
    except OverflowError:  # infinity
        return None


def _float_if_exact(label: Label) -> Label:
    """A whole number as a float, if a float represents it exactly."""
    try:
        return float(label) if float(label) == label else label
    except OverflowError:
        return label
