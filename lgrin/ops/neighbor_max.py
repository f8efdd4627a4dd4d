"""The maximum over each node's neighbours, one registered operator per way to list the neighbours.

Every operator returns the values and the node that each came from. At a tie the lowest node wins, so the gradient,
which flows to the winner alone, is the same in every layout and on every device. NaN counts as the largest value.
A node without a neighbour gets 0, and so does an absent one; their source is one beyond the last node.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lgrin.arguments import check_range
from lgrin.ops.functional import (
    gradient_of_sources,
    map_edges,
    map_gradients,
    map_windows,
    maximum_of_sources,
    read_at,
    register_transformed,
)
from lgrin.ops.kernels import kernels_for
from lgrin.ops.summaries import is_ordinary
from lgrin.ops.window import Window, source_dtype


@torch.library.custom_op("lgrin::neighbor_max", mutates_args=())
def neighbor_max(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Takes the maximum over the neighbours that a boolean matrix lists, never building ``[B, M, M, F]``.

    .. math:: y_{bif} = \max \{ x_{bjf} : \mathrm{neighbors}_{ij} \wedge \mathrm{mask}_{bi} \wedge \mathrm{mask}_{bj} \}

    Args:
        x: Node features ``[B, M, F]``.
        neighbors: Bool ``[M, M]`` or ``[B, M, M]``; entry ``[i, j]`` says that node j is a neighbour of node i.
        mask: Bool ``[B, M]``, the nodes that are present; ``None`` means all.

    Returns:
        The maxima ``[B, M, F]`` and their source nodes ``[B, M, F]`` in ``[0, M]``, in the smallest of uint8, int16
        and int32 that holds M.

    Example:
        >>> x = torch.tensor([[[1.0], [3.0], [2.0]]])
        >>> values, source = neighbor_max(x, torch.eye(3, dtype=torch.bool).roll(1, dims=1))
        >>> source.flatten().tolist()
        [1, 2, 0]
    """
    return kernels_for(x.device.type).window_max(x.contiguous(), Window.dense(neighbors), mask)


def neighbor_maxima(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> Tensor:
    """Takes the values of :func:`neighbor_max` alone; of ordinary tensors by the kernel itself, which is called sooner.

    Args:
        x: Node features ``[B, M, F]``.
        neighbors: Bool ``[M, M]`` or ``[B, M, M]``.
        mask: Bool ``[B, M]``; ``None`` means all.

    Returns:
        The maxima ``[B, M, F]``.

    Example:
        >>> neighbor_maxima(torch.tensor([[[1.0], [3.0]]]), torch.ones(2, 2, dtype=torch.bool)).flatten().tolist()
        [3.0, 3.0]
    """
    if not is_ordinary(x):
        return neighbor_max(x, neighbors, mask)[0]
    if x.requires_grad and torch.is_grad_enabled():
        function: Any = _Maxima
        return function.apply(x, neighbors, mask)
    return kernels_for(x.device.type).window_max(x.contiguous(), Window.dense(neighbors), mask)[0]


@torch.library.custom_op("lgrin::neighbor_max_banded", mutates_args=())
def neighbor_max_banded(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Takes the maximum over the neighbours that a boolean band lists.

    Args:
        x: Node features ``[B, M, F]``.
        neighbors: Bool ``[M, 2w + 1]`` or ``[B, M, 2w + 1]``; entry ``[i, k]`` says that node ``i + k - w`` is a
            neighbour of node i. What lies before the first or after the last node is ignored.
        mask: Bool ``[B, M]``, the nodes that are present; ``None`` means all.

    Returns:
        The maxima and their source nodes, as for :func:`neighbor_max`.

    Example:
        >>> x = torch.tensor([[[1.0], [3.0], [2.0]]])
        >>> values, source = neighbor_max_banded(x, torch.tensor([[True, False, True]]).expand(3, 3))
        >>> values.flatten().tolist()
        [3.0, 2.0, 3.0]
    """
    return kernels_for(x.device.type).window_max(x.contiguous(), Window.banded(neighbors), mask)


@torch.library.custom_op("lgrin::neighbor_max_edges", mutates_args=())
def neighbor_max_edges(x: Tensor, edge_index: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Takes the maximum over the neighbours that an edge list holds; repeated edges do no harm.

    Args:
        x: Node features ``[N, F]``.
        edge_index: Int64 ``[2, E]``, source nodes first and target nodes second.
        mask: Bool ``[N]``, the nodes that are present; ``None`` means all.

    Returns:
        The maxima ``[N, F]`` and their source nodes ``[N, F]``, int32 in ``[0, N]``.

    Example:
        >>> values, source = neighbor_max_edges(torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1], [1, 1]]))
        >>> values.flatten().tolist(), source.flatten().tolist()
        ([0.0, 3.0], [2, 1])
    """
    check_range("edge_index", edge_index, x.size(0))  # the kernels read memory at these places
    return kernels_for(x.device.type).edge_max(x.contiguous(), edge_index, mask)


@torch.library.custom_op("lgrin::gather_back", mutates_args=())
def gather_back(grad: Tensor, source: Tensor, reach: int) -> Tensor:
    """Adds the gradient of each maximum to the node that it came from, in the same order every time.

    Args:
        grad: Gradients ``[B, M, F]``.
        source: The nodes that the maxima came from, ``[B, M, F]``.
        reach: No source is further than this from its target, unless it is nobody.

    Returns:
        Gradients of the nodes ``[B, M, F]``.

    Example:
        >>> gather_back(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[1], [1]]]), reach=1).flatten().tolist()
        [0.0, 3.0]
    """
    return kernels_for(grad.device.type).gather_back(grad, source, reach)


@neighbor_max.register_fake
@neighbor_max_banded.register_fake
def _(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape, dtype=source_dtype(x.size(1)))


@neighbor_max_edges.register_fake
def _(x: Tensor, edge_index: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape, dtype=torch.int32)


@gather_back.register_fake
def _(grad: Tensor, source: Tensor, reach: int) -> Tensor:
    return grad.new_empty(grad.shape)


def _keep_source(reach_of: Callable[[Tensor], int]) -> Callable[..., None]:
    """Makes the function that keeps what the backward pass needs; ``reach_of`` reads the reach of the second input."""

    def keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.reach = reach_of(inputs[1])
        ctx.save_for_backward(output[1])
        ctx.mark_non_differentiable(output[1])

    return keep


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor, None, None]:
    (source,) = ctx.saved_tensors
    if grad.dim() == 2:
        return gather_back(grad[None], source[None], ctx.reach)[0], None, None
    return gather_back(grad, source, ctx.reach), None, None


class _Maxima(torch.autograd.Function):
    """The values of :func:`neighbor_max` and their gradient without a registered operator, which is called slowly."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, neighbors: Tensor, mask: Tensor | None) -> Tensor:
        values, source = kernels_for(x.device.type).window_max(x.contiguous(), Window.dense(neighbors), mask)
        ctx.save_for_backward(source)
        return values

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (source,), (grad,) = ctx.saved_tensors, grads
        if torch.is_grad_enabled() or not is_ordinary(grad):  # somebody differentiates or maps the gradient
            return gather_back(grad, source, source.size(1)), None, None
        return kernels_for(grad.device.type).gather_back(grad, source, source.size(1)), None, None


def _keep_place(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(inputs[1])


def _backward_of_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (source,) = ctx.saved_tensors
    return read_at(grad, source), None, None


neighbor_max.register_autograd(_backward, setup_context=_keep_source(lambda neighbors: neighbors.size(-1)))
neighbor_max_banded.register_autograd(_backward, setup_context=_keep_source(lambda band: band.size(-1) // 2))
neighbor_max_edges.register_autograd(_backward, setup_context=_keep_source(lambda edge_index: 2**31 - 1))
gather_back.register_autograd(_backward_of_backward, setup_context=_keep_place)

neighbor_max.register_vmap(partial(map_windows, neighbor_max))
neighbor_max_banded.register_vmap(partial(map_windows, neighbor_max_banded))
neighbor_max_edges.register_vmap(partial(map_edges, neighbor_max_edges))
gather_back.register_vmap(partial(map_gradients, gather_back))

for operator in (neighbor_max, neighbor_max_banded, neighbor_max_edges):
    register_transformed(operator, maximum_of_sources)
register_transformed(gather_back, gradient_of_sources)
