"""From whatever PyG calls an adjacency to a layout, with every check of what was given."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import SparseTensor

from lgrin.arguments import check_edge_weight, check_features, check_index, check_mask, check_range, over_steps
from lgrin.graph.banded import BandedGraph
from lgrin.graph.base import Graph
from lgrin.graph.dense import DenseGraph
from lgrin.graph.edge_list import EdgeList
from lgrin.graph.ragged import FrameGraph, RaggedGraph
from lgrin.graph.stationary import StationaryGraph


def as_graph(
    x: Tensor,
    edge_index: "Tensor | Graph",
    edge_weight: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    in_channels: int | None = None,
) -> Graph:
    """Reads whatever PyG calls an adjacency into one of the layouts.

    ==================================================  ===========  ===================
    ``edge_index``                                      layout       ``x``
    ==================================================  ===========  ===================
    floating ``[M, M]``                                 dense        ``[*, M, F]``
    floating ``[B, M, M]``                              dense        ``[B, *, M, F]``
    integer ``[2, E]`` or ``EdgeIndex``                 edge list    ``[N, F]``
    torch sparse ``[N, N]`` or ``SparseTensor``         edge list    ``[N, F]``
    a graph of this module                              itself       as the graph needs
    ==================================================  ===========  ===================

    Matrices of any kind are ``A[target, source]`` like PyG's ``adj_t``, so the result of
    ``torch_geometric.utils.to_dense_adj`` has to be transposed.

    Args:
        x: Node features that the graph is meant for.
        edge_index: The adjacency.
        edge_weight: Weights ``[E]`` beside an edge list; ``None`` means 1.
        mask: Bool with the leading shape of ``x``, the nodes that are present; ``None`` means all. ``[B, M]`` beside x
            ``[B, *, M, F]`` serves every step.
        in_channels: Channels that x has to have, where they are known.

    Returns:
        The graph.

    Raises:
        TypeError: If ``x`` or the adjacency is of a kind or dtype that has no meaning here.
        ValueError: If sizes do not fit, or two arguments say the same thing twice.
        IndexError: If an edge names a node that x does not have; see :func:`lgrin.arguments.check_range`.

    Example:
        >>> type(as_graph(torch.rand(3, 4), torch.tensor([[0, 1], [1, 2]]))).__name__
        'EdgeList'
    """
    if edge_weight is not None:
        check_edge_weight(edge_weight)
    graph: Any = edge_index
    if not hasattr(edge_index, "aggregate"):
        check_features(x)
        graph = _read(x, edge_index, edge_weight, mask)
    elif edge_weight is not None or mask is not None:
        _refuse("edge_weight", edge_weight, "a graph object", "put the weights into the graph")
        _refuse("mask", mask, "a graph object", "build the graph with it, for example adjacency.graph(mask=mask)")
    graph = _fitted(x, graph)
    if in_channels is not None and x.size(-1) != in_channels:
        raise ValueError(f"x has {x.size(-1)} channels, but this layer was built for in_channels={in_channels}")
    read: Graph = graph
    return read


def _read(x: Tensor, adj: Any, edge_weight: Tensor | None, mask: Tensor | None) -> Graph:
    if isinstance(adj, SparseTensor):
        return _read_sparse_tensor(x, adj, edge_weight, mask)
    if not isinstance(adj, Tensor):
        way_out = "; pass its graph, adjacency.graph()" if callable(getattr(adj, "graph", None)) else ""
        raise TypeError(
            f"edge_index is a {type(adj).__name__}; it may be a tensor, an EdgeIndex, a SparseTensor or a graph of "
            f"lgrin.graph{way_out}"
        )
    if adj.layout != torch.strided:
        return _read_sparse(x, adj, edge_weight, mask)
    if adj.is_floating_point():
        return _read_dense(adj, edge_weight, mask)
    return _read_edges(x, adj, edge_weight, mask)


def _read_sparse_tensor(x: Tensor, adj: SparseTensor, edge_weight: Tensor | None, mask: Tensor | None) -> EdgeList:
    _refuse("edge_weight", edge_weight, "a SparseTensor", "store the weights in it")
    _check_num_nodes(x, adj.sizes())
    target, source, weight = adj.coo()
    weight = torch.ones(target.size(0), dtype=x.dtype, device=x.device) if weight is None else weight
    return EdgeList(torch.stack([source, target]), weight, mask)


def _read_sparse(x: Tensor, adj: Tensor, edge_weight: Tensor | None, mask: Tensor | None) -> EdgeList:
    _refuse("edge_weight", edge_weight, "a sparse matrix", "store the weights in it")
    _check_num_nodes(x, adj.shape)
    coo = adj.to_sparse_coo()
    check_range("edge_index", coo._indices().flip(0), x.size(-2))  # coalescing takes (0, N) for (1, 0)
    coo = coo.coalesce()
    return EdgeList(coo.indices().flip(0), coo.values(), mask)


def _read_dense(adj: Tensor, edge_weight: Tensor | None, mask: Tensor | None) -> DenseGraph:
    _refuse("edge_weight", edge_weight, "a dense matrix", "multiply the matrix by the weights")
    if adj.dim() == 2 and adj.size(0) == 2 != adj.size(1):
        raise TypeError(
            f"edge_index is {adj.dtype} {list(adj.shape)}; an edge list holds integers: pass edge_index.long()"
        )
    if adj.dim() == 4:
        raise ValueError(
            f"a dense edge_index has shape {list(adj.shape)}; it may be [M, M] or [B, M, M]. For several heads "
            f"pass a graph: DenseGraph(adj) with adj [1, K, M, M] or [B, K, M, M]"
        )
    return DenseGraph(adj, mask)


def _read_edges(x: Tensor, adj: Tensor, edge_weight: Tensor | None, mask: Tensor | None) -> EdgeList:
    if adj.dtype == torch.bool or adj.is_complex():
        raise TypeError(
            f"edge_index is {adj.dtype} {list(adj.shape)}; a matrix of weights is floating: pass adj.to(x.dtype)"
        )
    if adj.dim() != 2 or adj.size(0) != 2:
        raise TypeError(
            f"edge_index is {adj.dtype} {list(adj.shape)}; integers are an edge list [2, E]; for a matrix of weights "
            f"pass adj.to(x.dtype)"
        )
    if isinstance(adj, EdgeIndex):
        _check_num_nodes(x, [size for size in adj.sparse_size() if size is not None])
        adj = adj.as_tensor()
    return EdgeList(adj.long(), edge_weight, mask)


def _check_num_nodes(x: Tensor, sizes: Sequence[int]) -> None:
    if len(sizes) > 2 or any(size != x.size(-2) for size in sizes):
        raise ValueError(
            f"x has {x.size(-2)} nodes, but the sparse edge_index is {list(sizes)}; it has one row and one column a "
            f"node, [{x.size(-2)}, {x.size(-2)}]"
        )


def _refuse(name: str, value: object, beside: str, way_out: str) -> None:
    if value is not None:
        raise ValueError(f"{name} was given beside {beside}, which carries its own; {way_out} and leave {name} out")


def _fitted(x: Tensor, graph: Any) -> Any:
    """Repeats a mask ``[B, M]`` for every step, and raises unless x fits the graph.

    What a layout needs beyond a mask and a dtype stands in :data:`CHECKS`.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() < 2:
        check_features(x)  # says which
    if graph.mask is not None:
        if graph.mask.dim() < x.dim() - 1:
            graph = _over_steps(x, graph)
        check_mask(x, graph.mask)
    check = CHECKS.get(type(graph))
    weights = None if check is None else check(x, graph)
    if weights is not None and weights.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(f"x is {x.dtype}, but the edge weights are {weights.dtype}; convert one with .to(dtype)")
    return graph


def _over_steps(x: Tensor, graph: Any) -> Any:
    """Repeats the mask of a graph for every step, and with it the scale of its sums."""
    mask, scale = over_steps(x, graph.mask), getattr(graph, "scale", None)
    if mask is graph.mask or scale is None:
        return graph._replace(mask=mask)
    if scale.dim() == graph.mask.dim():
        return graph._replace(mask=mask, scale=over_steps(x, scale))
    return graph._replace(mask=mask, scale=torch.stack([over_steps(x, one) for one in scale.unbind(-1)], dim=-1))


def _check_matrix(x: Tensor, graph: FrameGraph) -> Tensor:
    matrix = graph[0]
    if isinstance(graph, DenseGraph) and (matrix.dim() not in (2, 3, 4) or matrix.size(-1) != matrix.size(-2)):
        raise ValueError(f"a dense edge_index has shape {list(matrix.shape)}; it may be [M, M] or [B, M, M]")
    if graph.num_nodes != x.size(-2):
        raise ValueError(
            f"x has {x.size(-2)} nodes, but the graph has {graph.num_nodes}; pad x with "
            f"lgrin.transforms.CyclicPad({graph.num_nodes}), or say with frame= which nodes x holds"
        )
    if graph.differs_by_sequence and matrix.shape[:1] != x.shape[:-2][:1]:
        raise ValueError(
            f"edge_index holds {matrix.size(0)} matrices, but x has shape {list(x.shape)}; a stack of matrices "
            f"[B, M, M] needs x [B, M, F] or [B, *, M, F] with the same B"
        )
    return matrix


def _check_ragged(x: Tensor, graph: RaggedGraph) -> Tensor:
    if graph.frame.shape != x.shape[:-1]:
        raise ValueError(
            f"x has shape {list(x.shape)}, but the graph was built for nodes {list(graph.frame.shape)}; "
            f"pass one row of x for every entry of frame"
        )
    if x.device.type == "cpu":  # RaggedGraph.place has looked on every device, but a graph may be made by hand
        batch_size, num_nodes = graph.present.shape
        check_index("frame", graph.frame)
        check_index("batch", graph.batch)
        check_range("frame", graph.frame, num_nodes, graph.mask)
        check_range("batch", graph.batch, batch_size)
    return graph.padded[0]


def _check_edges(x: Tensor, graph: EdgeList) -> Tensor | None:
    if x.dim() != 2:
        raise ValueError(
            f"x has shape {list(x.shape)}; beside an edge list it has to be flat, [N, F]: pass one graph for leading "
            f"axes as adjacency.graph(), or as a matrix [M, M] that is A[target, source]"
        )
    check_index("edge_index", graph.edge_index)
    check_range("edge_index", graph.edge_index, x.size(0))
    num_edges = graph.edge_index.size(1)
    weight = graph.edge_weight
    if weight is not None and (weight.shape[:1] != (num_edges,) or weight.dim() > 2):
        raise ValueError(
            f"edge_weight has shape {list(weight.shape)}; for {num_edges} edges it has to be [{num_edges}], or "
            f"[{num_edges}, K] for K heads"
        )
    return weight


CHECKS: dict[type, Callable[[Tensor, Any], Tensor | None]] = {
    DenseGraph: _check_matrix,
    BandedGraph: _check_matrix,
    StationaryGraph: _check_matrix,
    RaggedGraph: _check_ragged,
    EdgeList: _check_edges,
}
