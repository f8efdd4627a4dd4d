"""The edges of a graph over frames, one by one."""

import torch
from torch import Tensor

from lgrin.graph.banded import BandedGraph
from lgrin.graph.dense import DenseGraph
from lgrin.graph.ragged import RaggedGraph


def list_edges(graph: DenseGraph | BandedGraph | RaggedGraph, threshold: float = 0.0) -> tuple[Tensor, Tensor]:
    """Lists the edges of a graph as PyG has them; their weights carry gradients to the graph.

    Args:
        graph: A graph over the frames of one sequence, all of which count whatever its mask says, or a ragged one,
            whose nodes are numbered as they stand.
        threshold: Edges have a weight above this, which is not negative.

    Returns:
        ``edge_index [2, E]`` (source nodes first) and ``edge_weight [E]``.

    Raises:
        ValueError: If the graph holds a matrix for each sequence and is not ragged.

    Example:
        >>> list_edges(DenseGraph(torch.tensor([[0.0, 2.0], [0.0, 0.0]])))[0].tolist()
        [[1], [0]]
    """
    if isinstance(graph, RaggedGraph):
        return _list_ragged(graph, threshold)
    if graph.weights.dim() == 3:
        raise ValueError(
            f"graph holds {graph.weights.size(0)} matrices, and does not say how the nodes of all sequences are "
            f"numbered; list the edges of one, or take adjacency.edges(x=x)"
        )
    target, column = (graph.weights > threshold).nonzero(as_tuple=True)
    source = graph.sources().expand(graph.weights.shape)[target, column]
    return torch.stack([source, target]), graph.weights[target, column]


def _list_ragged(graph: RaggedGraph, threshold: float) -> tuple[Tensor, Tensor]:
    node, padded = _node_numbers(graph), graph.padded
    weights = padded.weights
    source_of = padded.sources().expand(weights.shape[-2:])
    if weights.dim() == 2:  # the same edges in every sequence
        inside = (source_of >= 0) & (source_of < padded.num_nodes)  # a band among the first frames reaches further
        target, column = ((weights > threshold) & inside).nonzero(as_tuple=True)
        weight = weights[target, column].expand(node.size(0), -1)
        edge_index = torch.stack([node[:, source_of[target, column]], node[:, target]])
        scale = None if padded.scale is None else padded.scale[:, target]
    else:
        sequence, target, column = (weights > threshold).nonzero(as_tuple=True)
        weight = weights[sequence, target, column]
        edge_index = torch.stack([node[sequence, source_of[target, column]], node[sequence, target]])
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
