"""What makes the operators differentiable in every way that PyTorch has: ``torch.func`` and forward mode.

An operator's own backward pass is fast, but PyTorch can neither transform it nor push a tangent through it. Under a
transform and for dual numbers the operator therefore only finds the sources of the maxima, and PyTorch's own
operations read the values there: those have derivatives of both modes and of any order. Everywhere else the operator
is what it is.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._library.custom_ops import CustomOpDef
from torch.autograd import forward_ad
from torch.nn.functional import pad

LIBRARY = torch.library.Library("lgrin", "IMPL")
DEVICES = ("CPU", "CUDA", "MPS", "XPU", "HPU", "PrivateUse1", "Meta")  # in the dispatcher's words


def is_mapped(x: Tensor) -> bool:
    """Says whether a tensor stands for many of which ``torch.func.vmap`` shows one, so that nobody can read values.

    Args:
        x: Any tensor.

    Returns:
        Whether it does, however many transforms are around it.

    Example:
        >>> torch.func.vmap(lambda row: row + is_mapped(row))(torch.zeros(2)).tolist()
        [1.0, 1.0]
    """
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(x):
        if functorch.is_batchedtensor(x):
            return True
        x = functorch.get_unwrapped(x)
    return False


def read_at(x: Tensor, source: Tensor) -> Tensor:
    """Reads ``x [*, M, F]`` at nodes in ``[0, M]``, where M means nobody and gives 0.

    Args:
        x: Node features.
        source: Whole numbers, shaped like x.

    Returns:
        The values, shaped like x.

    Example:
        >>> read_at(torch.tensor([[1.0], [3.0]]), torch.tensor([[1], [2]])).flatten().tolist()
        [3.0, 0.0]
    """
    return pad(x, (0, 0, 0, 1)).gather(-2, source.long())


def add_at(grad: Tensor, source: Tensor) -> Tensor:
    """Adds ``grad [*, M, F]`` up at nodes in ``[0, M]``, where M means nobody.

    Args:
        grad: Gradients of what was read there.
        source: Whole numbers, shaped like the gradients.

    Returns:
        Gradients of the nodes, shaped like the others.

    Example:
        >>> add_at(torch.tensor([[1.0], [3.0]]), torch.tensor([[1], [1]])).flatten().tolist()
        [0.0, 4.0]
    """
    total = pad(torch.zeros_like(grad), (0, 0, 0, 1))
    return total.scatter_add(-2, source.long(), grad)[..., : grad.size(-2), :]


def register_transformed(operator: CustomOpDef, function: Callable[..., object]) -> None:
    """Registers how an operator runs under a transform and for dual numbers; elsewhere it stays as it is.

    Args:
        operator: The operator, differentiable in its first argument.
        function: Is given the operator as it was, through which no derivative goes, and the operator's arguments.
    """
    usual: Any = torch.library.get_kernel(operator._opoverload, "AutogradCPU")  # the same on every device

    def kernel(keyset: Any, *arguments: Any) -> Any:
        if torch._C._are_functorch_transforms_active() or forward_ad.unpack_dual(arguments[0]).tangent is not None:
            return function(partial(usual.call_boxed, keyset), *arguments)
        return usual.call_boxed(keyset, *arguments)

    for device in DEVICES:
        LIBRARY.impl(operator._opoverload, kernel, f"Autograd{device}", with_keyset=True)


def maximum_of_sources(run: Callable[..., tuple[Tensor, Tensor]], x: Tensor, *where: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum over neighbours, for :func:`register_transformed`."""
    source = run(x.detach(), *where)[1]
    return read_at(x, source), source


def gradient_of_sources(run: Callable[..., object], grad: Tensor, source: Tensor, reach: int) -> Tensor:
    """The gradient of the maximum, for :func:`register_transformed`."""
    return add_at(grad, source)


def map_windows(
    operator: CustomOpDef, info: Any, in_dims: tuple[int | None, ...], x: Tensor, neighbors: Tensor, *mask: Tensor
) -> tuple[tuple[Tensor, ...], tuple[int, int]]:
    """Lays mapped sequences ``[B, M, F]`` and their lists of neighbours side by side, for ``register_vmap``."""
    count, num_sequences = info.batch_size, _stack(x, in_dims[0], info.batch_size).size(1)
    if in_dims[1] is not None or neighbors.dim() == 3:
        stack = _stack(neighbors, in_dims[1], count)
        stack = stack if stack.dim() == 4 else stack.unsqueeze(1).expand(-1, num_sequences, -1, -1)
        neighbors = stack.flatten(0, 1)
    where = [_stack(one, dim, count).flatten(0, 1) for one, dim in zip(mask, in_dims[2:], strict=True)]
    outputs = operator(_stack(x, in_dims[0], count).flatten(0, 1), neighbors, *where)
    return tuple(one.unflatten(0, (count, num_sequences)) for one in outputs), (0, 0)


def map_edges(
    operator: CustomOpDef, info: Any, in_dims: tuple[int | None, ...], x: Tensor, edge_index: Tensor, *mask: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    """Makes one graph of mapped nodes ``[N, F]`` and their edges, for ``register_vmap``."""
    count, x = info.batch_size, _stack(x, in_dims[0], info.batch_size)
    num_nodes = x.size(1)
    first = torch.arange(count, device=x.device).view(-1, 1, 1) * num_nodes
    edges = (_stack(edge_index, in_dims[1], count) + first).transpose(0, 1).flatten(1)
    where = [_stack(one, dim, count).flatten() for one, dim in zip(mask, in_dims[2:], strict=True)]
    values, source = (one.unflatten(0, (count, num_nodes)) for one in operator(x.flatten(0, 1), edges, *where))
    return (values, (source - first).clamp(max=num_nodes).int()), (0, 0)  # nobody comes after all nodes of all graphs


def map_gradients(
    operator: CustomOpDef, info: Any, in_dims: tuple[int | None, ...], grad: Tensor, source: Tensor, reach: int
) -> tuple[Tensor, int]:
    """Lays mapped gradients ``[B, M, F]`` side by side, for ``register_vmap``."""
    grad, source = (_stack(one, dim, info.batch_size) for one, dim in zip((grad, source), in_dims[:2], strict=True))
    return operator(grad.flatten(0, 1), source.flatten(0, 1), reach).unflatten(0, grad.shape[:2]), 0


def _stack(x: Tensor, dim: int | None, count: int) -> Tensor:
    """Puts the mapped dimension first; what is the same for all is repeated."""
    return x.expand(count, *x.shape) if dim is None else x.movedim(dim, 0)
