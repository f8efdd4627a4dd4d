"""Sort pooling."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn.aggr import SortAggregation

from lgrin.arguments import one_place
from lgrin.nodes import Nodes
from lgrin.options import check_whole


class SortReadout(Module):
    r"""Selects the k present nodes that are largest in the last channel, in decreasing order.

    .. math:: h_G = \left[ H_{\pi(1)} \mid \ldots \mid H_{\pi(k)} \right], \qquad
              H_{\pi(1), F} \ge H_{\pi(2), F} \ge \ldots

    It replaces :class:`lgrin.nn.GraphReadout`: ``LGrIN(..., readout=SortReadout(num_nodes))``. The paper does not state
    k. The usual value is 30. In the original, 1-D convolutions follow; in the paper, its classifier.

    Args:
        num_nodes: Frames per sequence, M.
        k: Nodes that are kept; a sequence with fewer gets rows of 0.

    Shapes:
        - **x, frame, batch, mask, batch_size:** as for :class:`lgrin.nn.GraphReadout`
        - **output:** ``[B, k * F]``

    Raises:
        ValueError: If ranks or sizes do not fit.

    Source:
        Zhang, Cui, Neumann and Chen, "An end-to-end deep learning architecture for graph classification", AAAI 2018;
        Table IV of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> SortReadout(3, k=2)(torch.tensor([[[7.0, 1], [8, 3], [9, 2]]])).tolist()
        [[8.0, 3.0, 9.0, 2.0]]
    """

    def __init__(self, num_nodes: int, k: int = 30) -> None:
        super().__init__()
        self.num_nodes, self.k = check_whole("num_nodes", num_nodes), check_whole("k", k)
        self.sort = SortAggregation(self.k)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments apart from M."""
        return {"k": self.k}

    def out_channels(self, in_channels: int) -> int:
        """Channels of the output for so many of a node."""
        return self.k * in_channels

    def reset_parameters(self) -> None:
        """Does nothing, since there are no parameters."""

    def forward(
        self,
        x: Tensor,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        *,
        node: Tensor | None = None,
    ) -> Tensor:
        """Reads nodes out into ``[B, k * F]``; see the class."""
        frame = frame if node is None else one_place(frame, node)
        nodes = Nodes.read(x, frame, batch, mask, batch_size).stacked()
        sequence = nodes.batch
        if sequence is None:
            sequence = torch.arange(nodes.batch_size, device=x.device).unsqueeze(-1).expand(nodes.x.shape[:-1])
        present = torch.ones_like(sequence, dtype=torch.bool) if nodes.mask is None else nodes.mask
        if not present.any():
            return x.new_zeros(nodes.batch_size, self.k * x.size(-1))
        return self.sort(nodes.x[present], sequence[present], dim_size=nodes.batch_size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_nodes}, k={self.k})"
