"""Memory that a training run frees and takes again at every step."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # of glibc's mallopt
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # what glibc itself goes up to
USUAL_MMAP_MAX = 2**16  # blocks that glibc maps at the most; with none, blocks of any size are kept


@contextmanager
def kept_memory() -> Iterator[None]:
    """Lets the C library keep what is freed for as long as the context lasts, and gives it back afterwards.

    By default glibc gives freed tensors of some megabytes back to Linux, which clears their pages before they are used
    again at the next step: a quarter of a step at 120 frames, and half of one at 128,000
    (``docs/scaling.md``). Elsewhere nothing changes. Afterwards the thresholds are those that glibc itself takes after
    a tensor of 32 MB was freed.

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
    library.mallopt(MMAP_MAX, 0)
    try:
        yield
    finally:
        library.mallopt(MMAP_MAX, USUAL_MMAP_MAX)
        library.mallopt(TRIM_THRESHOLD, 2 * LARGEST_MMAP_THRESHOLD)
        library.malloc_trim(0)
