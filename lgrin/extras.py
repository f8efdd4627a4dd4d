"""Imports of optional libraries, with one clear error when they are absent."""

import sys
from types import TracebackType


class optional:
    """Guards the imports of libraries that an extra of lgrin installs.

    If an import statement in the block does not find its library, the error names the extra. Every other error stays as
    it is, such as that of a library that is installed but lacks one of its own.

    Args:
        extra: The extra of lgrin that installs the libraries.

    Raises:
        ImportError: At the end of the block, if a library is not installed.

    Example:
        >>> with optional("train"):
        ...     import nowhere
        Traceback (most recent call last):
        ...
        ImportError: nowhere is not installed; it comes with an extra of lgrin: pip install "lgrin[train]"...
    """

    def __init__(self, extra: str) -> None:
        self.extra = extra

    def __enter__(self) -> None:
        """Begins the block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, ModuleNotFoundError) or traceback is None or traceback.tb_next is not None:
            return  # something else has failed, such as an import within a library
        library = (error.name or "").partition(".")[0]
        if sys.modules.get(library) is None:  # otherwise the library is there and lacks a part
            raise ImportError(
                f'{library} is not installed; it comes with an extra of lgrin: pip install "lgrin[{self.extra}]", or '
                f'in a clone pip install -c constraints.txt ".[{self.extra}]"'
            ) from error
