"""The losses, Eq. (7)-(9)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy

from lgrin.graph import BandedGraph, DenseGraph, wide
from lgrin.nn.adjacency import LearnableAdjacency
from lgrin.nn.pool import GraphReadout, LearnablePool
from lgrin.options import check_number, check_option, check_whole

REDUCTIONS = ("sum", "mean")


def structure_loss(
    adj: Any,
    lambda_distance: float = 0.1,
    lambda_frobenius: float = 0.1,
    reduction: str = "sum",
) -> Tensor:
    r"""Charges edges for their length in time and for their weight.

    .. math:: \lambda_1 \sum_{ij} (i - j)^2 A_{ij} + \lambda_2 \sum_{ij} A_{ij}^2

    Args:
        adj: Non-negative weights ``[M, M]``, or a dense or banded graph.
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
    if isinstance(adj, BandedGraph):
        weights, num_nodes = adj.band, adj.num_nodes
        distance = torch.arange(weights.size(1), device=weights.device) - adj.bandwidth
    else:
        adj = adj.adj if isinstance(adj, DenseGraph) else adj
        if not isinstance(adj, Tensor):
            raise TypeError(f"adj is a {type(adj).__name__}; it may be a tensor [M, M], a DenseGraph or a BandedGraph")
        if adj.dim() != 2 or adj.size(0) != adj.size(1):
            raise ValueError(f"adj has shape {list(adj.shape)}; it may be [M, M] or a BandedGraph")
        weights, num_nodes = adj, adj.size(0)
        index = torch.arange(num_nodes, device=adj.device)
        distance = index - index.unsqueeze(-1)
    weights = wide(weights)
    total = (
        lambda_distance * distance.square().to(weights.dtype) * weights + lambda_frobenius * weights.square()
    ).sum()
    return total / num_nodes**2 if reduction == "mean" else total


class StructureLoss(Module):
    """:func:`structure_loss` as a module.

    Args:
        lambda_distance: Price of distance, the paper's lambda_1.
        lambda_frobenius: Price of weight, the paper's lambda_2.
        reduction: ``"sum"`` (the paper) or ``"mean"`` (the released code).

    Shapes:
        - **adj:** non-negative ``[M, M]``, or a :class:`lgrin.graph.BandedGraph`
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
        """Charges a matrix ``[M, M]`` or a banded graph."""
        return structure_loss(adj, self.lambda_distance, self.lambda_frobenius, self.reduction)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(lambda_distance={self.lambda_distance}, "
            f"lambda_frobenius={self.lambda_frobenius}, reduction={self.reduction!r})"
        )


class LGrINLoss(Module):
    r"""Cross-entropy plus the price of every learnable adjacency and pooling vector in a model.

    .. math:: \frac{1}{B} \sum_b \mathrm{CE}_b + s \left( \lambda_1 \sum_{ij} (i - j)^2 A_{ij}
              + \lambda_2 \sum_{ij} A_{ij}^2 + \lambda_3 \sum_i p_i^2 \right)

    With ``reduction="sum"``, :math:`s = 1 / N` for N training sequences, which is Eq. (7) plus Eq. (8) divided by N.
    With ``reduction="mean"`` each sum is divided by its number of entries instead, as in the released code.

    Args:
        num_sequences: The number N of training sequences.
        lambda_distance: The paper's lambda_1.
        lambda_frobenius: The paper's lambda_2.
        lambda_pool: The paper's lambda_3.
        reduction: ``"mean"`` (the released code) or ``"sum"`` (the paper).

    Shapes:
        - **logits:** ``[B, C]``; **target:** int64 ``[B]``; **model:** any module that holds the layers
        - **output:** scalar

    Raises:
        ValueError: If a price is no number of 0 or more, the reduction is unknown, or ``num_sequences`` not positive.

    Source:
        Eq. (7)-(9) of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> from lgrin import LGrIN
        >>> model = LGrIN(in_channels=4, num_nodes=5, num_classes=2)
        >>> loss = LGrINLoss(num_sequences=100)(model(torch.rand(3, 5, 4)), torch.tensor([0, 1, 1]), model)
        >>> loss.shape
        torch.Size([])
    """

    def __init__(
        self,
        num_sequences: int,
        lambda_distance: float = 0.1,
        lambda_frobenius: float = 0.1,
        lambda_pool: float = 1e-4,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_whole("num_sequences", num_sequences)
        self.structure = StructureLoss(lambda_distance, lambda_frobenius, reduction)
        self.num_sequences, self.lambda_pool = num_sequences, check_number("lambda_pool", lambda_pool)

    def forward(self, logits: Tensor, target: Tensor, model: Module) -> Tensor:
        """Adds the penalties of ``model`` to the cross-entropy of a batch; see the class."""
        return cross_entropy(logits, target) + self.penalty(model)

    def penalty(self, model: Module) -> Tensor | float:
        """Prices every :class:`LearnableAdjacency` and :class:`LearnablePool` in ``model``; 0.0 if it has none.

        Raises:
            TypeError: If an adjacency or a learned pool of another class would go without its price.
        """
        mean = self.structure.reduction == "mean"
        total: Tensor | float = 0.0
        for module in model.modules():
            if isinstance(module, LearnableAdjacency):
                total = total + self.structure(module.graph())
            elif isinstance(module, LearnablePool):
                squares = wide(module.weights()).square()
                total = total + self.lambda_pool * (squares.mean() if mean else squares.sum())
            elif "adjacency" in module._modules or "learned" in module._modules or hasattr(type(module), "graph"):
                self._refuse_unpriced(module)
        return total if mean else total / self.num_sequences

    def _refuse_unpriced(self, module: Module) -> None:
        """Raises if a module learns a graph or a pool that nobody here knows the price of."""
        adjacency = module if hasattr(type(module), "graph") else module._modules.get("adjacency")
        charged = self.structure.lambda_distance or self.structure.lambda_frobenius
        if charged and adjacency is not None and _learns_beside(adjacency, LearnableAdjacency):
            raise TypeError(
                f"the adjacency is a {type(adjacency).__name__}, whose structure loss is not known; derive it from "
                f"LearnableAdjacency, or pass lambda_distance=0 and lambda_frobenius=0 here and add your own "
                f"lgrin.nn.structure_loss"
            )
        pool: Any = module.learned if isinstance(module, GraphReadout) else None
        if self.lambda_pool and pool is not None and _learns_beside(pool, LearnablePool):
            raise TypeError(
                f"the learned pool is a {type(pool).__name__}, whose loss is not known; derive it from LearnablePool, "
                f"or pass lambda_pool=0 here and add your own"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_sequences}, {self.structure}, lambda_pool={self.lambda_pool})"


def _learns_beside(module: Module, kind: type[Module]) -> bool:
    """Whether a module has trained parameters outside of its parts of this kind."""
    if isinstance(module, kind):
        return False
    known = {id(one) for part in module.modules() if isinstance(part, kind) for one in part.parameters()}
    return any(one.requires_grad and id(one) not in known for one in module.parameters())
