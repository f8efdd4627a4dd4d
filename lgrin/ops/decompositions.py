"""The operators of this package in terms of PyTorch's own, for programs that leave Python."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lgrin.ops.neighbor_max import gather_back, neighbor_max, neighbor_max_banded, neighbor_max_edges
from lgrin.ops.window import source_dtype


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Lists a decomposition for every operator of lgrin, for ``run_decompositions`` of an exported program.

    They build what the kernels avoid, ``[B, M, M, F]`` for a matrix and ``[B, M, F, 2w + 1]`` for a band: right for
    programs that run one clip at a time in another runtime, and for nothing else.

    Returns:
        Functions by operator.

    Example:
        >>> from lgrin.nn import GraphInception
        >>> program = torch.export.export(GraphInception(3, (4,)).eval(), (torch.rand(2, 5, 3), torch.rand(5, 5)))
        >>> program = program.run_decompositions({**torch.export.default_decompositions(), **decompositions()})
        >>> any("lgrin" in str(node.target) for node in program.graph.nodes)
        False
    """
    functions: dict[Any, Callable[..., Any]] = {
        neighbor_max: _dense,
        neighbor_max_banded: _banded,
        neighbor_max_edges: _edges,
        gather_back: _gather_back,
    }
    return {operator._opoverload: function for operator, function in functions.items()}


def _dense(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    runs = neighbors.expand(x.size(0), -1, -1)
    if mask is not None:
        runs = runs & mask.unsqueeze(1) & mask.unsqueeze(2)
    values, place, nobody = _first_max(x.unsqueeze(1), runs.unsqueeze(-1), dim=2)
    return values, place.masked_fill(nobody, x.size(1)).to(source_dtype(x.size(1)))


def _banded(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    num_nodes, size = neighbors.shape
    width = size // 2
    present = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    around = torch.nn.functional.pad(present, (width, width)).unfold(1, size, 1)
    runs = neighbors & around & present.unsqueeze(-1)
    rows = torch.nn.functional.pad(x, (0, 0, width, width)).unfold(1, size, 1)
    values, place, nobody = _first_max(rows, runs.unsqueeze(2), dim=3)
    node = place + (torch.arange(num_nodes, device=x.device) - width).unsqueeze(-1)
    return values, node.masked_fill(nobody, num_nodes).to(source_dtype(num_nodes))


def _edges(x: Tensor, edge_index: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    num_nodes = x.size(0)
    source, target = edge_index
    runs = torch.ones_like(source, dtype=torch.bool) if mask is None else mask[source] & mask[target]
    rows, index = x[source], target.unsqueeze(-1).expand(-1, x.size(1))
    lowest = torch.full_like(x, -torch.inf)
    values = lowest.scatter_reduce(0, index, torch.where(runs.unsqueeze(-1), rows, -torch.inf), "amax")
    wins = ((rows == values[target]) | rows.isnan()) & runs.unsqueeze(-1)
    nobody = torch.full_like(x, num_nodes, dtype=torch.int64)
    winner = nobody.scatter_reduce(0, index, torch.where(wins, source.unsqueeze(-1), num_nodes), "amin")
    return values.masked_fill(winner == num_nodes, 0), winner.int()


def _gather_back(grad: Tensor, source: Tensor, reach: int) -> Tensor:
    total = torch.nn.functional.pad(torch.zeros_like(grad), (0, 0, 0, 1))
    return total.scatter_add(1, source.long(), grad)[:, : grad.size(1)]


def _first_max(x: Tensor, runs: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """The largest entry that runs, where it is first, and where none runs; 0 there."""
    values = torch.where(runs, x, -torch.inf).amax(dim, keepdim=True)
    place = (((x == values) | x.isnan()) & runs).to(torch.uint8).argmax(dim)
    nobody = ~runs.any(dim)
    return values.squeeze(dim).masked_fill(nobody, 0), place, nobody
