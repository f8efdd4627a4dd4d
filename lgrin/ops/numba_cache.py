"""Machine code on disk that is checked before it runs.

Numba keeps compiled functions beside their source or in ``NUMBA_CACHE_DIR``, and reads whatever it finds there. Here
every file ends with a checksum, and a file that is damaged counts as none: the function is compiled and written again.
"""

import pickle
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

CHECKSUM = sha256().digest_size


def compiled(function: Callable[..., object]) -> Any:
    """Compiles without the interpreter's lock and keeps the machine code on disk where a folder can be written.

    Args:
        function: What numba can compile.

    Returns:
        Its dispatcher, which compiles at the first call with each kind of arguments.

    Example:
        >>> compiled(lambda x: x + 1)(2)
        3
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    try:
        dispatcher._cache = CheckedCache(function)
    except RuntimeError:  # numba found no such folder
        return dispatcher
    return dispatcher


class CheckedCache(FunctionCache):
    """Numba's cache of one function, with files that are checked; code that cannot be written is not kept."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = CheckedFile(self._cache_path, self._impl.filename_base, stamp)

    def save_overload(self, signature: object, code: object) -> None:
        """Keeps what was compiled, unless the disk is full or the folder is gone."""
        try:
            super().save_overload(signature, code)
        except OSError:
            self.disable()


class CheckedFile(IndexDataCacheFile):
    """Numba's index and its files of machine code, each of which ends with a checksum.

    The version of numba and the stamp of the source belong to it, so that what others wrote is not even unpickled.
    """

    def _load_index(self) -> dict[object, str]:
        return self._read(self._index_path) or {}

    def _save_index(self, overloads: dict[object, str]) -> None:
        self._write(self._index_path, overloads)

    def _load_data(self, name: str) -> object:
        return self._read(self._data_path(name))

    def _save_data(self, name: str, data: object) -> None:
        self._write(self._data_path(name), data)

    def _read(self, path: str) -> Any:
        """What a file holds; ``None`` if it is damaged, somebody else's or not there."""
        try:
            content = Path(path).read_bytes()
        except OSError:
            return None
        content, checksum = content[:-CHECKSUM], content[-CHECKSUM:]
        return pickle.loads(content) if checksum == self._checksum(content) else None

    def _write(self, path: str, value: object) -> None:
        content = self._dump(value)
        with self._open_for_write(path) as file:
            file.write(content + self._checksum(content))

    def _checksum(self, content: bytes) -> bytes:
        return sha256(repr((numba.__version__, self._source_stamp)).encode() + content).digest()
