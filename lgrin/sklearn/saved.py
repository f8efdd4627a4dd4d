"""What estimators keep in a file: tensors and plain values, so that reading one runs no code."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lgrin
from lgrin.bounds import SPARE
from lgrin.checksum import load_tensors
from lgrin.files import write_atomically
from lgrin.options import check_path
from lgrin.text import one_line

_NOT_OURS = "file {} is damaged or was not written by {}.save; fit and save it again"


def plain(name: str, value: object) -> Any:
    """Turns NumPy's arrays and numbers into Python's, also those of a dictionary.

    Args:
        name: What the value is called in errors.
        value: The value.

    Returns:
        Python's own numbers, texts, lists and dictionaries.

    Raises:
        TypeError: If it is or holds anything else.

    Example:
        >>> plain("classes_", np.array([1, 2]))
        [1, 2]
    """
    if isinstance(value, Mapping):
        return {plain(name, key): plain(name, one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    parts = value if isinstance(value, list | tuple) else [value]
    if not all(part is None or isinstance(part, str | bool | int | float) for part in parts):
        raise TypeError(f"{name} is {value!r}; it has to be a number, a string or a list of them to be kept in a file")
    return value


def read_classes(names: list[str | bool | int | float], dtype: str, size: int) -> np.ndarray:
    """Makes the array of the classes, unless its entries would be longer than a file of this size has any.

    Args:
        names: The classes as plain values.
        dtype: That of their array.
        size: Bytes of the file.

    Returns:
        The classes.

    Raises:
        ValueError: If they are more than the file holds.

    Example:
        >>> read_classes(["calm", "glad"], "<U4", 100).tolist()
        ['calm', 'glad']
    """
    if len(names) * np.dtype(dtype).itemsize > size + SPARE:
        raise ValueError(f"dtype is {one_line(dtype, 40)}; {len(names)} such classes are more than its {size:,} bytes")
    return np.array(names, dtype)


def not_ours(path: str | Path, format: str) -> str:
    """Says that a file was not written by an estimator.

    Example:
        >>> not_ours("a.pt", "lgrin.sklearn.LGrINClassifier, version 2")
        'file a.pt is damaged or was not written by LGrINClassifier.save; fit and save it again'
    """
    return _NOT_OURS.format(path, format.partition(",")[0].rpartition(".")[2])


def open_saved(path: str | Path, format: str) -> dict[str, Any]:
    """Reads a file of an estimator and checks that it is one.

    Args:
        path: The file.
        format: The format that it has to have, ``"lgrin.sklearn.<class>, version <number>"``.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is damaged, was written by something else, or has the format of another version.

    Example:
        >>> open_saved("nowhere.pt", "lgrin.sklearn.LGrINClassifier, version 2")
        Traceback (most recent call last):
        ...
        FileNotFoundError: there is no file nowhere.pt
    """
    try:
        content = load_tensors(path, "file", "fit and save it again")
    except ValueError as error:
        raise ValueError(not_ours(path, format)) from error
    found = str(content.get("format")) if isinstance(content, dict) else ""
    if found != format and found.startswith(format.partition(",")[0]):
        raise ValueError(
            f"file {path} has format {found!r}, written by lgrin {content.get('version')}, and lgrin "
            f"{lgrin.__version__} reads {format!r}; load it with that version, or fit and save it again"
        )
    if found != format:
        raise ValueError(not_ours(path, format))
    return content


def read_saved(path: str | Path, format: str, make: Callable[[dict[str, Any]], Any]) -> Any:
    """Reads a file of an estimator and makes the estimator.

    Args:
        path: The file.
        format: As for :func:`open_saved`.
        make: From the content to the estimator.

    Returns:
        The estimator.

    Raises:
        FileNotFoundError: If it is not there.
        TypeError: If path is no path.
        ValueError: If it is damaged, was written by something else, or has the format of another version.
    """
    content = open_saved(check_path("path", path), format)
    try:
        return make(content)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{not_ours(path, format)} ({one_line(error)})") from error


def content_of(estimator: Any, format: str, fitted: Sequence[str], network: Mapping[str, Any]) -> dict[str, Any]:
    """Collects what a file keeps of an estimator.

    Args:
        estimator: The estimator, with ``get_params`` and perhaps ``classes_``.
        format: As for :func:`open_saved`.
        fitted: Names of further attributes to keep, where it has them.
        network: Its network, as plain values and tensors.

    Returns:
        The content.

    Raises:
        TypeError: If a parameter or class is no plain value.

    Example:
        >>> from lgrin.sklearn import FilterBankClassifier
        >>> content_of(FilterBankClassifier(n_channels=2), "test", (), {})["parameters"]["n_channels"]
        2
    """
    attributes = {name: getattr(estimator, name, None) for name in fitted}
    content = {
        "format": format,
        "version": lgrin.__version__,
        "parameters": {name: plain(name, value) for name, value in estimator.get_params().items()},
        "fitted": {name: plain(name, value) for name, value in attributes.items() if value is not None},
        **network,
    }
    if hasattr(estimator, "classes_"):
        content |= {"classes": plain("classes_", estimator.classes_), "dtype": estimator.classes_.dtype.str}
    return content


def write_saved(path: str | Path, content: Mapping[str, Any]) -> None:
    """Writes what :func:`content_of` has collected to one file, whole or not at all.

    Args:
        path: The file.
        content: What it is to hold.

    Raises:
        TypeError: If path is no path.
    """
    write_atomically(check_path("path", path), lambda name: torch.save(dict(content), name))


def build_saved(kind: Any, content: Mapping[str, Any], path: str | Path) -> Any:
    """Builds the estimator of a file, but for its network.

    Args:
        kind: The class of the estimator.
        content: What :func:`open_saved` has read.
        path: The file.

    Returns:
        The estimator, with its parameters, further attributes, and classes if it has any.

    Raises:
        KeyError: If something is missing.
        TypeError: If a parameter is not known.
        ValueError: If the classes are more than the file holds.
    """
    estimator = kind(**content["parameters"])
    for name, value in content["fitted"].items():
        setattr(estimator, name, np.array(value, object) if isinstance(value, list) else value)
    if "classes" in content:
        estimator.classes_ = read_classes(content["classes"], content["dtype"], Path(path).stat().st_size)
    return estimator
