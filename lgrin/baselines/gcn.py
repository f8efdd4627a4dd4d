"""The graph convolutional network of Eq. (3)."""

import torch
from torch import Tensor
from torch.nn import Linear

from lgrin.baselines.graph_baseline import GraphBaseline
from lgrin.nn import GraphReadout
from lgrin.options import check_whole


def normalized_adjacency(adj: Tensor) -> Tensor:
    r"""Adds self-loops and normalises by degree, :math:`\hat{A} = D^{-1/2} (A + I) D^{-1/2}`.

    D is the degree of A + I, as in Kipf and Welling, 2017. The paper's text names the degree of A, which is 0 for a
    frame without neighbours. Negative weights are not edges.

    Args:
        adj: Weights ``[B, M, M]``.

    Returns:
        The matrix ``[B, M, M]``.

    Example:
        >>> normalized_adjacency(1 - torch.eye(4).unsqueeze(0))[0, 0].tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    looped = adj.relu() + torch.eye(adj.size(-1), dtype=adj.dtype, device=adj.device)
    scale = looped.sum(-1).rsqrt()
    return scale.unsqueeze(-1) * looped * scale.unsqueeze(-2)


class GCN(GraphBaseline):
    r"""Applies two graph convolutions on a fixed graph, and reads out maximum and mean.

    .. math:: H^{(k+1)} = \mathrm{ReLU}(\hat{A} H^{(k)} W^{(k)} + b^{(k)}), \qquad
              h_G = \left[ \max_i H^{(2)}_i \mid \tfrac{1}{|V|} \sum_i H^{(2)}_i \right]

    The paper states neither the number of layers nor their width. With two layers of 256 channels, the number of
    parameters is within 3 % of the paper's on its three corpora.

    Args:
        in_channels: Features per frame, P.
        num_nodes: Frames per sequence, M.
        num_classes: Classes, C.
        hidden_channels: Channels of both layers.

    Shapes:
        - **x, edge_index, frame, batch, mask, batch_size, output:** as for :class:`GraphBaseline`

    Raises:
        ValueError: If sizes do not fit.

    Source:
        Kipf and Welling, "Semi-supervised classification with graph convolutional networks", ICLR 2017; Eq. (3) and
        Sec. IV-A of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> sum(p.numel() for p in GCN(136, 90, 6).parameters())
        103942
    """

    def __init__(self, in_channels: int, num_nodes: int, num_classes: int, hidden_channels: int = 256) -> None:
        hidden_channels = check_whole("hidden_channels", hidden_channels)
        super().__init__(in_channels, num_nodes, num_classes, hidden_channels=hidden_channels)
        self.first = Linear(in_channels, hidden_channels)
        self.second = Linear(hidden_channels, hidden_channels)
        self.readout = GraphReadout(num_nodes, parts=("max", "mean"))
        self.head = Linear(2 * hidden_channels, num_classes)
        for layer in (self.first, self.second, self.head):
            torch.nn.init.xavier_uniform_(layer.weight)
            torch.nn.init.zeros_(layer.bias)

    def classify_on(self, x: Tensor, mask: Tensor, adj: Tensor) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        spread = normalized_adjacency(adj)
        for layer in (self.first, self.second):
            x = layer(spread @ x).relu()
        return self.head(self.readout(x, mask=mask))
