"""What the graph layers share: reading an adjacency and honouring explanation masks."""

from torch import Tensor
from torch_geometric.nn import MessagePassing

from lgrin.graph import EdgeList, Graph, as_graph
from lgrin.options import check_whole


class GraphLayer(MessagePassing):
    """A layer that reads any adjacency and that PyG's explainers find.

    The layers never call ``propagate``: the graph's layout does the work. They are ``MessagePassing`` modules
    because PyG's explainers set their edge masks on those alone.

    Args:
        in_channels: Channels of a node, F.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = check_whole("in_channels", in_channels)

    def read_graph(
        self, x: Tensor, edge_index: "Tensor | Graph", edge_weight: Tensor | None, mask: Tensor | None
    ) -> Graph:
        """Reads the arguments of ``forward`` into a graph, its edges weighted by an explanation's mask if there is one.

        Args:
            x: Node features.
            edge_index: The adjacency, as in :func:`lgrin.graph.as_graph`.
            edge_weight: Weights ``[E]`` beside an edge list.
            mask: The nodes that are present.

        Returns:
            The graph.

        Raises:
            TypeError: If a dtype or kind has no meaning here.
            ValueError: If sizes do not fit, or an explanation runs on anything but an edge list.
            NotImplementedError: If an explainer asks for messages and not for an edge mask.
        """
        graph = as_graph(x, edge_index, edge_weight, mask)
        if x.size(-1) != self.in_channels:
            raise ValueError(
                f"x has {x.size(-1)} channels, but this layer was built for in_channels={self.in_channels}"
            )
        if not self.explain:
            return graph
        if not isinstance(graph, EdgeList):
            raise ValueError(
                "an explanation with edge masks needs an edge list, but edge_index is a "
                f"{type(graph).__name__}; pass edge_index, edge_weight = adjacency.edges(frame, batch)"
            )
        if self._edge_mask is None:
            raise NotImplementedError(
                f"{type(self).__name__} has no messages for an explainer to replace, which is how GraphMaskExplainer "
                f"works; take one that masks edges, such as GNNExplainer"
            )
        edge_mask = self._edge_mask.sigmoid() if self._apply_sigmoid else self._edge_mask
        return graph.reweighted(edge_mask)

    def explained_like(self, other: MessagePassing) -> bool:
        """Says whether an explainer has set the same edge mask on both layers, or none on either."""
        if not self.explain or not other.explain:
            return not self.explain and not other.explain
        return self._edge_mask is other._edge_mask and self._apply_sigmoid == other._apply_sigmoid
