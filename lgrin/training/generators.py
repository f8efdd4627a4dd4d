"""PyTorch's random generators, which belong to the process, used by one training run at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch

_turn = RLock()


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Lets one thread at a time seed PyTorch's generators, and gives them their state back afterwards.

    Two runs that seed the same generators in turn would draw each other's numbers. So runs in threads of one process
    take turns; processes do not wait for each other.

    Example:
        >>> before = torch.get_rng_state()
        >>> with own_random_numbers():
        ...     generator = torch.manual_seed(0)
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    with _turn, torch.random.fork_rng(range(torch.cuda.device_count())):
        yield


def _renew() -> None:
    """Makes a new lock in a forked process, where the thread that held the old one does not exist."""
    global _turn
    _turn = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
