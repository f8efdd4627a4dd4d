"""The loss of L-GrIN, Eq. (7)-(9)."""

from collections.abc import Mapping
from typing import TypeAlias

from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy

from lgrin.graph import Graph
from lgrin.nn.adjacency import Adjacency
from lgrin.nn.pool import LearnablePool
from lgrin.nn.structure import StructureLoss, structure_loss
from lgrin.options import check_number, check_whole

Graphs: TypeAlias = Graph | Mapping[str, Graph] | None  # of a batch; by name where there are modalities

__all__ = ["LGrINLoss", "StructureLoss", "structure_loss"]


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
        - **logits:** ``[B, C]``; **target:** int64 ``[B]``; **model:** any module that holds the layers;
          **graph:** as ``model(..., return_graph=True)`` gives it, where graphs differ by sequence;
          **weight:** ``[B]``, what each sequence counts, 1 on average over all training sequences
        - **output:** scalar

    Raises:
        ValueError: If a price is no number of 0 or more, the reduction is unknown, or ``num_sequences`` not positive.

    Source:
        Eq. (7)-(9) of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> import torch
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

    def forward(
        self, logits: Tensor, target: Tensor, model: Module, graph: Graphs = None, weight: Tensor | None = None
    ) -> Tensor:
        """Adds the penalties of ``model`` to the cross-entropy of a batch; see the class."""
        if weight is None:
            return cross_entropy(logits, target) + self.penalty(model, graph)
        each = cross_entropy(logits, target, reduction="none")
        return (weight.to(each.dtype) * each).mean() + self.penalty(model, graph)

    def penalty(self, model: Module, graph: Graphs = None) -> Tensor | float:
        """Adds up the penalties of every adjacency and learned pool in ``model``; 0.0 if it has none.

        Args:
            model: Any module that holds the layers.
            graph: The graph of the batch, from ``model(..., return_graph=True)``, or those of several modalities by
                name; needed where graphs differ by sequence.

        Raises:
            TypeError: If an adjacency or a learned pool of another class would go without its price.
            ValueError: If a graph is needed and missing, or more than one is.
        """
        structure = self.structure
        prices = structure.lambda_distance, structure.lambda_frobenius
        modules = _list_modules(model)
        readers = sum(isinstance(one, Adjacency) and one.reads_features for _, one in modules)
        if readers > 1 and any(prices) and not isinstance(graph, Mapping):
            raise ValueError(
                f"model holds {readers} adjacencies that depend on features, but graph is that of one; pass "
                f"lambda_distance=0 and lambda_frobenius=0 here and add adjacency.penalty(graph) of each"
            )
        total: Tensor | float = 0.0
        for path, module in modules:
            if isinstance(module, Adjacency):
                own = _graph_of(path, graph) if isinstance(graph, Mapping) else graph
                if own is None and module.reads_features and isinstance(graph, Mapping):
                    continue  # a modality that this batch lacks
                total = total + module.penalty(own, *prices, structure.reduction)
            elif isinstance(module, LearnablePool):
                total = total + module.penalty(self.lambda_pool, structure.reduction)
            elif "adjacency" in module._modules or "learned" in module._modules or hasattr(type(module), "graph"):
                self._refuse_unpriced(module)
        return total if structure.reduction == "mean" else total / self.num_sequences

    def _refuse_unpriced(self, module: Module) -> None:
        """Raises if a module learns a graph or a pool whose price is unknown here."""
        adjacency = module if hasattr(type(module), "graph") else module._modules.get("adjacency")
        charged = self.structure.lambda_distance or self.structure.lambda_frobenius
        if charged and adjacency is not None and _learns_beside(adjacency, Adjacency):
            raise TypeError(
                f"the adjacency is a {type(adjacency).__name__}, whose structure loss is not known; derive it from "
                f"LearnableAdjacency or lgrin.nn.Adjacency, or pass lambda_distance=0 and lambda_frobenius=0 here and "
                f"add your own lgrin.nn.structure_loss"
            )
        pool = module._modules.get("learned") if hasattr(module, "parts") else None
        if self.lambda_pool and pool is not None and _learns_beside(pool, LearnablePool):
            raise TypeError(
                f"the learned pool is a {type(pool).__name__}, whose loss is not known; derive it from LearnablePool, "
                f"or pass lambda_pool=0 here and add your own"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_sequences}, {self.structure}, lambda_pool={self.lambda_pool})"


def _list_modules(model: Module) -> list[tuple[str, Module]]:
    """Lists what ``model.named_modules()`` does, without the nested generators that take as long as a small product."""
    listed, seen, waiting = [], set(), [("", model)]
    while waiting:
        path, module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        listed.append((path, module))
        prefix = f"{path}." if path else ""
        for name, part in reversed(module._modules.items()):
            if part is not None:
                waiting.append((prefix + name, part))
    return listed


def _graph_of(path: str, graphs: Mapping[str, Graph]) -> Graph | None:
    """The graph of the modality that a module belongs to, ``modalities.NAME.adjacency``; ``None`` if it has none."""
    return next((one for name, one in graphs.items() if f".modalities.{name}." in f".{path}."), None)


def _learns_beside(module: Module, kind: type[Module]) -> bool:
    """Whether a module has trained parameters outside of its parts of this kind."""
    if isinstance(module, kind):
        return False
    known = {id(one) for part in module.modules() if isinstance(part, kind) for one in part.parameters()}
    return any(one.requires_grad and id(one) not in known for one in module.parameters())
