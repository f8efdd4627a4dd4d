"""The neighbour maximum on GPUs, one fused Triton kernel forward and one backward.

See :mod:`lgrin.ops.neighbor_max` for the meaning of the three functions. A program owns a few targets and a few
channels and reads each node that they can reach once; nothing is shared between programs, so there are no atomics
and every run gives the same bits. With ``TRITON_INTERPRET=1`` the same kernels run on a CPU.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from lgrin.ops import torch_kernels
from lgrin.ops.window import Window

ROWS, CHANNELS = 16, 64

edge_max = torch_kernels.edge_max
first_of_maxima = torch_kernels.first_of_maxima


@triton.jit
def _window_max(
    x, neighbors, mask, values, sources,
    num_nodes, channels, sequence_stride, stride, offset, reach,
    MASKED: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(1) * ROWS
    target = first + tl.arange(0, ROWS)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    sequence = tl.program_id(0).to(tl.int64)
    x += sequence * num_nodes * channels
    neighbors += sequence * sequence_stride
    listens = target < num_nodes
    if MASKED:
        mask += sequence * num_nodes
        listens = listens & (tl.load(mask + target, mask=listens, other=0) != 0)
    row = tl.zeros([CHANNELS], dtype=tl.int64) + channels
    wide = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    best = tl.zeros([ROWS, CHANNELS], dtype=wide)
    source = tl.zeros([ROWS, CHANNELS], dtype=tl.int32) + num_nodes
    for node in range(tl.maximum(0, first - reach), tl.minimum(num_nodes, first + ROWS + reach)):
        near = (node - target <= reach) & (target - node <= reach)
        address = target.to(tl.int64) * stride + node + offset
        speaks = tl.load(neighbors + address, mask=listens & near, other=0) != 0
        if MASKED:
            speaks = speaks & (tl.load(mask + node) != 0)
        value = tl.load(x + node * row + channel, mask=channel < channels, other=0).to(wide)[None, :]
        beats = (value > best) | ((value != value) & (best == best)) | (source == num_nodes)
        wins = beats & speaks[:, None]
        best = tl.where(wins, value, best)
        source = tl.where(wins, node, source)
    place = (sequence * num_nodes + target)[:, None] * channels + channel[None, :]
    inside = (target < num_nodes)[:, None] & (channel < channels)[None, :]
    tl.store(values + place, best.to(values.dtype.element_ty), mask=inside)
    tl.store(sources + place, source.to(sources.dtype.element_ty), mask=inside)


@triton.jit
def _gather_back(
    grad, sources, total, num_nodes, channels, reach, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    first = tl.program_id(1) * ROWS
    node = first + tl.arange(0, ROWS)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    start = tl.program_id(0).to(tl.int64) * num_nodes * channels
    inside = channel < channels
    row = tl.zeros([CHANNELS], dtype=tl.int64) + channels
    wide = tl.float64 if grad.dtype.element_ty == tl.float64 else tl.float32
    result = tl.zeros([ROWS, CHANNELS], dtype=wide)
    for target in range(tl.maximum(0, first - reach), tl.minimum(num_nodes, first + ROWS + reach)):
        place = start + target * row + channel
        source = tl.load(sources + place, mask=inside, other=0).to(tl.int32)[None, :]
        gradient = tl.load(grad + place, mask=inside, other=0).to(wide)[None, :]
        result += tl.where(source == node[:, None], gradient, 0)
    place = start + node.to(tl.int64)[:, None] * channels + channel[None, :]
    tl.store(total + place, result.to(total.dtype.element_ty), mask=(node < num_nodes)[:, None] & inside[None, :])


def window_max(x: Tensor, window: Window, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Takes the maximum over a window of nodes; see :func:`lgrin.ops.neighbor_max`."""
    values, source = torch.empty_like(x), torch.empty(x.shape, dtype=window.dtype, device=x.device)
    if x.numel():
        many = window.neighbors.size(0) > 1
        present = x if mask is None else mask.contiguous().view(torch.uint8)  # x stands for a pointer never read
        _window_max[_grid(x)](
            x, window.neighbors.view(torch.uint8), present, values, source,
            x.size(1), x.size(2), window.neighbors[0].numel() if many else 0,
            window.stride, window.offset, min(window.reach, x.size(1)),
            MASKED=mask is not None, ROWS=ROWS, CHANNELS=CHANNELS,
        )  # fmt: skip
    return values, source


def gather_back(grad: Tensor, source: Tensor, reach: int) -> Tensor:
    """Adds each gradient to the node that its maximum came from, ``[B, M, F]``."""
    if reach > grad.size(1):  # the flat nodes of an edge list, any of which can be a source
        return torch_kernels.gather_back(grad, source, reach)
    grad = grad.contiguous()
    total = torch.empty_like(grad)
    if grad.numel():
        _gather_back[_grid(grad)](
            grad, source.contiguous(), total, grad.size(1), grad.size(2), reach, ROWS=ROWS, CHANNELS=CHANNELS
        )
    return total


def _grid(x: Tensor) -> tuple[int, int, int]:
    batch_size, num_nodes, channels = x.shape
    return batch_size, triton.cdiv(num_nodes, ROWS), triton.cdiv(channels, CHANNELS)
