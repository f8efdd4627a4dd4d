"""The neighbour maximum in PyTorch alone: packed keys on CPUs, a race of nodes on every other device.

A key is one float64 that orders like a value and its node together, so that a plain minimum finds both. See
:mod:`lgrin.ops.neighbor_max` and :mod:`lgrin.ops.sequence_max` for the meaning of the functions.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lgrin.ops.window import Window

ROW_RANGE = 2**21
TILE = 2**18  # numbers that are worked on at a time, so that their keys stay near the processor


def window_max(x: Tensor, window: Window, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Takes the maximum over a window of nodes; see :func:`lgrin.ops.neighbor_max`."""
    if x.device.type != "cpu":
        return _race(x, window, mask)
    num_nodes = x.size(1)
    values, source = torch.empty_like(x), torch.empty(x.shape, dtype=window.dtype)
    full = window.is_full()
    for sequences, targets in _tiles(x, window.reach):
        nodes = slice(max(0, targets.start - window.reach), min(num_nodes, targets.stop + window.reach))
        present = None if mask is None else mask[sequences, nodes]
        tile = Tile(x[sequences, nodes], present, sequences, targets, nodes)
        value, node = tile.maximum(window, full)
        values[sequences, targets], source[sequences, targets] = value, node.masked_fill_(node < 0, num_nodes)
    return values, source


def edge_max(x: Tensor, edge_index: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Takes the maximum over the edges of a list; see :func:`lgrin.ops.neighbor_max_edges`."""
    num_nodes = x.size(0)
    if mask is not None:
        edge_index = edge_index[:, mask[edge_index].all(0)]
    keys, row_of = _keys(x)
    if x.device.type == "cpu":
        target, by_target = edge_index[1].sort(stable=True)
        best = _lowest_key(target, edge_index[0][by_target], keys, num_nodes)
    else:
        index = edge_index[1].unsqueeze(-1).expand(-1, x.size(1))
        best = torch.full_like(keys, torch.inf).scatter_reduce_(0, index, keys[edge_index[0]], "amin")
    values, winner = _read_winners(x, best, row_of)
    return values, winner.masked_fill_(winner < 0, num_nodes).int()


def first_of_maxima(x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
    """Finds the first node of each maximum over sequences; see :func:`lgrin.ops.sequence_max`."""
    index = batch.unsqueeze(-1).expand_as(x)
    best = x.new_full((batch_size, x.size(1)), -torch.inf).scatter_reduce(0, index, x, "amax")
    wins = (x == best[batch]) | x.isnan()
    last = x.size(0) - 1
    row = torch.arange(x.size(0), device=x.device).unsqueeze(-1)
    source = index.new_full((batch_size, x.size(1)), last)
    return source.scatter_reduce(0, index, torch.where(wins, row, last), "amin")


def gather_back(grad: Tensor, source: Tensor, reach: int) -> Tensor:
    """Adds each gradient to the node that its maximum came from, ``[B, M, F]``."""
    num_nodes = grad.size(1)
    total = grad.new_zeros(grad.size(0), num_nodes + 1, grad.size(2))  # the last row takes in what nobody sent
    return total.scatter_add_(1, source.long(), grad)[:, :num_nodes].contiguous()


def _race(x: Tensor, window: Window, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Lets every node take the lead at every target that it is a neighbour of, in ascending order."""
    num_nodes = x.size(1)
    best, source = torch.zeros_like(x), torch.full(x.shape, num_nodes, device=x.device)
    index = torch.arange(num_nodes, device=x.device).unsqueeze(-1)
    reach = min(window.reach, num_nodes - 1)
    for distance in range(-reach, reach + 1):
        targets = slice(max(0, -distance), min(num_nodes, num_nodes - distance))
        nodes = slice(targets.start + distance, targets.stop + distance)
        runs = window.diagonal(distance).unsqueeze(-1)
        if mask is not None:
            runs = runs & (mask[:, nodes] & mask[:, targets]).unsqueeze(-1)
        value, leader, holder = x[:, nodes], best[:, targets], source[:, targets]
        wins = runs & ((value > leader) | (value.isnan() & ~leader.isnan()) | (holder == num_nodes))
        best[:, targets] = torch.where(wins, value, leader)
        source[:, targets] = torch.where(wins, index[nodes], holder)
    return best, source.to(window.dtype)


def _tiles(x: Tensor, reach: int) -> Iterator[tuple[slice, slice]]:
    """Cuts sequences, and long ones into targets whose neighbours are not many more than themselves."""
    batch_size, num_nodes, channels = x.shape
    channels = max(1, channels)
    length = max(1, min(num_nodes, max(4 * reach, TILE // channels)))
    count = max(1, TILE // (length * channels))
    for sequence in range(0, batch_size, count):
        for target in range(0, num_nodes, length):
            yield (
                slice(sequence, min(batch_size, sequence + count)),
                slice(target, min(num_nodes, target + length)),
            )


class Tile(NamedTuple):
    """Some targets of some sequences, and all nodes that can be their neighbours.

    Attributes:
        x: Features ``[b, nodes, F]``.
        present: Bool ``[b, nodes]``, or ``None``.
        sequences, targets, nodes: Where they come from.
    """

    x: Tensor
    present: Tensor | None
    sequences: slice
    targets: slice
    nodes: slice

    def maximum(self, window: Window, full: bool) -> tuple[Tensor, Tensor]:
        """The maxima ``[b, targets, F]`` and the nodes that they come from, -1 for nobody."""
        rows = self.x.flatten(0, 1)
        keys, row_of = _keys(rows)
        if self.present is not None:
            keys.masked_fill_(~self.present.flatten().unsqueeze(-1), torch.inf)
        keys = keys.view(self.x.shape)
        best = self._slide(keys, window.reach) if full else self._pick(keys, window)
        if self.present is not None:
            first = self.targets.start - self.nodes.start
            there = self.present[:, first : first + best.size(1)]
            best.masked_fill_(~there.unsqueeze(-1), torch.inf)
        values, row = _read_winners(rows, best.flatten(0, 1), row_of)
        row = row.view(best.shape)
        length = self.x.size(1)
        start = torch.arange(self.x.size(0)).view(-1, 1, 1) * length - self.nodes.start
        return values.view(best.shape), torch.where(row < 0, -1, row - start)

    def _slide(self, keys: Tensor, reach: int) -> Tensor:
        """The lowest key of every window, all of whose nodes are neighbours, by windows twice as long each time."""
        before = reach - (self.targets.start - self.nodes.start)
        after = reach - (self.nodes.stop - self.targets.stop)
        lowest = torch.nn.functional.pad(keys, (0, 0, before, after), value=torch.inf)
        length, size = 2 * reach + 1, 1
        while 2 * size <= length:
            lowest = torch.minimum(lowest[:, :-size], lowest[:, size:])
            size *= 2
        count = self.targets.stop - self.targets.start
        return torch.minimum(lowest[:, :count], lowest[:, length - size : length - size + count])

    def _pick(self, keys: Tensor, window: Window) -> Tensor:
        """The lowest key of every target's listed neighbours."""
        sequence, target, node = window.pairs(self.sequences, self.targets)
        inside = (node >= self.nodes.start) & (node < self.nodes.stop)  # the corners of a band lie outside
        sequence, target, node = sequence[inside], target[inside], node[inside]
        count, length, channels = keys.shape
        width = self.targets.stop - self.targets.start
        row = sequence * width + target - self.targets.start
        column = sequence * length + node - self.nodes.start
        return _lowest_key(row, column, keys.flatten(0, 1), count * width).view(count, width, channels)


def _keys(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Gives every entry of ``[N, F]`` a number that is the lower the earlier the entry would win.

    The numbers of a channel are all distinct. The second result turns them back into rows.
    """
    row = torch.arange(x.size(0), device=x.device).unsqueeze(-1)
    if x.dtype != torch.float64 and x.size(0) <= ROW_RANGE and bool(x.sum(dtype=torch.float32).isfinite()):
        return _packed_keys(x.float(), row), _unpack_row
    order = torch.sort(x, dim=0, descending=True, stable=True)[1]
    keys = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    return keys.scatter_(0, order, row.double().expand_as(x)), lambda key: order.gather(0, key.long())


def _packed_keys(x: Tensor, row: Tensor) -> Tensor:
    """Packs a finite float32 and its row into one float64, which holds whole numbers below 2**53 exactly.

    The bits of a float, read as an integer, are ordered like the floats once those of negative ones are flipped.
    """
    bits = (x + 0.0).view(torch.int32)  # + 0.0 makes -0.0 equal to 0.0
    descending = (bits >> 31).bitwise_and_(0x7FFFFFFF).bitwise_not_().bitwise_xor_(bits)
    return descending.double().mul_(ROW_RANGE).add_(row)


def _unpack_row(key: Tensor) -> Tensor:
    return key.long().bitwise_and_(ROW_RANGE - 1)


def _lowest_key(target: Tensor, source: Tensor, keys: Tensor, num_targets: int) -> Tensor:
    """Reduces ``keys [N, F]`` over pairs that are sorted by target, to ``[num_targets, F]``."""
    degree = torch.bincount(target, minlength=num_targets)
    pointers = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse ", category=UserWarning)
        matrix = torch.sparse_csr_tensor(
            pointers, source, keys.new_ones(1).expand(source.size(0)), (num_targets, keys.size(0))
        )
        best = torch.sparse.mm(matrix, keys, "amin")
    alone = degree == 0
    return best.masked_fill_(alone.unsqueeze(-1), torch.inf) if bool(alone.any()) else best


def _read_winners(x: Tensor, best: Tensor, row_of: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The values of ``x [N, F]`` that keys stand for, and their rows; 0 and -1 where nobody runs."""
    nobody = best == torch.inf
    if not bool(nobody.any()):
        row = row_of(best)
        return x.gather(0, row), row
    row = row_of(best.masked_fill(nobody, 0))
    return x.gather(0, row).masked_fill_(nobody, 0), row.masked_fill_(nobody, -1)
