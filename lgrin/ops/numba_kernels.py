"""The neighbour maximum on CPUs in machine code, one target node at a time on every thread that PyTorch may use.

See :mod:`lgrin.ops.neighbor_max` for the meaning of the three functions.
"""

import numba
import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from lgrin.ops.window import Window, source_dtype

GROUP = 8  # targets in a row, whose common neighbours are compared once


def _compiled(function):
    """Compiles for several threads and keeps the machine code on disk where a folder for it can be written."""
    options = {"parallel": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no such folder
        return njit(**options)(function)


@njit(inline="always")
def _challenge(row, node, best, source):
    for f in range(best.size):
        value = row[f]
        wins = (value > best[f]) | ((value != value) & (best[f] == best[f]))  # NaN is larger than anything
        best[f] = value if wins else best[f]
        source[f] = node if wins else source[f]


@njit(inline="always")
def _take(value, node, best, source):
    return (value, node) if value > best else (best, source)


@njit(inline="always")
def _challenge_by_four(x, nodes, best, source):
    """Four nodes without NaN at once, so that the best numbers are loaded and stored a quarter as often."""
    one, two, three, four = nodes[0], nodes[1], nodes[2], nodes[3]
    x1, x2, x3, x4 = x[one], x[two], x[three], x[four]
    for f in range(best.size):
        value, node = _take(x1[f], one, best[f], source[f])
        value, node = _take(x2[f], two, value, node)
        value, node = _take(x3[f], three, value, node)
        best[f], source[f] = _take(x4[f], four, value, node)


@njit(inline="always")
def _maximum(x, nodes, ordered, best, source):
    """The maximum over rows ``nodes`` of ``x [M, F]``, ascending and at least one; ``ordered`` says x has no NaN."""
    best[:] = x[nodes[0]]
    source[:] = nodes[0]
    done = 1
    if ordered:
        while done + 4 <= nodes.size:
            _challenge_by_four(x, nodes[done : done + 4], best, source)
            done += 4
    for node in nodes[done:]:
        _challenge(x[node], node, best, source)


@njit(inline="always")
def _challenge_in_any_order(row, node, best, source):
    """Like ``_challenge`` for a node that may be lower than those before; without NaN."""
    for f in range(best.size):
        value = row[f]
        wins = (value > best[f]) | ((value == best[f]) & (node < source[f]))
        best[f] = value if wins else best[f]
        source[f] = node if wins else source[f]


@njit(inline="always")
def _list_true(flags, first, nodes):
    count = 0
    for j in range(flags.size):
        if flags[j]:
            nodes[count] = first + j
            count += 1
    return count


@_compiled
def _window_max(x, neighbors, stride, offset, reach, present, ordered, values, sources):
    batch_size, num_nodes, channels = x.shape
    groups = (num_nodes + GROUP - 1) // GROUP
    for job in prange(batch_size * groups):
        b, first = job // groups, job % groups * GROUP
        end = min(first + GROUP, num_nodes)
        low, high = max(0, first - reach), min(num_nodes, end + reach)
        heard, shared = np.zeros((GROUP, high - low), np.bool_), np.full(high - low, ordered)
        listed = neighbors[min(b, neighbors.shape[0] - 1)]
        for i in range(first, end):
            if present[b, i]:
                near, far = max(0, i - reach), min(num_nodes, i + reach + 1)
                start = i * stride + offset + near
                heard[i - first, near - low : far - low] = listed[start : start + far - near] & present[b, near:far]
                shared &= heard[i - first]
        nodes = np.empty(high - low, np.int32)
        count = _list_true(shared, low, nodes)
        best, source = np.empty(channels, x.dtype), np.empty(channels, np.int32)
        together = count >= GROUP
        if together:
            _maximum(x[b], nodes[:count], ordered, best, source)
        else:
            shared[:] = False
        own_source = np.empty(channels, np.int32)
        for i in range(first, end):
            count = _list_true(heard[i - first] & ~shared, low, nodes)
            own = values[b, i]
            if together and present[b, i]:
                own[:] = best
                own_source[:] = source
                for node in nodes[:count]:
                    _challenge_in_any_order(x[b, node], node, own, own_source)
            elif count:
                _maximum(x[b], nodes[:count], ordered, own, own_source)
            else:
                own[:] = 0
                own_source[:] = num_nodes
            for f in range(channels):
                sources[b, i, f] = own_source[f]


@_compiled
def _edge_max(x, pointers, nodes, ordered, values, sources):
    num_nodes = x.shape[0]
    for i in prange(num_nodes):
        if pointers[i] == pointers[i + 1]:
            values[i, :] = 0
            sources[i, :] = num_nodes
        else:
            _maximum(x, nodes[pointers[i] : pointers[i + 1]], ordered, values[i], sources[i])


@_compiled
def _gather_back(grad, sources, block, total):
    batch_size, num_nodes, channels = grad.shape
    blocks = (channels + block - 1) // block
    for job in prange(batch_size * blocks):  # each thread has channels of its own, so nothing races
        b, start = job // blocks, job % blocks * block
        sums = total[b]
        for i in range(num_nodes):
            source, row = sources[b, i], grad[b, i]
            for f in range(start, min(start + block, channels)):
                node = np.intp(source[f])
                if node < num_nodes:
                    sums[node, f] += row[f]


def window_max(x: Tensor, window: Window, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Takes the maximum over a window of nodes; see :func:`lgrin.ops.neighbor_max`."""
    rows = _readable(x)
    present = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    values, source = torch.empty_like(rows), torch.empty(x.shape, dtype=source_dtype(x.size(1)))
    _use_threads()
    _window_max(
        rows.numpy(), window.neighbors.flatten(1).numpy(), window.stride, window.offset, min(window.reach, x.size(1)),
        present.contiguous().numpy(), _is_ordered(rows), values.numpy(), source.numpy(),
    )  # fmt: skip
    return values.to(x.dtype), source


def edge_max(x: Tensor, edge_index: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Takes the maximum over the edges of a list; see :func:`lgrin.ops.neighbor_max_edges`."""
    if mask is not None:
        edge_index = edge_index[:, mask[edge_index].all(0)]
    num_nodes = x.size(0)
    pair = (edge_index[1] * num_nodes + edge_index[0]).sort()[0]
    pointers = torch.searchsorted(pair, torch.arange(num_nodes + 1) * num_nodes)
    rows = _readable(x)
    values, source = torch.empty_like(rows), torch.empty(x.shape, dtype=torch.int32)
    _use_threads()
    _edge_max(
        rows.numpy(),
        pointers.numpy(),
        (pair % num_nodes).int().numpy(),
        _is_ordered(rows),
        values.numpy(),
        source.numpy(),
    )
    return values.to(x.dtype), source


def gather_back(grad: Tensor, source: Tensor, reach: int) -> Tensor:
    """Adds each gradient to the node that its maximum came from, ``[B, M, F]``, always in the same order."""
    rows = _readable(grad)
    total = torch.zeros_like(rows)
    block = max(16, min(128, grad.size(0) * grad.size(2) // torch.get_num_threads()))
    _use_threads()
    _gather_back(rows.numpy(), source.contiguous().numpy(), block, total.numpy())
    return total.to(grad.dtype)


def _readable(x: Tensor) -> Tensor:
    """NumPy has no 16-bit floats that numba compiles; float32 holds every one of them."""
    return (x if x.dtype in (torch.float32, torch.float64) else x.float()).contiguous().detach()


def _is_ordered(x: Tensor) -> bool:
    """Whether x surely holds no NaN; infinities of both signs count as doubt."""
    return not bool(x.sum().isnan())


def _use_threads() -> None:
    """Lets numba have as many threads as PyTorch; when numba starts its own, it would change PyTorch's number."""
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
