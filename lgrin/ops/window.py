"""What every kernel of the neighbour maximum is told: one address for dense and banded lists, one type for sources."""

from typing import NamedTuple

import torch
from torch import Tensor


class Window(NamedTuple):
    """A boolean list of neighbours in which node j is at ``[b, i * stride + j + offset]`` for target i.

    With it a dense matrix and a band are one thing to a kernel: in a band each row starts one node later.

    Attributes:
        neighbors: Bool ``[1, M, W]`` or ``[B, M, W]``, contiguous.
        stride: What one target further adds to the address.
        offset: The address of node 0 for target 0.
        reach: The largest distance between a target and a node that the list holds.
        dtype: The type of sources.
    """

    neighbors: Tensor
    stride: int
    offset: int
    reach: int
    dtype: torch.dtype

    @classmethod
    def dense(cls, neighbors: Tensor) -> "Window":
        """Reads ``[M, M]`` or ``[B, M, M]``."""
        num_nodes = neighbors.size(-1)
        stack = neighbors if neighbors.dim() == 3 else neighbors.unsqueeze(0)
        return cls(stack.contiguous(), num_nodes, 0, max(0, num_nodes - 1), source_dtype(num_nodes))

    @classmethod
    def banded(cls, neighbors: Tensor) -> "Window":
        """Reads ``[M, 2w + 1]`` or ``[B, M, 2w + 1]``."""
        width = neighbors.size(-1) // 2
        stack = neighbors if neighbors.dim() == 3 else neighbors.unsqueeze(0)
        return cls(stack.contiguous(), 2 * width, width, width, source_dtype(neighbors.size(-2)))

    def pairs(self, sequences: slice, targets: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Lists the neighbours one by one, by sequence and target; nodes may lie outside ``0..M-1``.

        Args:
            sequences: The sequences to list, counted from 0 in the result; one list for all is repeated.
            targets: The targets to list, in the sequences' own count.

        Returns:
            Sequence, target and node of every pair, int64 each.
        """
        count = sequences.stop - sequences.start
        listed = self.neighbors[sequences] if self.neighbors.size(0) > 1 else self.neighbors.expand(count, -1, -1)
        sequence, target, column = listed[:, targets].nonzero(as_tuple=True)
        target = target + targets.start
        return sequence, target, column - self.offset + target * (self.neighbors.size(2) - self.stride)

    def is_full(self) -> bool:
        """Whether this is a band in which every node within reach of a target is its neighbour."""
        num_nodes, width = self.neighbors.shape[1:]
        if self.stride == width:
            return False
        target = torch.arange(num_nodes, device=self.neighbors.device).unsqueeze(-1)
        node = target + torch.arange(width, device=self.neighbors.device) - self.reach
        return bool((self.neighbors | (node < 0) | (node >= num_nodes)).all())

    def diagonal(self, distance: int) -> Tensor:
        """Says for which targets i the node ``i + distance`` is a neighbour, ``[*, M - |distance|]``."""
        start = max(0, -distance)
        address = start * (self.stride + 1) + distance + self.offset
        count = self.neighbors.size(1) - abs(distance)
        flat = self.neighbors.flatten(1)
        return flat[:, address :: self.stride + 1][:, :count]


def source_dtype(num_nodes: int) -> torch.dtype:
    """Picks the smallest integer type that holds every node and the number of nodes itself, which means nobody.

    A program that is exported for any number of nodes takes the largest: it has one type for all.

    Example:
        >>> source_dtype(120)
        torch.uint8
    """
    if not isinstance(num_nodes, int) and torch.compiler.is_exporting():
        return torch.int32
    for dtype in (torch.uint8, torch.int16):
        if num_nodes <= torch.iinfo(dtype).max:
            return dtype
    return torch.int32
