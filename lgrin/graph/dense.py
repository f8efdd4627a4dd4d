"""A full matrix of weights."""

from typing import NamedTuple

import torch
from torch import Tensor

from lgrin.graph.base import line_max, stacked
from lgrin.nodes import at_least_float32, zero_absent
from lgrin.ops import neighbor_max


class DenseGraph(NamedTuple):
    """A full matrix, shared by all sequences or one for each.

    Attributes:
        adj: Weights ``[M, M]`` or ``[B, M, M]``, ``adj[target, source]``. Of a stack, each matrix serves one entry of
            the first axis of the features, whatever axes follow.
        mask: Bool ``[*, M]``, the nodes that are present; ``None`` means all.
        scale: What the sum of each node is multiplied by, shaped like the mask; ``None`` means 1.

    Example:
        >>> import torch
        >>> graph = DenseGraph(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
        >>> graph.aggregate(torch.tensor([[1.0], [3.0]])).flatten().tolist()
        [6.0, 0.0]
    """

    adj: Tensor
    mask: Tensor | None = None
    scale: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        """The number of nodes M of a sequence."""
        return self.adj.size(-1)

    @property
    def weights(self) -> Tensor:
        """The weights, ``[M, M]`` or ``[B, M, M]``."""
        return self.adj

    def sources(self) -> Tensor:
        """Says which node each weight comes from, int64 ``[M]``."""
        return torch.arange(self.num_nodes, device=self.adj.device)

    def matrix(self) -> Tensor:
        """Returns the matrix, ``[M, M]`` or ``[B, M, M]``."""
        return self.adj

    def first(self, length: int) -> "DenseGraph":
        """Keeps the edges among the first frames."""
        mask, scale = (None if one is None else one[..., :length] for one in (self.mask, self.scale))
        return DenseGraph(self.adj[..., :length, :length], mask, scale)

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[*, M, F]``."""
        if self.mask is not None:
            x = zero_absent(x, self.mask)
        if x.dim() > self.adj.dim() == 2:  # a product of many small matrices, where matmul would transpose x twice
            rows = x.flatten(0, -3)
            total = torch.bmm(self.adj.expand(rows.size(0), -1, -1), rows).view(x.shape)
        else:
            total = torch.matmul(_beside(self.adj, x), x)
        if self.scale is not None:
            total = (at_least_float32(total) * self.scale.unsqueeze(-1)).to(total.dtype)
        return total if self.mask is None else zero_absent(total, self.mask)

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[*, M, F]``."""
        neighbors = (self.adj > 0) | torch.eye(self.adj.size(-1), dtype=torch.bool, device=self.adj.device)
        if x.dim() == 3:
            return neighbor_max(x, neighbors, self.mask)[0]
        if x.dim() > 3 and neighbors.dim() == 3:
            neighbors = _beside(neighbors, x).expand(*x.shape[:-2], -1, -1).flatten(0, -3)
        rows, mask = stacked(x, self.mask)
        return neighbor_max(rows, neighbors, mask)[0].view(x.shape)

    def line_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over the frames before and after, whatever the weights are; 0 where both are absent."""
        return line_max(x, self.mask)


def _beside(matrices: Tensor, x: Tensor) -> Tensor:
    """Gives a stack ``[B, M, M]`` axes of length 1 where features ``[B, *, M, F]`` have further ones."""
    ones = x.dim() - matrices.dim()
    return matrices if matrices.dim() == 2 else matrices.view(-1, *[1] * ones, *matrices.shape[1:])
