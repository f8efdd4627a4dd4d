"""A full matrix of weights."""

from typing import NamedTuple

import torch
from torch import Tensor

from lgrin.graph.base import line_max, stacked
from lgrin.nodes import at_least_float32, zero_absent
from lgrin.ops.neighbor_max import neighbor_maxima


class DenseGraph(NamedTuple):
    """A full matrix, shared by all sequences or one for each.

    Attributes:
        adj: Weights ``[M, M]`` or ``[B, M, M]``, ``adj[target, source]``. Of a stack, each matrix serves one entry of
            the first axis of the features, whatever axes follow. Several heads are ``[1, K, M, M]``, or
            ``[B, K, M, M]``.
        mask: Bool ``[*, M]``, the nodes that are present; ``None`` means all.
        scale: What the sum of each node is multiplied by, shaped like the mask, ``[*, M, K]`` for several heads;
            ``None`` means 1.

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
    def heads(self) -> int:
        """The number of matrices K over the same nodes."""
        return self.adj.size(1) if self.adj.dim() == 4 else 1

    @property
    def differs_by_sequence(self) -> bool:
        """Whether each sequence has matrices of its own."""
        return self.adj.dim() == 3 or (self.adj.dim() == 4 and self.adj.size(0) > 1)

    @property
    def weights(self) -> Tensor:
        """The weights, ``[M, M]``, ``[B, M, M]`` or ``[B, K, M, M]``."""
        return self.adj

    def sources(self) -> Tensor:
        """Says which node each weight comes from, int64 ``[M]``."""
        return torch.arange(self.num_nodes, device=self.adj.device)

    def matrix(self) -> Tensor:
        """Returns the matrix, ``[M, M]`` or ``[B, M, M]``, with heads ``[K, M, M]`` or ``[B, K, M, M]``."""
        return self.adj.squeeze(0) if self.adj.dim() == 4 else self.adj

    def first(self, length: int) -> "DenseGraph":
        """Keeps the edges among the first frames."""
        mask, scale = (None if one is None else one[..., :length] for one in (self.mask, self.scale))
        return DenseGraph(self.adj[..., :length, :length], mask, scale)

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[*, M, F]``; of several heads ``[A_1 x | ... | A_K x]``, ``[*, M, K F]``."""
        if self.mask is not None:
            x = zero_absent(x, self.mask)
        if self.adj.dim() == 4:
            total = self._scaled_by_head(self._sum_by_head(x.unsqueeze(-3))).flatten(-2)
            return zero_absent(total, self.mask)
        if x.dim() > self.adj.dim() == 2:  # a product of many small matrices, where matmul would transpose x twice
            rows = x.flatten(0, -3)
            total = torch.bmm(self.adj.expand(rows.size(0), -1, -1), rows).view(x.shape)
        else:
            total = torch.matmul(_beside(self.adj, x), x)
        if self.scale is not None:
            total = (at_least_float32(total) * self.scale.unsqueeze(-1)).to(total.dtype)
        return total if self.mask is None else zero_absent(total, self.mask)

    def combine(self, x: Tensor) -> Tensor:
        """Adds up A_k @ x_k over the heads for ``[*, M, K F]``, ``[*, M, F]``."""
        by_head = zero_absent(x, self.mask).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
        if self.scale is None and self.adj.size(0) == 1 and x.dim() > 2:  # all heads in one product
            side_by_side = self.adj[0].transpose(0, 1).flatten(1)
            rows = by_head.flatten(-3, -2).flatten(0, -3)
            total = torch.bmm(side_by_side.expand(rows.size(0), -1, -1), rows).view(*x.shape[:-1], -1)
        else:
            total = self._scaled_by_head(self._sum_by_head(by_head)).sum(-2)
        return zero_absent(total, self.mask)

    def _sum_by_head(self, x: Tensor) -> Tensor:
        """Multiplies each head by ``[*, K, M, F]`` or ``[*, 1, M, F]``, ``[*, K, M, F]``."""
        if self.adj.size(0) > 1 or x.size(-3) > 1 or x.dim() == 3:
            matrices = self.adj[0] if self.adj.size(0) == 1 else _beside(self.adj, x)
            return torch.matmul(matrices, x)
        rows = x.flatten(0, -3)
        below = self.adj[0].flatten(0, 1)  # the heads, one below the other
        total = torch.bmm(below.expand(rows.size(0), -1, -1), rows)
        return total.view(*x.shape[:-3], *self.adj.shape[1:3], x.size(-1))

    def _scaled_by_head(self, total: Tensor) -> Tensor:
        """Puts the heads of ``[*, K, M, F]`` beside the channels, ``[*, M, K, F]``, each scaled."""
        total = total.transpose(-3, -2)
        if self.scale is None:
            return total
        return (at_least_float32(total) * self.scale.unsqueeze(-1)).to(total.dtype)

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[*, M, F]``."""
        neighbors = self.adj != 0
        if self.adj.dim() == 4:
            neighbors = neighbors.any(1) if self.differs_by_sequence else neighbors[0].any(0)
        neighbors = neighbors | torch.eye(self.adj.size(-1), dtype=torch.bool, device=self.adj.device)
        if x.dim() == 3:
            return neighbor_maxima(x, neighbors, self.mask)
        if x.dim() > 3 and neighbors.dim() == 3:
            neighbors = _beside(neighbors, x).expand(*x.shape[:-2], -1, -1).flatten(0, -3)
        rows, mask = stacked(x, self.mask)
        return neighbor_maxima(rows, neighbors, mask).view(x.shape)

    def line_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over the frames before and after, whatever the weights are; 0 where both are absent."""
        return line_max(x, self.mask)


def _beside(matrices: Tensor, x: Tensor) -> Tensor:
    """Gives a stack ``[B, M, M]`` axes of length 1 where features ``[B, *, M, F]`` have further ones."""
    ones = x.dim() - matrices.dim()
    return matrices if matrices.dim() == 2 else matrices.view(-1, *[1] * ones, *matrices.shape[1:])
