"""Edges one by one."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from lgrin.arguments import check_range
from lgrin.nodes import at_least_float32, zero_absent
from lgrin.ops import neighbor_max_edges


class EdgeList(NamedTuple):
    """Edges one by one, as PyG has them.

    Attributes:
        edge_index: Int64 ``[2, E]``, source nodes first and target nodes second.
        edge_weight: Weights ``[E]``, or ``[E, K]`` of several heads; ``None`` means 1. Parallel edges add up.
        mask: Bool ``[N]``, the nodes that are present; ``None`` means all.
        frame: Int64 ``[N]``, each node's frame; at a tie of a maximum the lowest one wins. ``None`` means in order.

    Example:
        >>> import torch
        >>> graph = EdgeList(torch.tensor([[1], [0]]), torch.tensor([2.0]))
        >>> graph.aggregate(torch.tensor([[1.0], [3.0]])).flatten().tolist()
        [6.0, 0.0]
    """

    edge_index: Tensor
    edge_weight: Tensor | None = None
    mask: Tensor | None = None
    frame: Tensor | None = None

    @property
    def heads(self) -> int:
        """The number of weights K of each edge."""
        return 1 if self.edge_weight is None or self.edge_weight.dim() == 1 else self.edge_weight.size(1)

    def combine(self, x: Tensor) -> Tensor:
        """Adds up A_k @ x_k over the heads for ``[N, K F]``, ``[N, F]``."""
        assert self.edge_weight is not None
        parts = zip(self.edge_weight.unbind(-1), x.chunk(self.heads, dim=-1), strict=True)
        return torch.stack([self._replace(edge_weight=weight).aggregate(part) for weight, part in parts]).sum(0)

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[N, F]``; of several heads ``[A_1 x | ... | A_K x]``, ``[N, K F]``."""
        if self.edge_weight is not None and self.edge_weight.dim() == 2:
            weights = self.edge_weight.unbind(-1)
            return torch.cat([self._replace(edge_weight=weight).aggregate(x) for weight in weights], dim=-1)
        check_range("edge_index", self.edge_index, x.size(0))
        source, target = self.edge_index
        messages = zero_absent(x, self.mask)[source]
        dtype = messages.dtype
        if self.edge_weight is not None:
            dtype = torch.promote_types(dtype, self.edge_weight.dtype)
            messages = at_least_float32(messages) * self.edge_weight.unsqueeze(-1)
        total = scatter(at_least_float32(messages), target, 0, dim_size=x.size(0), reduce="sum").to(dtype)
        return zero_absent(total, self.mask)

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[N, F]``."""
        check_range("edge_index", self.edge_index, x.size(0))
        source, target = self.edge_index
        if self.edge_weight is not None:
            weight = at_least_float32(self.edge_weight.detach())
            connected = parallel_sum(self.edge_index, weight, x.size(0)) != 0
            connected = connected.any(-1) if weight.dim() == 2 else connected
            source = torch.where(connected, source, target)
        itself = torch.arange(x.size(0), device=x.device)
        closed = torch.stack([torch.cat([source, itself]), torch.cat([target, itself])])
        if self.frame is None:
            return neighbor_max_edges(x, closed, self.mask)[0]
        order = self.frame.sort(stable=True)[1]
        place = torch.zeros_like(order).scatter(0, order, itself)
        mask = None if self.mask is None else self.mask[order]
        return neighbor_max_edges(x[order], place[closed], mask)[0][place]

    def line_max(self, x: Tensor) -> Tensor:
        """Always raises: an edge list does not say which node is which frame."""
        raise ValueError(
            "neighborhood='line' needs to know which node is which frame, and an edge list does not say it; "
            "pass the graph as a matrix or as adjacency.graph(frame, batch), or use neighborhood='learned'"
        )

    def reweighted(self, factor: Tensor) -> "EdgeList":
        """Multiplies every edge's weight, as explanations with edge masks do."""
        if self.edge_weight is None:
            return self._replace(edge_weight=factor)
        return self._replace(edge_weight=self.edge_weight * (factor if self.heads == 1 else factor.unsqueeze(-1)))


def parallel_sum(edge_index: Tensor, edge_weight: Tensor, num_nodes: int) -> Tensor:
    """Gives every edge the summed weight of all edges between the same two nodes, in a fixed number of steps.

    Args:
        edge_index: Int64 ``[2, E]``.
        edge_weight: Weights ``[E]`` or ``[E, K]``.
        num_nodes: The number of nodes N.

    Returns:
        The sums, shaped like the weights.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 0], [1, 0, 1]])
        >>> parallel_sum(edge_index, torch.tensor([1.0, 2.0, -3.0]), num_nodes=2).tolist()
        [-2.0, 2.0, -2.0]
    """
    pair, order = (edge_index[0] * num_nodes + edge_index[1]).sort()
    starts = torch.cat([pair.new_zeros(1), (pair[1:] != pair[:-1]).long()])[: pair.size(0)]
    group = torch.zeros_like(order).scatter(0, order, starts.cumsum(0))
    return edge_weight.new_zeros(edge_weight.shape).index_add(0, group, edge_weight)[group]
