"""A trained model without what only training needs."""

from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch.nn import Module

from lgrin.nn import GStarConv, LearnableAdjacency, MaskedBatchNorm

Model = TypeVar("Model", bound=Module)


@torch.no_grad()
def fold(model: Model) -> Model:
    r"""Copies a model for inference, its batch norms folded into the linear layers before them.

    .. math:: \gamma \frac{(W x + b) - \mu}{\sigma} + \beta
              = \left( \frac{\gamma}{\sigma} W \right) x + \frac{\gamma}{\sigma} (b - \mu) + \beta

    Normalised adjacencies are stored as they come out. The copy is called like the model and gives what the model
    gives in evaluation mode, faster; it has no statistics, is frozen, and cannot be trained further.

    Args:
        model: An :class:`lgrin.LGrIN`, or any module that holds the layers.

    Returns:
        The copy, in evaluation mode.

    Example:
        >>> from lgrin import LGrIN
        >>> model = LGrIN(in_channels=3, num_nodes=5, num_classes=2).eval()
        >>> x = torch.rand(1, 5, 3)
        >>> torch.allclose(fold(model)(x), model(x), atol=1e-5)
        True
    """
    folded: Any = deepcopy(model).eval().requires_grad_(False)
    if isinstance(folded, LearnableAdjacency):
        return _frozen(folded)
    for module in list(folded.modules()):
        if isinstance(module, GStarConv):
            _fold_norms(module)
        for name, child in module.named_children():
            if isinstance(child, LearnableAdjacency):
                setattr(module, name, _frozen(child))
    if hasattr(folded, "config"):
        folded.config = None  # these keywords would build the norms again
    return folded


def _fold_norms(conv: GStarConv) -> None:
    norms: Any = conv.norms
    if norms is None or not all(isinstance(norm, MaskedBatchNorm) for norm in norms):
        return
    for lin, norm in zip(conv.lins, norms, strict=True):
        _fold_norm(lin, norm)
    conv.norms = None


def _fold_norm(lin: Any, norm: Any) -> None:
    scale = torch.rsqrt(norm.running_var + norm.eps) * (1 if norm.weight is None else norm.weight)
    lin.weight.mul_(scale.unsqueeze(-1))
    lin.bias.copy_((lin.bias - norm.running_mean) * scale + (0 if norm.bias is None else norm.bias))


def _frozen(adjacency: LearnableAdjacency) -> Any:
    """The same graph, normalised; a symmetric one loses its symmetry by it and is stored whole."""
    if adjacency.normalize is None:
        return adjacency
    normalize = "present" if adjacency.normalize == "present" else None  # what depends on the sequence
    if adjacency.bandwidth is None:
        return LearnableAdjacency.from_dense(adjacency(), normalize=normalize).requires_grad_(False)
    frozen = LearnableAdjacency(adjacency.num_nodes, bandwidth=adjacency.bandwidth, normalize=normalize)
    frozen = frozen.to(adjacency.weight)
    band: Any = adjacency.graph()
    frozen.weight.copy_(band.band)
    return frozen.requires_grad_(False)
