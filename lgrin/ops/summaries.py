"""The summaries that a readout needs of each sequence, in one pass over the nodes."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lgrin.ops.kernels import kernels_for


def is_ordinary(*tensors: Tensor) -> bool:
    """Says whether functions with a backward pass of their own may be given tensors.

    They may outside compiled and traced programs, function transforms, forward mode and dispatch modes, and on
    PyTorch's own tensors of one type, 32 or 64 bits long.

    Args:
        *tensors: The tensors.

    Returns:
        Whether they may.

    Example:
        >>> is_ordinary(torch.zeros(1)), is_ordinary(torch.zeros(1), torch.zeros(1).double())
        (True, False)
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None or forward_ad._current_level >= 0:
        return False
    if torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack():
        return False
    dtype, device = tensors[0].dtype, tensors[0].device.type
    if device not in ("cpu", "cuda"):
        return False
    if dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled(device):
        return False
    if not all(map(torch._C._has_storage, tensors)):  # each stands for many, as gradients under is_grads_batched
        return False
    return all(type(one) in (Tensor, torch.nn.Parameter) and one.dtype == dtype for one in tensors)


def find_bounds(batch: Tensor, frame: Tensor, batch_size: int) -> Tensor | None:
    """Finds where the sequences begin and end whose nodes :func:`summarize` can take.

    Args:
        batch: Int64 ``[N]``, each node's sequence, sorted.
        frame: Int64 ``[N]``, each node's frame.
        batch_size: The number of sequences B.

    Returns:
        Int64 ``[B + 1]``, the first node of each sequence and the number of nodes; ``None`` where the frames of a
        sequence do not ascend, or where this device has no such kernel.

    Example:
        >>> frame, batch = torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1])
        >>> bounds = find_bounds(batch, frame, batch_size=2)
        >>> bounds is None or bounds.tolist() == [0, 2, 3]
        True
    """
    kernels: Any = kernels_for(batch.device.type)
    return kernels.bounds(batch, frame, batch_size) if hasattr(kernels, "bounds") else None


def bounds_of_dense(x: Tensor) -> Tensor | None:
    """Says where the sequences of dense nodes begin and end, laid one after the other; see :func:`find_bounds`.

    Args:
        x: Node features ``[B, M, F]``.

    Returns:
        Int64 ``[B + 1]``; ``None`` where this device has no such kernel.

    Example:
        >>> bounds = bounds_of_dense(torch.zeros(2, 3, 1))
        >>> bounds is None or bounds.tolist() == [0, 3, 6]
        True
    """
    if not hasattr(kernels_for(x.device.type), "bounds"):
        return None
    return torch.arange(x.size(0) + 1) * x.size(1)


def summarize(x: Tensor, weight: Tensor | None, bounds: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    r"""Takes the maximum, the weighted sum and the sum over the nodes of each sequence, all from one look at a node.

    .. math:: \max_i x_{if}, \qquad \sum_i w_i x_{if}, \qquad \sum_i x_{if}

    The numbers and gradients are those of :func:`lgrin.ops.sequence_max` and of ``index_add`` over the nodes, to the
    bit; of a gradient, what comes from the sum is counted first and what comes from the maximum last. At a tie the
    gradient of the maximum goes to the first node. An empty sequence gives 0.

    Args:
        x: Node features ``[N, F]``, ordinary ones (:func:`is_ordinary`).
        weight: A weight for each node, ``[N]``; ``None`` takes no weighted sum.
        bounds: Where sequences begin and end, from :func:`find_bounds`.

    Returns:
        ``[B, F]`` each.

    Example:
        >>> x, batch = torch.tensor([[1.0], [3.0], [2.0]]), torch.tensor([0, 0, 1])
        >>> bounds = find_bounds(batch, torch.tensor([0, 1, 0]), batch_size=2)
        >>> bounds is None or [one.flatten().tolist() for one in summarize(x, None, bounds)[::2]]
        [[3.0, 2.0], [4.0, 2.0]]
    """
    function: Any = _Summarize
    largest, weighted, total = function.apply(x, x.new_empty(0) if weight is None else weight, bounds)
    return largest, None if weight is None else weighted, total


class _Summarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kernels: Any = kernels_for(x.device.type)
        largest, source, weighted, total = kernels.summarize(x.contiguous(), weight.contiguous(), bounds)
        ctx.save_for_backward(x, weight, bounds, source)
        return largest, weighted, total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, bounds, source = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_ordinary(*grads):  # somebody differentiates or maps the gradient
            grad, products = _spread(x, weight, bounds, source, *grads)
        else:
            kernels: Any = kernels_for(x.device.type)
            dense = (one.contiguous() for one in (x, weight, bounds, source, *grads))
            grad, products = kernels.spread(*dense)
        return grad, products.sum(-1) if weight.numel() else None, None


def _spread(
    x: Tensor, weight: Tensor, bounds: Tensor, source: Tensor, largest: Tensor, weighted: Tensor, total: Tensor
) -> tuple[Tensor, Tensor]:
    """What the kernel of the backward pass computes, in PyTorch's operations."""
    lengths = bounds.diff()
    batch = torch.arange(lengths.numel(), device=x.device).repeat_interleave(lengths, output_size=x.size(0))
    grad, products = total[batch], weighted[batch]
    if weight.numel():
        grad, products = grad + products * weight.unsqueeze(-1), products * x
    largest = largest.masked_fill((lengths == 0).unsqueeze(-1), 0)
    return (grad.scatter_add(0, source.long(), largest) if x.numel() else grad), products
