"""Losses of a graph: its edges, their number, and their distance to a graph that is known."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from lgrin.graph import DenseGraph
from lgrin.nodes import at_least_float32
from lgrin.options import check_number, check_option

REDUCTIONS = ("sum", "mean")


def structure_loss(
    adj: Any,
    lambda_distance: float = 0.1,
    lambda_frobenius: float = 0.1,
    reduction: str = "sum",
) -> Tensor:
    r"""Charges edges for their length in time and for their weight; nodes without an order need ``lambda_distance=0``.

    .. math:: \lambda_1 \sum_{ij} (i - j)^2 |A_{ij}| + \lambda_2 \sum_{ij} A_{ij}^2

    :math:`(i - j)^2` is a distance between frames. Nodes that stand in no order, such as sensors, have none: there the
    first term draws edges to pairs whose numbers happen to be close, whatever the data say.

    The paper has no negative weights, whose price would be unbounded without the absolute value. Of a dense graph
    with a matrix for each sequence it is the mean over the sequences; of several heads, the sum.

    Args:
        adj: Weights ``[M, M]``, or a dense or banded graph.
        lambda_distance: Price of distance, the paper's lambda_1; 0 where nodes have no order.
        lambda_frobenius: Price of weight, the paper's lambda_2.
        reduction: ``"sum"`` over all M*M entries (the paper) or their ``"mean"`` (the released code).

    Returns:
        A scalar.

    Raises:
        TypeError: If it is neither.
        ValueError: If the matrix is not square, a price is no number of 0 or more, or the reduction is unknown.

    Source:
        First two terms of Eq. (8), with Eq. (9), of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> structure_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]])).item()
        0.7...
    """
    check_option("reduction", reduction, REDUCTIONS)
    if not torch.compiler.is_compiling():  # a compiled program has them as constants
        check_number("lambda_distance", lambda_distance)
        check_number("lambda_frobenius", lambda_frobenius)
    graph = _read(adj)
    weights = at_least_float32(graph.weights)
    distance = graph.sources() - torch.arange(graph.num_nodes, device=weights.device).unsqueeze(-1)
    price = lambda_distance * distance.square().to(weights.dtype) * weights.abs() + lambda_frobenius * weights.square()
    return _reduced(price.sum(), graph, reduction)


def sparsity_loss(adj: Any, reduction: str = "sum") -> Tensor:
    r"""Charges edges for their absolute weight, which draws weak ones to 0.

    .. math:: \sum_{ij} |A_{ij}|

    Under ``normalize="row"`` and ``"present"`` every row adds up to 1, so that it has nothing to choose: use
    ``topk`` of the adjacency there.

    Args:
        adj: Weights ``[M, M]``, or a graph with weights over the frames of a sequence. Of a graph with a matrix for
            each sequence it is the mean over the sequences; of several heads, the sum.
        reduction: ``"sum"`` over all M*M entries, or their ``"mean"``.

    Returns:
        A scalar.

    Raises:
        TypeError: If it is no such graph.
        ValueError: If the matrix is not square, or the reduction is unknown.

    Source:
        The L1 penalty of the lasso, Tibshirani, 1996.

    Example:
        >>> sparsity_loss(torch.tensor([[0.0, -2.0], [0.0, 1.0]])).item()
        3.0
    """
    check_option("reduction", reduction, REDUCTIONS)
    graph = _read(adj)
    return _reduced(at_least_float32(graph.weights).abs().sum(), graph, reduction)


def prior_loss(adj: Any, prior: Any, reduction: str = "sum") -> Tensor:
    r"""Charges a graph for its distance to one that is known.

    .. math:: \sum_{ij} (A_{ij} - P_{ij})^2

    Entries of the prior that the layout cannot store, those outside a band, count as well, so that every layout has
    the same price.

    Args:
        adj: Weights ``[M, M]``, or a graph with weights over the frames of a sequence. Of a graph with a matrix for
            each sequence it is the mean over the sequences; of several heads, the sum.
        prior: P, ``[M, M]``, or ``[K, M, M]`` for several heads, ``prior[target, source]``; or a graph.
            Gradients reach it, too.
        reduction: ``"sum"`` over all M*M entries, or their ``"mean"``.

    Returns:
        A scalar.

    Raises:
        TypeError: If one is no such graph.
        ValueError: If sizes do not fit, or the reduction is unknown.

    Source:
        The penalty L2-SP, the distance to a starting point: Li, Grandvalet and Davoine, 2018.

    Example:
        >>> prior_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.eye(2)).item()
        5.0
    """
    check_option("reduction", reduction, REDUCTIONS)
    graph, matrix = _read(adj), _prior_matrix(prior)
    num_nodes, heads = graph.num_nodes, getattr(graph, "heads", 1)
    if matrix.shape not in ((num_nodes, num_nodes), (heads, num_nodes, num_nodes)):
        raise ValueError(
            f"prior has shape {list(matrix.shape)}; for this graph it has to be [{num_nodes}, {num_nodes}], or "
            f"[{heads}, {num_nodes}, {num_nodes}] for each head"
        )
    matrix = matrix if heads > 1 else matrix.view(num_nodes, num_nodes)
    weights, source = at_least_float32(graph.weights), graph.sources()
    matrix = matrix.to(weights.dtype)
    if source.dim() == 1:
        return _reduced((weights - matrix).square().sum(), graph, reduction)
    inside, source = (source >= 0) & (source < num_nodes), source.clamp(0, num_nodes - 1)
    stored = weights.new_zeros(num_nodes, num_nodes).scatter_add(-1, source, inside.to(weights.dtype)) > 0
    known = matrix.gather(-1, source.expand(*matrix.shape[:-1], -1))
    near = (weights - known).masked_fill(~inside, 0).square().sum()
    outside = matrix.masked_fill(stored, 0).square().sum() * (heads if matrix.dim() == 2 else 1)
    return _reduced(near + outside, graph, reduction)


def _read(adj: Any) -> Any:
    """Reads a matrix, or a graph that has weights."""
    if isinstance(adj, Tensor):
        if adj.dim() != 2 or adj.size(0) != adj.size(1):
            raise ValueError(f"adj has shape {list(adj.shape)}; it may be [M, M], or a DenseGraph")
        return DenseGraph(adj)
    if not hasattr(adj, "sources"):
        raise TypeError(f"adj is a {type(adj).__name__}; it may be a tensor [M, M], a DenseGraph or a BandedGraph")
    return adj


def _prior_matrix(prior: Any) -> Tensor:
    matrix = prior.matrix() if hasattr(prior, "matrix") else prior
    if not isinstance(matrix, Tensor) or not matrix.is_floating_point():
        kind = matrix.dtype if isinstance(matrix, Tensor) else f"a {type(matrix).__name__}"
        raise TypeError(f"prior is {kind}; it has to be a floating tensor [M, M], or a graph of lgrin.graph")
    return matrix


def _reduced(total: Tensor, graph: Any, reduction: str) -> Tensor:
    """The mean over sequences that have a graph of their own, and over entries where it is asked for."""
    heads, entries = getattr(graph, "heads", 1), graph.weights.size(-2) * graph.weights.size(-1)
    total = total / (graph.weights.numel() // (heads * entries))
    return total / (heads * graph.num_nodes**2) if reduction == "mean" else total


class StructureLoss(Module):
    """:func:`structure_loss` as a module; nodes without an order, such as sensors, need ``lambda_distance=0``.

    Args:
        lambda_distance: Price of distance in frames, the paper's lambda_1; 0 where nodes have no order.
        lambda_frobenius: Price of weight, the paper's lambda_2.
        reduction: ``"sum"`` (the paper) or ``"mean"`` (the released code).

    Shapes:
        - **adj:** ``[M, M]``, or a dense or banded graph of :mod:`lgrin.graph`
        - **output:** a scalar

    Raises:
        ValueError: If a price is no number of 0 or more, or the reduction is unknown.

    Source:
        First two terms of Eq. (8) of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> StructureLoss(reduction="mean")(torch.zeros(3, 3)).item()
        0.0
    """

    def __init__(self, lambda_distance: float = 0.1, lambda_frobenius: float = 0.1, reduction: str = "sum") -> None:
        super().__init__()
        check_option("reduction", reduction, REDUCTIONS)
        self.lambda_distance = check_number("lambda_distance", lambda_distance)
        self.lambda_frobenius = check_number("lambda_frobenius", lambda_frobenius)
        self.reduction = reduction

    def forward(self, adj: Any) -> Tensor:
        """Charges a matrix ``[M, M]`` or a graph; see :func:`structure_loss`."""
        return structure_loss(adj, self.lambda_distance, self.lambda_frobenius, self.reduction)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(lambda_distance={self.lambda_distance}, "
            f"lambda_frobenius={self.lambda_frobenius}, reduction={self.reduction!r})"
        )


class SparsityLoss(Module):
    """:func:`sparsity_loss` as a module.

    Args:
        reduction: ``"sum"`` or ``"mean"``.

    Shapes:
        - **adj:** ``[M, M]``, or a graph of :mod:`lgrin.graph` over the frames of a sequence
        - **output:** a scalar

    Raises:
        ValueError: If the reduction is unknown.

    Source:
        The L1 penalty of the lasso, Tibshirani, 1996.

    Example:
        >>> SparsityLoss(reduction="mean")(-torch.ones(3, 3)).item()
        1.0
    """

    def __init__(self, reduction: str = "sum") -> None:
        super().__init__()
        check_option("reduction", reduction, REDUCTIONS)
        self.reduction = reduction

    def forward(self, adj: Any) -> Tensor:
        """Charges a matrix ``[M, M]`` or a graph; see :func:`sparsity_loss`."""
        return sparsity_loss(adj, self.reduction)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reduction={self.reduction!r})"


class PriorLoss(Module):
    """:func:`prior_loss` as a module, which keeps the prior.

    Args:
        prior: ``[M, M]``, or ``[K, M, M]`` for several heads, ``prior[target, source]``; or a graph. It is a buffer.
        reduction: ``"sum"`` or ``"mean"``.

    Shapes:
        - **adj:** ``[M, M]``, or a graph of :mod:`lgrin.graph` over the frames of a sequence
        - **output:** a scalar

    Raises:
        TypeError: If the prior is neither.
        ValueError: If the reduction is unknown.

    Source:
        The penalty L2-SP, the distance to a starting point: Li, Grandvalet and Davoine, 2018.

    Example:
        >>> PriorLoss(torch.eye(3))(torch.ones(3, 3)).item()
        6.0
    """

    def __init__(self, prior: Any, reduction: str = "sum") -> None:
        super().__init__()
        check_option("reduction", reduction, REDUCTIONS)
        self.reduction = reduction
        self.prior: Tensor
        self.register_buffer("prior", _prior_matrix(prior).detach().clone())

    def forward(self, adj: Any) -> Tensor:
        """Charges a matrix ``[M, M]`` or a graph; see :func:`prior_loss`."""
        return prior_loss(adj, self.prior, self.reduction)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.prior.shape)}, reduction={self.reduction!r})"
