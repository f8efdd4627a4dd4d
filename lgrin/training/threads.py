"""How many of PyTorch's threads a fit or a prediction takes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import Module

BY_HAND = "OMP_NUM_THREADS"  # whoever sets it has decided
WORTH = 1e9  # multiplications from which threads pay beside the danger that a core is busy


def count_weights(model: Module) -> int:
    """Counts the parameters of a model.

    Example:
        >>> count_weights(torch.nn.Linear(3, 2))
        8
    """
    return sum(one.numel() for one in model.parameters())


@contextmanager
def threads_for(multiplications: float) -> Iterator[None]:
    """Takes one of PyTorch's threads for as long as the context lasts, where there is little to compute.

    The threads of an operation wait for each other. Where another program has the core of one, all wait until it gets
    its turn, at every operation. ``docs/performance.md`` says what a second thread gains and loses.

    Args:
        multiplications: What a step or a batch computes, about: weights times nodes, thrice with a backward pass. From
            1e9 on, and where ``OMP_NUM_THREADS`` is set, the number of threads stays.

    Example:
        >>> before = torch.get_num_threads()
        >>> with threads_for(2e9):
        ...     print(torch.get_num_threads() == before)
        True
    """
    before = torch.get_num_threads()
    if before == 1 or multiplications >= WORTH or BY_HAND in os.environ:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
