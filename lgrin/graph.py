"""The layouts a graph can come in: dense, banded, ragged and edge list.

Each layout is a NamedTuple of tensors that knows two things: ``aggregate(x)``, which is A @ x, and
``neighbor_max(x)``, the maximum over each node's closed neighbourhood. ``A[i, j]`` is the weight with which node j
speaks to node i. Entries <= 0 are no neighbours. ``mask`` tells which nodes are present: an absent node speaks to
nobody, whatever its features hold, and its own row of every result is 0.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import SparseTensor
from torch_geometric.utils import scatter

from lgrin.arguments import check_features, check_index, check_mask, check_range
from lgrin.ops import neighbor_max, neighbor_max_banded, neighbor_max_edges
from lgrin.ops.functional import is_mapped

BLOCK = 64


def hide(x: Tensor, mask: Tensor | None) -> Tensor:
    """Replaces the rows of absent nodes by 0, so that neither their values nor their gradients go anywhere.

    Args:
        x: Node features ``[*, F]``.
        mask: Bool ``[*]``, the nodes that are present; ``None`` means all.

    Returns:
        The features ``[*, F]``.

    Example:
        >>> hide(torch.tensor([[1.0], [float("nan")]]), torch.tensor([True, False])).flatten().tolist()
        [1.0, 0.0]
    """
    if mask is None:
        return x
    if not is_readable(mask):
        return x.masked_fill(~mask.unsqueeze(-1), 0)
    return x.reshape(-1, x.size(-1)).index_fill(0, places(~mask), 0).view(x.shape)  # five times as fast


def is_readable(x: Tensor) -> bool:
    """Says whether values can be looked at for nothing: on a CPU, outside compiled programs and ``torch.func.vmap``.

    Args:
        x: Any tensor.

    Returns:
        Whether they can.

    Example:
        >>> is_readable(torch.zeros(1))
        True
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and not is_mapped(x)


def places(mask: Tensor) -> Tensor:
    """Counts through a mask and returns where it is true, int64 ``[K]``.

    Args:
        mask: Bool ``[*]``.

    Returns:
        The numbers of these entries.

    Example:
        >>> places(torch.tensor([[True, False], [True, True]])).tolist()
        [0, 2, 3]
    """
    return mask.reshape(-1).nonzero().squeeze(-1)


def wide(x: Tensor) -> Tensor:
    """Converts 16-bit floats to float32, for sums of many terms.

    Args:
        x: Any floating tensor.

    Returns:
        The tensor, float32 or float64.

    Example:
        >>> wide(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _present_max(x: Tensor, neighbors: Tensor, mask: Tensor | None, operator: Any) -> Tensor:
    """Runs a neighbour maximum on ``[*, M, F]``."""
    if x.dim() == 2:
        return operator(x[None], neighbors, None if mask is None else mask[None])[0][0]
    return operator(x.flatten(0, -3), neighbors, None if mask is None else mask.flatten(0, -2))[0].view(x.shape)


def line_max(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Takes the maximum over the frames before and after each frame, and not the frame itself.

    Args:
        x: Features in the order of frames, ``[*, M, F]``.
        mask: Bool ``[*, M]``, the frames that are present; ``None`` means all.

    Returns:
        The maxima, shaped like x; 0 where both neighbours are absent.

    Example:
        >>> line_max(torch.tensor([[1.0], [3.0], [2.0]])).flatten().tolist()
        [3.0, 2.0, 3.0]
    """
    sides = torch.tensor([True, False, True], device=x.device).expand(x.size(-2), 3)
    return _present_max(x, sides, mask, neighbor_max_banded)


class DenseGraph(NamedTuple):
    """A full matrix, shared by all sequences or one for each.

    Attributes:
        adj: Weights ``[M, M]`` or ``[B, M, M]``, ``adj[target, source]``. Of a stack, each matrix serves one entry of
            the first axis of the features, whatever axes follow.
        mask: Bool ``[*, M]``, the nodes that are present; ``None`` means all.
        scale: What the sum of each node is multiplied by, shaped like the mask; ``None`` means 1.

    Example:
        >>> graph = DenseGraph(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
        >>> graph.aggregate(torch.tensor([[1.0], [3.0]])).flatten().tolist()
        [6.0, 0.0]
    """

    adj: Tensor
    mask: Tensor | None = None
    scale: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        """The number of nodes M of a sequence."""
        return self.adj.size(-1)

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[*, M, F]``."""
        x = hide(x, self.mask)
        if x.dim() > self.adj.dim() == 2:  # a product of many small matrices, where matmul would transpose x twice
            rows = x.flatten(0, -3)
            total = torch.bmm(self.adj.expand(rows.size(0), -1, -1), rows).view(x.shape)
        else:
            total = torch.matmul(_beside(self.adj, x), x)
        return hide(_scaled(total, self.scale), self.mask)

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[*, M, F]``."""
        neighbors = (self.adj > 0) | torch.eye(self.num_nodes, dtype=torch.bool, device=self.adj.device)
        if x.dim() > 3 and neighbors.dim() == 3:
            neighbors = _beside(neighbors, x).expand(*x.shape[:-2], -1, -1).flatten(0, -3)
        return _present_max(x, neighbors, self.mask, neighbor_max)

    def line_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over the frames before and after, whatever the weights are; 0 where both are absent."""
        return line_max(x, self.mask)


def _beside(matrices: Tensor, x: Tensor) -> Tensor:
    """Gives a stack ``[B, M, M]`` axes of length 1 where features ``[B, *, M, F]`` have further ones."""
    ones = x.dim() - matrices.dim()
    return matrices if matrices.dim() == 2 else matrices.view(-1, *[1] * ones, *matrices.shape[1:])


class BandedGraph(NamedTuple):
    """A matrix that is zero further than w from its diagonal, stored as M rows of 2w + 1 entries.

    Attributes:
        band: Weights ``[M, 2w + 1]``; ``band[i, k]`` is ``A[i, i + k - w]``, and 0 where that is outside A.
        mask: Bool ``[*, M]``, the nodes that are present; ``None`` means all.
        scale: What the sum of each node is multiplied by, shaped like the mask; ``None`` means 1.

    Example:
        >>> graph = BandedGraph(torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]))
        >>> graph.aggregate(torch.tensor([[1.0], [3.0]])).flatten().tolist()
        [6.0, 0.0]
    """

    band: Tensor
    mask: Tensor | None = None
    scale: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        """The number of nodes M of a sequence."""
        return self.band.size(0)

    @property
    def bandwidth(self) -> int:
        """The largest distance w between two nodes that the band can connect."""
        return self.band.size(1) // 2

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[*, M, F]``."""
        if x.dim() > 3:
            mask, scale = (None if one is None else one.flatten(0, -2) for one in (self.mask, self.scale))
            return self._replace(mask=mask, scale=scale).aggregate(x.flatten(0, -3)).view(x.shape)
        reach, num_nodes = self.bandwidth, self.num_nodes
        size = max(2 * reach, min(num_nodes, BLOCK))  # targets in a block, which hear its nodes and reach more
        count = -(-num_nodes // size)
        blocks = _pad_rows(hide(x, self.mask), reach, (count + 1) * size).unflatten(-2, (count + 1, size))
        nodes = torch.cat([blocks[..., :-1, :, :], blocks[..., 1:, : 2 * reach, :]], dim=-2)
        weights = _shear(_pad_rows(self.band, 0, count * size).view(count, size, -1))
        if x.dim() == 2:
            total = torch.bmm(weights, nodes).flatten(0, 1)
        else:  # all sequences side by side, for one product with each block
            side_by_side = nodes.permute(1, 2, 0, 3).flatten(2)
            total = torch.bmm(weights, side_by_side).flatten(0, 1).unflatten(1, (x.size(0), x.size(2))).transpose(0, 1)
        return hide(_scaled(total[..., :num_nodes, :], self.scale), self.mask)

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[*, M, F]``."""
        neighbors = self.band > 0
        neighbors[:, self.bandwidth] = True
        return _present_max(x, neighbors, self.mask, neighbor_max_banded)

    def line_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over the frames before and after, whatever the weights are; 0 where both are absent."""
        return line_max(x, self.mask)


def averaging(graph: "DenseGraph | BandedGraph", num_nodes: int) -> "DenseGraph | BandedGraph":
    r"""Lets the weights of the present neighbours of each node add up to 1, as those of all neighbours do.

    .. math:: \frac{\sum_j A_{ij} m_j x_j}{\sum_j A_{ij} m_j}

    Sequences of which every node is present stay as they are, to the last digit, and so does a node whose present
    neighbours have less weight than rounding.

    Args:
        graph: One graph for all sequences whose rows add up to 1, or the part of it among the first nodes.
        num_nodes: Nodes of a whole sequence, M.

    Returns:
        The graph with such a scale; the same if it has no mask.

    Example:
        >>> graph = DenseGraph(torch.full((2, 2), 0.5), torch.tensor([True, False]))
        >>> graph.aggregate(torch.ones(2, 1)).flatten().tolist()
        [0.5, 0.0]
        >>> averaging(graph, num_nodes=2).aggregate(torch.ones(2, 1)).flatten().tolist()
        [1.0, 0.0]
    """
    mask = graph.mask
    if mask is None:
        return graph
    whole = mask.sum(-1, keepdim=True) == num_nodes
    if is_readable(mask) and bool(whole.all()):
        return graph
    weights = graph.adj if isinstance(graph, DenseGraph) else graph.band
    present = mask.reshape(-1, mask.size(-1)).to(weights.dtype).T  # a sequence a column
    kept = graph._replace(mask=None, scale=None).aggregate(present).T.view(mask.shape)
    nobody = ~mask | (kept <= torch.finfo(kept.dtype).eps)  # nodes that hear next to nothing would be mere rounding
    return graph._replace(scale=kept.masked_fill(whole | nobody, 1).reciprocal())


def _scaled(x: Tensor, scale: Tensor | None) -> Tensor:
    return x if scale is None else (wide(x) * scale.unsqueeze(-1)).to(x.dtype)


def _pad_rows(x: Tensor, before: int, length: int) -> Tensor:
    """Puts zero rows before ``[*, N, F]``, and after it up to ``length`` rows."""
    return torch.nn.functional.pad(x, (0, 0, before, length - before - x.size(-2)))


def _shear(band: Tensor) -> Tensor:
    """Shifts row i of ``[*, T, K]`` by i columns, ``[*, T, T + K - 1]``: a band becomes a matrix."""
    rows, columns = band.shape[-2:]
    flat = torch.nn.functional.pad(band, (0, rows)).flatten(-2)
    return flat[..., : rows * (rows + columns - 1)].unflatten(-1, (rows, rows + columns - 1))


class RaggedGraph(NamedTuple):
    """Sequences of unequal length on one shared matrix: each node says which frame of which sequence it is.

    Nothing is stored per edge. Features are laid out in ``[B, M, F]`` by frame, the padded layout does the work,
    and the results of the nodes that exist are read back. On a CPU the padding ends with the longest sequence of the
    batch; on a GPU, and in compiled programs, it is M frames long, since a look at the frames would stall them.

    Attributes:
        padded: A dense or banded graph whose mask ``[B, M]`` says which frames exist.
        frame: Int64 ``[N]`` (or ``[*, L]`` beside dense features), each node's frame in ``[0, M)``.
        batch: Int64 of the same shape, each node's sequence in ``[0, B)``.
        mask: Bool of the same shape, the nodes that are present; ``None`` means all. The frame of an absent node
            does not matter.

    Example:
        >>> frame, batch = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])
        >>> graph = RaggedGraph.place(DenseGraph(torch.ones(2, 2)), frame, batch, batch_size=2)
        >>> graph.aggregate(torch.tensor([[1.0], [2.0], [5.0]])).flatten().tolist()
        [3.0, 3.0, 5.0]
    """

    padded: "DenseGraph | BandedGraph"
    frame: Tensor
    batch: Tensor
    mask: Tensor | None = None

    @classmethod
    def place(
        cls,
        graph: DenseGraph | BandedGraph,
        frame: Tensor,
        batch: Tensor,
        batch_size: int,
        mask: Tensor | None = None,
    ) -> "RaggedGraph":
        """Lays nodes out on a shared graph.

        Args:
            graph: The matrix that all sequences share; its own mask is replaced.
            frame: Int64 ``[N]``, each node's frame in ``[0, M)``, no frame twice in a sequence.
            batch: Int64 ``[N]``, each node's sequence in ``[0, B)``.
            batch_size: The number of sequences B.
            mask: Bool ``[N]``, the nodes that are present; ``None`` means all.

        Returns:
            The ragged graph.

        Raises:
            TypeError: If frame or batch are no whole numbers.
            IndexError: If the frame of a present node or the sequence of a node is out of range.
        """
        _check_places(frame, graph.num_nodes, batch, batch_size, mask)
        graph = _cut(graph, _longest(frame, mask, graph.num_nodes))
        nowhere = frame.new_zeros(batch_size, graph.num_nodes, dtype=torch.bool)
        placed = cls(graph._replace(mask=nowhere), frame, batch, mask)
        present = placed._lay_out(torch.ones_like(frame, dtype=torch.bool).unsqueeze(-1)).squeeze(-1)
        return placed._replace(padded=graph._replace(mask=present))

    @property
    def present(self) -> Tensor:
        """Bool ``[B, M]``, the frames that exist in each sequence."""
        assert self.padded.mask is not None
        return self.padded.mask

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[N, F]``."""
        everybody = self.padded._replace(mask=None)  # who is absent was laid out as 0 and is not read back
        return self._read(everybody.aggregate(self._lay_out(x)))

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[N, F]``."""
        return self._read(self.padded.neighbor_max(self._lay_out(x)))

    def line_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over the frames before and after, whatever the weights are; 0 where both are absent."""
        return self._read(self.padded.line_max(self._lay_out(x)))

    def _lay_out(self, x: Tensor) -> Tensor:
        batch_size, num_nodes = self.present.shape
        if self.mask is None:
            return x.new_zeros(batch_size, num_nodes, x.size(-1)).index_put((self.batch, self.frame), x)
        frame = self.frame.masked_fill(~self.mask, num_nodes)  # absent nodes share a place that is cut off
        wider = x.new_zeros(batch_size, num_nodes + 1, x.size(-1))
        return wider.index_put((self.batch, frame), hide(x, self.mask))[:, :num_nodes]

    def _read(self, padded: Tensor) -> Tensor:
        if self.mask is None:
            return padded[self.batch, self.frame]
        return hide(padded[self.batch, self.frame.masked_fill(~self.mask, 0)], self.mask)


def _check_places(frame: Tensor, num_nodes: int, batch: Tensor, batch_size: int, mask: Tensor | None) -> None:
    check_index("frame", frame)
    check_index("batch", batch)
    check_range("frame", frame, num_nodes, mask)
    check_range("batch", batch, batch_size)


def _longest(frame: Tensor, mask: Tensor | None, num_nodes: int) -> int:
    """The number of frames that the longest sequence reaches to, where it costs nothing to know."""
    if not is_readable(frame) or not (mask is None or is_readable(mask)):
        return num_nodes
    there = frame if mask is None else frame[mask]
    return min(num_nodes, max(1, int(there.max()) + 1)) if there.numel() else 1


def _cut(graph: DenseGraph | BandedGraph, length: int) -> DenseGraph | BandedGraph:
    """The graph among the first frames."""
    if isinstance(graph, DenseGraph):
        return graph._replace(adj=graph.adj[:length, :length])
    reach, kept = graph.bandwidth, min(graph.bandwidth, length - 1)
    return graph._replace(band=graph.band[:length, reach - kept : reach + kept + 1])


class EdgeList(NamedTuple):
    """Edges one by one, as PyG has them.

    Attributes:
        edge_index: Int64 ``[2, E]``, source nodes first and target nodes second.
        edge_weight: Weights ``[E]``; ``None`` means 1. Parallel edges add up.
        mask: Bool ``[N]``, the nodes that are present; ``None`` means all.
        frame: Int64 ``[N]``, each node's frame; at a tie of a maximum the lowest one wins. ``None`` means in order.

    Example:
        >>> graph = EdgeList(torch.tensor([[1], [0]]), torch.tensor([2.0]))
        >>> graph.aggregate(torch.tensor([[1.0], [3.0]])).flatten().tolist()
        [6.0, 0.0]
    """

    edge_index: Tensor
    edge_weight: Tensor | None = None
    mask: Tensor | None = None
    frame: Tensor | None = None

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[N, F]``."""
        check_range("edge_index", self.edge_index, x.size(0))
        source, target = self.edge_index
        messages = hide(x, self.mask)[source]
        dtype = messages.dtype
        if self.edge_weight is not None:
            dtype = torch.promote_types(dtype, self.edge_weight.dtype)
            messages = wide(messages) * self.edge_weight.unsqueeze(-1)
        total = scatter(wide(messages), target, 0, dim_size=x.size(0), reduce="sum").to(dtype)
        return hide(total, self.mask)

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[N, F]``."""
        check_range("edge_index", self.edge_index, x.size(0))
        source, target = self.edge_index
        if self.edge_weight is not None:
            connected = parallel_sum(self.edge_index, wide(self.edge_weight.detach()), x.size(0)) > 0
            source = torch.where(connected, source, target)
        itself = torch.arange(x.size(0), device=x.device)
        closed = torch.stack([torch.cat([source, itself]), torch.cat([target, itself])])
        if self.frame is None:
            return neighbor_max_edges(x, closed, self.mask)[0]
        order = self.frame.sort(stable=True)[1]
        place = torch.zeros_like(order).scatter(0, order, itself)
        mask = None if self.mask is None else self.mask[order]
        return neighbor_max_edges(x[order], place[closed], mask)[0][place]

    def line_max(self, x: Tensor) -> Tensor:
        """Always raises: an edge list does not say which node is which frame."""
        raise ValueError(
            "neighborhood='line' needs to know which node is which frame, and an edge list does not say it; "
            "pass the graph as a matrix or as adjacency.graph(frame, batch), or use neighborhood='learned'"
        )

    def reweighted(self, factor: Tensor) -> "EdgeList":
        """Multiplies every edge's weight, as explanations with edge masks do."""
        return self._replace(edge_weight=factor if self.edge_weight is None else self.edge_weight * factor)


Graph: TypeAlias = DenseGraph | BandedGraph | RaggedGraph | EdgeList


def parallel_sum(edge_index: Tensor, edge_weight: Tensor, num_nodes: int) -> Tensor:
    """Gives every edge the summed weight of all edges between the same two nodes, in a fixed number of steps.

    Args:
        edge_index: Int64 ``[2, E]``.
        edge_weight: Weights ``[E]``.
        num_nodes: The number of nodes N.

    Returns:
        The sums ``[E]``.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 0], [1, 0, 1]])
        >>> parallel_sum(edge_index, torch.tensor([1.0, 2.0, -3.0]), num_nodes=2).tolist()
        [-2.0, 2.0, -2.0]
    """
    pair, order = (edge_index[0] * num_nodes + edge_index[1]).sort()
    starts = torch.cat([pair.new_zeros(1), (pair[1:] != pair[:-1]).long()])[: pair.size(0)]
    group = torch.zeros_like(order).scatter(0, order, starts.cumsum(0))
    return edge_weight.new_zeros(edge_weight.shape).index_add(0, group, edge_weight)[group]


def count_sequences(batch: Tensor, batch_size: int | None = None) -> int:
    """Counts the sequences of a batch vector.

    Args:
        batch: Int64 ``[N]``, each node's sequence.
        batch_size: The number, where it is known; reading it from ``batch`` waits for a GPU and stops compilation.

    Returns:
        The number of sequences B.

    Example:
        >>> count_sequences(torch.tensor([0, 0, 1]))
        2
    """
    if batch_size is not None:
        return batch_size
    return int(batch.max()) + 1 if batch.numel() else 0


def frames_in_order(batch: Tensor, num_nodes: int, batch_size: int | None = None) -> tuple[Tensor, int]:
    """Numbers the nodes of each sequence, all of which have ``num_nodes`` nodes.

    Args:
        batch: Int64 ``[N]``, each node's sequence, sorted.
        num_nodes: Nodes of every sequence, M.
        batch_size: The number of sequences, where it is known.

    Returns:
        The frames ``[N]`` and the number of sequences.

    Raises:
        ValueError: If N is not M times the number of sequences.
        IndexError: If a sequence has more or less than M nodes, or they do not stand next to each other.

    Example:
        >>> frames_in_order(torch.tensor([0, 0, 1, 1]), num_nodes=2)
        (tensor([0, 1, 0, 1]), 2)
    """
    num_sequences, rest = divmod(batch.numel(), num_nodes)
    if rest or batch_size not in (None, num_sequences):
        count = "" if batch_size is None else f" of {batch_size} sequences"
        raise ValueError(
            f"frame is None, but batch has {batch.numel()} nodes{count}, not num_nodes={num_nodes} for each; pass "
            f"frame= to say which frame each node is, or pad with lgrin.transforms.CyclicPad({num_nodes})"
        )
    expected = torch.arange(num_sequences, device=batch.device).repeat_interleave(num_nodes)
    _refuse_other_order(batch, expected, num_nodes)
    return torch.arange(num_nodes, device=batch.device).repeat(num_sequences), num_sequences


def _refuse_other_order(batch: Tensor, expected: Tensor, num_nodes: int) -> None:
    """Raises, or asserts on the device, unless sequences of num_nodes nodes follow each other."""
    if torch.compiler.is_exporting():
        return
    if torch.compiler.is_compiling() or batch.is_cuda:
        torch._assert_async((batch == expected).all(), "batch does not give every sequence num_nodes nodes in a row")
    elif is_readable(batch) and not torch.equal(batch, expected):
        node = int((batch != expected).nonzero()[0])
        raise IndexError(
            f"frame is None and batch[{node}] is {int(batch[node])}, not {int(expected[node])}: without frame= each "
            f"sequence has num_nodes={num_nodes} nodes in a row; pass frame= to say which frame each node is"
        )


def frames_from_start(batch: Tensor, batch_size: int) -> Tensor:
    """Numbers the nodes of each sequence from 0.

    Args:
        batch: Int64 ``[N]``, each node's sequence, sorted.
        batch_size: The number of sequences.

    Returns:
        The positions ``[N]``.

    Example:
        >>> frames_from_start(torch.tensor([0, 0, 1]), batch_size=2).tolist()
        [0, 1, 0]
    """
    first = torch.searchsorted(batch, torch.arange(batch_size, device=batch.device))
    return torch.arange(batch.numel(), device=batch.device) - first[batch]


def as_graph(
    x: Tensor, edge_index: "Tensor | Graph", edge_weight: Tensor | None = None, mask: Tensor | None = None
) -> Graph:
    """Reads whatever PyG calls an adjacency into one of the layouts.

    ==================================================  ===========  ===================
    ``edge_index``                                      layout       ``x``
    ==================================================  ===========  ===================
    floating ``[M, M]``                                 dense        ``[*, M, F]``
    floating ``[B, M, M]``                              dense        ``[B, *, M, F]``
    integer ``[2, E]`` or ``EdgeIndex``                 edge list    ``[N, F]``
    torch sparse ``[N, N]`` or ``SparseTensor``         edge list    ``[N, F]``
    a graph of this module                              itself       as the graph needs
    ==================================================  ===========  ===================

    Matrices of any kind are ``A[target, source]`` like PyG's ``adj_t``, so the result of
    ``torch_geometric.utils.to_dense_adj`` has to be transposed.

    Args:
        x: Node features that the graph is meant for.
        edge_index: The adjacency.
        edge_weight: Weights ``[E]`` beside an edge list; ``None`` means 1.
        mask: Bool with the leading shape of ``x``, the nodes that are present; ``None`` means all.

    Returns:
        The graph.

    Raises:
        TypeError: If ``x`` or the adjacency is of a kind or dtype that has no meaning here.
        ValueError: If sizes do not fit, or two arguments say the same thing twice.
        IndexError: If an edge names a node that x does not have; see :func:`lgrin.arguments.check_range`.

    Example:
        >>> type(as_graph(torch.rand(3, 4), torch.tensor([[0, 1], [1, 2]]))).__name__
        'EdgeList'
    """
    check_features(x)
    if isinstance(edge_index, (DenseGraph, BandedGraph, RaggedGraph, EdgeList)):
        _refuse("edge_weight", edge_weight, "a graph object", "put the weights into the graph")
        _refuse("mask", mask, "a graph object", "build the graph with it, for example adjacency.graph(mask=mask)")
        graph: Graph = edge_index
    else:
        graph = _read_adjacency(x, edge_index, edge_weight, mask)
    _check_fit(x, graph)
    return graph


def _read_adjacency(x: Tensor, adj: Any, edge_weight: Tensor | None, mask: Tensor | None) -> Graph:
    if isinstance(adj, SparseTensor):
        _refuse("edge_weight", edge_weight, "a SparseTensor", "store the weights in it")
        _check_num_nodes(x, adj.sizes())
        target, source, weight = adj.coo()
        weight = torch.ones(target.size(0), dtype=x.dtype, device=x.device) if weight is None else weight
        return EdgeList(torch.stack([source, target]), weight, mask)
    if not isinstance(adj, Tensor):
        raise TypeError(
            f"edge_index is a {type(adj).__name__}; it may be a tensor, an EdgeIndex, a SparseTensor or a graph of "
            f"lgrin.graph"
        )
    if adj.layout != torch.strided:
        _refuse("edge_weight", edge_weight, "a sparse matrix", "store the weights in it")
        _check_num_nodes(x, adj.shape)
        coo = adj.to_sparse_coo()
        check_range("edge_index", coo._indices().flip(0), x.size(-2))  # coalescing takes (0, N) for (1, 0)
        coo = coo.coalesce()
        return EdgeList(coo.indices().flip(0), coo.values(), mask)
    if adj.is_floating_point():
        _refuse("edge_weight", edge_weight, "a dense matrix", "multiply the matrix by the weights")
        if adj.dim() == 2 and adj.size(0) == 2 != adj.size(1):
            raise TypeError(
                f"edge_index is {adj.dtype} {list(adj.shape)}; an edge list holds integers: pass edge_index.long()"
            )
        _check_square(adj, "a dense edge_index")
        return DenseGraph(adj, mask)
    if adj.dtype == torch.bool or adj.is_complex():
        raise TypeError(
            f"edge_index is {adj.dtype} {list(adj.shape)}; a matrix of weights is floating: pass adj.to(x.dtype)"
        )
    if adj.dim() != 2 or adj.size(0) != 2:
        raise TypeError(
            f"edge_index is {adj.dtype} {list(adj.shape)}; integers are an edge list [2, E]; for a matrix of weights "
            f"pass adj.to(x.dtype)"
        )
    if isinstance(adj, EdgeIndex):
        _check_num_nodes(x, [size for size in adj.sparse_size() if size is not None])
        adj = adj.as_tensor()
    return EdgeList(adj.long(), edge_weight, mask)


def _check_square(adj: Tensor, what: str) -> None:
    if adj.dim() not in (2, 3) or adj.size(-1) != adj.size(-2):
        raise ValueError(f"{what} has shape {list(adj.shape)}; it may be [M, M] or, dense only, [B, M, M]")


def _check_num_nodes(x: Tensor, sizes: Sequence[int]) -> None:
    if len(sizes) > 2 or any(size != x.size(-2) for size in sizes):
        raise ValueError(
            f"x has {x.size(-2)} nodes, but the sparse edge_index is {list(sizes)}; it has one row and one column a "
            f"node, [{x.size(-2)}, {x.size(-2)}]"
        )


def _refuse(name: str, value: object, beside: str, way_out: str) -> None:
    if value is not None:
        raise ValueError(f"{name} was given beside {beside}, which carries its own; {way_out} and leave {name} out")


def _check_fit(x: Tensor, graph: Graph) -> None:
    check_mask(x, graph.mask)
    if isinstance(graph, RaggedGraph):
        if graph.frame.shape != x.shape[:-1]:
            raise ValueError(
                f"x has shape {list(x.shape)}, but the graph was built for nodes {list(graph.frame.shape)}; "
                f"pass one row of x for every entry of frame"
            )
        if x.device.type == "cpu":  # RaggedGraph.place has looked on every device, but a graph may be made by hand
            batch_size, num_nodes = graph.present.shape
            _check_places(graph.frame, num_nodes, graph.batch, batch_size, graph.mask)
        weights: Tensor | None = graph.padded[0]
    elif isinstance(graph, EdgeList):
        _check_edges(x, graph)
        weights = graph.edge_weight
    else:
        matrix = weights = graph[0]
        if isinstance(graph, DenseGraph):
            _check_square(matrix, "a dense edge_index")
        if graph.num_nodes != x.size(-2):
            raise ValueError(
                f"x has {x.size(-2)} nodes, but the graph has {graph.num_nodes}; pad x with "
                f"lgrin.transforms.CyclicPad({graph.num_nodes}), or say with frame= which nodes x holds"
            )
        if matrix.dim() == 3 and matrix.shape[:1] != x.shape[:-2][:1]:
            raise ValueError(
                f"edge_index holds {matrix.size(0)} matrices, but x has shape {list(x.shape)}; a stack of matrices "
                f"[B, M, M] needs x [B, M, F] or [B, *, M, F] with the same B"
            )
    if weights is not None and weights.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(f"x is {x.dtype}, but the edge weights are {weights.dtype}; convert one with .to(dtype)")


def _check_edges(x: Tensor, graph: EdgeList) -> None:
    if x.dim() != 2:
        raise ValueError(
            f"x has shape {list(x.shape)}; beside an edge list it has to be flat, [N, F]: pass one graph for leading "
            f"axes as a matrix [M, M] that is A[target, source]"
        )
    check_index("edge_index", graph.edge_index)
    check_range("edge_index", graph.edge_index, x.size(0))
    num_edges = graph.edge_index.size(1)
    weight = graph.edge_weight
    if weight is not None and weight.shape != (num_edges,):
        raise ValueError(
            f"edge_weight has shape {list(weight.shape)}; for {num_edges} edges it has to be [{num_edges}]"
        )
