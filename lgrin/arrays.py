"""Conversion of arrays, tensors, lists and tables to real numbers."""

from collections.abc import Sequence

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
WIDE = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)
LOST = 1e-4  # of the standard deviation of a channel: what float32 may round away
ROUNDING = 1e-12  # of the largest value of a channel: below this, float64 holds rounding alone


def real(given: object) -> np.ndarray:
    """Reads real numbers; what is masked or missing becomes NaN.

    Args:
        given: An array, a masked array, a tensor, nested lists, or a table or column of pandas.

    Returns:
        Float64 where that holds more than float32 could, else float32, in the shape of what was given, perhaps sharing
        its memory.

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
            array = np.ma.array(given, dtype=_float_kind(array.dtype), copy=False)
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
        A complex array of a complex tensor, float64 of a tensor of float64 or wide whole numbers, else float32.

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
    if not tensor.is_complex():
        tensor = tensor.double() if tensor.dtype in WIDE else tensor.float()
    dense: np.ndarray = tensor.resolve_conj().resolve_neg().numpy()
    return dense


def narrow(arrays: Sequence[np.ndarray], axis: int = 0) -> list[np.ndarray]:
    """Converts sequences to float32, unless that would round the signal of a channel away.

    A small signal on a large offset (time stamps, pressure in pascal, coordinates) needs float64 until the mean is
    subtracted: at 1e9, neighbouring float32 numbers are 64 apart.

    Args:
        arrays: Floating arrays with NaN where values are missing, ``[T, P]`` each.
        axis: The axis of time, 0 or 1.

    Returns:
        The arrays, all in float64 where float32 would lose more than 1e-4 of the standard deviation of a channel, else
        all in float32.

    Example:
        >>> signal = np.array([[0.0], [1.0], [2.0]])
        >>> narrow([signal])[0].dtype, narrow([signal + 1e9])[0].dtype
        (dtype('float32'), dtype('float64'))
    """
    return as_floats(arrays, _needs_float64(arrays, axis))


def as_floats(arrays: Sequence[np.ndarray], wide: bool) -> list[np.ndarray]:
    """Converts arrays to float64 if ``wide``, else to float32.

    Example:
        >>> as_floats([np.array([1, 2])], wide=False)[0].dtype
        dtype('float32')
    """
    with np.errstate(over="ignore"):
        return [np.asarray(array, np.float64 if wide else np.float32) for array in arrays]


def _needs_float64(arrays: Sequence[np.ndarray], axis: int) -> bool:
    """Whether float32 loses too much of a channel's deviation, which is more than the rounding of float64."""
    wide = [array for array in arrays if array.dtype.itemsize > 4 and array.size]
    if not wide:
        return False
    finite = [np.where(np.isfinite(array), array, np.nan) for array in wide]
    first = np.nan_to_num(_nanmean([_nanmean(one, axis) for one in finite], 0))
    centered = [one - np.expand_dims(first, axis) for one in finite]
    shift = np.nan_to_num(_nanmean(np.concatenate(centered, axis), axis))
    variance = [_nanmean((one - np.expand_dims(shift, axis)) ** 2, axis) for one in centered]
    deviation = np.sqrt(np.nan_to_num(_nanmean(variance, 0)))
    offset = np.abs(first + shift)
    is_signal = deviation > ROUNDING * offset
    rounded = offset * np.finfo(np.float32).eps / 2 > LOST * deviation
    return bool((is_signal & rounded).any())


def _nanmean(values: object, axis: int) -> np.ndarray:
    """The mean without NaN, and NaN where there is nothing else, without a warning."""
    array = np.asarray(values)
    count = np.isfinite(array).sum(axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: np.ndarray = np.nansum(array, axis) / count
    return mean


def _float_kind(dtype: np.dtype) -> type:
    """Float32 for numbers that it holds exactly, and float64 for others."""
    return np.float32 if dtype.kind in "fiub" and np.can_cast(dtype, np.float32) else np.float64


def _missing_as_nan(array: np.ndarray) -> np.ndarray:
    """Replaces missing entries of an array of objects by NaN, and refuses dates."""
    objects = np.empty(array.shape, object)
    for place, entry in np.ndenumerate(np.asarray(array)):
        if isinstance(entry, np.datetime64 | np.timedelta64):
            refuse_kinds(entry.dtype)
        objects[place] = np.nan if is_missing(entry) else entry
    return objects
