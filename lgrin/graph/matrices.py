"""The weights that each sequence of a batch gets."""

import torch
from torch import Tensor

from lgrin.graph.ragged import FrameGraph, RaggedGraph


def to_matrices(graph: FrameGraph | RaggedGraph, batch_size: int) -> Tensor:
    """Builds the matrix of each sequence as the layers use it: scaled, and 0 from and to missing frames.

    Args:
        graph: A graph over the frames of sequences.
        batch_size: The number of sequences B.

    Returns:
        ``[B, M, M]``, or ``[B, K, M, M]`` of several heads. Ragged sequences are padded to the longest.

    Example:
        >>> from lgrin.graph import DenseGraph
        >>> graph = DenseGraph(torch.ones(2, 2), torch.tensor([[True, False]]))
        >>> to_matrices(graph, batch_size=1).tolist()
        [[[1.0, 0.0], [0.0, 0.0]]]
    """
    whole = graph.padded if isinstance(graph, RaggedGraph) else graph
    itself = torch.eye(whole.num_nodes, dtype=whole[0].dtype, device=whole[0].device)
    columns = whole.aggregate(itself.expand(batch_size, -1, -1))  # A I is A, masked and scaled
    return columns if whole.heads == 1 else columns.unflatten(-1, (whole.heads, -1)).transpose(1, 2)
