"""What a command prints: its own words and lgrin's warnings, and nothing of other libraries."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lgrin.text import one_line


@contextmanager
def quiet() -> Iterator[None]:
    """Hides warnings and notes of other libraries, and prints a warning of lgrin on one line.

    Example:
        >>> with quiet():
        ...     warnings.warn_explicit("an old name", FutureWarning, "torch/nn.py", 1, module="torch.nn")
    """
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(?!lgrin|__main__)")
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.showwarning = _show
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _show(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {one_line(message, 2_000)}", file=sys.stderr)


def shows_progress(wanted: bool) -> bool:
    """Whether to draw a progress bar: where it is wanted, and somebody looks at a terminal.

    Args:
        wanted: Whether it is wanted.

    Returns:
        The answer.

    Example:
        >>> shows_progress(False)
        False
    """
    return wanted and sys.stderr.isatty()
