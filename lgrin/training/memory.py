"""Memory that a training run frees and takes again at every step."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # what glibc itself goes up to


@contextmanager
def kept_memory() -> Iterator[None]:
    """Lets the C library keep what is freed for as long as the context lasts, and gives it back afterwards.

    By default glibc gives freed tensors of some megabytes back to Linux, which clears their pages before they are used
    again at the next step: a quarter of a step at 120 frames (``docs/scaling.md``). Elsewhere nothing changes.
    Afterwards the thresholds are those that glibc itself takes after a tensor of 32 MB was freed.

    Example:
        >>> import torch
        >>> with kept_memory():
        ...     shape = torch.zeros(3).shape
    """
    library = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if library is None:
        yield
        return
    library.mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(TRIM_THRESHOLD, 2 * LARGEST_MMAP_THRESHOLD)
        library.malloc_trim(0)
