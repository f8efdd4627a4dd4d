"""The command ``lgrin``: train, predict, export, features, reproduce and show.

Arguments are parsed before torch is imported, so that ``--help`` and mistakes answer at once.
"""

import importlib
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

from lgrin.command.options import make_parser
from lgrin.command.quiet import quiet
from lgrin.text import one_line

MISTAKES = (ImportError, OSError, TypeError, ValueError, FloatingPointError)  # what the library says in words


def run(arguments: Sequence[str] | None = None) -> Any:
    """Runs one command; a mistake ends the program with one line.

    Args:
        arguments: The words after ``lgrin``; ``None`` takes those of the program.

    Returns:
        What the command returns, such as the metrics of ``train``.

    Raises:
        SystemExit: After ``--help``, and after a mistake.

    Example:
        >>> run(["--version"])
        Traceback (most recent call last):
        ...
        SystemExit: 0
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    module = importlib.import_module(f"lgrin.command.{options.command}")
    try:
        with quiet():
            return module.run(options)
    except MISTAKES as error:
        if options.traceback:
            raise
        print(f"lgrin {options.command}: error: {one_line(error, 5_000)}", file=sys.stderr)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        print(f"lgrin {options.command}: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def main() -> None:
    """Runs the command of the program, as its entry point."""
    for stream in (sys.stdout, sys.stderr):  # a pipe on Windows has a code page, which lacks most letters
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    run()
