"""Conversion of arrays, tensors, lists and tables to real numbers."""

import numpy as np
import torch
from torch import Tensor

from lgrin.labels import is_missing

KIND_NAMES = {"c": "complex numbers", "M": "dates", "m": "time differences"}
KIND_ADVICE = {
    "c": "pass real and imaginary part, or magnitude and phase, as features of their own",
    "M": "pass numbers, such as seconds since the first frame",
    "m": "pass numbers, such as array / np.timedelta64(1, 's')",
}


def real(given: object) -> np.ndarray:
    """Reads real numbers; what is masked or missing becomes NaN.

    Args:
        given: An array, a masked array, a tensor, nested lists, or a table or column of pandas.

    Returns:
        Float32, in the shape of what was given, perhaps sharing its memory.

    Raises:
        TypeError: If it is a tensor or matrix that is sparse, or holds what is no number.
        ValueError: If it holds complex numbers, dates or time differences, lists of unlike lengths, or strings that say
            no number.

    Example:
        >>> real(np.ma.array([1, 2], mask=[False, True])).tolist(), real([[1, None]]).tolist()
        ([1.0, nan], [[1.0, nan]])
    """
    if isinstance(given, Tensor):
        given = from_tensor(given)
    elif hasattr(given, "toarray"):
        raise TypeError(f"it is a sparse {type(given).__name__}; pass .toarray()")
    array = np.ma.array(given, copy=False)
    refuse_kinds(array.dtype)
    if array.dtype == object:
        array = np.ma.array(_missing_as_nan(array), mask=np.ma.getmaskarray(array))
        given = array
    try:
        with np.errstate(over="ignore"):  # an infinity is refused later, with its index
            array = np.ma.array(given, dtype=np.float32, copy=False)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    return np.asarray(array.data if np.ma.getmask(array) is np.ma.nomask else array.filled(np.nan))


def refuse_kinds(dtype: object) -> None:
    """Raises for a dtype that holds no real numbers, though NumPy would convert it.

    Args:
        dtype: The dtype, of NumPy or pandas.

    Raises:
        ValueError: If it does.

    Example:
        >>> refuse_kinds(np.dtype("M8[s]"))
        Traceback (most recent call last):
        ...
        ValueError: dates (datetime64[s]) are no real numbers; pass numbers, such as seconds since the first frame
    """
    kind = getattr(dtype, "kind", "O")
    if kind == "c":
        raise ValueError(f"Complex data not supported ({dtype}); {KIND_ADVICE[kind]}")
    if kind in KIND_NAMES:
        raise ValueError(f"{KIND_NAMES[kind]} ({dtype}) are no real numbers; {KIND_ADVICE[kind]}")


def from_tensor(tensor: Tensor) -> np.ndarray:
    """Reads a tensor of any floating or whole dtype.

    Args:
        tensor: The tensor, with or without gradient, on any device.

    Returns:
        A complex array of a complex tensor, else float32.

    Raises:
        TypeError: If it is sparse or nested or holds no data.

    Example:
        >>> from_tensor(torch.ones(2, dtype=torch.bfloat16)).tolist()
        [1.0, 1.0]
    """
    if tensor.layout != torch.strided or tensor.is_nested:
        kind = "nested" if tensor.is_nested else "sparse"
        way_out = "list(tensor.unbind())" if tensor.is_nested else "tensor.to_dense()"
        raise TypeError(f"it is a {kind} tensor; pass {way_out}")
    if tensor.is_meta:
        raise TypeError("it is a tensor on the device 'meta', which holds no data")
    tensor = tensor.detach().cpu()
    tensor = tensor.dequantize() if tensor.is_quantized else tensor
    dense: np.ndarray = (tensor if tensor.is_complex() else tensor.float()).resolve_conj().resolve_neg().numpy()
    return dense


def _missing_as_nan(array: np.ndarray) -> np.ndarray:
    """Replaces missing entries of an array of objects by NaN, and refuses dates."""
    objects = np.empty(array.shape, object)
    for place, entry in np.ndenumerate(np.asarray(array)):
        if isinstance(entry, np.datetime64 | np.timedelta64):
            refuse_kinds(entry.dtype)
        objects[place] = np.nan if is_missing(entry) else entry
    return objects
