"""A trained model without what only training needs."""

from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Identity, Linear, Module, Parameter
from torch.nn.utils.parametrize import type_before_parametrizations
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from lgrin.nn import Adjacency, GStarConv, MaskedBatchNorm
from lgrin.nn.norm import check_takes_mask

Model = TypeVar("Model", bound=Module)
REPARAMETRISATIONS = (WeightNorm, SpectralNorm, BasePruningMethod)  # hooks that compute weights and do nothing else
STEPS = ("forward", "apply_norm")


@torch.no_grad()
def fold(model: Model) -> Model:
    r"""Copies a model for inference, its batch norms folded into the linear layers before them.

    .. math:: \gamma \frac{(W x + b) - \mu}{\sigma} + \beta
              = \left( \frac{\gamma}{\sigma} W \right) x + \frac{\gamma}{\sigma} (b - \mu) + \beta

    Normalised adjacencies are stored as they come out. Where W is reparametrised (``torch.nn.utils.parametrize``, both
    kinds of weight norm and spectral norm) or pruned, it is stored as evaluation mode computes it. The copy is called
    like the model and gives what the model gives in evaluation mode, faster; it has no statistics, is frozen, and
    cannot be trained further.

    Args:
        model: An :class:`lgrin.LGrIN`, or any module that holds the layers.

    Returns:
        The copy, in evaluation mode.

    Raises:
        TypeError: If a norm cannot be folded exactly, since the norm or the layer before it is of another class (such
            as a quantised one) or has hooks; the error names it.

    Example:
        >>> from lgrin import LGrIN
        >>> model = LGrIN(in_channels=3, num_nodes=5, num_classes=2).eval()
        >>> x = torch.rand(1, 5, 3)
        >>> torch.allclose(fold(model)(x), model(x), atol=1e-5)
        True
    """
    folded: Any = deepcopy(model, _computed_weights(model)).eval().requires_grad_(False)
    if isinstance(folded, Adjacency):
        frozen: Any = folded.frozen().eval()
        return frozen
    for path, module in list(folded.named_modules()):
        if isinstance(module, GStarConv):
            _fold_norms(path, module)
        if hasattr(module, "is_folded"):
            module.is_folded = True
        for name, child in module.named_children():
            if isinstance(child, Adjacency):
                setattr(module, name, child.frozen().eval())
    if "config" in vars(folded):
        folded.config = None  # these keywords would build the norms again
    return folded


def _computed_weights(model: Module) -> dict[int, Any]:
    """A memo of copies of tensors that pruning and weight norm have computed, which ``deepcopy`` refuses."""
    attributes = [value for module in model.modules() for value in vars(module).values()]
    return {id(one): one.clone() for one in attributes if isinstance(one, Tensor) and not one.is_leaf}


def _fold_norms(path: str, conv: GStarConv) -> None:
    norms: Any = conv.norms
    if norms is None:
        return
    where = f"{path}." if path else ""
    for index, (lin, norm) in enumerate(zip(conv.lins, norms, strict=True)):
        check_takes_mask(f"{where}norms.{index}", norm)
        if isinstance(norm, MaskedBatchNorm):
            _check_convolution(path, conv)
            conv.lins[index] = _folded(f"{where}lins.{index}", lin, f"{where}norms.{index}", norm)
            norms[index] = Identity()
    if all(isinstance(norm, Identity) for norm in norms):
        conv.norms = None


def _folded(lin_name: str, lin: Module, norm_name: str, norm: MaskedBatchNorm) -> Linear:
    """A linear layer with the norm in it. It is a new one, since the given one may stand in other places, too."""
    weight, bias = _tensors(lin_name, lin, Linear)
    gamma, beta = _tensors(norm_name, norm, MaskedBatchNorm)
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError(f"{norm_name} keeps no statistics, so that nothing can be folded; build it with statistics")
    scale = torch.rsqrt(norm.running_var + norm.eps) * (1 if gamma is None else gamma)
    shifted = ((0 if bias is None else bias) - norm.running_mean) * scale + (0 if beta is None else beta)
    folded = Linear(weight.size(1), weight.size(0), device="meta")
    folded.weight = Parameter(weight * scale.unsqueeze(-1), requires_grad=False)
    folded.bias = Parameter(shifted, requires_grad=False)
    return folded.eval()


def _check_convolution(path: str, conv: GStarConv) -> None:
    """Raises if a convolution may do something else with its norms than the class does."""
    kind = type(conv)
    if "forward" in vars(conv) or any(getattr(kind, name) is not getattr(GStarConv, name) for name in STEPS):
        raise TypeError(
            f"{path or 'the model'} is a {kind.__name__} with a computation of its own, which cannot be folded"
        )


def _tensors(name: str, module: Any, kind: type[Module]) -> tuple[Any, Any]:
    """The weight and bias that a module of a class computes with; raises if it computes something else."""
    found = type_before_parametrizations(module)
    if found is not kind:
        raise TypeError(
            f"{name} is a {found.__module__}.{found.__qualname__}, and only a {kind.__name__} can be folded; fold "
            f"first, and quantise or replace layers of the folded model"
        )
    others = [hook for hook in module._forward_pre_hooks.values() if not isinstance(hook, REPARAMETRISATIONS)]
    if others or module._forward_hooks or "forward" in vars(module):
        raise TypeError(f"{name} has hooks, which may change what it computes; remove them and fold again")
    for hook in module._forward_pre_hooks.values():
        hook(module, ())
    tensors = module.weight, module.bias
    for one in tensors:
        if hasattr(type(one), "__tensor_flatten__"):
            raise TypeError(f"{name} holds a {type(one).__name__}; fold first, and quantise or shard the folded model")
    return tensors
