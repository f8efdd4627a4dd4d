"""The edges of a graph over frames, one by one."""

import torch
from torch import Tensor

from lgrin.graph.ragged import FrameGraph, RaggedGraph


def list_edges(graph: FrameGraph | RaggedGraph, threshold: float = 0.0) -> tuple[Tensor, Tensor]:
    """Lists the edges of a graph as PyG has them; their weights carry gradients to the graph.

    Args:
        graph: A graph over the frames of one sequence, all of which count whatever its mask says, or a ragged one,
            whose nodes are numbered as they stand.
        threshold: Edges have an absolute weight above this, which is not negative; of several heads, in one of them.

    Returns:
        ``edge_index [2, E]`` (source nodes first) and ``edge_weight [E]``, or ``[E, K]`` of several heads.

    Raises:
        ValueError: If the graph holds a matrix for each sequence and is not ragged.

    Example:
        >>> from lgrin.graph import DenseGraph
        >>> list_edges(DenseGraph(torch.tensor([[0.0, 2.0], [0.0, 0.0]])))[0].tolist()
        [[1], [0]]
    """
    if isinstance(graph, RaggedGraph):
        return _list_ragged(graph, threshold)
    if graph.differs_by_sequence:
        raise ValueError(
            f"graph holds {graph.weights.size(0)} matrices, and does not say how the nodes of all sequences are "
            f"numbered; list the edges of one, or take adjacency.edges(x=x)"
        )
    target, source, weight = _list_shared(graph, threshold)
    return torch.stack([source, target]), weight


def _list_shared(graph: FrameGraph, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Target, source and weight of the edges of a graph that all sequences share."""
    weights = graph.weights.squeeze(0) if graph.weights.dim() == 4 else graph.weights
    by_head = weights if graph.heads > 1 else weights.unsqueeze(0)
    source_of = graph.sources().expand(weights.shape[-2:])
    inside = (source_of >= 0) & (source_of < graph.num_nodes)  # a band among the first frames reaches further
    target, column = ((by_head.abs() > threshold).any(0) & inside).nonzero(as_tuple=True)
    source = source_of[target, column]
    weight = by_head[:, target, column]
    return target, source, weight.T if graph.heads > 1 else weight.squeeze(0)


def _list_ragged(graph: RaggedGraph, threshold: float) -> tuple[Tensor, Tensor]:
    node, padded = _node_numbers(graph), graph.padded
    if not padded.differs_by_sequence:
        target, source, weight = _list_shared(padded, threshold)
        edge_index = torch.stack([node[:, source], node[:, target]])
        weight = weight.expand(node.size(0), *weight.shape)
        scale = None if padded.scale is None or padded.mask is None else padded.scale[:, target]
    else:
        by_head = padded.weights if padded.heads > 1 else padded.weights.unsqueeze(1)
        sequence, target, column = (by_head.abs() > threshold).any(1).nonzero(as_tuple=True)
        source = padded.sources().expand(padded.weights.shape[-2:])[target, column]
        weight = by_head[sequence, :, target, column]
        weight = weight if padded.heads > 1 else weight.squeeze(-1)
        edge_index = torch.stack([node[sequence, source], node[sequence, target]])
        scale = None if padded.scale is None else padded.scale[sequence, target]
    exists = (edge_index >= 0).all(0)
    return edge_index[:, exists], (weight if scale is None else weight * scale)[exists]


def _node_numbers(graph: RaggedGraph) -> Tensor:
    """Says which node each frame of each sequence is, ``[B, M]``; -1 where there is none."""
    index = torch.arange(graph.frame.numel(), device=graph.frame.device).view(graph.frame.shape)
    present = torch.ones_like(index, dtype=torch.bool) if graph.mask is None else graph.mask
    node = graph.frame.new_full(graph.present.shape, -1)
    node[graph.batch[present], graph.frame[present]] = index[present]
    return node
