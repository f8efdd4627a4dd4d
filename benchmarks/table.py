"""Tables in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = list(rows[0])
    print(f"\n{title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(_show(row[column]) for column in columns) + " |")


def _show(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
