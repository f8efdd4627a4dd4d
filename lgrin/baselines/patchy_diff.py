"""PATCHY-SAN with differentiable pooling."""

from torch import Tensor
from torch.nn import Conv1d, Dropout, Linear
from torch_geometric.nn.dense import dense_diff_pool

from lgrin.baselines.graph_baseline import GraphBaseline
from lgrin.baselines.patchy_san import LABELLINGS, label_nodes
from lgrin.baselines.receptive_fields import gather_fields, rank_nodes, receptive_fields
from lgrin.options import check_option, check_whole


def strongest(adj: Tensor, size: int) -> Tensor:
    """Gives each node itself and the nodes with the heaviest edges to it.

    Args:
        adj: Weights ``[B, K, K]``.
        size: Nodes in a field, at most K.

    Returns:
        Int64 ``[B, K, size]``, the heaviest first.

    Example:
        >>> import torch
        >>> strongest(torch.tensor([[[0.0, 1, 2], [1, 0, 3], [2, 3, 9]]]), size=2).tolist()
        [[[0, 2], [1, 2], [2, 1]]]
    """
    weights = adj.detach().clone()
    weights.diagonal(dim1=-2, dim2=-1).fill_(float("inf"))
    return weights.topk(size, dim=-1)[1]


class PatchyDiff(GraphBaseline):
    r"""Convolves over receptive fields, pools the frames into clusters, and convolves over fields of clusters.

    .. math:: [Z \mid S] = \mathrm{fields}(x), \quad S \leftarrow \mathrm{softmax}(S), \quad
              X' = S^\top \mathrm{ReLU}(Z), \quad A' = S^\top A S

    The paper states only that the pooling is between layers of PATCHY-SAN. Here the receptive fields of frames are
    those of :class:`PatchySAN`, and one convolution computes features and assignments. The field of a cluster is the
    cluster itself and the clusters with the heaviest edges in A'. The order of the clusters is learned, and
    PATCHY-SAN's dense layer follows. With the chosen sizes, the number of parameters is within 15 % of the paper's on
    its three corpora.

    Args:
        in_channels: Features per frame, P.
        num_nodes: Frames per sequence, M.
        num_classes: Classes, C.
        field_size: Nodes in a receptive field, k.
        num_clusters: Clusters, K, at least k.
        hidden_channels: Units of the dense layer.
        labelling: Order of equally near frames, see :class:`PatchySAN`.
        dropout: Probability of dropping a unit of the dense layer.

    Attributes:
        auxiliary_loss: A scalar of the latest call, :math:`\lVert A - S S^\top \rVert_F / (B M^2)` plus the mean
            entropy of the rows of S. It takes effect only if you add it to the loss. ``None`` before the first call
            and in copies.

    Shapes:
        - **x, edge_index, frame, batch, mask, batch_size, output:** as for :class:`PatchySAN`

    Raises:
        ValueError: If sizes do not fit or the labelling is unknown.

    Source:
        Ying, You, Morris, Ren, Hamilton and Leskovec, "Hierarchical graph representation learning with differentiable
        pooling", NeurIPS 2018; "PATCHY-Diff" in Sec. IV-A of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> import torch
        >>> model = PatchyDiff(in_channels=4, num_nodes=20, num_classes=3)
        >>> logits = model(torch.rand(2, 20, 4))
        >>> loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])) + model.auxiliary_loss
    """

    def __init__(
        self,
        in_channels: int,
        num_nodes: int,
        num_classes: int,
        field_size: int = 5,
        num_clusters: int = 16,
        hidden_channels: int = 100,
        labelling: str = "frame",
        dropout: float = 0.5,
    ) -> None:
        field_size = check_whole("field_size", field_size)
        num_clusters = check_whole("num_clusters", num_clusters, minimum=field_size)
        hidden_channels = check_whole("hidden_channels", hidden_channels)
        check_option("labelling", labelling, LABELLINGS)
        keywords = {"hidden_channels": hidden_channels, "labelling": labelling, "dropout": dropout}
        sizes = {"field_size": field_size, "num_clusters": num_clusters}
        super().__init__(in_channels, num_nodes, num_classes, **sizes, **keywords)
        self.field_size, self.num_clusters, self.labelling = field_size, num_clusters, labelling
        self.auxiliary_loss: Tensor | None = None
        self.fields = Conv1d(in_channels, 16 + num_clusters, field_size, stride=field_size)
        self.clusters = Conv1d(16, 32, field_size, stride=field_size)
        self.dense = Linear(32 * num_clusters, hidden_channels)
        self.dropout = Dropout(dropout)
        self.head = Linear(hidden_channels, num_classes)

    def classify_on(self, x: Tensor, mask: Tensor, adj: Tensor) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        adj = ((adj > 0) | (adj > 0).mT).to(x.dtype)
        rank = rank_nodes(label_nodes(self.labelling, adj), mask)
        fields = gather_fields(x, *receptive_fields(adj, rank, mask, self.field_size))
        features, assignment = self.fields(fields).mT.split([16, self.num_clusters], dim=-1)
        x, adj, link_loss, entropy = dense_diff_pool(features.relu(), adj, assignment, mask)
        self.auxiliary_loss = link_loss + entropy
        index = strongest(adj, self.field_size)
        clusters = self.clusters(gather_fields(x, index, index >= 0)).relu()
        return self.head(self.dropout(self.dense(clusters.flatten(1)).relu()))

    def __getstate__(self) -> dict[str, object]:
        """Leaves out the latest auxiliary loss, whose autograd graph can be neither copied nor stored."""
        return {**self.__dict__, "auxiliary_loss": None}
