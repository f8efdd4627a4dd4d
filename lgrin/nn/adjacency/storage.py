"""How the entries of a learnable matrix are stored as parameters."""

import torch
from torch import Tensor

from lgrin.graph import BandedGraph, DenseGraph
from lgrin.graph.banded import band_sources


class Full:
    """All M * M entries, ``[M, M]``.

    Args:
        num_nodes: The number of frames M.

    Attributes:
        layout: The graph of all entries.
    """

    layout: type[DenseGraph] | type[BandedGraph] = DenseGraph

    def __init__(self, num_nodes: int) -> None:
        self.num_nodes = num_nodes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter."""
        return self.num_nodes, self.num_nodes

    def positions(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The target and source of every parameter; sources outside 0..M-1 belong to the corners of a band."""
        index = torch.arange(self.num_nodes, device=device)
        target, source = torch.meshgrid(index, index, indexing="ij")
        return target, source

    def entries(self, weight: Tensor) -> Tensor:
        """All entries that the parameters stand for."""
        return weight

    def inside(self, entries: Tensor) -> Tensor:
        """Sets entries to 0 that lie outside the matrix."""
        return entries

    def pick(self, matrix: Tensor) -> Tensor:
        """Picks the stored entries of a matrix ``[M, M]``, shaped like :meth:`entries`; corners of a band hold any."""
        return matrix


class Symmetric(Full):
    """One parameter for the two directions of an edge, ``[M (M + 1) / 2]``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter."""
        return (self.num_nodes * (self.num_nodes + 1) // 2,)

    def positions(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The target and source of every parameter."""
        target, source = torch.tril_indices(self.num_nodes, self.num_nodes, device=device)
        return target, source

    def entries(self, weight: Tensor) -> Tensor:
        """The matrix ``[M, M]``."""
        if weight.dim() > 1:
            return torch.stack([self.entries(head) for head in weight])
        lower = weight.new_zeros(self.num_nodes, self.num_nodes).index_put(self.positions(weight.device), weight)
        return lower + lower.tril(-1).T


class Band(Full):
    """The entries with :math:`|i - j| \\le w`, ``[M, 2w + 1]``.

    Args:
        num_nodes: The number of frames M.
        bandwidth: The largest distance w.
    """

    layout = BandedGraph

    def __init__(self, num_nodes: int, bandwidth: int) -> None:
        super().__init__(num_nodes)
        self.bandwidth = bandwidth

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter."""
        return self.num_nodes, 2 * self.bandwidth + 1

    def positions(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The target and source of every parameter."""
        source = band_sources(self.num_nodes, self.bandwidth, device)[:, : self.shape[1]]
        return torch.arange(self.num_nodes, device=device).unsqueeze(-1).expand_as(source), source

    def inside(self, entries: Tensor) -> Tensor:
        """Sets the corners of a band to 0, which lie outside the matrix."""
        source = band_sources(self.num_nodes, self.bandwidth, entries.device)
        return entries.masked_fill((source < 0) | (source >= self.num_nodes), 0)

    def pick(self, matrix: Tensor) -> Tensor:
        """Picks the band of a matrix ``[M, M]``, ``[M, 2w + 1]``; its corners hold any entries."""
        return matrix.gather(-1, band_sources(self.num_nodes, self.bandwidth, matrix.device).clamp(0, len(matrix) - 1))


class SymmetricBand(Band):
    """One parameter for the two directions of an edge in a band, ``[M, w + 1]``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter."""
        return self.num_nodes, self.bandwidth + 1

    def entries(self, weight: Tensor) -> Tensor:
        """The band ``[M, 2w + 1]``."""
        width = self.bandwidth
        source = band_sources(self.num_nodes, width, weight.device)[:, width + 1 :].clamp(max=self.num_nodes - 1)
        column = width - torch.arange(1, width + 1, device=weight.device)
        return torch.cat([weight, weight[..., source, column]], dim=-1)


def storage_for(num_nodes: int, bandwidth: int | None, symmetric: bool) -> Full:
    """Picks how a matrix is stored.

    Args:
        num_nodes: The number of frames M.
        bandwidth: The largest distance w; ``None`` stores all.
        symmetric: Whether the two directions of an edge share one parameter.

    Returns:
        The storage.

    Example:
        >>> storage_for(5, bandwidth=1, symmetric=False).shape
        (5, 3)
    """
    if bandwidth is None:
        return Symmetric(num_nodes) if symmetric else Full(num_nodes)
    return SymmetricBand(num_nodes, bandwidth) if symmetric else Band(num_nodes, bandwidth)
