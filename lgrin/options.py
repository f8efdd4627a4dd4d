"""Checks of arguments; each error names the argument, its value and what it may be."""

from collections.abc import Iterable
from math import inf, isinf, nan
from numbers import Integral, Real
from os import PathLike
from pathlib import Path


def check_option(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raises unless an argument has one of its allowed values.

    Args:
        name: Name of the argument.
        value: Its value.
        allowed: The values that it may have.

    Raises:
        ValueError: If it is none of them.

    Example:
        >>> check_option("init", "mean", ("mean", "ones"))
    """
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it may be {', '.join(map(repr, allowed))}")


def check_whole(name: str, value: object, minimum: int = 1) -> int:
    """Raises unless a number is whole and large enough, and returns it as an int.

    Args:
        name: Name of the argument.
        value: Its value.
        minimum: The smallest number that it may be.

    Returns:
        The number.

    Raises:
        ValueError: If it is not.

    Example:
        >>> check_whole("num_nodes", 90)
        90
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} is {value!r}; it has to be a whole number, {minimum} or larger")
    return int(value)


def check_number(name: str, value: object, minimum: float = 0.0, maximum: float | None = None) -> float:
    """Raises unless a number lies between two others, and returns it as a float.

    Args:
        name: Name of the argument.
        value: Its value.
        minimum: The smallest number that it may be.
        maximum: The largest; ``None`` means any that is finite.

    Returns:
        The number.

    Raises:
        ValueError: If it does not.

    Example:
        >>> check_number("dropout", 0.5, maximum=1)
        0.5
    """
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
    if not minimum <= number <= (inf if maximum is None else maximum) or isinf(number):
        span = f"of {minimum:g} or more" if maximum is None else f"from {minimum:g} to {maximum:g}"
        raise ValueError(f"{name} is {value!r}; it has to be a number {span}")
    return number


def check_between(name: str, value: object, low: float = 0.0, high: float = 1.0) -> float:
    """Raises unless a number lies strictly between two others, and returns it as a float.

    Args:
        name: Name of the argument.
        value: Its value.
        low: What it has to be larger than.
        high: What it has to be smaller than.

    Returns:
        The number.

    Raises:
        ValueError: If it does not.

    Example:
        >>> check_between("fraction", 0.2)
        0.2
    """
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
    if not low < number < high:
        raise ValueError(f"{name} is {value!r}; it has to lie between {low:g} and {high:g}")
    return number


def check_seed(name: str, value: object) -> int:
    """Raises unless a number is a seed that NumPy and PyTorch take, and returns it as an int.

    Args:
        name: Name of the argument.
        value: Its value.

    Returns:
        The seed.

    Raises:
        ValueError: If it is none.

    Example:
        >>> check_seed("seed", 2**40)
        Traceback (most recent call last):
        ...
        ValueError: seed is 1099511627776; it has to be a whole number from 0 to 4294967295
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= int(value) < 2**32:
        raise ValueError(f"{name} is {value!r}; it has to be a whole number from 0 to {2**32 - 1}")
    return int(value)


def check_path(name: str, value: object) -> Path:
    """Raises unless an argument names a file or folder, and returns it as a path.

    Args:
        name: Name of the argument.
        value: Its value.

    Returns:
        The path.

    Raises:
        TypeError: If it is no string and no path.

    Example:
        >>> check_path("path", None)
        Traceback (most recent call last):
        ...
        TypeError: path is None; it has to be a string or a pathlib.Path
    """
    if not isinstance(value, str | PathLike):
        raise TypeError(f"{name} is {value!r}; it has to be a string or a pathlib.Path")
    return Path(value)
