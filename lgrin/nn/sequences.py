"""Node features, and which node belongs where."""

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from lgrin.arguments import check_nodes, check_range
from lgrin.graph import count_sequences, frames_from_start, hide, wide


class Sequences(NamedTuple):
    """Node features with what says which node belongs where, ready to be reduced over each sequence.

    Attributes:
        x: Features ``[B, L, F]``, or ``[N, F]`` beside ``batch``; rows of absent nodes are 0. What was given with
            further leading axes, ``[*, L, F]``, is laid in one row of sequences.
        frame: Int64, each node's frame, shaped or broadcast like the nodes; ``None`` means in order.
        batch: Int64 ``[N]``, or ``None`` where x is dense.
        mask: Bool, shaped like the nodes; ``None`` means that all are present.
        batch_size: The number of sequences B.
    """

    x: Tensor
    frame: Tensor | None
    batch: Tensor | None
    mask: Tensor | None
    batch_size: int

    @classmethod
    def read(
        cls,
        x: Tensor,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        num_nodes: int | None = None,
    ) -> "Sequences":
        """Reads the arguments of a pooling layer, whose frames are below ``num_nodes`` where it is given.

        Raises:
            ValueError: If ranks or sizes do not fit.
            IndexError: If the frame of a present node or the sequence of a node is out of range.
        """
        check_nodes(x, frame, batch, mask, batch_size)
        frame = None if frame is None else frame.long().expand(x.shape[:-1])
        if mask is not None and frame is not None:
            frame = frame.masked_fill(~mask, 0)  # whatever the frame of an absent node was
        if num_nodes is not None:
            check_range("frame", frame, num_nodes)
        x = hide(x, mask)
        if batch is not None:
            batch_size = count_sequences(batch, batch_size)
            check_range("batch", batch, batch_size)
            return cls(x, frame, batch.long(), mask, batch_size)
        if x.dim() != 3:
            nodes = x.shape[-2:-1]
            x = x.reshape(prod(x.shape[:-2]), *x.shape[-2:])
            frame, mask = (None if one is None else one.reshape(x.size(0), *nodes) for one in (frame, mask))
        return cls(x, frame, None, mask, x.size(0))

    def sum(self, x: Tensor) -> Tensor:
        """Adds up ``x`` over each sequence; 16-bit floats in float32, which the result keeps."""
        if self.batch is None:
            return wide(x).sum(1)
        return wide(x).new_zeros(self.batch_size, *x.shape[1:]).index_add(0, self.batch, wide(x))

    def mean(self) -> Tensor:
        """Averages the present nodes of each sequence, ``[B, F]``; 0 for an empty one."""
        if self._is_full():
            return self.x.mean(1)
        total = self.sum(self.x)
        return (total / self.num_present().clamp(min=1).to(total.dtype)).to(self.x.dtype)

    def unfold(self, values: Tensor, x: Tensor) -> Tensor:
        """Gives what belongs to sequences, ``[B, F]``, the leading axes of the features that were read."""
        return values if x.dim() <= 3 else values.unflatten(0, x.shape[:-2])

    def spread(self, values: Tensor) -> Tensor:
        """Gives every node what belongs to its sequence: ``[B, F]`` becomes ``[B, 1, F]`` or ``[N, F]``."""
        return values.unsqueeze(1) if self.batch is None else values[self.batch]

    def center(self) -> "Sequences":
        """Subtracts from the present nodes of each sequence their mean."""
        return self._replace(x=hide(self.x - self.spread(self.mean()), self.mask))

    def num_present(self) -> Tensor:
        """Counts the present nodes of each sequence, int64 ``[B, 1]``."""
        present = torch.ones(self.x.shape[:-1], dtype=torch.int64, device=self.x.device)
        return self.sum(present if self.mask is None else self.mask.long()).unsqueeze(-1)

    def largest(self) -> Tensor:
        """Finds the largest present feature of each sequence, ``[B, F]``; its frame only where a gradient needs it."""
        return self.x.amax(1) if self._is_full() and not torch.is_grad_enabled() else self.max()[0]

    def max(self) -> tuple[Tensor, Tensor]:
        """Finds the largest present feature of each sequence; at a tie the lowest frame, then the lowest node.

        Returns:
            The maxima ``[B, F]`` and the frames that they come from ``[B, F]``; 0 and -1 for an empty sequence.
        """
        nodes = self._sorted_by_frame()
        x = nodes.x if nodes.mask is None else nodes.x.masked_fill(~nodes.mask.unsqueeze(-1), -torch.inf)
        if nodes.batch is None:
            values, source = x.max(1)  # documented to return the first of equal maxima
            frame = source if nodes.frame is None else nodes.frame.gather(1, source)
            if self._is_full():
                return values, frame
        else:
            values, source = _first_max(x, nodes.batch, self.batch_size)
            frame = frames_from_start(nodes.batch, self.batch_size) if nodes.frame is None else nodes.frame
            frame = frame[source] if frame.numel() else source
        empty = nodes.num_present() == 0
        return values.masked_fill(empty, 0), frame.masked_fill(empty, -1)

    def salient(self) -> Tensor:
        """Finds the frame of each sequence that holds most of its maxima, int64 ``[B]``; those that tie share one.

        Returns:
            The lowest frame where several hold equally many; -1 for an empty sequence.
        """
        largest = self.max()[0]
        holds = self.x == self.spread(largest)
        if self.mask is not None:
            holds = holds & self.mask.unsqueeze(-1)
        shared = self.spread(self.sum(holds.double()).clamp(min=1))
        return self._replace(x=(holds / shared).sum(-1, keepdim=True)).max()[1].squeeze(-1)

    def _is_full(self) -> bool:
        """Whether no sequence can be empty and every node counts."""
        return self.batch is None and self.mask is None and self.x.size(1) > 0

    def _sorted_by_frame(self) -> "Sequences":
        if self.frame is None:
            return self
        frame, order = self.frame.sort(dim=-1, stable=True)
        if self.batch is not None:
            mask = None if self.mask is None else self.mask[order]
            return self._replace(x=self.x[order], frame=frame, batch=self.batch[order], mask=mask)
        mask = None if self.mask is None else self.mask.gather(1, order)
        return self._replace(x=self.x.gather(1, order.unsqueeze(-1).expand_as(self.x)), frame=frame, mask=mask)


def _first_max(x: Tensor, batch: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """The maximum of each sequence of ``[N, F]`` and the first row that holds it."""
    index = batch.unsqueeze(-1).expand_as(x)
    if x.size(0) == 0:
        return x.new_zeros(batch_size, x.size(1)), index.new_zeros(batch_size, x.size(1))
    start = x.new_full((batch_size, x.size(1)), -torch.inf)
    best = start.scatter_reduce(0, index, x.detach(), "amax")
    wins = (x == best[batch]) | x.isnan()
    last = x.size(0) - 1
    row = torch.arange(x.size(0), device=x.device).unsqueeze(-1)
    source = index.new_full((batch_size, x.size(1)), last).scatter_reduce(
        0, index, torch.where(wins, row, last), "amin"
    )
    return x.gather(0, source), source
