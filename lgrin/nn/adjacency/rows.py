"""What is done to the weights of a graph before it is used: which edges stay, and what they are divided by."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lgrin.graph import MatrixGraph, averaging
from lgrin.nodes import at_least_float32, is_readable
from lgrin.options import check_option, check_whole


def normalize_rows(weights: Tensor) -> Tensor:
    """Divides every row by the sum of its absolute weights.

    A row whose sum is below the smallest normal number of its type counts as empty and stays as it is, since no
    gradient could hold the quotient. A row whose sum is too large for its type is scaled down first.

    Args:
        weights: ``[*, K]``, of either sign.

    Returns:
        The normalised rows ``[*, K]``.

    Example:
        >>> normalize_rows(torch.tensor([[1.0, 3.0], [0.0, 0.0], [2e38, 2e38]])).tolist()
        [[0.25, 0.75], [0.0, 0.0], [0.5, 0.5]]
        >>> normalize_rows(torch.tensor([[1.0, -3.0]])).tolist()
        [[0.25, -0.75]]
    """
    total = weights.abs().sum(-1, keepdim=True)
    if not (is_readable(total) and bool(total.isfinite().all())):
        smaller = 0.5 ** weights.size(-1).bit_length()  # a power of two, so that nothing is rounded
        weights = torch.where(total.isinf(), weights * smaller, weights)
        total = weights.abs().sum(-1, keepdim=True)
    return weights / total.masked_fill(total < torch.finfo(total.dtype).tiny, 1)


def normalize_symmetric(graph: MatrixGraph) -> MatrixGraph:
    r"""Divides every weight by the roots of the degrees of its two nodes.

    .. math:: \frac{A_{ij}}{\sqrt{d_i d_j}}, \qquad d_i = \sum_j |A_{ij}|

    A node whose degree is below 1e-19 counts as one without edges, and neither receives nor sends: no gradient could
    hold the quotient.

    Args:
        graph: A dense or banded graph, of any number of heads.

    Returns:
        The normalised graph.

    Source:
        Kipf and Welling, 2017, without the self loops that they add; ``torch_geometric.nn.conv.gcn_conv.gcn_norm``
        with ``add_self_loops=False`` computes it for weights of 0 or more.

    Example:
        >>> from lgrin.graph import DenseGraph
        >>> normalize_symmetric(DenseGraph(torch.tensor([[0.0, 4.0], [1.0, 0.0]]))).adj.tolist()
        [[0.0, 2.0], [0.5, 0.0]]
    """
    weights = graph.weights
    degree = at_least_float32(weights.abs()).sum(-1)
    limits = torch.finfo(degree.dtype)
    degree, empty = degree.clamp(max=limits.max), degree < limits.tiny**0.5
    root = degree.masked_fill(empty, 1).rsqrt().masked_fill(empty, 0)
    source = graph.sources().clamp(0, graph.num_nodes - 1)  # the corners of a band hold zeros
    of_source = root[..., source] if source.dim() == 2 else root.unsqueeze(-2)
    return _reweighted(graph, (weights * root.unsqueeze(-1) * of_source).to(weights.dtype))


def without_self_loops(graph: MatrixGraph) -> MatrixGraph:
    """Sets the weights of nodes for themselves to 0.

    Args:
        graph: A dense or banded graph, of any number of heads.

    Returns:
        The graph.

    Example:
        >>> from lgrin.graph import DenseGraph
        >>> without_self_loops(DenseGraph(torch.ones(2, 2))).adj.tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    target = torch.arange(graph.num_nodes, device=graph.weights.device).unsqueeze(-1)
    return _reweighted(graph, graph.weights.masked_fill(graph.sources() == target, 0))


def strongest(weights: Tensor, k: int) -> Tensor:
    """Keeps the k largest absolute weights of each row, and sets the others to 0.

    At a tie the lower column is kept. The gradient passes as if nothing had been set to 0 ("straight-through"), so
    that a weight outside can grow until it enters.

    Args:
        weights: ``[*, M]``.
        k: Weights to keep; rows that have fewer stay as they are.

    Returns:
        The weights, shaped alike.

    Source:
        Straight-through gradients: Bengio, Leonard and Courville, 2013.

    Example:
        >>> strongest(torch.tensor([[1.0, -3.0, 0.5, 1.0]]), 2).tolist()
        [[1.0, -3.0, 0.0, 0.0]]
    """
    if k >= weights.size(-1):
        return weights
    strength = weights.detach().abs()
    least = strength.topk(k, dim=-1).values[..., -1:]
    above, tied = strength > least, strength == least
    kept = above | (tied & (tied.cumsum(-1) <= k - above.sum(-1, keepdim=True)))
    return weights - weights.masked_fill(kept, 0).detach()


def _reweighted(graph: MatrixGraph, weights: Tensor) -> MatrixGraph:
    return type(graph)(weights, graph.mask, graph.scale)


def keep(graph: MatrixGraph) -> MatrixGraph:
    """Leaves a graph as it is."""
    return graph


def by_row(graph: MatrixGraph) -> MatrixGraph:
    """Normalises each row of a graph; see :func:`normalize_rows`."""
    return type(graph)(normalize_rows(graph[0]), graph.mask, graph.scale)


def keep_scale(graph: MatrixGraph, num_nodes: int) -> MatrixGraph:
    """Leaves a graph as it is."""
    return graph


class Normalization(NamedTuple):
    """How weights become A.

    Attributes:
        apply: What is done to the weights of a graph.
        present: What is done to a graph whose mask says which frames are present.
        frozen: The normalisation that a matrix needs which was normalised already.
    """

    apply: Callable[[MatrixGraph], MatrixGraph]
    present: Callable[[MatrixGraph, int], MatrixGraph]
    frozen: str | None


NORMALIZATIONS: dict[str | None, Normalization] = {
    None: Normalization(keep, keep_scale, None),
    "row": Normalization(by_row, keep_scale, None),
    "present": Normalization(by_row, averaging, "present"),
    "sym": Normalization(normalize_symmetric, keep_scale, None),
}


class Refinement(NamedTuple):
    """What is done to the weights of a graph before it is used: in this order, and the same for every kind.

    Attributes:
        self_loops: Whether a node may have an edge from itself.
        topk: Edges that each node keeps, those of the largest absolute weights; ``None`` keeps all. See
            :func:`strongest`.
        normalize: ``None``, ``"row"``, ``"present"`` or ``"sym"``, a key of :data:`NORMALIZATIONS`. The first three
            are described at :class:`lgrin.nn.LearnableAdjacency`. ``"row"`` and ``"sym"`` count all M nodes: a
            sequence that lacks some adds up what is left.

    Example:
        >>> from lgrin.graph import DenseGraph
        >>> graph = DenseGraph(torch.tensor([[5.0, 1.0, 3.0], [1.0, 0.0, 1.0], [0.0, 0.0, 9.0]]))
        >>> Refinement(self_loops=False, topk=1, normalize="row").apply(graph).adj.tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    self_loops: bool = True
    topk: int | None = None
    normalize: str | None = None

    @classmethod
    def checked(cls, self_loops: bool = True, topk: int | None = None, normalize: str | None = None) -> "Refinement":
        """Makes one of the arguments of a public class.

        Raises:
            ValueError: If ``topk`` is no whole number of 1 or more, or the normalisation is unknown.
        """
        check_option("normalize", normalize, tuple(NORMALIZATIONS))
        return cls(bool(self_loops), None if topk is None else check_whole("topk", topk), normalize)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that differ from their defaults."""
        return {name: value for name, value in self._asdict().items() if value != self._field_defaults[name]}

    def apply(self, graph: MatrixGraph) -> MatrixGraph:
        """Drops the edges of nodes from themselves, keeps the strongest of each row, and normalises."""
        if not self.self_loops:
            graph = without_self_loops(graph)
        if self.topk is not None:
            graph = _reweighted(graph, strongest(graph.weights, self.topk))
        return NORMALIZATIONS[self.normalize].apply(graph)

    def rescaled(self, graph: Any, num_nodes: int) -> Any:
        """Adapts a graph to the nodes that are present, of which its mask tells: averages under ``"present"``."""
        return NORMALIZATIONS[self.normalize].present(graph, num_nodes)
