"""The structure loss: what the edges of a graph cost."""

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
    r"""Charges edges for their length in time and for their weight.

    .. math:: \lambda_1 \sum_{ij} (i - j)^2 |A_{ij}| + \lambda_2 \sum_{ij} A_{ij}^2

    The paper has no negative weights, whose price would be unbounded without the absolute value. Of a dense graph
    with a matrix for each sequence it is the mean over the sequences; of several heads, the sum.

    Args:
        adj: Weights ``[M, M]``, or a dense or banded graph.
        lambda_distance: Price of distance, the paper's lambda_1.
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
    if isinstance(adj, Tensor):
        if adj.dim() != 2 or adj.size(0) != adj.size(1):
            raise ValueError(f"adj has shape {list(adj.shape)}; it may be [M, M], or a DenseGraph")
        adj = DenseGraph(adj)
    if not hasattr(adj, "sources"):
        raise TypeError(f"adj is a {type(adj).__name__}; it may be a tensor [M, M], a DenseGraph or a BandedGraph")
    num_nodes, weights = adj.num_nodes, at_least_float32(adj.weights)
    distance = adj.sources() - torch.arange(num_nodes, device=weights.device).unsqueeze(-1)
    total = (
        lambda_distance * distance.square().to(weights.dtype) * weights.abs() + lambda_frobenius * weights.square()
    ).sum()
    heads, entries = getattr(adj, "heads", 1), weights.size(-2) * weights.size(-1)
    total = total / (weights.numel() // (heads * entries))  # sequences that have a graph of their own
    return total / (heads * num_nodes**2) if reduction == "mean" else total


class StructureLoss(Module):
    """:func:`structure_loss` as a module.

    Args:
        lambda_distance: Price of distance, the paper's lambda_1.
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
