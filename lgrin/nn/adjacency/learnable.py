"""The learnable adjacency, Sec. III-A and III-B."""

from math import inf
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils.parametrize import type_before_parametrizations

from lgrin.graph import FrameGraph, MatrixGraph
from lgrin.nn.adjacency.base import Adjacency
from lgrin.nn.adjacency.priors import Edges, read_allowed, read_matrix
from lgrin.nn.adjacency.rows import NORMALIZATIONS, Refinement
from lgrin.nn.adjacency.signs import Sign, inverse_softplus, keep, leaky_cut
from lgrin.nn.adjacency.starts import RANDOM_STARTS, STARTS, STORED, missing
from lgrin.nn.adjacency.storage import Full, storage_for
from lgrin.nodes import Nodes, is_readable
from lgrin.options import check_option, check_whole

NONNEGATIVITIES: dict[Any, Sign] = {
    "relu": Sign(torch.relu, keep, nonnegative=True),
    "leaky": Sign(leaky_cut, keep, nonnegative=True),
    "softplus": Sign(torch.nn.functional.softplus, inverse_softplus, connects_all=True, nonnegative=True),
    None: Sign(keep, keep, connects_all=True),
}


class LearnableAdjacency(Adjacency):
    r"""A graph over nodes (frames, or sensors) whose edge weights are parameters, one graph for all sequences.

    .. math:: A = \mathrm{ReLU}(W)

    An entry of W that is negative is no edge and gets no gradient: an edge that training has cut does not come back,
    unless ``nonnegativity="leaky"``. Half of the entries start so under ``"normal"``. With ``nonnegativity=None``,
    A = W.

    Args:
        num_nodes: The number of nodes M: frames of a sequence, or sensors.
        init: ``"normal"`` N(0, 1) (the paper), ``"uniform"`` U[0, 1) (the released code), ``"temporal"``
            :math:`\exp(-(i - j)^2 / 18)`, ``"lazy"`` a half for itself and a half for the frames around it,
            :math:`\frac12 \delta_{ij} + \frac{1}{6 \sqrt{2 \pi}} \exp(-(i - j)^2 / 18)`, or a ``[M, M]`` tensor, or
            ``[K, M, M]`` for several heads.
            For nodes without an order, such as sensors, ``torch.eye(M) + 0.1``.
            No entry of ``"temporal"`` and ``"lazy"`` is below 1e-36, so that every pair of frames gets a gradient.
            ``"stored"`` leaves the weights missing (NaN) until a ``state_dict`` is loaded.
        nonnegativity: ``"relu"``; ``"leaky"``, the same values, with a tenth of the gradient for entries of 0 and
            below, so that a cut edge can come back; ``"softplus"``, :math:`\log(1 + e^W)`, with which every pair keeps
            a gradient; ``None`` for weights of either sign; or a function of the weights. ``"softplus"`` and
            ``None`` connect all pairs that are stored, so that a network needs ``bandwidth`` or another
            ``neighborhood``: the neighbour maximum would be that of the whole sequence.
        normalize: ``None`` (the paper), ``"row"``: each row of A is divided by its sum; empty rows stay empty, or
            ``"present"``: likewise, and in a sequence that lacks frames by the sum of its entries for the others, so
            that a frame gets an average over the present ones, or ``"sym"``: each entry is divided by
            :math:`\sqrt{d_i d_j}`, the roots of the sums of its two rows, and a node whose row is empty neither
            receives nor sends. ``"row"`` and ``"sym"`` count all M nodes, also those that a sequence lacks.
        symmetric: Whether the two directions of an edge share one parameter. ``topk`` and the normalisations choose
            and divide by row after that, so that A itself need not be symmetric.
        bandwidth: Store the entries with :math:`|i - j| \le w` only, M(2w + 1) parameters; ``None`` stores all. A call
            builds the matrix up to M = 8,192; :meth:`graph` needs none unless the module has hooks, is pruned or
            sharded.
        heads: Graphs over the same frames, K, each with parameters of its own.
        self_loops: Whether a node may have an edge from itself. ``False`` sets the diagonal to 0; the maximum over the
            neighbourhood still includes the node.
        topk: Edges that each row keeps, those of the largest absolute weights, at a tie of the lowest source; ``None``
            keeps all. Entries outside are 0, and get the gradient that they would have inside ("straight-through"), so
            that they can enter. Self loops are dropped before, and rows are normalised after that.
        allowed: Bool ``[M, M]``, ``allowed[target, source]``, the pairs that may be edges, in every head; ``None``
            allows all. The others are 0 for good, no edge, and get no gradient. ``"stored"`` allows none until a
            ``state_dict`` is loaded, which holds it.

    Shapes:
        - **output:** ``[M, M]``, or ``[K, M, M]`` of several heads, ``A[target, source]``; with the arguments of
          :class:`Adjacency` a graph

    Raises:
        ValueError: If an option is unknown, or a tensor for ``init`` has the wrong shape, edges outside the band or
            between nodes that ``allowed`` keeps apart, or no symmetry where ``symmetric`` asks for one.

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

    num_nodes: int

    def __init__(
        self,
        num_nodes: int,
        *,
        init: str | Tensor = "normal",
        nonnegativity: Any = "relu",
        normalize: str | None = None,
        symmetric: bool = False,
        bandwidth: int | None = None,
        heads: int = 1,
        self_loops: bool = True,
        topk: int | None = None,
        allowed: Any = None,
    ) -> None:
        super().__init__(num_nodes)
        if not isinstance(init, Tensor):
            if not isinstance(init, str):
                raise TypeError(f"init is a {type(init).__name__}; it may be {', '.join(STARTS)} or a tensor [M, M]")
            check_option("init", init, (*STARTS, STORED))
        if not callable(nonnegativity):
            check_option("nonnegativity", nonnegativity, tuple(NONNEGATIVITIES))
        self.self_loops, self.topk, self.normalize = Refinement.checked(self_loops, topk, normalize)
        self.nonnegativity, self.symmetric = nonnegativity, symmetric
        self.bandwidth = None if bandwidth is None else check_whole("bandwidth", bandwidth, minimum=0)
        self.heads = check_whole("heads", heads)
        leading = () if self.heads == 1 else (self.heads,)
        self.weight = Parameter(torch.empty(*leading, *self._storage.shape))
        pairs = self._read_allowed(allowed)
        self.register_buffer("allowed", None if pairs is None else pairs.to(self.weight.device))
        self.init = init.detach().clone() if isinstance(init, Tensor) else init
        if isinstance(init, Tensor):
            self._check_matrix(init)
        self.reset_parameters()

    allowed: Tensor | None
    self_loops = True  # of modules that were pickled before there was a choice
    topk: int | None = None

    @property
    def refinement(self) -> Refinement:
        """What is done to the weights before they are used."""
        return Refinement(self.self_loops, self.topk, self.normalize)

    @classmethod
    def from_dense(cls, tensor: Any, bandwidth: int | None = None, **kwargs: Any) -> "LearnableAdjacency":
        """Starts from a matrix and keeps its dtype, and the band of it that is asked for.

        An entry of 0 gets no gradient unless ``nonnegativity`` says otherwise; :meth:`from_edge_index` starts from a
        graph to which training can add edges.

        Args:
            tensor: ``[M, M]``, or ``[K, M, M]`` with ``heads=K``; ``tensor[target, source]``. A tensor of any layout,
                sparse ones included, a ``SparseTensor``, an array of NumPy or a sparse matrix of SciPy. Whole numbers
                become floats.
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
        matrix = read_matrix(tensor)
        if matrix.dim() < 2:
            raise ValueError(f"tensor has shape {list(matrix.shape)}; it has to be [M, M], or [K, M, M] with heads=K")
        adjacency = cls(matrix.size(-1), init=matrix, bandwidth=bandwidth, **kwargs).to(matrix.dtype)
        adjacency.reset_parameters()
        return adjacency

    @classmethod
    def from_edge_index(
        cls,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        num_nodes: int | None = None,
        new_edges: float | None = 0.01,
        allowed: Any = None,
        **kwargs: Any,
    ) -> "LearnableAdjacency":
        """Starts from a graph that is known, and lets training strengthen, weaken and add edges.

        Args:
            edge_index: Whole numbers ``[2, E]``, source nodes first: an edge j -> i becomes ``A[i, j]``. The weights
                of parallel edges are summed.
            edge_weight: ``[E]``, or ``[E, K]`` for K heads; ``None`` means 1. Above 0, unless ``nonnegativity=None``.
            num_nodes: The number of nodes M; ``None`` takes the largest index plus 1.
            new_edges: The weight with which pairs start that are no edge; ``None`` forbids them for good.
            allowed: Bool ``[M, M]``, as in the class; pairs that it forbids do not start either.
            **kwargs: Further arguments of the class; ``nonnegativity`` is ``"softplus"`` unless given, so that every
                allowed pair keeps a gradient.

        Returns:
            The adjacency.

        Raises:
            TypeError: If a dtype has no meaning.
            ValueError: If a size does not fit, a weight or ``new_edges`` is not above 0, or an edge is not allowed.
            IndexError: If an edge names a node that is not there.

        Example:
            >>> adjacency = LearnableAdjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), torch.tensor([1.0, 0.5]))
            >>> adjacency().round(decimals=2).tolist()
            [[0.01..., 0.01..., 0.01...], [1.0, 0.01..., 0.01...], [0.01..., 0.5, 0.01...]]
        """
        options = {"nonnegativity": "softplus", **kwargs}
        sign = NONNEGATIVITIES.get(options["nonnegativity"])
        positive = sign is not None and sign.nonnegative
        weight, exists = Edges.read(edge_index, edge_weight, num_nodes, positive)
        options.setdefault("heads", weight.size(0) if weight.dim() == 3 else 1)
        if options.get("symmetric") and not torch.equal(weight, weight.mT):
            raise ValueError(
                "edge_index is directed, but symmetric=True; pass edge_index, edge_weight = "
                "torch_geometric.utils.to_undirected(edge_index, edge_weight), or symmetric=False"
            )
        pairs = torch.ones_like(exists) if allowed is None else read_allowed(allowed, len(exists)).to(exists.device)
        if new_edges is None:
            allowed = exists & pairs
        else:
            if not (isinstance(new_edges, Real) and 0 < new_edges < inf):
                raise ValueError(f"new_edges is {new_edges!r}; it has to be a number above 0, or None to forbid them")
            weight = torch.where(~exists & pairs & _within(options.get("bandwidth"), exists), new_edges, weight)
        if options["heads"] > 1 and weight.dim() == 2:
            weight = weight.expand(options["heads"], -1, -1)
        return cls.from_dense(weight, allowed=allowed, **options)

    @property
    def config(self) -> dict[str, Any] | None:  # type: ignore[override]
        """The arguments apart from M; a matrix as start is ``"stored"``, since the weights hold what became of it."""
        if callable(self.nonnegativity):
            return None
        return {
            "init": STORED if isinstance(self.init, Tensor) else self.init,
            "nonnegativity": self.nonnegativity,
            "normalize": self.normalize,
            "symmetric": self.symmetric,
            "bandwidth": self.bandwidth,
            **({} if self.heads == 1 else {"heads": self.heads}),
            **self.refinement.config,
            **({} if self.allowed is None else {"allowed": STORED}),
        }

    def reset_parameters(self) -> None:
        """Draws or copies the start again."""
        target, source = self._storage.positions(self.weight.device)
        sign = self._sign
        if not isinstance(self.init, Tensor):
            STARTS.get(self.init, missing)(self.weight, source - target)
            if self.init not in RANDOM_STARTS:
                self.weight.data.copy_(sign.invert(self.weight.data))
            return
        inside = (source >= 0) & (source < self.num_nodes)
        start = self.init.to(self.weight.device)[..., target, source.clamp(0, self.num_nodes - 1)]
        self.weight.data.copy_(sign.invert(start.to(self.weight.dtype)).masked_fill(~inside, 0))

    @property
    def _sign(self) -> Sign:
        return Sign(self.nonnegativity, keep) if callable(self.nonnegativity) else NONNEGATIVITIES[self.nonnegativity]

    @property
    def connects_all(self) -> bool:  # type: ignore[override]
        """Whether every pair of frames is an edge, whatever was learned."""
        all_allowed = self.allowed is None or (is_readable(self.allowed) and bool(self.allowed.all()))
        return self._sign.connects_all and self.bandwidth is None and self.topk is None and all_allowed

    def weigh(self, nodes: Nodes | None) -> MatrixGraph:
        """Computes the refined weights; see the class."""
        sign, refinement, storage = self._sign, self.refinement, self._storage
        entries = storage.inside(sign.apply(storage.entries(self.weight)))
        if self.allowed is not None:
            entries = entries.masked_fill(~storage.pick(self.allowed), 0)
        entries = entries if self.heads == 1 or self.bandwidth is not None else entries.unsqueeze(0)
        return refinement.apply(storage.layout(entries))

    def rescaled(self, graph: FrameGraph) -> FrameGraph:
        """Averages over the present frames where ``normalize="present"``."""
        return self.refinement.rescaled(graph, self.num_nodes)

    def frozen(self) -> Adjacency:
        """Stores the same graph refined; one of another class, or watched, may compute more and stays as it is.

        A symmetric one loses its symmetry by the refinement and is stored whole.
        """
        plain = type_before_parametrizations(self) is LearnableAdjacency and not self._is_watched()
        if (self.refinement == Refinement() and self.allowed is None) or not plain:
            return self
        entries, frozen = self.weigh(None).weights, NORMALIZATIONS[self.normalize].frozen
        options: dict[str, Any] = {"bandwidth": self.bandwidth, "normalize": frozen, "heads": self.heads}
        sign = "relu" if self._sign.nonnegative else None  # the entries are what became of the weights
        stored = LearnableAdjacency(self.num_nodes, init=STORED, nonnegativity=sign, **options)
        stored = stored.to(entries)
        stored.weight.data.copy_(entries.view(stored.weight.shape))
        return stored.requires_grad_(False)

    @property
    def _storage(self) -> Full:
        return storage_for(self.num_nodes, self.bandwidth, self.symmetric)

    def _read_allowed(self, allowed: Any) -> Tensor | None:
        if allowed is None:
            return None
        if isinstance(allowed, str):
            check_option("allowed", allowed, (STORED,))
            return torch.zeros(self.num_nodes, self.num_nodes, dtype=torch.bool)
        pairs = read_allowed(allowed, self.num_nodes)
        if self.symmetric and not torch.equal(pairs, pairs.T):
            raise ValueError(
                "allowed is not symmetric, but symmetric=True; pass allowed & allowed.T or symmetric=False"
            )
        return pairs

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._buffers.setdefault("allowed", None)  # of modules that were pickled before there was a choice

    def _check_matrix(self, matrix: Tensor) -> None:
        shape = (*(() if self.heads == 1 else (self.heads,)), self.num_nodes, self.num_nodes)
        if matrix.shape != shape or not matrix.is_floating_point():
            raise ValueError(f"init is {matrix.dtype} {list(matrix.shape)}; a start has to be floating {list(shape)}")
        if self.symmetric and not torch.equal(matrix, matrix.mT):
            raise ValueError("init is not symmetric, but symmetric=True; pass (init + init.T) / 2 or symmetric=False")
        edges = matrix.clamp(min=0) if self._sign.cuts else matrix
        if self.allowed is not None:
            *_, target, source = ((edges != 0) & ~self.allowed.to(edges.device)).nonzero(as_tuple=True)
            if target.numel():
                raise ValueError(
                    f"there is an edge from node {int(source[0])} to node {int(target[0])}, which allowed forbids; set "
                    f"allowed[{int(target[0])}, {int(source[0])}] to True, or leave that edge out"
                )
        if self.bandwidth is not None:
            *_, target, source = edges.nonzero(as_tuple=True)
            reach = int((target - source).abs().max()) if target.numel() else 0
            if reach > self.bandwidth:
                raise ValueError(
                    f"init has edges between frames {reach} apart, but bandwidth={self.bandwidth}; "
                    f"widen the band to {reach}, or set those entries to 0"
                )

    def __repr__(self) -> str:
        init = "tensor" if isinstance(self.init, Tensor) else self.init
        options = {"init": init, "normalize": self.normalize, "bandwidth": self.bandwidth}
        options |= {} if self.heads == 1 else {"heads": self.heads}
        options |= self.refinement.config | ({} if self.allowed is None else {"allowed": "tensor"})
        shown = "".join(f", {name}={value!r}" for name, value in options.items() if value is not None)
        return f"{type(self).__name__}({self.num_nodes}{shown}{', symmetric=True' if self.symmetric else ''})"


def _within(bandwidth: int | None, pairs: Tensor) -> Tensor:
    """Says which pairs of nodes a band can connect, shaped like the pairs."""
    index = torch.arange(len(pairs), device=pairs.device)
    return torch.ones_like(pairs) if bandwidth is None else (index - index.unsqueeze(-1)).abs() <= bandwidth
