"""The operators of this package in terms of PyTorch's own, for programs that leave Python."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch._library.custom_ops import CustomOpDef
from torch._ops import OpOverload
from torch.nn.functional import pad

from lgrin.ops.functional import add_at
from lgrin.ops.neighbor_max import gather_back, neighbor_max, neighbor_max_banded, neighbor_max_edges
from lgrin.ops.window import source_dtype

GROUP = 4  # nodes whose subsets are looked up; 3 to 5 are about as fast, 8 is slower


def decompositions() -> dict[OpOverload, Callable[..., object]]:
    """Lists a decomposition for every operator of lgrin, for ``run_decompositions`` of an exported program.

    Stable sorting of whole numbers is among them, which ONNX does not know and edge lists need.

    Right for programs that run one clip at a time in another runtime, and for nothing else. Values over a matrix are
    looked up in maxima of small subsets, ``[B, M, M / 4, F]``; a band takes ``[B, M, F, 2w + 1]``. Sources, which only
    gradients need, take ``[B, M, M, F]``; a program without gradients never computes them.

    Returns:
        Functions by operator.

    Example:
        >>> from lgrin.nn import GraphInception
        >>> program = torch.export.export(GraphInception(3, (4,)).eval(), (torch.rand(2, 5, 3), torch.rand(5, 5)))
        >>> program = program.run_decompositions({**torch.export.default_decompositions(), **decompositions()})
        >>> any("lgrin" in str(node.target) for node in program.graph.nodes)
        False
    """
    functions: dict[CustomOpDef, Callable[..., object]] = {
        neighbor_max: _dense,
        neighbor_max_banded: _banded,
        neighbor_max_edges: _edges,
        gather_back: _gather_back,
    }
    ours = {operator._opoverload: function for operator, function in functions.items()}
    return {**ours, torch.ops.aten.sort.stable: _stable_sort}


def _dense(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    runs = neighbors.expand(x.size(0), -1, -1)
    if mask is not None:
        runs = runs & mask.unsqueeze(1) & mask.unsqueeze(2)
    values, nobody = _subset_max(x, runs), ~runs.any(2, keepdim=True)
    place = _first(x.unsqueeze(1), values.unsqueeze(2), runs.unsqueeze(-1), dim=2)
    return values.masked_fill(nobody, 0), place.masked_fill(nobody, x.size(1)).to(source_dtype(x.size(1)))


def _banded(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    num_nodes, size = neighbors.shape[-2:]
    width = size // 2
    present = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    around = pad(present, (width, width)).unfold(1, size, 1)
    runs = neighbors & around & present.unsqueeze(-1)
    rows = pad(x, (0, 0, width, width)).unfold(1, size, 1)
    values, nobody = torch.where(runs.unsqueeze(2), rows, -torch.inf).amax(3), ~runs.any(2, keepdim=True)
    place = _first(rows, values.unsqueeze(3), runs.unsqueeze(2), dim=3)
    node = place + (torch.arange(num_nodes, device=x.device) - width).unsqueeze(-1)
    return values.masked_fill(nobody, 0), node.masked_fill(nobody, num_nodes).to(source_dtype(num_nodes))


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
    return add_at(grad, source)


def _stable_sort(
    x: Tensor, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> tuple[Tensor, Tensor]:
    """Sorts whole numbers together with their places, so that no two are the same."""
    if x.is_floating_point() or x.dim() == 0:
        return NotImplemented
    size = x.size(dim)
    place = torch.arange(size, device=x.device)
    place = (size - 1 - place if descending else place).view(-1, *[1] * (x.dim() - 1)).movedim(0, dim)
    order = (x.long() * size + place).sort(dim, descending)[1]
    return x.gather(dim, order), order


def _subset_max(x: Tensor, runs: Tensor) -> Tensor:
    """The maxima ``[B, M, F]`` over the nodes that run, ``[B, M, M]``, by the method of the four Russians.

    Nodes are cut into groups of four, the maxima of all sixteen subsets of a group are computed once, and each target
    takes one of them from every group: a quarter of the comparisons, whatever the graph is.
    """
    short = -x.size(1) % GROUP
    rows = pad(x, (0, 0, 0, short)).unflatten(1, (-1, GROUP))
    best = torch.full_like(rows[:, :, :1], -torch.inf)
    for member in range(GROUP):  # doubles the subsets: those without this member, then those with it
        best = torch.cat([best, torch.maximum(best, rows[:, :, member : member + 1])], dim=2)
    bits = 2 ** torch.arange(GROUP, dtype=torch.int32, device=x.device)
    subset = (pad(runs.int(), (0, short)).unflatten(2, (-1, GROUP)) * bits).sum(-1)
    group = torch.arange(x.size(0) * rows.size(1), device=x.device).view(-1, 1, rows.size(1))
    place = subset + group * 2**GROUP
    return best.flatten(0, 2).index_select(0, place.flatten()).view(*place.shape, -1).amax(2)


def _first(x: Tensor, values: Tensor, runs: Tensor, dim: int) -> Tensor:
    """Where the largest value stands first among the entries that run."""
    return (((x == values) | x.isnan()) & runs).to(torch.uint8).argmax(dim)
