"""The maxima over neighbours and over sequences on CPUs in machine code, on as many threads as PyTorch may use.

See :mod:`lgrin.ops.neighbor_max` and :mod:`lgrin.ops.sequence_max` for the meaning of the functions. The threads are
Python's, since numba's own come with a second OpenMP runtime, beside which PyTorch's small operations take
milliseconds.
"""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numba import njit
from numba.core.compiler_lock import global_compiler_lock
from torch import Tensor

from lgrin.ops.numba_cache import compiled
from lgrin.ops.window import Window

GROUP = 8  # targets in a row, whose common neighbours are compared once
SIZE_OF_A_THREAD = 2**15  # numbers that are worth another thread
PARTS = 4  # of a thread's work
NARROW = 192  # channels up to which sequences are laid side by side
WIDTH = 1024  # channels that they have then, about


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
def _both(one, other, out):
    for j in range(out.size):
        out[j] = one[j] & other[j]


@njit(inline="always")
def _list_true(flags, but, first, nodes):
    count = 0
    for j in range(flags.size):
        if flags[j] and not but[j]:
            nodes[count] = first + j
            count += 1
    return count


@compiled
def _window_max(start, stop, x, neighbors, stride, offset, reach, present, ordered, values, sources):
    _, num_nodes, channels = x.shape
    groups, beside = (num_nodes + GROUP - 1) // GROUP, values.shape[0] // max(1, x.shape[0])
    width = values.shape[2]
    for job in range(start, stop):
        b, first = job // groups, job % groups * GROUP
        end = min(first + GROUP, num_nodes)
        low, high = max(0, first - reach), min(num_nodes, end + reach)
        heard, shared = np.zeros((GROUP, high - low), np.bool_), np.full(high - low, ordered)
        listed = neighbors[min(b, neighbors.shape[0] - 1)]
        for i in range(first, end):
            if present[b, i]:
                near, far = max(0, i - reach), min(num_nodes, i + reach + 1)
                entry = i * stride + offset + near
                _both(
                    listed[entry : entry + far - near], present[b, near:far], heard[i - first, near - low : far - low]
                )
                _both(heard[i - first], shared, shared)
        nodes, nobody = np.empty(high - low, np.int32), np.zeros(high - low, np.bool_)
        count = _list_true(shared, nobody, low, nodes)
        best, source = np.empty(channels, x.dtype), np.empty(channels, np.int32)
        together = count >= GROUP
        if together:
            _maximum(x[b], nodes[:count], ordered, best, source)
        else:
            shared[:] = False
        own, own_source = np.empty(channels, x.dtype), np.empty(channels, np.int32)
        for i in range(first, end):
            count = _list_true(heard[i - first], shared, low, nodes)
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
            for k in range(beside):  # the sequences that lie side by side in x
                row, row_source, left = values[b * beside + k, i], sources[b * beside + k, i], k * width
                for f in range(width):
                    row[f] = own[left + f]
                    row_source[f] = own_source[left + f]


@compiled
def _edge_max(start, stop, x, pointers, nodes, ordered, values, sources):
    num_nodes = x.shape[0]
    for i in range(start, stop):
        if pointers[i] == pointers[i + 1]:
            values[i, :] = 0
            sources[i, :] = num_nodes
        else:
            _maximum(x, nodes[pointers[i] : pointers[i + 1]], ordered, values[i], sources[i])


@compiled
def _gather_back(start, stop, grad, sources, block, total):
    _, num_nodes, channels = grad.shape
    blocks, nobody = (channels + block - 1) // block, np.uintp(num_nodes)
    for job in range(start, stop):  # each has channels of its own, so nothing races
        b, first = job // blocks, job % blocks * block
        sums, end = total[b], min(first + block, channels)
        for i in range(num_nodes):
            source, row = sources[b, i, first:end], grad[b, i, first:end]
            for f in range(source.size):
                node = np.uintp(source[f])  # an index that cannot be negative is read twice as fast
                if node < nobody:
                    sums[node, np.uintp(first + f)] += row[f]


@compiled
def _bounds(batch, frame, pointers):
    """Where each sequence begins and ends; says whether the frames of each one ascend."""
    pointers[:] = 0
    for i in range(batch.size):
        if i > 0 and batch[i] == batch[i - 1] and frame[i] <= frame[i - 1]:
            return False
        pointers[batch[i] + 1] = i + 1
    for b in range(1, pointers.size):
        pointers[b] = max(pointers[b], pointers[b - 1])
    return True


@compiled
def _summarize(start, stop, x, pointers, nodes, weights, largest, source, weighted, total):
    for b in range(start, stop):
        first, end = pointers[b], pointers[b + 1]
        sums, products = total[b], weighted[b]
        for i in range(first, end):
            row = x[i]
            for f in range(row.size):
                sums[f] += row[f]
            for f in range(products.size):
                products[f] += row[f] * weights[i]
        if first < end:
            ordered = not np.isnan(sums.sum())
            _maximum(x, nodes[first:end], ordered, largest[b], source[b])


@compiled
def _spread(start, stop, x, pointers, weights, source, of_largest, of_weighted, of_total, grad, products):
    for b in range(start, stop):
        first, end = pointers[b], pointers[b + 1]
        by_sum, by_product = of_total[b], of_weighted[b]
        for i in range(first, end):
            out = grad[i]
            for f in range(out.size):
                out[f] = by_sum[f]
            if by_product.size:
                row, product = x[i], products[i]
                for f in range(out.size):
                    out[f] += by_product[f] * weights[i]
                for f in range(out.size):
                    product[f] = by_product[f] * row[f]
        if first < end:
            for f in range(of_largest.shape[1]):
                grad[source[b, f], f] += of_largest[b, f]


@compiled
def _filter(start, stop, x, taps, dilations, out):
    num_nodes = x.shape[1]
    groups, heads, width = taps.shape
    channels, lines = x.shape[2] // groups, np.empty((heads, num_nodes), x.dtype)
    for b in range(start, stop):
        for channel in range(x.shape[2]):
            group, line = channel // channels, x[b, :, channel].copy()
            lines[:] = 0
            for tap in range(width):
                shift = (tap - width // 2) * dilations[group]
                first, end = max(0, -shift), min(num_nodes, num_nodes - shift)
                for head in range(heads):
                    weight, sums = taps[group, head, tap], lines[head]
                    for i in range(first, end):
                        sums[i] += weight * line[i + shift]
            for i in range(num_nodes):
                for head in range(heads):
                    out[b, i, channel * heads + head] = lines[head, i]


@njit(inline="always")
def _last_present(present):
    for i in range(present.size, 0, -1):
        if present[i - 1]:
            return i
    return 0


@njit(inline="always")
def _summarize_part(x, levels, present, thresholds, shares, magnitude, largest, mean, root):
    count = 0
    for i in range(x.shape[0]):
        if present[i]:
            row, level = x[i], levels[i]
            if count == 0:
                largest[:] = row
            count += 1
            for f in range(row.size):
                magnitude[f] += abs(row[f])
                largest[f] = row[f] if (row[f] > largest[f]) | (row[f] != row[f]) else largest[f]
            for t in range(thresholds.shape[0]):
                above, threshold = shares[t], thresholds[t]
                for f in range(row.size):
                    above[f] += row[f] > threshold[f]
            for f in range(level.size):
                mean[f] += level[f]
                root[f] += level[f] * level[f]
    count = max(count, 1)
    shares /= count
    magnitude /= count
    mean /= count
    root[:] = np.sqrt(root / count)


@compiled
def _summarize_parts(start, stop, x, levels, present, thresholds, segments, out):
    parts, channels, of_levels = segments.sum(), x.shape[2], 2 * segments.sum() * levels.shape[2]
    for b in range(start, stop):
        rest, last = out[b, : out.shape[1] - of_levels], out[b, out.shape[1] - of_levels :]
        split = rest.reshape(-1, parts, channels)  # shares above each threshold, magnitudes, maxima
        shares, magnitude, largest = split[:-2], split[-2], split[-1]
        means, roots = last.reshape(2, parts, -1)
        length, part = _last_present(present[b]), 0
        for count in segments:
            for index in range(count):
                first, end = -(-index * length // count), -(-(index + 1) * length // count)
                _summarize_part(
                    x[b, first:end], levels[b, first:end], present[b, first:end], thresholds,
                    shares[:, part], magnitude[part], largest[part], means[part], roots[part],
                )  # fmt: skip
                part += 1


@compiled
def _rank(start, stop, x, present, heads, apart, out):
    channels = x.shape[2]
    for b in range(start, stop):
        most, least, count = out[b, :channels], out[b, channels:], 0
        for i in range(x.shape[1]):
            row = x[b, i]
            count += present[b, i]
            for first in range(0, channels if present[b, i] else 0, heads):
                largest = smallest = row[first]
                for f in range(first + 1, first + heads):
                    largest, smallest = max(largest, row[f]), min(smallest, row[f])
                if largest - smallest > apart:
                    for f in range(first, first + heads):
                        most[f] += row[f] == largest
                        least[f] += row[f] == smallest
        out[b] /= max(count, 1)


def window_max(x: Tensor, window: Window, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Takes the maximum over a window of nodes; see :func:`lgrin.ops.neighbor_max`."""
    rows, count = _readable(x).contiguous(), 1
    if mask is None and window.neighbors.size(0) == 1 and 0 < x.size(2) <= NARROW:
        most = max(1, min(x.size(0), -(-WIDTH // x.size(2))))
        count = next(one for one in range(most, 0, -1) if x.size(0) % one == 0)
    side_by_side = rows if count == 1 else _side_by_side(rows, count)
    present = np.ones(side_by_side.shape[:2], np.bool_) if mask is None else mask.contiguous().numpy()
    values, source = torch.empty_like(rows), torch.empty(rows.shape, dtype=window.dtype)
    _share(
        _window_max, len(side_by_side) * -(-x.size(1) // GROUP), rows.numel(),
        side_by_side.numpy(), window.neighbors.flatten(1).numpy(), window.stride, window.offset,
        min(window.reach, x.size(1)), present, _is_ordered(side_by_side), values.numpy(), source.numpy(),
    )  # fmt: skip
    return values.to(x.dtype), source


def _side_by_side(x: Tensor, count: int) -> Tensor:
    """Lays so many sequences ``[B, M, F]`` with the same neighbours side by side, ``[C, M, count F]``.

    The loops over channels are longer then: they take 16 numbers at once, and what is left one by one.
    """
    return x.unflatten(0, (-1, count)).transpose(1, 2).flatten(2).contiguous()


def edge_max(x: Tensor, edge_index: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Takes the maximum over the edges of a list; see :func:`lgrin.ops.neighbor_max_edges`."""
    if mask is not None:
        edge_index = edge_index[:, mask[edge_index].all(0)]
    num_nodes = x.size(0)
    pair = (edge_index[1] * num_nodes + edge_index[0]).sort()[0]
    pointers = torch.searchsorted(pair, torch.arange(num_nodes + 1) * num_nodes)
    nodes = (pair % max(1, num_nodes)).int()
    rows = _readable(x).contiguous()
    values, source = torch.empty_like(rows), torch.empty(x.shape, dtype=torch.int32)
    _share(
        _edge_max, num_nodes, x.numel(),
        rows.numpy(), pointers.numpy(), nodes.numpy(), _is_ordered(rows), values.numpy(), source.numpy(),
    )  # fmt: skip
    return values.to(x.dtype), source


def first_of_maxima(x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
    """Finds the first node of each maximum over sequences; see :func:`lgrin.ops.sequence_max`."""
    rows, num_nodes = _readable(x).contiguous(), x.size(0)
    pointers = torch.searchsorted(batch, torch.arange(batch_size + 1))
    nodes = torch.arange(num_nodes, dtype=torch.int32)
    values = torch.empty(batch_size, x.size(1), dtype=rows.dtype)
    source = torch.empty(values.shape, dtype=torch.int32)
    _share(
        _edge_max, batch_size, x.numel(),
        rows.numpy(), pointers.numpy(), nodes.numpy(), _is_ordered(rows), values.numpy(), source.numpy(),
    )  # fmt: skip
    return source.long().clamp_(max=num_nodes - 1)


def bounds(batch: Tensor, frame: Tensor, batch_size: int) -> Tensor | None:
    """Finds where sequences begin and end, int64 ``[B + 1]``; ``None`` if the frames of one do not ascend."""
    pointers = torch.empty(batch_size + 1, dtype=torch.int64)
    return pointers if _bounds(batch.contiguous().numpy(), frame.contiguous().numpy(), pointers.numpy()) else None


def summarize(x: Tensor, weights: Tensor, pointers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Takes maxima, weighted sums and sums over sequences; see :func:`lgrin.ops.summaries.summarize`."""
    size, channels = pointers.numel() - 1, x.size(1)
    source = torch.zeros(size, channels, dtype=torch.int32)
    largest, total = x.new_zeros(size, channels), x.new_zeros(size, channels)
    weighted = x.new_zeros(size, channels if weights.numel() else 0)
    nodes = torch.arange(x.size(0), dtype=torch.int32)
    _share(
        _summarize, size, x.numel(), x.numpy(), pointers.numpy(), nodes.numpy(), weights.numpy(),
        largest.numpy(), source.numpy(), weighted.numpy(), total.numpy(),
    )  # fmt: skip
    return largest, source, weighted, total


def spread(
    x: Tensor, weights: Tensor, pointers: Tensor, source: Tensor, largest: Tensor, weighted: Tensor, total: Tensor
) -> tuple[Tensor, Tensor]:
    """Takes the gradients of summaries back to the nodes, and to what was multiplied by the weights."""
    grad, products = torch.empty_like(x), x.new_empty(x.shape if weights.numel() else (0, 0))
    _share(
        _spread, pointers.numel() - 1, x.numel(), x.numpy(), pointers.numpy(), weights.numpy(), source.numpy(),
        largest.numpy(), weighted.numpy(), total.numpy(), grad.numpy(), products.numpy(),
    )  # fmt: skip
    return grad, products


def gather_back(grad: Tensor, source: Tensor, reach: int) -> Tensor:
    """Adds each gradient to the node that its maximum came from, ``[B, M, F]``, always in the same order."""
    rows = _readable(grad)
    total = torch.zeros(grad.shape, dtype=rows.dtype)
    block = max(16, min(128, grad.size(0) * grad.size(2) // torch.get_num_threads()))
    jobs = grad.size(0) * -(-grad.size(2) // block)
    _share(_gather_back, jobs, grad.numel(), rows.numpy(), source.contiguous().numpy(), block, total.numpy())
    return total.to(grad.dtype)


def filter_frames(x: Tensor, taps: Tensor, dilations: np.ndarray) -> Tensor:
    """Applies groups of dilated filters; see :func:`lgrin.ops.filters.filter_frames`."""
    out = x.new_empty(*x.shape[:2], x.size(2) * taps.size(1))
    _share(_filter, x.size(0), out.numel(), x.numpy(), taps.numpy(), dilations, out.numpy())
    return out


def summarize_parts(x: Tensor, levels: Tensor, present: Tensor, thresholds: Tensor, segments: np.ndarray) -> Tensor:
    """Summarises equal parts of sequences; see :func:`lgrin.ops.filters.summarize_parts`."""
    of_a_part = (thresholds.size(0) + 2) * x.size(2) + 2 * levels.size(2)
    out = x.new_zeros(x.size(0), int(segments.sum()) * of_a_part)
    _share(
        _summarize_parts, x.size(0), x.numel(),
        x.numpy(), levels.numpy(), present.numpy(), thresholds.numpy(), segments, out.numpy(),
    )  # fmt: skip
    return out


def rank_filters(x: Tensor, present: Tensor, heads: int, apart: float) -> Tensor:
    """Counts where each filter of a group responds the most; see :func:`lgrin.ops.filters.rank_filters`."""
    out = x.new_zeros(x.size(0), 2 * x.size(2))
    _share(_rank, x.size(0), x.numel(), x.numpy(), present.numpy(), heads, apart, out.numpy())
    return out


def _readable(x: Tensor) -> Tensor:
    """NumPy has no 16-bit floats that numba compiles; float32 holds every one of them."""
    return (x if x.dtype in (torch.float32, torch.float64) else x.float()).detach()


def _is_ordered(x: Tensor) -> bool:
    """Whether x surely holds no NaN; infinities of both signs count as doubt.

    NumPy adds, since PyTorch would wake threads that keep turning while those of the kernel want their place.
    """
    with np.errstate(all="ignore"):
        return not np.isnan(x.numpy().sum())


def _share(kernel: Callable[..., object], jobs: int, size: int, *arguments: object) -> None:
    """Runs ``kernel(start, stop, ...)`` over all jobs, on several threads where there is work for them.

    Each thread takes the next part when it is done with one, so that nobody waits for a thread that started late.
    """
    threads = min(torch.get_num_threads(), jobs, 1 + size // SIZE_OF_A_THREAD)
    if threads <= 1:
        kernel(0, jobs, *arguments)
        return
    count = threads * PARTS
    parts = deque(pairwise(jobs * part // count for part in range(count + 1)))

    def work() -> None:
        while parts:
            try:
                start, stop = parts.popleft()
            except IndexError:  # another thread took the last one
                return
            kernel(start, stop, *arguments)

    helpers = [_threads().submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        if not helper.cancel():
            helper.result()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="lgrin")


def _start_anew() -> None:
    """Forgets the threads of the parent process: a forked one has only their locks and their work."""
    global_compiler_lock.release()
    _threads.cache_clear()


if hasattr(os, "register_at_fork"):  # forks while nobody compiles, whose lock would stay closed in the new process
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=_start_anew,
    )
