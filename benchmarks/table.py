"""Tables in Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a title and a table, numbers to three digits."""
    print(f"\n{title}\n\n{markdown(rows, three_digits)}", end="")


def markdown(rows: Sequence[Mapping[str, Any]], show: Callable[[Any], str] = str) -> str:
    """A table of rows that share their columns; every cell is shown by a function."""
    cells = [rows[0], *([show(row[column]) for column in rows[0]] for row in rows)]
    head, *lines = [f"| {' | '.join(line)} |\n" for line in cells]
    return "".join([head, "|" + "---|" * len(rows[0]) + "\n", *lines])


def three_digits(value: Any) -> str:
    """A float to three digits behind the point, anything else as it is."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
