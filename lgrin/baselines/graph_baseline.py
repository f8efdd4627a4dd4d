"""What the competitors with a graph share."""

import torch
from torch import Tensor

from lgrin.arguments import one_place
from lgrin.baselines.baseline import Baseline
from lgrin.graph import Graph, RaggedGraph, as_graph


def line_graph(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Connects each present frame with the present frames before and after it.

    Args:
        mask: Bool ``[B, M]``, the frames that exist.
        dtype: Of the result.

    Returns:
        The binary adjacency ``[B, M, M]``, which :class:`lgrin.transforms.LineGraph` gives as an edge list.

    Example:
        >>> line_graph(torch.tensor([[True, True, False]]))[0].tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    frame = torch.arange(mask.size(1), device=mask.device)
    beside = (frame - frame.unsqueeze(-1)).abs() == 1
    return (beside & mask.unsqueeze(1) & mask.unsqueeze(2)).to(dtype)


class GraphBaseline(Baseline):
    r"""A :class:`Baseline` on a graph of frames, the line graph unless a call gives another.

    .. math:: \mathrm{logits} = \mathrm{classify\_on}(x, \mathrm{mask}, A)

    Args:
        in_channels: Features per frame, P.
        num_nodes: Frames per sequence, M.
        num_classes: Classes, C.
        **keywords: The subclass's own arguments.

    Shapes:
        - **edge_index, edge_weight:** any adjacency of :func:`lgrin.graph.as_graph`; ``None`` is the line graph
        - **x, frame, batch, mask, batch_size, output:** as for :class:`Baseline`

    Raises:
        TypeError: If a dtype or kind of adjacency has no meaning here.
        ValueError: If ranks or sizes do not fit.

    Source:
        "Binary adjacency" in Sec. IV-D of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> class Degrees(GraphBaseline):
        ...     def classify_on(self, x, mask, adj):
        ...         return adj.sum(1)
        >>> model = Degrees(in_channels=1, num_nodes=3, num_classes=3)
        >>> model(torch.ones(1, 3, 1)).tolist(), model(torch.ones(3, 1), torch.tensor([[0], [2]])).tolist()
        ([[1.0, 2.0, 1.0]], [[1.0, 0.0, 0.0]])
    """

    def forward(
        self,
        x: Tensor,
        edge_index: "Tensor | Graph | None" = None,
        edge_weight: Tensor | None = None,
        *,
        frame: Tensor | None = None,
        node: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        frame = frame if node is None else one_place(frame, node)
        if edge_index is None:
            return super().forward(x, None, edge_weight, frame=frame, batch=batch, mask=mask, batch_size=batch_size)
        graph = as_graph(x, edge_index, edge_weight, mask)
        if isinstance(graph, RaggedGraph):
            if frame is not None or batch is not None:
                raise ValueError("frame or batch was given beside a ragged graph, which carries its own; leave it out")
            frame, batch_size = graph.frame, graph.present.size(0)
            batch = graph.batch if x.dim() == 2 else None
        nodes = self.read(x, frame, batch, graph.mask, batch_size)
        place = nodes.placed(self.num_nodes).frame
        assert place is not None
        columns = torch.nn.functional.one_hot(place, self.num_nodes).to(x.dtype)
        adj, _ = nodes._replace(x=graph.aggregate(columns)).lay_out(self.num_nodes)  # row i of A, its columns by frame
        return self.classify_on(*nodes.lay_out(self.num_nodes), adj)

    def classify(self, x: Tensor, mask: Tensor) -> Tensor:
        """Computes logits ``[B, C]`` on the line graph."""
        return self.classify_on(x, mask, line_graph(mask, x.dtype))

    def classify_on(self, x: Tensor, mask: Tensor, adj: Tensor) -> Tensor:
        """Computes logits ``[B, C]`` of padded sequences on ``adj [B, M, M]``, which no missing frame is part of."""
        raise NotImplementedError
