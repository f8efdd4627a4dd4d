"""What the graph layers share: PyG's explainers find them and may mask their edges."""

from typing import Any

from torch import Tensor
from torch_geometric.nn import MessagePassing

from lgrin.graph import Graph, as_graph
from lgrin.options import check_whole


class GraphLayer(MessagePassing):
    """A layer that reads any adjacency and that PyG's explainers find.

    The layers never call ``propagate``: the graph's layout does the work. They are ``MessagePassing`` modules
    because PyG's explainers set their edge masks on those alone.

    Args:
        in_channels: Channels of a node, F.
    """

    heads = 1  # also of layers that were pickled without the attribute

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = check_whole("in_channels", in_channels)

    def check_heads(self, graph: Any) -> None:
        """Raises unless a graph has as many heads as this layer, or one that serves all.

        Args:
            graph: The graph.

        Raises:
            ValueError: If it has another number of heads.
        """
        found = getattr(graph, "heads", 1)
        if found not in (1, self.heads):
            raise ValueError(
                f"the graph has {found} heads, but this layer was built for heads={self.heads}; build both for the "
                f"same number, or pass the edges of one head: adjacency.edges(head=0)"
            )

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
        graph = as_graph(x, edge_index, edge_weight, mask, in_channels=self.in_channels)
        self.check_heads(graph)
        return self.explained(graph) if self.explain else graph

    def explained(self, graph: Any) -> Any:
        """Weights the edges of a graph by the mask that an explainer has set on this layer.

        Args:
            graph: The graph.

        Returns:
            The graph with these weights.

        Raises:
            ValueError: If it is not an edge list.
            NotImplementedError: If an explainer asks for messages and not for an edge mask.
        """
        if not hasattr(graph, "reweighted"):
            raise ValueError(
                "an explanation with edge masks needs an edge list, but edge_index is a "
                f"{type(graph).__name__}; pass edge_index, edge_weight = adjacency.edges(frame, batch)"
            )
        if self._edge_mask is None:
            raise NotImplementedError(
                f"{type(self).__name__} has no messages for an explainer to replace, which is how GraphMaskExplainer "
                f"works; take one that masks edges, such as GNNExplainer"
            )
        return graph.reweighted(self._edge_mask.sigmoid() if self._apply_sigmoid else self._edge_mask)
