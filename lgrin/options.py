"""One error for every option that was misspelt."""

from collections.abc import Iterable
from numbers import Integral


def check_option(name: str, value, allowed: Iterable) -> None:
    """Raises unless an argument has one of its allowed values.

    Args:
        name: Name of the argument.
        value: What it was.
        allowed: What it may be.

    Raises:
        ValueError: If it is none of them.

    Example:
        >>> check_option("init", "mean", ("mean", "ones"))
    """
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it may be {', '.join(map(repr, allowed))}")


def check_positive(name: str, value: int) -> None:
    """Raises unless a size is a positive whole number.

    Args:
        name: Name of the argument.
        value: What it was.

    Raises:
        ValueError: If it is not.

    Example:
        >>> check_positive("num_nodes", 90)
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} is {value!r}; it has to be a whole number, 1 or larger")
