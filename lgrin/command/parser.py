"""A parser whose errors take one line and suggest what may have been meant."""

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Suggests known names that are spelt like another one.

    Args:
        given: The other name.
        known: The known names.

    Returns:
        A question, or nothing where no known name is near.

    Example:
        >>> did_you_mean("Japanesevowels", ["JapaneseVowels", "BasicMotions"])
        '; did you mean JapaneseVowels?'
        >>> did_you_mean("mine", ["JapaneseVowels", "BasicMotions"])
        ''
    """
    by_lower = {name.lower(): name for name in known}
    near = [by_lower[name] for name in difflib.get_close_matches(given.lower(), by_lower, n=3, cutoff=0.7)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


class Parser(argparse.ArgumentParser):
    """Reads arguments as :class:`argparse.ArgumentParser` does, and answers a mistake with one line.

    Example:
        >>> parser = Parser("lgrin")
        >>> _ = parser.add_argument("--epochs", type=int)
        >>> parser.parse_args(["--epochs", "3"]).epochs
        3
    """

    def error(self, message: str) -> NoReturn:
        """Prints a mistake and ends the program.

        Args:
            message: What is wrong.
        """
        print(f"{self.prog}: error: {message} ({self.prog} --help lists what there is)", file=sys.stderr)
        raise SystemExit(2)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Reads arguments; an option that is not known is compared with those of the command.

        Args:
            args: The arguments; ``None`` takes those of the program.
            namespace: As for argparse.

        Returns:
            The options by name.
        """
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            chosen = getattr(options, "parser", self)
            given = next((one for one in rest if one.startswith("-")), rest[0]).partition("=")[0]
            chosen.error(f"{given} is not known{did_you_mean(given, chosen._option_string_actions)}")
        return options

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            message = f"{value!r} is not known; it may be {', '.join(known)}{did_you_mean(str(value), known)}"
            raise argparse.ArgumentError(action, message)
