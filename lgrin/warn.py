"""Warnings that point at the line of the user, and are shown once for each."""

import os
import sys
import warnings
from types import FrameType

PASSED = ("lgrin", "sklearn", "joblib")  # whose frames lie between the user and a warning
COMMANDS = os.path.join(os.path.dirname(__file__), "command") + os.sep  # a command line has no line of its user
_shown: set[tuple[str, str, int]] = set()


def warn_user(message: str, category: type[Warning] = UserWarning, *, about: str | None = None) -> None:
    """Warns at the first line outside lgrin, scikit-learn and joblib, or in a command of lgrin.

    Python shows a warning once for each line, unless its text differs. The text of a warning about data does, from
    fold to fold of a cross-validation, so ``about`` stands for it.

    Args:
        message: What is said.
        category: The kind of warning.
        about: What the warning is about; it is shown once in this process for each line of the user. ``None`` leaves
            that to Python.

    Example:
        >>> import pytest
        >>> for attempt in range(2):
        ...     with warnings.catch_warnings(record=True) as seen:
        ...         warn_user(f"{attempt} values are missing", about="missing values")
        ...     print(len(seen))
        1
        0
    """
    frame, level = _user()
    told = (about or "", frame.f_code.co_filename, frame.f_lineno)
    if about is not None and told in _shown:
        return
    warnings.warn(message, category, stacklevel=level)
    if about is not None:  # not before: where warnings are errors, each is raised
        _shown.add(told)


def _user() -> tuple[FrameType, int]:
    """The first frame outside or in a command, or the last of all, and its distance from :func:`warn_user`."""
    folders = tuple(os.path.dirname(str(sys.modules[name].__file__)) + os.sep for name in PASSED if name in sys.modules)
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and (name := frame.f_code.co_filename).startswith(folders):
        if name.startswith(COMMANDS):
            break
        frame, level = frame.f_back, level + 1
    return frame, level
