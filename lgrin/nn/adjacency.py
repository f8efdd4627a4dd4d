"""The learnable adjacency, Sec. III-A and III-B."""

from math import pi, prod, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from lgrin.arguments import check_index, check_range
from lgrin.graph import (
    BandedGraph,
    DenseGraph,
    RaggedGraph,
    averaging,
    count_sequences,
    frames_in_order,
    is_readable,
)
from lgrin.nn.calls import needs_call
from lgrin.options import check_number, check_option, check_whole

INITS = ("normal", "uniform", "temporal", "lazy")
NONNEGATIVITIES = ("relu",)
NORMALIZATIONS = (None, "row", "present")
LARGEST_MATRIX = 8192
TEMPORAL_WIDTH = 3.0
SMALLEST_START = 1e-36  # far below rounding; divided by the sum of a row it is no denormal number yet


class LearnableAdjacency(Module):
    r"""A graph over frames whose edge weights are parameters, one graph for all sequences.

    .. math:: A = \mathrm{ReLU}(W)

    An entry of W that is negative is no edge and gets no gradient; half of the entries start so under ``"normal"``.

    Args:
        num_nodes: Frames per sequence, M.
        init: ``"normal"`` N(0, 1) (the paper), ``"uniform"`` U[0, 1) (the released code), ``"temporal"``
            :math:`\exp(-(i - j)^2 / 18)`, ``"lazy"`` a half for itself and a half for the frames around it,
            :math:`\frac12 \delta_{ij} + \frac{1}{6 \sqrt{2 \pi}} \exp(-(i - j)^2 / 18)`, or a ``[M, M]`` tensor.
            No entry of ``"temporal"`` and ``"lazy"`` is below 1e-36, so that every pair of frames gets a gradient.
        nonnegativity: ``"relu"``.
        normalize: ``None`` (the paper), ``"row"``: each row of A is divided by its sum; empty rows stay empty, or
            ``"present"``: likewise, and in a sequence that lacks frames by the sum of its entries for the others, so
            that a frame hears an average of whoever is there.
        symmetric: Whether the two directions of an edge share one parameter. Rows are normalised after that.
        bandwidth: Store the entries with :math:`|i - j| \le w` only, M(2w + 1) parameters; ``None`` stores all.

    Shapes:
        - **output:** ``[M, M]``, non-negative, ``A[target, source]``

    Raises:
        ValueError: If an option is unknown, or a tensor for ``init`` has the wrong shape, edges outside the band, or
            no symmetry where ``symmetric`` asks for one.

    Source:
        Sec. III-A, Eq. (4) and "Learnable adjacency" of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> adjacency = LearnableAdjacency(5, init="uniform")
        >>> adjacency().shape
        torch.Size([5, 5])
        >>> edge_index, edge_weight = adjacency.edges(threshold=0.5)
        >>> edge_index.shape[0], bool((edge_weight > 0.5).all())
        (2, True)
    """

    def __init__(
        self,
        num_nodes: int,
        *,
        init: str | Tensor = "normal",
        nonnegativity: str = "relu",
        normalize: str | None = None,
        symmetric: bool = False,
        bandwidth: int | None = None,
    ) -> None:
        super().__init__()
        num_nodes = check_whole("num_nodes", num_nodes)
        if not isinstance(init, Tensor):
            if not isinstance(init, str):
                raise TypeError(f"init is a {type(init).__name__}; it may be {', '.join(INITS)} or a tensor [M, M]")
            check_option("init", init, INITS)
        check_option("nonnegativity", nonnegativity, NONNEGATIVITIES)
        check_option("normalize", normalize, NORMALIZATIONS)
        bandwidth = None if bandwidth is None else check_whole("bandwidth", bandwidth, minimum=0)
        self.num_nodes, self.normalize = num_nodes, normalize
        self.init = init.detach().clone() if isinstance(init, Tensor) else init
        self.nonnegativity, self.symmetric, self.bandwidth = nonnegativity, symmetric, bandwidth
        if isinstance(init, Tensor):
            self._check_matrix(init)
        self.weight = Parameter(torch.empty(self._storage_shape()))
        self.reset_parameters()

    @classmethod
    def from_dense(cls, tensor: Tensor, bandwidth: int | None = None, **kwargs: Any) -> "LearnableAdjacency":
        """Starts from a matrix and keeps its dtype, and the band of it that is asked for.

        Args:
            tensor: Floating ``[M, M]``, ``tensor[target, source]``.
            bandwidth: The band to keep; ``None`` keeps all.
            **kwargs: Further arguments of the class.

        Returns:
            The adjacency.

        Raises:
            ValueError: If an edge (an entry above 0) lies outside the band.

        Example:
            >>> LearnableAdjacency.from_dense(torch.eye(5), bandwidth=1).weight.shape
            torch.Size([5, 3])
        """
        adjacency = cls(tensor.size(0), init=tensor, bandwidth=bandwidth, **kwargs).to(tensor.dtype)
        adjacency.reset_parameters()
        return adjacency

    def reset_parameters(self) -> None:
        """Draws or copies the start again."""
        if isinstance(self.init, Tensor):
            target, source = self._positions()
            inside = (source >= 0) & (source < self.num_nodes)
            kept = self.init.to(self.weight.device)[target, source.clamp(0, self.num_nodes - 1)]
            self.weight.data.copy_(kept.masked_fill(~inside, 0))
        elif self.init == "normal":
            torch.nn.init.normal_(self.weight)
        elif self.init == "uniform":
            torch.nn.init.uniform_(self.weight)
        else:
            target, source = self._positions()
            distance = (source - target).to(self.weight.dtype) / TEMPORAL_WIDTH
            band = torch.exp(-distance.square() / 2)
            if self.init == "lazy":
                band = (band / (TEMPORAL_WIDTH * sqrt(2 * pi)) + (distance == 0)) / 2
            smallest = max(SMALLEST_START, torch.finfo(band.dtype).tiny)  # ReLU passes no gradient to an exact 0
            self.weight.data.copy_(band.clamp(min=smallest))

    def forward(self) -> Tensor:
        """Builds the non-negative matrix ``[M, M]``.

        Raises:
            ValueError: If the adjacency is banded and M is above 8,192; its :meth:`graph` needs no matrix, unless the
                adjacency has hooks, is pruned or is sharded.
        """
        if self.bandwidth is None:
            return self._normalize(torch.relu(self._full_matrix()))
        if self.num_nodes > LARGEST_MATRIX:
            raise ValueError(
                f"num_nodes is {self.num_nodes}; a banded adjacency becomes a matrix up to {LARGEST_MATRIX} only: "
                f"pass adjacency.graph() to the layers instead, and remove hooks, pruning and sharding, which need it"
            )
        band = self._band()
        target, source = self._band_positions()
        inside = (source >= 0) & (source < self.num_nodes)
        return band.new_zeros(self.num_nodes, self.num_nodes).index_put((target[inside], source[inside]), band[inside])

    def graph(
        self,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
    ) -> DenseGraph | BandedGraph | RaggedGraph:
        """Makes the graph that the layers take: dense or banded, or ragged where frames or sequences are named.

        A banded adjacency that has hooks, is pruned or is sharded is called for its matrix, and the graph is dense.

        Args:
            frame: Int64 ``[N]``, each node's frame, beside flat features; ``[*, L]`` beside dense ones. ``None`` means
                0..M-1 without ``batch``, and with it the position in the sequence, all of M nodes.
            batch: Int64 ``[N]``, each node's sequence, sorted, as in a PyG batch.
            mask: Bool, shaped like the nodes, those that are present.
            batch_size: The number of sequences; ``None`` reads it from ``batch``, which ``torch.compile`` and
                ``torch.export`` cannot.

        Returns:
            The graph.

        Raises:
            ValueError: If sizes do not fit.
            IndexError: If the frame of a present node or the sequence of a node is out of range.

        Example:
            >>> graph = LearnableAdjacency(4).graph(torch.tensor([0, 2, 3]), torch.tensor([0, 0, 1]))
            >>> graph.aggregate(torch.rand(3, 2)).shape
            torch.Size([3, 2])
        """
        graph = self._padded(mask)
        if frame is None and batch is None:
            return self._averaging(graph)
        frame, batch, batch_size = self._place(frame, batch, batch_size, mask)
        placed = RaggedGraph.place(graph, frame, batch, batch_size, mask)
        return placed._replace(padded=self._averaging(placed.padded))

    def edges(
        self,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        threshold: float = 0.0,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Lists the edges for other people's layers; their weights carry gradients to the adjacency.

        Args:
            frame: Int64 ``[N]``, each node's frame; ``None`` as in :meth:`graph`.
            batch: Int64 ``[N]``, each node's sequence; ``None`` means a single one.
            threshold: Edges have a weight above this, which is not negative.
            mask: Bool, shaped like the nodes; absent ones get no edge. Needs ``frame`` or ``batch``.

        Returns:
            ``edge_index [2, E]`` (source nodes first) and ``edge_weight [E]``.

        Raises:
            ValueError: If sizes do not fit, the threshold is negative, or there is a mask and no node to put it on.
            IndexError: If the frame of a present node or the sequence of a node is out of range.

        Example:
            >>> adjacency = LearnableAdjacency(3, init=torch.tensor([[0.0, 2, 0], [0, 0, 0], [0, 0, 1]]))
            >>> edge_index, edge_weight = adjacency.edges()
            >>> edge_index.tolist(), edge_weight.tolist()
            ([[1, 2], [0, 2]], [2.0, 1.0])
        """
        threshold = check_number("threshold", threshold)  # an entry of 0 is no edge
        graph = self._padded(None)
        weights = graph.adj if isinstance(graph, DenseGraph) else graph.band
        target, column = (weights > threshold).nonzero(as_tuple=True)
        source = column if isinstance(graph, DenseGraph) else target + column - graph.bandwidth
        weight = weights[target, column]
        if frame is None and batch is None:
            if mask is not None:
                raise ValueError("mask was given without frame and batch; say which frame each node is")
            return torch.stack([source, target]), weight
        frame, batch, batch_size = self._place(frame, batch, None, mask)
        check_range("frame", frame, self.num_nodes, mask)
        check_range("batch", batch, batch_size)
        index = torch.arange(frame.numel(), device=frame.device).view(frame.shape)
        present = torch.ones_like(frame, dtype=torch.bool) if mask is None else mask
        node = frame.new_full((batch_size, self.num_nodes), -1)
        node[batch[present], frame[present]] = index[present]
        edge_index = torch.stack([node[:, source], node[:, target]])
        exists = (edge_index >= 0).all(0)
        weight = weight.expand(batch_size, -1)
        scale = self._averaging(graph._replace(mask=node >= 0)).scale
        return edge_index[:, exists], (weight if scale is None else weight * scale[:, target])[exists]

    def _padded(self, mask: Tensor | None) -> DenseGraph | BandedGraph:
        if self.bandwidth is None or self._is_watched():
            return DenseGraph(self(), mask)
        return BandedGraph(self._band(), mask)

    def _is_watched(self) -> bool:
        """Whether the band alone would miss what a call of this module does."""
        return needs_call(self) or type(self).forward is not LearnableAdjacency.forward

    def _averaging(self, graph: DenseGraph | BandedGraph) -> DenseGraph | BandedGraph:
        return averaging(graph, self.num_nodes) if self.normalize == "present" else graph

    def _place(
        self, frame: Tensor | None, batch: Tensor | None, batch_size: int | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, int]:
        """Says of every node which frame of which sequence it is."""
        check_index("frame", frame)
        check_index("batch", batch)
        shapes = [list(one.shape) for one in (frame, batch, mask) if one is not None]
        if any(shape != shapes[0] for shape in shapes):
            shown = [None if one is None else list(one.shape) for one in (frame, batch, mask)]
            raise ValueError(f"frame, batch and mask have shapes {shown}; they have one entry a node, all alike")
        frame, batch = (None if one is None else one.long() for one in (frame, batch))
        if batch is None:
            assert frame is not None
            num_sequences = prod(frame.shape[:-1])
            sequence = torch.arange(num_sequences, device=frame.device).view(*frame.shape[:-1], 1)
            return frame, sequence.expand_as(frame), num_sequences
        if frame is None:
            frame, batch_size = frames_in_order(batch, self.num_nodes, batch_size)
        return frame, batch, count_sequences(batch, batch_size)

    def _storage_shape(self) -> tuple[int, ...]:
        if self.bandwidth is not None:
            return self.num_nodes, self.bandwidth + 1 if self.symmetric else 2 * self.bandwidth + 1
        return (self.num_nodes * (self.num_nodes + 1) // 2,) if self.symmetric else (self.num_nodes, self.num_nodes)

    def _positions(self) -> tuple[Tensor, Tensor]:
        """The target and source of every parameter; sources outside 0..M-1 belong to the corners of a band."""
        device = self.weight.device
        if self.bandwidth is not None:
            target, source = self._band_positions()
            return (target[:, : self.weight.size(1)], source[:, : self.weight.size(1)])
        if self.symmetric:
            target, source = torch.tril_indices(self.num_nodes, self.num_nodes, device=device)
            return target, source
        index = torch.arange(self.num_nodes, device=device)
        target, source = torch.meshgrid(index, index, indexing="ij")
        return target, source

    def _band_positions(self) -> tuple[Tensor, Tensor]:
        assert self.bandwidth is not None
        target = torch.arange(self.num_nodes, device=self.weight.device).unsqueeze(-1)
        source = target + torch.arange(-self.bandwidth, self.bandwidth + 1, device=self.weight.device)
        return target.expand_as(source), source

    def _full_matrix(self) -> Tensor:
        if not self.symmetric:
            return self.weight
        lower = self.weight.new_zeros(self.num_nodes, self.num_nodes).index_put(self._positions(), self.weight)
        return lower + lower.tril(-1).T

    def _band(self) -> Tensor:
        """The non-negative, normalised band ``[M, 2w + 1]``, 0 in the corners that lie outside the matrix."""
        _, source = self._band_positions()
        width = self.weight.size(1) - 1
        band: Tensor = self.weight
        if self.symmetric:
            mirror = (source[:, width + 1 :].clamp(max=self.num_nodes - 1), width - torch.arange(1, width + 1))
            band = torch.cat([band, band[mirror[0], mirror[1].to(band.device)]], dim=1)
        band = torch.relu(band).masked_fill((source < 0) | (source >= self.num_nodes), 0)
        return self._normalize(band)

    def _normalize(self, weights: Tensor) -> Tensor:
        return weights if self.normalize is None else normalize_rows(weights)

    def _check_matrix(self, matrix: Tensor) -> None:
        shape = (self.num_nodes, self.num_nodes)
        if matrix.shape != shape or not matrix.is_floating_point():
            raise ValueError(f"init is {matrix.dtype} {list(matrix.shape)}; a start has to be floating {list(shape)}")
        if self.symmetric and not torch.equal(matrix, matrix.T):
            raise ValueError("init is not symmetric, but symmetric=True; pass (init + init.T) / 2 or symmetric=False")
        if self.bandwidth is not None:
            target, source = (matrix > 0).nonzero(as_tuple=True)
            reach = int((target - source).abs().max()) if target.numel() else 0
            if reach > self.bandwidth:
                raise ValueError(
                    f"init has edges between frames {reach} apart, but bandwidth={self.bandwidth}; "
                    f"widen the band to {reach}, or set those entries to 0"
                )

    def __repr__(self) -> str:
        init = "tensor" if isinstance(self.init, Tensor) else self.init
        options = {"init": init, "normalize": self.normalize, "bandwidth": self.bandwidth}
        shown = "".join(f", {name}={value!r}" for name, value in options.items() if value is not None)
        return f"{type(self).__name__}({self.num_nodes}{shown}{', symmetric=True' if self.symmetric else ''})"


def normalize_rows(weights: Tensor) -> Tensor:
    """Divides every row by its sum.

    A row whose sum is below the smallest normal number of its type counts as empty and stays as it is, since no
    gradient could hold the quotient. A row whose sum is too large for its type is scaled down first.

    Args:
        weights: Non-negative ``[M, K]``.

    Returns:
        The normalised rows ``[M, K]``.

    Example:
        >>> normalize_rows(torch.tensor([[1.0, 3.0], [0.0, 0.0], [2e38, 2e38]])).tolist()
        [[0.25, 0.75], [0.0, 0.0], [0.5, 0.5]]
    """
    total = weights.sum(-1, keepdim=True)
    if not (is_readable(total) and bool(total.isfinite().all())):
        smaller = 0.5 ** weights.size(-1).bit_length()  # a power of two, so that nothing is rounded
        weights = torch.where(total.isinf(), weights * smaller, weights)
        total = weights.sum(-1, keepdim=True)
    return weights / total.masked_fill(total < torch.finfo(total.dtype).tiny, 1)
