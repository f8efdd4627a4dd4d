"""Sums that become averages over the neighbours that are present."""

import torch
from torch import Tensor

from lgrin.graph.ragged import MatrixGraph
from lgrin.nodes import is_readable


def averaging(graph: MatrixGraph, num_nodes: int) -> MatrixGraph:
    r"""Lets the weights of the present neighbours of each node add up to 1, as those of all neighbours do.

    .. math:: \frac{\sum_j A_{ij} m_j x_j}{\sum_j |A_{ij}| m_j}

    Sequences of which every node is present stay as they are, to the last digit. So does a node whose present
    neighbours have a weight below machine epsilon, since a division by it would amplify rounding.

    Args:
        graph: One graph for all sequences whose absolute weights add up to 1 in each row, or the part of it among the
            first nodes.
        num_nodes: Nodes of a whole sequence, M.

    Returns:
        The graph with such a scale; the same if it has no mask.

    Example:
        >>> from lgrin.graph import DenseGraph
        >>> graph = DenseGraph(torch.full((2, 2), 0.5), torch.tensor([True, False]))
        >>> graph.aggregate(torch.ones(2, 1)).flatten().tolist()
        [0.5, 0.0]
        >>> averaging(graph, num_nodes=2).aggregate(torch.ones(2, 1)).flatten().tolist()
        [1.0, 0.0]
    """
    mask = graph.mask
    if mask is None:
        return graph
    whole = mask.sum(-1, keepdim=True) == num_nodes
    if is_readable(mask) and bool(whole.all()):
        return graph
    present = _present_weight(graph, mask)
    keeps = whole | ~mask
    keeps = keeps if present.dim() == mask.dim() else keeps.unsqueeze(-1)
    too_small = present <= torch.finfo(present.dtype).eps
    return graph._replace(scale=present.masked_fill(keeps | too_small, 1).reciprocal())


def _present_weight(graph: MatrixGraph, mask: Tensor) -> Tensor:
    """Adds up the weights of the present neighbours of each node, shaped like the mask, ``[*, M, K]`` with heads."""
    plain, present = type(graph)(graph.weights.abs()), mask.to(graph.weights.dtype)
    if graph.heads > 1:
        return plain.aggregate(present.unsqueeze(-1))
    if graph.weights.dim() == 3:
        return plain.aggregate(present.unsqueeze(-1)).squeeze(-1)
    return plain.aggregate(present.reshape(-1, mask.size(-1)).T).T.view(mask.shape)  # a sequence a column
