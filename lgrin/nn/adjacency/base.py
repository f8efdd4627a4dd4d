"""The seam of an adjacency: what a module that learns a graph is asked for."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from lgrin.arguments import check_index, one_place
from lgrin.graph import BandedGraph, DenseGraph, FrameGraph, Graph, RaggedGraph, StationaryGraph, list_edges
from lgrin.nn.fused import needs_call
from lgrin.nn.structure import REDUCTIONS, structure_loss
from lgrin.nodes import Nodes
from lgrin.options import check_number, check_option, check_whole


class Adjacency(Module):
    r"""A module that learns a graph over the frames of a sequence; subclasses write :meth:`weigh`.

    .. math:: A = \mathrm{weigh}(H), \qquad A_{ij} \in \mathbb{R}

    Models, losses, exports and pictures ask for three things: :meth:`graph`, :meth:`edges` and :meth:`penalty`. All
    three go through the call of the module wherever somebody watches it, so that hooks, pruning and sharding are seen.
    A graph that all sequences share is called without arguments then, and gives ``[M, M]``; one that reads features is
    called with the nodes, and gives their graph.

    Args:
        num_nodes: Frames per sequence, M; ``None`` for a kind that takes sequences of any length.

    Attributes:
        reads_features: Whether the graph depends on the features of the nodes, and so differs by sequence.
        heads: Graphs over the same nodes, K.
        context: How many frames before and after a frame its row depends on; ``None`` means all.
        connects_all: Whether every pair of frames is an edge, whatever was learned.
        config: The arguments apart from M, from which the class builds the module again; ``None`` if there are none.

    Shapes:
        - **x:** ``[*, L, F]``, or flat ``[N, F]`` beside ``batch``; **frame, batch, mask, batch_size:** as for
          :class:`lgrin.nn.LearnablePool`
        - **output:** ``[M, M]``, ``A[target, source]``, without arguments, or with M alone where sequences may have any
          length; otherwise the graph of these nodes

    Raises:
        TypeError: If :meth:`weigh` returns no graph.
        ValueError: If sizes do not fit, or features are needed and none were given.
        IndexError: If the frame of a present node or the sequence of a node is out of range.

    Source:
        "Learnable adjacency" in Sec. III-A of Shirian, Tripathi and Guha, 2021, names one such module.

    Example:
        >>> class Alike(Adjacency):
        ...     reads_features = True
        ...     def weigh(self, nodes):
        ...         x, present = nodes.lay_out(nodes.length())
        ...         return DenseGraph((x @ x.mT).relu())
        >>> edge_index, edge_weight = Alike(3).edges(x=torch.eye(3))
        >>> edge_index.tolist()
        [[0, 1, 2], [0, 1, 2]]
    """

    reads_features = False
    connects_all = False
    context: tuple[int, int] | None = None
    heads = 1
    config: dict[str, Any] | None = None

    def __init__(self, num_nodes: int | None) -> None:
        super().__init__()
        self.num_nodes = None if num_nodes is None else check_whole("num_nodes", num_nodes)

    @classmethod
    def for_frames(cls, num_nodes: int | None, in_channels: int | None = None, /, **options: Any) -> "Adjacency":
        """Builds one for a network from keywords; a kind that needs other sizes than M says so here.

        Args:
            num_nodes: Frames per sequence, M; ``None`` where sequences may have any number.
            in_channels: Features that the first layer of the network sees, where they are known.
            **options: The arguments of the class.

        Returns:
            The adjacency.

        Raises:
            ValueError: If the class needs to know M, and it is not known.

        Example:
            >>> from lgrin.nn import AttentionAdjacency
            >>> AttentionAdjacency.for_frames(5, 3, channels=4).in_channels
            3
        """
        if num_nodes is None:
            raise ValueError(
                f"num_nodes is None, but a {cls.__name__} has weights for each of so many frames; say how many, or "
                f"take adjacency={{'name': 'StationaryAdjacency'}}, which has none for places"
            )
        return cls(num_nodes, **options)

    def weigh(self, nodes: Nodes | None) -> FrameGraph:
        """Computes the graph over all M frames, ``[M, M]``, or ``[B, M, M]`` where it reads features.

        Args:
            nodes: The nodes; without channels where nobody gave features, and ``None`` where nobody gave nodes.
                ``nodes.length()`` is M.

        Returns:
            The graph, without a mask.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method weigh(nodes); write it to return a DenseGraph")

    def rescaled(self, graph: FrameGraph) -> FrameGraph:
        """Adapts the graph to the nodes that are present, of which its mask tells; by default it stays as it is."""
        return graph

    def weights(self) -> Tensor:
        """Returns what was learned, as a call uses it: the matrix ``[M, M]``, or what stands for it at any length."""
        matrix: Tensor = self()
        return matrix

    def shown(self) -> Tensor:
        """Returns the matrix that pictures draw, ``[M, M]``; of any length one that shows every weight."""
        return self.weights()

    def frozen(self) -> "Adjacency":
        """Returns what serves in a model that is not trained further; by default this module."""
        return self

    def forward(
        self,
        x: Tensor | int | None = None,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        max_num_nodes: int | None = None,
        *,
        node: Tensor | None = None,
    ) -> Any:
        """Builds the matrix ``[M, M]``, or with arguments the graph of these nodes; see the class."""
        frame = frame if node is None else one_place(frame, node)
        if isinstance(x, int) or (x is None and frame is None and batch is None and mask is None):
            return self._whole(self._frames(x), called=True).matrix()
        nodes = self._read(x, frame, batch, mask, batch_size, max_num_nodes)
        return self._place(self._whole(nodes, called=True), nodes)

    def graph(
        self,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        *,
        node: Tensor | None = None,
        x: Tensor | None = None,
        max_num_nodes: int | None = None,
    ) -> Graph:
        """Makes the graph that the layers take: dense or banded, or ragged where frames or sequences are named.

        A graph that depends on features has a matrix for each sequence. It is ragged, too, where x is ``[M, F]`` or
        has several leading axes.

        Args:
            frame: Int64 ``[N]``, each node's frame, beside flat features; ``[*, L]`` beside dense ones. ``None`` means
                0..M-1 without ``batch``, and with it the position in the sequence, all of M nodes.
            batch: Int64 ``[N]``, each node's sequence, sorted, as in a PyG batch.
            mask: Bool, shaped like the nodes, those that are present.
            batch_size: The number of sequences; ``None`` reads it from ``batch``, which ``torch.compile`` and
                ``torch.export`` cannot.
            node: Another name of ``frame``, for nodes that are sensors and no frames.
            x: Node features, for a graph that depends on them.
            max_num_nodes: For a kind that takes sequences of any length, how many frames they have at most: needed
                without nodes, on a GPU and in compiled programs.

        Returns:
            The graph.

        Raises:
            ValueError: If sizes do not fit.
            IndexError: If the frame of a present node or the sequence of a node is out of range.

        Example:
            >>> from lgrin.nn import LearnableAdjacency
            >>> graph = LearnableAdjacency(4).graph(torch.tensor([0, 2, 3]), torch.tensor([0, 0, 1]))
            >>> graph.aggregate(torch.rand(3, 2)).shape
            torch.Size([3, 2])
        """
        frame = frame if node is None else one_place(frame, node)
        if x is None and frame is None and batch is None and mask is None:
            return self._whole(self._frames(max_num_nodes))
        return self.graph_of(self._read(x, frame, batch, mask, batch_size, max_num_nodes))

    def graph_of(self, nodes: Nodes) -> Graph:
        """Makes the graph of nodes that were read already; see :meth:`graph`."""
        if self.reads_features and self._is_watched():
            batch = nodes.batch if nodes.x.dim() == 2 else None  # a call takes none beside dense x
            return self(nodes.x, nodes.frame, batch, nodes.mask, nodes.batch_size, nodes.num_nodes)
        if nodes.mask is None and self._is_in_place(nodes):
            return self._whole(nodes)
        return self._place(self._whole(nodes), nodes)

    def edges(
        self,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        threshold: float | None = 0.0,
        mask: Tensor | None = None,
        *,
        node: Tensor | None = None,
        x: Tensor | None = None,
        head: int | None = None,
        max_num_nodes: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Lists the edges for other people's layers; their weights carry gradients to the adjacency.

        Args:
            frame: Int64 ``[N]``, each node's frame; ``None`` as in :meth:`graph`.
            batch: Int64 ``[N]``, each node's sequence; ``None`` means a single one.
            threshold: Edges have an absolute weight above this, which is not negative. ``None`` lists every pair that
                is stored, those of weight 0 too: a layer that sums ignores them, and ``topk`` and
                ``nonnegativity="leaky"`` can make edges of them only if they are listed.
            mask: Bool, shaped like the nodes; absent ones get no edge. Needs ``frame`` or ``batch``.
            node: Another name of ``frame``.
            x: Node features, for a graph that depends on them.
            head: The head whose edges to list; ``None`` lists the edges of all of them.
            max_num_nodes: As for :meth:`graph`.

        Returns:
            ``edge_index [2, E]`` (source nodes first) and ``edge_weight [E]``, or ``[E, K]`` of several heads.

        Raises:
            ValueError: If sizes do not fit, the threshold is negative, there is no such head, or there is a mask and
                no node to put it on.
            IndexError: If the frame of a present node or the sequence of a node is out of range.

        Example:
            >>> from lgrin.nn import LearnableAdjacency
            >>> adjacency = LearnableAdjacency(3, init=torch.tensor([[0.0, 2, 0], [0, 0, 0], [0, 0, 1]]))
            >>> edge_index, edge_weight = adjacency.edges()
            >>> edge_index.tolist(), edge_weight.tolist()
            ([[1, 2], [0, 2]], [2.0, 1.0])
        """
        frame = frame if node is None else one_place(frame, node)
        threshold = -1.0 if threshold is None else check_number("threshold", threshold)  # an entry of 0 is no edge
        if head is not None and check_whole("head", head, minimum=0) >= self.heads:
            raise ValueError(f"head is {head}; with heads={self.heads} it is one of 0..{self.heads - 1}")
        if x is None and frame is None and batch is None:
            if mask is not None:
                raise ValueError("mask was given without frame and batch; say which frame each node is")
            graph: Any = self.graph(max_num_nodes=max_num_nodes)
        else:
            graph = self.graph_of(self._read(x, frame, batch, mask, None, max_num_nodes).placed(self.num_nodes))
        edge_index, edge_weight = list_edges(graph, threshold)
        if head is None or self.heads == 1:
            return edge_index, edge_weight
        chosen = edge_weight[:, head]
        kept = chosen.abs() > threshold
        return edge_index[:, kept], chosen[kept]

    def penalty(
        self,
        graph: Graph | None = None,
        lambda_distance: float = 0.1,
        lambda_frobenius: float = 0.1,
        reduction: str = "mean",
    ) -> Tensor:
        """Prices the graph by :func:`lgrin.nn.structure_loss`.

        Edges of absent frames cost nothing where the graph depends on features, and the mean is over all M * M
        entries, so that the price is the same in every layout; without an M, over those of the present frames.

        Args:
            graph: The graph of a batch, from ``model(..., return_graph=True)``; needed, and read, only where the graph
                depends on features and has a price.
            lambda_distance: Price of distance, the paper's lambda_1.
            lambda_frobenius: Price of weight, the paper's lambda_2.
            reduction: ``"sum"`` (the paper) or ``"mean"`` (the released code).

        Returns:
            A scalar.

        Raises:
            ValueError: If the graph is needed and missing, or an option is out of range.

        Example:
            >>> from lgrin.nn import LearnableAdjacency
            >>> LearnableAdjacency(3, init=torch.zeros(3, 3)).penalty().item()
            0.0
        """
        if not self.reads_features:
            graph = self.graph()
        elif isinstance(graph, RaggedGraph):
            graph = graph.padded
        elif graph is None and not lambda_distance and not lambda_frobenius:
            return torch.zeros(())
        elif graph is None:
            raise ValueError(
                f"graph is None, but the graph of a {type(self).__name__} differs by sequence; take it from "
                f"logits, graph = model(..., return_graph=True) and pass it on"
            )
        check_option("reduction", reduction, REDUCTIONS)
        total = structure_loss(_without_absent(graph), lambda_distance, lambda_frobenius, "sum")
        return total / (self.heads * self._count_pairs(graph)) if reduction == "mean" else total

    def _count_pairs(self, graph: Any) -> Tensor | int:
        """Counts the pairs of frames of a sequence, M * M; without an M those that sequences have on average."""
        if self.num_nodes is not None or graph.mask is None:
            return int(self.num_nodes or graph.num_nodes) ** 2
        return graph.mask.sum(-1).square().to(graph.weights.dtype).mean().clamp(min=1)

    def _whole(self, nodes: Nodes | None, called: bool = False) -> FrameGraph:
        """The graph over all M frames, through the call where somebody watches it and this is not the call."""
        if not called and not self.reads_features and self._is_watched():
            matrix = self() if nodes is None or self.num_nodes is not None else self(nodes.length())
            return DenseGraph(matrix if self.heads == 1 else matrix.unsqueeze(0))
        if self.reads_features and (nodes is None or nodes.x.size(-1) == 0):
            raise ValueError(f"x is None, but the graph of {type(self).__name__} depends on the features; pass x=")
        graph = self.weigh(nodes)
        if not isinstance(graph, DenseGraph | BandedGraph | StationaryGraph):
            raise TypeError(
                f"{type(self).__name__}.weigh returned a {type(graph).__name__}; it may return a DenseGraph or another "
                f"graph over frames of lgrin.graph: for a matrix, return DenseGraph(matrix)"
            )
        return graph

    def _is_watched(self) -> bool:
        """Whether :meth:`weigh` alone would miss what a call of this module does."""
        return needs_call(self) or type(self).forward is not Adjacency.forward

    def _is_in_place(self, nodes: Nodes) -> bool:
        """Whether nodes are all M frames in order, with one leading axis where each sequence has its own matrix."""
        return nodes.frame is None and nodes.batch is None and (nodes.x.dim() == 3 or not self.reads_features)

    def _place(self, graph: FrameGraph, nodes: Nodes) -> Graph:
        """Puts nodes on the graph over all frames."""
        if self._is_in_place(nodes):
            return self.rescaled(graph._replace(mask=nodes.mask))
        _, frame, batch, mask, batch_size, _ = nodes.placed(self.num_nodes)
        assert frame is not None
        assert batch is not None
        length = nodes.length() if self.num_nodes is None else self.num_nodes
        placed = RaggedGraph.place_checked(graph, frame, batch, batch_size, mask, length)
        return placed if placed.padded.mask is None else placed._replace(padded=self.rescaled(placed.padded))

    def _read(
        self,
        x: Tensor | None,
        frame: Tensor | None,
        batch: Tensor | None,
        mask: Tensor | None,
        batch_size: int | None,
        max_num_nodes: int | None = None,
    ) -> Nodes:
        """Reads the arguments of a call; nodes without features get none, ``[*, 0]``."""
        if x is not None:
            return Nodes.read_whole(x, frame, batch, mask, batch_size, self.num_nodes, max_num_nodes)
        check_index("frame", frame)
        check_index("batch", batch)
        given = [one for one in (frame, batch, mask) if one is not None]
        if any(one.shape != given[0].shape for one in given):
            shown = [None if one is None else list(one.shape) for one in (frame, batch, mask)]
            raise ValueError(f"frame, batch and mask have shapes {shown}; they have one entry a node, all alike")
        x = torch.empty(*given[0].shape, 0, device=given[0].device)
        return Nodes.read_whole(x, frame, batch, mask, batch_size, self.num_nodes, max_num_nodes)

    def _frames(self, max_num_nodes: int | None) -> Nodes | None:
        """Stands for the frames of one sequence where nobody gave nodes; ``None`` where their number is known."""
        if self.num_nodes is not None:
            return None
        if max_num_nodes is None:
            raise ValueError(
                f"max_num_nodes is None, but a {type(self).__name__} takes sequences of any length; say of how many "
                f"frames, as in adjacency(120) or adjacency.graph(max_num_nodes=120), or give nodes"
            )
        count = check_whole("max_num_nodes", max_num_nodes)
        return Nodes(torch.empty(count, 0), None, None, None, 1, count)


def _without_absent(graph: Any) -> Any:
    """Sets the weights of edges from and to absent frames to 0."""
    if getattr(graph, "mask", None) is None or not hasattr(graph, "matrix"):
        return graph
    both = graph.mask.unsqueeze(-1) & graph.mask.unsqueeze(-2)
    both = both.unsqueeze(-3) if graph.heads > 1 else both
    return DenseGraph(graph.matrix().masked_fill(~both, 0))


def graph_for(adjacency: Any, nodes: Nodes) -> Graph:
    """Asks any module that has a method ``graph`` for the graph of nodes that were read already.

    Args:
        adjacency: An :class:`Adjacency`, or another module with ``graph(frame, batch, mask, batch_size)``.
        nodes: The nodes.

    Returns:
        The graph.

    Example:
        >>> from lgrin.nn import LearnableAdjacency
        >>> graph_for(LearnableAdjacency(3), Nodes.read(torch.rand(3, 2))).num_nodes
        3
    """
    if isinstance(adjacency, Adjacency):
        return adjacency.graph_of(nodes)
    return adjacency.graph(nodes.frame, nodes.batch, nodes.mask, None if nodes.batch is None else nodes.batch_size)
