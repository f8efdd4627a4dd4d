"""A matrix of weights near its diagonal."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lgrin.graph.base import line_max, stacked
from lgrin.nodes import at_least_float32, zero_absent
from lgrin.ops import neighbor_max_banded

LARGEST_MATRIX = 8192
BLOCK = 64  # targets that are summed by one product


class BandedGraph(NamedTuple):
    """A matrix that is zero further than w from its diagonal, stored as M rows of 2w + 1 entries.

    Attributes:
        band: Weights ``[M, 2w + 1]``; ``band[i, k]`` is ``A[i, i + k - w]``, and 0 where that is outside A. Several
            heads are ``[K, M, 2w + 1]``.
        mask: Bool ``[*, M]``, the nodes that are present; ``None`` means all.
        scale: What the sum of each node is multiplied by, shaped like the mask, ``[*, M, K]`` for several heads;
            ``None`` means 1.

    Example:
        >>> import torch
        >>> graph = BandedGraph(torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]))
        >>> graph.aggregate(torch.tensor([[1.0], [3.0]])).flatten().tolist()
        [6.0, 0.0]
    """

    band: Tensor
    mask: Tensor | None = None
    scale: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        """The number of nodes M of a sequence."""
        return self.band.size(-2)

    @property
    def bandwidth(self) -> int:
        """The largest distance w between two nodes that the band can connect."""
        return self.band.size(-1) // 2

    @property
    def heads(self) -> int:
        """The number of bands K over the same nodes."""
        return self.band.size(0) if self.band.dim() == 3 else 1

    @property
    def differs_by_sequence(self) -> bool:
        """Whether each sequence has a band of its own; never so."""
        return False

    @property
    def weights(self) -> Tensor:
        """The weights, ``[M, 2w + 1]`` or ``[K, M, 2w + 1]``."""
        return self.band

    def sources(self) -> Tensor:
        """Says which node each weight comes from, int64 ``[M, 2w + 1]``; outside 0..M-1 there is none."""
        return band_sources(self.num_nodes, self.bandwidth, self.band.device)

    def matrix(self) -> Tensor:
        """Builds the matrix, ``[M, M]`` or ``[K, M, M]``.

        Raises:
            ValueError: If M is above 8,192.
        """
        if self.num_nodes > LARGEST_MATRIX:
            raise ValueError(
                f"num_nodes is {self.num_nodes}; a banded adjacency becomes a matrix up to {LARGEST_MATRIX} only: "
                f"pass adjacency.graph() to the layers instead, and remove hooks, pruning and sharding, which need it"
            )
        source = self.sources()
        target = torch.arange(self.num_nodes, device=source.device).unsqueeze(-1).expand_as(source)
        inside = (source >= 0) & (source < self.num_nodes)
        empty = self.band.new_zeros(self.num_nodes, self.num_nodes)
        bands = self.band if self.band.dim() == 3 else self.band.unsqueeze(0)
        matrices = [empty.index_put((target[inside], source[inside]), band[inside]) for band in bands]
        return torch.stack(matrices) if self.band.dim() == 3 else matrices[0]

    def first(self, length: int) -> "BandedGraph":
        """Keeps the edges among the first frames."""
        reach, kept = self.bandwidth, min(self.bandwidth, length - 1)
        mask, scale = (None if one is None else one[..., :length] for one in (self.mask, self.scale))
        return BandedGraph(self.band[..., :length, reach - kept : reach + kept + 1], mask, scale)

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[*, M, F]``; of several heads ``[A_1 x | ... | A_K x]``, ``[*, M, K F]``."""
        if self.band.dim() == 3:
            return torch.cat([head.aggregate(x) for head in self._by_head()], dim=-1)
        if x.dim() > 3:
            mask, scale = (None if one is None else one.flatten(0, -2) for one in (self.mask, self.scale))
            return self._replace(mask=mask, scale=scale).aggregate(x.flatten(0, -3)).view(x.shape)
        total = self._sum_in_blocks(zero_absent(x, self.mask))
        if self.scale is not None:
            total = (at_least_float32(total) * self.scale.unsqueeze(-1)).to(total.dtype)
        return zero_absent(total, self.mask)

    def combine(self, x: Tensor) -> Tensor:
        """Adds up A_k @ x_k over the heads for ``[*, M, K F]``, ``[*, M, F]``."""
        parts = x.chunk(self.heads, dim=-1)
        return torch.stack([head.aggregate(part) for head, part in zip(self._by_head(), parts, strict=True)]).sum(0)

    def _by_head(self) -> list["BandedGraph"]:
        scales = [None] * self.heads if self.scale is None else self.scale.unbind(-1)
        return [BandedGraph(band, self.mask, scale) for band, scale in zip(self.band, scales, strict=True)]

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[*, M, F]``."""
        neighbors = (self.band != 0).any(0) if self.band.dim() == 3 else self.band != 0
        neighbors[:, self.bandwidth] = True
        rows, mask = stacked(x, self.mask)
        return neighbor_max_banded(rows, neighbors, mask)[0].view(x.shape)

    def line_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over the frames before and after, whatever the weights are; 0 where both are absent."""
        return line_max(x, self.mask)

    def _sum_in_blocks(self, x: Tensor) -> Tensor:
        """Multiplies blocks of rows of the band by the nodes that they reach, ``[M, F]`` or ``[B, M, F]``."""
        reach, num_nodes = self.bandwidth, self.num_nodes
        size = max(2 * reach, min(num_nodes, BLOCK))  # targets of a block; it reads its nodes and 2 * reach more
        nodes = windows(x, reach, size)
        count = nodes.size(-3)
        weights = shear(_pad_rows(self.band, 0, count * size).view(count, size, -1))
        if x.dim() == 2:
            total = torch.bmm(weights, nodes).flatten(0, 1)
        else:  # all sequences side by side, for one product with each block
            side_by_side = nodes.permute(1, 2, 0, 3).flatten(2)
            total = torch.bmm(weights, side_by_side).flatten(0, 1).unflatten(1, (x.size(0), x.size(2))).transpose(0, 1)
        return total[..., :num_nodes, :]


def band_sources(num_nodes: int, bandwidth: int, device: torch.device) -> Tensor:
    """Says which node each entry of a band comes from.

    Args:
        num_nodes: The number of nodes M.
        bandwidth: The largest distance w.
        device: Where the result lies.

    Returns:
        Int64 ``[M, 2w + 1]``; what is outside 0..M-1 belongs to the corners of the band.

    Example:
        >>> band_sources(2, 1, torch.device("cpu")).tolist()
        [[-1, 0, 1], [0, 1, 2]]
    """
    target = torch.arange(num_nodes, device=device).unsqueeze(-1)
    return target + torch.arange(-bandwidth, bandwidth + 1, device=device)


def _pad_rows(x: Tensor, before: int, length: int) -> Tensor:
    """Puts zero rows before ``[*, N, F]``, and after it up to ``length`` rows."""
    return pad(x, (0, 0, before, length - before - x.size(-2)))


def windows(x: Tensor, reach: int, size: int) -> Tensor:
    """Cuts nodes into blocks of targets, each with the nodes around it that a band reaches.

    Args:
        x: Features ``[*, M, F]``.
        reach: The largest distance w.
        size: Targets of a block, at least 2 w.

    Returns:
        ``[*, C, size + 2w, F]``, zeros outside the nodes; C blocks cover all.

    Example:
        >>> windows(torch.arange(1.0, 4).view(3, 1), reach=1, size=2).squeeze(-1).tolist()
        [[0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 0.0, 0.0]]
    """
    count = -(-x.size(-2) // size)
    blocks = _pad_rows(x, reach, (count + 1) * size).unflatten(-2, (count + 1, size))
    return torch.cat([blocks[..., :-1, :, :], blocks[..., 1:, : 2 * reach, :]], dim=-2)


def shear(band: Tensor) -> Tensor:
    """Shifts row i by i columns: a band becomes a matrix.

    Args:
        band: ``[*, T, K]``.

    Returns:
        ``[*, T, T + K - 1]``.

    Example:
        >>> shear(torch.tensor([[1, 2], [3, 4]])).tolist()
        [[1, 2, 0], [0, 3, 4]]
    """
    rows, columns = band.shape[-2:]
    flat = pad(band, (0, rows)).flatten(-2)
    return flat[..., : rows * (rows + columns - 1)].unflatten(-1, (rows, rows + columns - 1))
