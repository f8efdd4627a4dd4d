"""The sum over the nodes of a sequence, in the same order every time."""

from typing import Any

import torch
from torch import Tensor

from lgrin.ops.summaries import is_ordinary


def sequence_sum(x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
    r"""Adds up the nodes of each sequence.

    .. math:: y_{bf} = \sum_{i : \mathrm{batch}_i = b} x_{if}

    ``index_add`` adds in any order on a GPU, so that no run could be repeated to the bit. There each sequence is added
    up node by node.

    Args:
        x: Node features ``[N, *]``.
        batch: Int64 ``[N]``, each node's sequence, sorted.
        batch_size: The number of sequences B.

    Returns:
        ``[B, *]``; 0 for a sequence without a node.

    Example:
        >>> sequence_sum(torch.tensor([[1.0], [3.0], [2.0]]), torch.tensor([0, 0, 2]), 3).flatten().tolist()
        [4.0, 0.0, 2.0]
    """
    if x.is_cuda and is_ordinary(x):
        function: Any = _InOrder
        return function.apply(x, batch, batch_size)
    return x.new_zeros(batch_size, *x.shape[1:]).index_add(0, batch, x)


class _InOrder(torch.autograd.Function):
    """The sum of each sequence from its first node to its last, by PyTorch's ``segment_reduce``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        ctx.save_for_backward(batch)
        offsets = torch.searchsorted(batch, torch.arange(batch_size + 1, device=batch.device))
        return torch.segment_reduce(x, "sum", offsets=offsets, axis=0, unsafe=True, initial=0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (batch,) = ctx.saved_tensors
        return grads[0][batch], None, None
