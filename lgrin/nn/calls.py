"""Which modules have to be called, and which may be computed side by side with others."""

from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.modules.module import _has_any_global_hook

PLAIN_KINDS = {Parameter, Tensor, type(None)}


def is_plain(module: Module | None, kind: type[Module]) -> bool:
    """Says whether a module may be computed without being called: it is of this very class, and no call is missed.

    Args:
        module: The module, or ``None``.
        kind: The class; one that is derived from it may compute something else.

    Returns:
        Whether its parameters alone say what it computes.

    Example:
        >>> from torch.nn import Linear
        >>> is_plain(Linear(2, 2), Linear), is_plain(Linear(2, 2), Module)
        (True, False)
    """
    return type(module) is kind and not needs_call(module)


def needs_call(module: Module) -> bool:
    """Says whether a module does what its owner expects only while it is called.

    Hooks run then, ``torch.nn.utils.prune`` and the older weight norms compute the weights in one, and ``fully_shard``
    gathers them in one. A forward may be patched, and parameters of other kinds than tensors may know no other use.

    Args:
        module: The module.

    Returns:
        Whether it has to be called.

    Example:
        >>> from torch.nn import Linear
        >>> linear = Linear(2, 2)
        >>> handle = linear.register_forward_hook(lambda *call: None)
        >>> needs_call(linear)
        True
    """
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
        return True
    if "forward" in module.__dict__ or _has_any_global_hook():
        return True
    kinds = {type(one) for one in module._parameters.values()} - PLAIN_KINDS
    return any(hasattr(kind, "__tensor_flatten__") for kind in kinds)
