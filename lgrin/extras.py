"""Imports of optional libraries, with one clear error when they are absent."""

from importlib import import_module
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Imports an optional library, or says which extra of lgrin installs it.

    Args:
        module: Dotted name of the module, for example ``"matplotlib.pyplot"``.
        extra: The extra of lgrin that installs it.

    Returns:
        The imported module.

    Raises:
        ImportError: If the module or the library it belongs to is not installed.

    Example:
        >>> require("math", extra="train").pi > 3
        True
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        library = module.split(".")[0]
        raise ImportError(
            f'{library} is not installed; it comes with an extra of lgrin: pip install "lgrin[{extra}]"'
        ) from error
