"""PATCHY-SAN."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Conv1d, Dropout, Linear

from lgrin.baselines.graph_baseline import GraphBaseline
from lgrin.baselines.receptive_fields import betweenness, gather_fields, rank_nodes, receptive_fields
from lgrin.options import check_option, check_whole


def by_frame(adj: Tensor) -> Tensor:
    """Labels nodes by their order in time, ``[B, M]``; the first frame comes first."""
    return -torch.arange(adj.size(-1), dtype=adj.dtype, device=adj.device).expand(adj.shape[:-1])


LABELLINGS: dict[str, Callable[[Tensor], Tensor]] = {"frame": by_frame, "betweenness": betweenness}


def label_nodes(labelling: str, adj: Tensor) -> Tensor:
    """Labels the nodes of a symmetric graph; the highest label comes first.

    Args:
        labelling: ``"frame"``, the order in time, or ``"betweenness"``.
        adj: Symmetric adjacency ``[B, M, M]``.

    Returns:
        Labels ``[B, M]``.

    Example:
        >>> label_nodes("frame", torch.zeros(1, 3, 3)).tolist()
        [[-0.0, -1.0, -2.0]]
    """
    return LABELLINGS[labelling](adj)


class PatchySAN(GraphBaseline):
    r"""Convolves over a sequence of nodes, each with a receptive field of the k nodes nearest to it.

    .. math:: z_v = \mathrm{ReLU}\left( \sum_{j=1}^{k} W_j\, x_{\pi_v(j)} + b \right), \qquad
              \mathrm{logits} = \mathrm{dense}(\mathrm{conv}(z_{v_1}, \ldots, z_{v_M}))

    A labelling orders the nodes, and :math:`\pi_v` ranks the neighbourhood of v by distance in hops, then by the same
    labelling, then by frame. The purpose of a labelling is to give nodes of different graphs comparable positions.
    Frames have such positions already, so ``"frame"`` is the default. ``"betweenness"`` uses the graph alone, and puts
    the middle of a line first. As in the original, every node is a root, sequences shorter than M end with empty
    fields, and the layers are 16 channels of stride k, 8 channels of width 10, and a dense layer with dropout 0.5.
    The original's dense layer has 128 units. With 70 units and k = 5, the numbers of parameters are within 13 % of the
    paper's on its three corpora. No such network has the paper's differences between corpora.

    Args:
        in_channels: Features per frame, P.
        num_nodes: Frames per sequence, M.
        num_classes: Classes, C.
        field_size: Nodes in a receptive field, k.
        hidden_channels: Units of the dense layer.
        labelling: ``"frame"`` or ``"betweenness"``, which needs M matrix products for a line of M frames.
        dropout: Probability of dropping a unit of the dense layer.

    Shapes:
        - **x, edge_index, frame, batch, mask, batch_size, output:** as for :class:`GraphBaseline`; edges count in
          both directions, weights > 0 alike

    Raises:
        ValueError: If sizes do not fit or the labelling is unknown.

    Source:
        Niepert, Ahmed and Kutzkov, "Learning convolutional neural networks for graphs", ICML 2016.

    Example:
        >>> sum(p.numel() for p in PatchySAN(136, 90, 6).parameters())
        58040
    """

    def __init__(
        self,
        in_channels: int,
        num_nodes: int,
        num_classes: int,
        field_size: int = 5,
        hidden_channels: int = 70,
        labelling: str = "frame",
        dropout: float = 0.5,
    ) -> None:
        field_size = check_whole("field_size", field_size)
        hidden_channels = check_whole("hidden_channels", hidden_channels)
        check_option("labelling", labelling, tuple(LABELLINGS))
        keywords = {"hidden_channels": hidden_channels, "labelling": labelling, "dropout": dropout}
        super().__init__(in_channels, num_nodes, num_classes, field_size=field_size, **keywords)
        self.field_size, self.labelling = field_size, labelling
        width = min(10, num_nodes)
        self.fields = Conv1d(in_channels, 16, field_size, stride=field_size)
        self.sequence = Conv1d(16, 8, width)
        self.dense = Linear(8 * (num_nodes - width + 1), hidden_channels)
        self.dropout = Dropout(dropout)
        self.head = Linear(hidden_channels, num_classes)

    def classify_on(self, x: Tensor, mask: Tensor, adj: Tensor) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        adj = ((adj > 0) | (adj > 0).mT).to(x.dtype)
        rank = rank_nodes(label_nodes(self.labelling, adj), mask)
        index, valid = receptive_fields(adj, rank, mask, self.field_size)
        sequence = rank.argsort(dim=1).unsqueeze(-1).expand_as(index)
        fields = gather_fields(x, index.gather(1, sequence), valid.gather(1, sequence))
        nodes = self.sequence(self.fields(fields).relu()).relu()
        return self.head(self.dropout(self.dense(nodes.flatten(1)).relu()))
