"""The neighbour maximum on GPUs, one fused Triton kernel forward and one backward.

See :mod:`lgrin.ops.neighbor_max` for the meaning of the three functions. A program owns a few targets and a few
channels and reads each node that they can reach once; nothing is shared between programs, so there are no atomics
and every run gives the same bits. With ``TRITON_INTERPRET=1`` the same kernels run on a CPU.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from lgrin.ops import torch_kernels
from lgrin.ops.window import Window


class Block(NamedTuple):
    """What a program owns, and the warps that compute it."""

    rows: int
    channels: int
    num_warps: int

    def grid(self, x: Tensor) -> tuple[int, int, int]:
        """The programs for ``[B, M, F]``."""
        return x.size(0), triton.cdiv(x.size(1), self.rows), triton.cdiv(x.size(2), self.channels)


MAXIMUM, MAXIMUM_OF_BAND, GRADIENT = Block(16, 32, 2), Block(16, 32, 1), Block(16, 64, 4)
NODES, UNROLL = 32, 4  # whose bits are read together, and whose steps are written out

edge_max = torch_kernels.edge_max
first_of_maxima = torch_kernels.first_of_maxima


@triton.jit
def _orderly(value, BITS: tl.constexpr):
    """An integer for each number that compares as the number does: equal for both zeros, the largest for NaN."""
    value = value.to(tl.float64 if BITS == 64 else tl.float32) + 0.0
    bits = value.to(tl.int64 if BITS == 64 else tl.int32, bitcast=True)
    LARGEST: tl.constexpr = 2 ** (BITS - 1) - 1
    return tl.where(value == value, bits ^ ((bits >> (BITS - 1)) & LARGEST), LARGEST)


@triton.jit(do_not_specialize=["channels"])  # channels of one thread that lie side by side would take longer
def _window_max(
    x, neighbors, mask, values, sources,
    num_nodes, channels, sequence_stride, stride, offset, reach,
    MASKED: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr, NODES: tl.constexpr, UNROLL: tl.constexpr,
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
    BITS: tl.constexpr = 64 if x.dtype.element_ty == tl.float64 else 32
    best = tl.full([ROWS, CHANNELS], -(2 ** (BITS - 1)), dtype=tl.int64 if BITS == 64 else tl.int32)
    source = tl.zeros([ROWS, CHANNELS], dtype=tl.int32) + num_nodes
    place = tl.arange(0, NODES)
    for start in range(tl.maximum(0, first - reach), tl.minimum(num_nodes, first + ROWS + reach), NODES):
        node = start + place
        near = (node[None, :] - target[:, None] <= reach) & (target[:, None] - node[None, :] <= reach)
        there = listens[:, None] & near & (node < num_nodes)[None, :]
        address = target.to(tl.int64)[:, None] * stride + node[None, :] + offset
        speaks = tl.load(neighbors + address, mask=there, other=0) != 0
        if MASKED:
            speaks = speaks & (tl.load(mask + node, mask=node < num_nodes, other=0) != 0)[None, :]
        spoken = tl.sum(tl.where(speaks, (1 << place)[None, :], 0), axis=1)  # a bit for each of the nodes
        for one in tl.range(start, tl.minimum(num_nodes, start + NODES), loop_unroll_factor=UNROLL):
            key = _orderly(tl.load(x + one * row + channel, mask=channel < channels, other=0), BITS)
            wins = (key[None, :] > best) & (spoken & 1 != 0)[:, None]
            best = tl.where(wins, key[None, :], best)
            source = tl.where(wins, one, source)
            spoken >>= 1
    inside = (target < num_nodes)[:, None] & (channel < channels)[None, :]
    found = inside & (source < num_nodes)
    value = tl.load(x + source.to(tl.int64) * channels + channel[None, :], mask=found, other=0)
    place_of = (sequence * num_nodes + target)[:, None] * channels + channel[None, :]
    tl.store(values + place_of, value, mask=inside)
    tl.store(sources + place_of, source.to(sources.dtype.element_ty), mask=inside)


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
    block = MAXIMUM if window.reach > 2 * NODES else MAXIMUM_OF_BAND
    values, source = torch.empty_like(x), torch.empty(x.shape, dtype=window.dtype, device=x.device)
    if x.numel():
        many = window.neighbors.size(0) > 1
        present = x if mask is None else mask.contiguous().view(torch.uint8)  # x stands for a pointer never read
        with torch.cuda.device_of(x):  # Triton launches where PyTorch is, not where the tensors are
            _window_max[block.grid(x)](
                x, window.neighbors.view(torch.uint8), present, values, source,
                x.size(1), x.size(2), window.neighbors[0].numel() if many else 0,
                window.stride, window.offset, min(window.reach, x.size(1)),
                MASKED=mask is not None, ROWS=block.rows, CHANNELS=block.channels, NODES=NODES, UNROLL=UNROLL,
                num_warps=block.num_warps,
            )  # fmt: skip
    return values, source


def gather_back(grad: Tensor, source: Tensor, reach: int) -> Tensor:
    """Adds each gradient to the node that its maximum came from, ``[B, M, F]``."""
    if reach > grad.size(1):  # the flat nodes of an edge list, any of which can be a source
        return torch_kernels.gather_back(grad, source, reach)
    grad = grad.contiguous()
    total = torch.empty_like(grad)
    if grad.numel():
        with torch.cuda.device_of(grad):
            _gather_back[GRADIENT.grid(grad)](
                grad, source.contiguous(), total, grad.size(1), grad.size(2), reach,
                ROWS=GRADIENT.rows, CHANNELS=GRADIENT.channels, num_warps=GRADIENT.num_warps,
            )  # fmt: skip
    return total
