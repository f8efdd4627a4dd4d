"""One run at a time in a folder."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lgrin.locks import Lock

NAME = ".lock"


@contextmanager
def sole_owner(folder: str | Path) -> Iterator[None]:
    """Keeps other threads and processes out of the folder of a run.

    The lock is on the empty file ``.lock`` and ends with its process (:class:`lgrin.locks.Lock`), so a run that is
    killed leaves the folder free.

    Args:
        folder: The folder; made if need be.

    Raises:
        FileExistsError: If another run is going on in it.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with sole_owner(folder), sole_owner(folder):
        ...     pass
        Traceback (most recent call last):
        ...
        FileExistsError: another run is going on in ...; wait for its end, or take another folder
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    lock = Lock(os.open(Path(folder) / NAME, os.O_RDWR | os.O_CREAT, 0o666))
    try:
        if lock.held is False:
            raise FileExistsError(
                f"another run is going on in {folder}; wait for its end, or take another folder"
            ) from lock.error
        if lock.held is None:
            warnings.warn(f"{folder} cannot be locked ({lock.error}); let no other run use it meanwhile", stacklevel=3)
        yield
    finally:
        lock.close()
