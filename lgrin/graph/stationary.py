"""One kernel of weights for all nodes."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from lgrin.graph.banded import BLOCK, LARGEST_MATRIX, BandedGraph, band_sources, shear, windows
from lgrin.graph.base import line_max, stacked
from lgrin.graph.dense import DenseGraph
from lgrin.nodes import at_least_float32, zero_absent
from lgrin.ops import neighbor_max_banded

SHORT = 2 * BLOCK  # nodes up to which one product with the whole matrix is the fastest


class StationaryGraph(NamedTuple):
    r"""A graph whose weights depend on the distance in frames alone, :math:`A_{ij} = s_i a_{j - i}`.

    Attributes:
        kernel: Weights ``[2w + 1]``; ``kernel[k]`` is the weight of the node ``k - w`` frames later. Several heads are
            ``[K, 2w + 1]``.
        num_nodes: The number of nodes M of a sequence.
        mask: Bool ``[*, M]``, the nodes that are present; ``None`` means all.
        scale: What the sum of each node is multiplied by, ``[M]`` or shaped like the mask, with a last axis K for
            several heads; ``None`` means 1.

    Example:
        >>> import torch
        >>> graph = StationaryGraph(torch.tensor([0.0, 0.0, 2.0]), num_nodes=2)
        >>> graph.aggregate(torch.tensor([[1.0], [3.0]])).flatten().tolist()
        [6.0, 0.0]
    """

    kernel: Tensor
    num_nodes: int
    mask: Tensor | None = None
    scale: Tensor | None = None

    @property
    def bandwidth(self) -> int:
        """The largest distance w between two nodes that the kernel can connect."""
        return self.kernel.size(-1) // 2

    @property
    def heads(self) -> int:
        """The number of kernels K."""
        return self.kernel.size(0) if self.kernel.dim() == 2 else 1

    @property
    def differs_by_sequence(self) -> bool:
        """Whether each sequence has a kernel of its own; never so."""
        return False

    @property
    def weights(self) -> Tensor:
        """The weights, ``[M, 2w + 1]`` or ``[K, M, 2w + 1]``; with the scale where all sequences share it."""
        return self.banded().band

    def banded(self) -> BandedGraph:
        """Writes the kernel out for every node, in the layout that has weights of its own for each."""
        source = self.sources()
        rows = self.kernel.unsqueeze(-2).expand(*self.kernel.shape[:-1], *source.shape)
        band = rows.masked_fill((source < 0) | (source >= self.num_nodes), 0)
        if self._shares_scale():
            return BandedGraph(self._scale_rows(band), self.mask)
        return BandedGraph(band, self.mask, self.scale)

    def sources(self) -> Tensor:
        """Says which node each weight comes from, int64 ``[M, 2w + 1]``; outside 0..M-1 there is none."""
        return band_sources(self.num_nodes, self.bandwidth, self.kernel.device)

    def matrix(self) -> Tensor:
        """Builds the matrix, ``[M, M]`` or ``[K, M, M]``, with the scale where all sequences share it.

        Raises:
            ValueError: If M is above 8,192.
        """
        if self.num_nodes > LARGEST_MATRIX:
            raise ValueError(
                f"num_nodes is {self.num_nodes}; a stationary adjacency becomes a matrix up to {LARGEST_MATRIX} only: "
                f"pass adjacency.graph() to the layers instead, and remove hooks, pruning and sharding, which need it"
            )
        reach, rows = self.bandwidth, self.num_nodes
        matrix = shear(self.kernel.unsqueeze(-2).expand(*self.kernel.shape[:-1], rows, -1))[..., reach : reach + rows]
        return self._scale_rows(matrix) if self._shares_scale() else matrix

    def first(self, length: int) -> "StationaryGraph":
        """Keeps the edges among the first frames."""
        scale = self.scale
        if scale is not None:
            scale = scale[..., :length] if self.heads == 1 else scale[..., :length, :]
        return StationaryGraph(self.kernel, length, None if self.mask is None else self.mask[..., :length], scale)

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[*, M, F]``; of several heads ``[A_1 x | ... | A_K x]``, ``[*, M, K F]``."""
        if self._is_short():
            return self._dense().aggregate(x)
        rows = zero_absent(x, self.mask).reshape(-1, *x.shape[-2:])
        sum_up = _convolve if torch.compiler.is_exporting() else _sum_in_blocks
        total = sum_up(rows, self.kernel.view(self.heads, -1)).view(*x.shape[:-1], self.heads, x.size(-1))
        return zero_absent(self._scaled(total).flatten(-2), self.mask)

    def combine(self, x: Tensor) -> Tensor:
        """Adds up A_k @ x_k over the heads for ``[*, M, K F]``, ``[*, M, F]``."""
        if self.heads == 1:
            return self.aggregate(x)
        if self._is_short():
            return self._dense().combine(x)
        parts = [head.aggregate(part) for head, part in zip(self._by_head(), x.chunk(self.heads, dim=-1), strict=True)]
        return torch.stack(parts).sum(0)

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[*, M, F]``."""
        neighbors = (self.kernel.view(self.heads, -1) != 0).any(0)
        neighbors.narrow(0, self.bandwidth, 1).fill_(True)
        rows, mask = stacked(x, self.mask)
        return neighbor_max_banded(rows, neighbors.expand(x.size(-2), -1), mask)[0].view(x.shape)

    def line_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over the frames before and after, whatever the weights are; 0 where both are absent."""
        return line_max(x, self.mask)

    def _is_short(self) -> bool:
        return not torch.compiler.is_exporting() and self.num_nodes <= max(SHORT, 4 * self.bandwidth)

    def _dense(self) -> DenseGraph:
        """The whole matrix, which holds the scale, too, where that is the same for all sequences."""
        matrix = self.matrix()
        matrix = matrix.unsqueeze(0) if self.heads > 1 else matrix.view(self.num_nodes, -1)
        return DenseGraph(matrix, self.mask, None if self._shares_scale() else self.scale)

    def _by_head(self) -> list["StationaryGraph"]:
        if self.kernel.dim() == 1:
            return [self]
        scales = [None] * self.heads if self.scale is None or self.heads == 1 else self.scale.unbind(-1)
        kernels = self.kernel.unbind(0)
        return [self._replace(kernel=kernel, scale=scale) for kernel, scale in zip(kernels, scales, strict=True)]

    def _shares_scale(self) -> bool:
        """Whether there is a scale, the same for all sequences."""
        return self.scale is not None and self.scale.dim() == (1 if self.heads == 1 else 2)

    def _scale_rows(self, weights: Tensor) -> Tensor:
        """Multiplies the rows of ``[M, *]`` or ``[K, M, *]`` by a scale that all sequences share."""
        assert self.scale is not None
        return weights * (self.scale if self.heads == 1 else self.scale.mT).unsqueeze(-1)

    def _scaled(self, total: Tensor) -> Tensor:
        """Scales ``[*, M, K, F]``."""
        if self.scale is None:
            return total
        scale = self.scale.unsqueeze(-1) if self.heads > 1 else self.scale.unsqueeze(-1).unsqueeze(-1)
        return (at_least_float32(total) * scale).to(total.dtype)


def _sum_in_blocks(x: Tensor, kernels: Tensor) -> Tensor:
    """Multiplies one matrix by all blocks of nodes: ``[B, M, F]`` and ``[K, 2w + 1]`` become ``[B, M, K, F]``."""
    reach = kernels.size(1) // 2
    size = max(2 * reach, BLOCK)
    blocks = windows(x, reach, size)
    weights = shear(kernels.unsqueeze(1).expand(-1, size, -1)).flatten(0, 1)
    total = torch.bmm(weights.expand(blocks.size(0) * blocks.size(1), -1, -1), blocks.flatten(0, 1))
    total = total.view(*blocks.shape[:2], kernels.size(0), size, -1).transpose(2, 3).flatten(1, 2)
    return total[:, : x.size(1)]


def _convolve(x: Tensor, kernels: Tensor) -> Tensor:
    """The same by a convolution, which other runtimes know for sequences of any length."""
    batch_size, num_nodes, channels = x.shape
    rows = x.transpose(1, 2).reshape(batch_size * channels, 1, num_nodes)
    total = conv1d(rows, kernels.unsqueeze(1), padding=kernels.size(1) // 2)
    return total.view(batch_size, channels, kernels.size(0), num_nodes).permute(0, 3, 2, 1)
