"""Graph inception, Eq. (5)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module, ModuleList
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.inits import reset

from lgrin.graph import EdgeList, Graph, as_graph
from lgrin.nn import fused
from lgrin.nn.gstar_conv import GStarConv
from lgrin.nn.layer import GraphLayer
from lgrin.nodes import zero_absent
from lgrin.options import check_option, check_whole


class Neighborhood(NamedTuple):
    """The neighbours whose maximum a layer takes.

    Attributes:
        method: The method of a graph that takes the maximum.
        needs_frames: Whether the graph has to say which node is which frame.
    """

    method: str
    needs_frames: bool = False


NEIGHBORHOODS: dict[str, Neighborhood] = {
    "learned": Neighborhood("neighbor_max"),
    "line": Neighborhood("line_max", needs_frames=True),
}


class GraphInception(GraphLayer):
    r"""Looks at each neighbourhood at several scales at once: G* convolutions beside a neighbour maximum.

    .. math:: H' = \left[ \, G_1^*(H) \mid G_2^*(H) \mid \max_{j \in \mathcal{N}(i) \cup \{i\}} H_j \, \right],
              \qquad \mathcal{N}(i) = \{ j : A_{ij} \neq 0 \}

    The choice of neighbours is piecewise constant, so A learns through G* alone.

    The branches are computed together. One that has hooks, is sharded, wrapped or replaced is called instead, as
    ``branch(x, graph)`` with a graph of :mod:`lgrin.graph`.

    Args:
        in_channels: Channels of an input node.
        branch_channels: Output channels of each G* convolution.
        neighborhood: ``"learned"`` takes the maximum over the graph's closed neighbourhood, ``"line"`` over the
            frames before and after whatever the graph is (the released code); or a :class:`Neighborhood`.
        **conv_kwargs: Further arguments of every :class:`GStarConv`.

    Attributes:
        out_channels: ``sum(branch_channels) + in_channels``.

    Shapes:
        - **x, edge_index, edge_weight, mask:** as for :class:`GStarConv`
        - **output:** like x with ``out_channels``; rows of absent nodes are 0

    Raises:
        TypeError: If a dtype or kind of adjacency has no meaning here.
        IndexError: If an edge names a node that x does not have.
        ValueError: If sizes do not fit, an option is unknown, or ``"line"`` meets an edge list.

    Source:
        Eq. (5) of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> layer = GraphInception(4, branch_channels=(8, 2))
        >>> layer(torch.rand(2, 5, 4), torch.rand(5, 5)).shape
        torch.Size([2, 5, 14])
    """

    def __init__(
        self,
        in_channels: int,
        branch_channels: Sequence[int] = (128, 64),
        neighborhood: str | Neighborhood = "learned",
        **conv_kwargs: Any,
    ) -> None:
        super().__init__(in_channels)
        if not isinstance(neighborhood, Neighborhood):
            check_option("neighborhood", neighborhood, tuple(NEIGHBORHOODS))
        if not isinstance(branch_channels, Sequence) or isinstance(branch_channels, str):
            raise TypeError(f"branch_channels is {branch_channels!r}; it is one width a branch, such as (128, 64)")
        widths = [check_whole(f"branch_channels[{index}]", width) for index, width in enumerate(branch_channels)]
        self.neighborhood = neighborhood
        self.heads = check_whole("heads", conv_kwargs.get("heads", 1))
        self.branches = ModuleList(GStarConv(in_channels, channels, **conv_kwargs) for channels in widths)
        self.out_channels = sum(widths) + in_channels

    def reset_parameters(self) -> None:
        """Resets every branch."""
        for branch in self.branches:
            reset(branch)

    def forward(
        self,
        x: Tensor,
        edge_index: "Tensor | Graph",
        edge_weight: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Convolves and pools node features; see the class."""
        neighborhood = self.neighbors
        graph = as_graph(x, edge_index, edge_weight, mask, in_channels=self.in_channels)
        graph = self.explained(graph) if self.explain else graph
        if getattr(graph, "heads", 1) not in (1, self.heads):
            self.check_heads(graph)  # raises
        maxima = getattr(graph, neighborhood.method)(x)
        branches: Any = list(self.branches)
        together, explained = fused.is_plain(branches, GStarConv), self.explain
        for branch in branches if together else ():
            explained = explained or branch.explain
        if together and not explained:
            return torch.cat([*fused.convolve(branches, x, graph), maxima], dim=-1)
        whole = as_graph(x, edge_index, edge_weight, mask) if self.explain else graph
        outputs = [zero_absent(branch(x, whole if _masks_edges(branch) else graph), graph.mask) for branch in branches]
        return torch.cat([*outputs, maxima], dim=-1)

    def check_graph(self, graph: Graph) -> None:
        """Raises if the neighbourhood has no meaning on a graph, before anything is computed.

        Args:
            graph: The graph.

        Raises:
            ValueError: If it asks for the frames before and after a node, and the graph is an edge list.
        """
        if self.neighbors.needs_frames and isinstance(graph, EdgeList):
            graph.line_max(graph.edge_index)  # raises

    @property
    def neighbors(self) -> Neighborhood:
        """The neighbourhood that a name stands for."""
        return self.neighborhood if isinstance(self.neighborhood, Neighborhood) else NEIGHBORHOODS[self.neighborhood]

    def __repr__(self) -> str:
        widths = tuple(getattr(branch, "out_channels", type(branch).__name__) for branch in self.branches)
        return (
            f"{type(self).__name__}({self.in_channels}, branch_channels={widths}, neighborhood={self.neighborhood!r})"
        )


def _masks_edges(branch: Module) -> bool:
    """Whether a branch multiplies its edges by an explanation's mask itself."""
    return any(isinstance(one, MessagePassing) and one.explain for one in branch.modules())
