"""Nodes of sequences: read and checked once, laid out once, reduced once.

A public ``forward`` turns its arguments ``x, frame, batch, mask, batch_size`` into one :class:`Nodes` and hands that
on. Between modules travel a tensor and a graph.
"""

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from lgrin.arguments import check_nodes, check_range, over_steps
from lgrin.ops.functional import is_mapped
from lgrin.ops.sequence_max import sequence_max
from lgrin.ops.sequence_sum import sequence_sum


def is_readable(x: Tensor) -> bool:
    """Says whether reading values costs nothing: on a CPU, outside compiled programs and ``torch.func.vmap``.

    Args:
        x: Any tensor.

    Returns:
        Whether it costs nothing.

    Example:
        >>> is_readable(torch.zeros(1))
        True
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(x) or not is_mapped(x)


def is_full(mask: Tensor) -> bool:
    """Says whether all nodes are known to be present.

    Args:
        mask: Bool ``[*]``.

    Returns:
        Whether they are, where :func:`is_readable` lets it be read.

    Example:
        >>> is_full(torch.tensor([True, True])), is_full(torch.tensor([True, False]))
        (True, False)
    """
    return is_readable(mask) and bool(mask.all())


def present_indices(mask: Tensor) -> Tensor:
    """Lists the indices of the true entries of a flattened mask, int64 ``[K]``.

    Args:
        mask: Bool ``[*]``.

    Returns:
        The indices, ascending.

    Example:
        >>> present_indices(torch.tensor([[True, False], [True, True]])).tolist()
        [0, 2, 3]
    """
    return mask.reshape(-1).nonzero().squeeze(-1)


def zero_absent(x: Tensor, mask: Tensor | None) -> Tensor:
    """Sets the rows of absent nodes to 0, so that neither their values nor their gradients reach anything.

    Args:
        x: Node features ``[*, F]``.
        mask: Bool ``[*]``, the nodes that are present; ``None`` means all.

    Returns:
        The features ``[*, F]``.

    Example:
        >>> zero_absent(torch.tensor([[1.0], [float("nan")]]), torch.tensor([True, False])).flatten().tolist()
        [1.0, 0.0]
    """
    if mask is None:
        return x
    if not is_readable(mask):
        return x.masked_fill(~mask.unsqueeze(-1), 0)
    rows = x.reshape(mask.numel(), x.size(-1))
    return rows.index_fill(0, present_indices(~mask), 0).view(x.shape)  # five times as fast as masked_fill


def at_least_float32(x: Tensor) -> Tensor:
    """Converts 16-bit floats to float32, in which sums of many terms stay accurate.

    Args:
        x: Any floating tensor.

    Returns:
        The tensor, float32 or float64.

    Example:
        >>> at_least_float32(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def count_sequences(batch: Tensor, batch_size: int | None = None) -> int:
    """Counts the sequences of a batch vector.

    Args:
        batch: Int64 ``[N]``, each node's sequence.
        batch_size: The number, where it is known; reading it from ``batch`` waits for a GPU and stops compilation.

    Returns:
        The number of sequences B.

    Example:
        >>> count_sequences(torch.tensor([0, 0, 1]))
        2
    """
    if batch_size is not None:
        return batch_size
    return int(batch.max()) + 1 if batch.numel() else 0


def lay_out(x: Tensor, frame: Tensor, batch: Tensor, mask: Tensor | None, batch_size: int, length: int) -> Tensor:
    """Lays nodes out by sequence and frame, with zeros where there is no node.

    Args:
        x: Node features ``[*, F]``.
        frame: Int64 ``[*]``, each node's frame in ``[0, length)``; the frame of an absent node does not matter.
        batch: Int64 ``[*]``, each node's sequence in ``[0, B)``.
        mask: Bool ``[*]``, the nodes that are present; ``None`` means all.
        batch_size: The number of sequences B.
        length: Frames of each sequence in the result.

    Returns:
        ``[B, length, F]``.

    Example:
        >>> lay_out(torch.ones(2, 1), torch.tensor([2, 0]), torch.tensor([0, 1]), None, 2, 3).squeeze(-1).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if mask is None:
        return x.new_zeros(batch_size, length, x.size(-1)).index_put((batch, frame), x)
    frame = frame.masked_fill(~mask, length)  # absent nodes share a place that is cut off
    wider = x.new_zeros(batch_size, length + 1, x.size(-1))
    return wider.index_put((batch, frame), zero_absent(x, mask))[:, :length]


def read_back(padded: Tensor, frame: Tensor, batch: Tensor, mask: Tensor | None) -> Tensor:
    """Reads nodes from where :func:`lay_out` put them.

    Args:
        padded: ``[B, length, F]``.
        frame: Int64 ``[*]``, each node's frame.
        batch: Int64 ``[*]``, each node's sequence.
        mask: Bool ``[*]``, the nodes that are present; ``None`` means all.

    Returns:
        ``[*, F]``; rows of absent nodes are 0.

    Example:
        >>> read_back(torch.tensor([[[1.0], [2.0]]]), torch.tensor([1]), torch.tensor([0]), None).tolist()
        [[2.0]]
    """
    if mask is None:
        return padded[batch, frame]
    return zero_absent(padded[batch, frame.masked_fill(~mask, 0)], mask)


class Nodes(NamedTuple):
    """Node features, and which frame of which sequence each node is.

    Attributes:
        x: Features ``[*, L, F]``, or ``[N, F]`` beside ``batch``; rows of absent nodes are 0.
        frame: Int64, each node's frame, shaped like the nodes; ``None`` means in order.
        batch: Int64, each node's sequence; ``None`` where x is dense.
        mask: Bool, shaped like the nodes; ``None`` means that all are present.
        batch_size: The number of sequences B.
        num_nodes: Frames of a sequence at most, M; ``None`` where nobody has said.
    """

    x: Tensor
    frame: Tensor | None
    batch: Tensor | None
    mask: Tensor | None
    batch_size: int
    num_nodes: int | None = None

    @classmethod
    def read(
        cls,
        x: Tensor,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        num_nodes: int | None = None,
    ) -> "Nodes":
        """Reads and checks the arguments of a public ``forward``.

        Args:
            x: Features ``[*, L, F]``, or ``[N, F]`` beside ``batch``.
            frame: Int64, each node's frame.
            batch: Int64 ``[N]``, each node's sequence, sorted.
            mask: Bool, the nodes that are present, shaped like the nodes; ``[B, M]`` beside ``[B, *, M, F]`` serves
                every step.
            batch_size: The number of sequences.
            num_nodes: What frames are below, M; ``None`` where sequences may have any number of frames.

        Raises:
            TypeError: If a dtype has no meaning.
            ValueError: If ranks or sizes do not fit.
            IndexError: If the frame of a present node or the sequence of a node is out of range.

        Example:
            >>> Nodes.read(torch.ones(3, 2), batch=torch.tensor([0, 0, 1])).batch_size
            2
        """
        mask = mask if mask is None else over_steps(x, mask)
        check_nodes(x, frame, batch, mask, batch_size)
        if frame is not None:
            frame = frame.long().expand(x.shape[:-1])
            if mask is not None:
                frame = frame.masked_fill(~mask, 0)  # the frame of an absent node does not matter
            check_range("frame", frame, num_nodes)
        x = x if mask is None else zero_absent(x, mask)
        if batch is None:
            return cls(x, frame, None, mask, prod(x.shape[:-2]), num_nodes)
        batch_size = count_sequences(batch) if batch_size is None else batch_size
        check_range("batch", batch, batch_size)
        return cls(x, frame, batch.long(), mask, batch_size, num_nodes)

    @classmethod
    def read_whole(
        cls,
        x: Tensor,
        frame: Tensor | None,
        batch: Tensor | None,
        mask: Tensor | None,
        batch_size: int | None,
        num_nodes: int | None,
        max_num_nodes: int | None = None,
    ) -> "Nodes":
        """Reads nodes of which each has a frame: named, or in order in sequences of M nodes; see :meth:`read`.

        Where M is not known, the frame of a flat node is its position in its sequence, and ``max_num_nodes`` says how
        many there are at most.
        """
        if num_nodes is None:
            nodes = cls.read(x, frame, batch, mask, batch_size, max_num_nodes)
            return nodes if batch is None else nodes.framed(None)
        if frame is not None or batch is None:
            nodes = cls.read(x, frame, batch, mask, batch_size, num_nodes)
            return nodes if frame is not None or x.size(-2) == num_nodes else nodes.framed(num_nodes)
        check_nodes(x, frame, batch, mask, batch_size)
        frame = frames_in_order(batch, num_nodes, batch_size)
        return cls(zero_absent(x, mask), frame, batch.long(), mask, batch.numel() // num_nodes, num_nodes)

    def length(self, owner: str = "model") -> int:
        """Says how many frames a sequence has at most: those of dense ones, M, or those up to the last named frame.

        Args:
            owner: What an error calls the module that asks.

        Raises:
            ValueError: If it would have to be read on a GPU or in a compiled program.

        Example:
            >>> Nodes.read(torch.ones(3, 2), torch.tensor([0, 4, 1]), torch.tensor([0, 0, 1])).length()
            5
        """
        if self.frame is None and self.batch is None:
            return self.x.size(-2)
        if self.num_nodes is not None:
            return self.num_nodes
        frame = self.frame
        if frame is None or not is_readable(frame) or not (self.mask is None or is_readable(self.mask)):
            raise ValueError(
                f"max_num_nodes is None, but this {owner} takes sequences of any length, and a GPU or a compiled "
                f"program does not read how long the longest is; pass max_num_nodes=, as to to_dense_batch"
            )
        present = frame if self.mask is None else frame[self.mask]
        return int(present.max()) + 1 if present.numel() else 1

    def framed(self, num_nodes: int | None, owner: str = "model") -> "Nodes":
        """Names the frame of every node, unless dense sequences have all M in order.

        Args:
            num_nodes: Frames of a whole sequence, M; ``None`` where sequences may have any number.
            owner: What an error calls the module that asks.

        Raises:
            ValueError: If nodes do not say which frame they are and sequences do not have M nodes.
            IndexError: If flat nodes do not say it and do not stand in sequences of M.
        """
        if self.frame is not None:
            return self
        if num_nodes is None:
            in_order = None if self.batch is None else frames_from_start(self.batch, self.batch_size)
            return self._replace(frame=in_order)
        if self.batch is not None:
            return self._replace(frame=frames_in_order(self.batch, num_nodes, self.batch_size))
        if self.x.size(-2) != num_nodes:
            raise ValueError(
                f"x has {self.x.size(-2)} frames, but this {owner} was built for num_nodes={num_nodes}; pad with "
                f"lgrin.transforms.CyclicPad({num_nodes}), or say with frame= which frames x holds"
            )
        return self

    def is_whole(self, num_nodes: int | None) -> bool:
        """Says whether these are dense sequences ``[B, M, F]`` of all M frames, in order and none of them missing."""
        if self.frame is not None or self.batch is not None or self.mask is not None:
            return False
        return self.x.dim() == 3 and self.x.size(1) == num_nodes

    def placed(self, num_nodes: int | None, owner: str = "model") -> "Nodes":
        """Names the frame and the sequence of every node; arguments and errors as for :meth:`framed`."""
        _, frame, batch, *_ = self.framed(num_nodes, owner)
        if frame is None:
            frame = torch.arange(self.x.size(-2), device=self.x.device).expand(self.x.shape[:-1])
        if batch is None:
            batch = torch.arange(self.batch_size, device=self.x.device)
            batch = batch.view(*self.x.shape[:-2], 1).expand(self.x.shape[:-1])
        return self._replace(frame=frame, batch=batch)

    def lay_out(self, num_nodes: int) -> tuple[Tensor, Tensor]:
        """Lays the nodes out by sequence and frame.

        Args:
            num_nodes: Frames of a whole sequence, M.

        Returns:
            Features ``[B, M, F]``, 0 at missing frames, and bool ``[B, M]``, the frames that exist.

        Example:
            >>> nodes = Nodes.read(torch.ones(3, 1), torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
            >>> nodes.lay_out(num_nodes=3)[1].tolist()
            [[True, True, False], [False, False, True]]
        """
        if self.frame is None and self.batch is None and self.x.size(-2) == num_nodes:
            x, _, _, mask, *_ = self.stacked()
            present = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device) if mask is None else mask
            return zero_absent(x, mask), present
        x, frame, batch, mask, batch_size, _ = self.placed(num_nodes)
        assert frame is not None
        assert batch is not None
        there = torch.ones_like(frame, dtype=torch.bool).unsqueeze(-1)
        padded, present = (lay_out(one, frame, batch, mask, batch_size, num_nodes) for one in (x, there))
        return padded, present.squeeze(-1)

    def stacked(self) -> "Nodes":
        """Joins the leading axes of dense nodes, ``[B, L, F]``; flat nodes stay ``[N, F]``."""
        if self.batch is not None or self.x.dim() == 3:
            return self
        x = self.x.reshape(self.batch_size, *self.x.shape[-2:])
        frame, mask = (None if one is None else one.reshape(x.shape[:2]) for one in (self.frame, self.mask))
        return self._replace(x=x, frame=frame, mask=mask)

    def sum(self, x: Tensor) -> Tensor:
        """Adds up ``x`` over each sequence; 16-bit floats in float32, which the result keeps."""
        x = at_least_float32(x)
        if self.batch is None:
            return x.sum(1)
        return sequence_sum(x, self.batch, self.batch_size)

    def mean(self) -> Tensor:
        """Averages the present nodes of each sequence, ``[B, F]``; 0 for an empty one."""
        if self._is_full():
            return self.x.mean(1)
        total = self.sum(self.x)
        return (total / self.num_present().clamp(min=1).to(total.dtype)).to(self.x.dtype)

    def to_nodes(self, values: Tensor) -> Tensor:
        """Gives every node the value of its sequence: ``[B, F]`` becomes ``[B, 1, F]`` or ``[N, F]``."""
        return values.unsqueeze(1) if self.batch is None else values[self.batch]

    def num_present(self) -> Tensor:
        """Counts the present nodes of each sequence, int64 ``[B, 1]``."""
        present = torch.ones(self.x.shape[:-1], dtype=torch.int64, device=self.x.device)
        return self.sum(present if self.mask is None else self.mask.long()).unsqueeze(-1)

    def segment(self, count: int) -> Tensor:
        """Says which of so many equal parts of its sequence each node lies in, int64, shaped like the nodes.

        A sequence ends with its last present frame. Of n frames, frame f lies in part f count // n.
        """
        frame = self.placed(None).frame
        assert frame is not None
        present = frame + 1 if self.mask is None else (frame + 1).masked_fill(~self.mask, 0)
        if self.batch is None:
            length = present.amax(-1, keepdim=True)
        else:
            length = present.new_zeros(self.batch_size).scatter_reduce(0, self.batch, present, "amax")[self.batch]
        return frame * count // length.clamp(min=1)

    def only(self, chosen: Tensor) -> "Nodes":
        """Keeps the nodes for which a bool is true as the present ones."""
        mask = chosen if self.mask is None else chosen & self.mask
        return self._replace(x=zero_absent(self.x, mask), mask=mask)

    def largest(self) -> Tensor:
        """Finds the largest present feature of each sequence, ``[B, F]``."""
        if self._is_full() and not torch.is_grad_enabled():
            return self.x.amax(1)  # only a gradient needs the frame
        return self.max()[0]

    def max(self) -> tuple[Tensor, Tensor]:
        """Finds the largest present feature of each sequence; at a tie the lowest frame, then the lowest node.

        Returns:
            The maxima ``[B, F]`` and the frames that they come from ``[B, F]``; 0 and -1 for an empty sequence.
        """
        nodes = self if self._is_sorted() else self._sorted_by_frame()
        x = nodes.x if nodes.mask is None else nodes.x.masked_fill(~nodes.mask.unsqueeze(-1), -torch.inf)
        if nodes.batch is None:
            values, source = x.max(1)  # documented to return the first of equal maxima
            frame = source if nodes.frame is None else nodes.frame.gather(1, source)
            if self._is_full():
                return values, frame
        else:
            values, source = sequence_max(x, nodes.batch, self.batch_size)
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
        holds = self.x == self.to_nodes(largest)
        if self.mask is not None:
            holds = holds & self.mask.unsqueeze(-1)
        shared = self.to_nodes(self.sum(holds.double()).clamp(min=1))
        return self._replace(x=(holds / shared).sum(-1, keepdim=True)).max()[1].squeeze(-1)

    def _is_full(self) -> bool:
        """Whether no sequence can be empty and every node counts."""
        return self.batch is None and self.mask is None and self.x.size(1) > 0

    def _is_sorted(self) -> bool:
        """Whether the nodes of each sequence stand in the order of their frames, where it costs nothing to know."""
        if self.frame is None or not is_readable(self.frame):
            return self.frame is None
        ascends = self.frame.diff() > 0
        return bool((ascends if self.batch is None else ascends | (self.batch.diff() > 0)).all())

    def _sorted_by_frame(self) -> "Nodes":
        assert self.frame is not None
        frame, order = self.frame.sort(dim=-1, stable=True)
        if self.batch is not None:
            if is_readable(frame):  # the kernel of the maximum reads sequence by sequence, what compiles does not
                order = order[self.batch[order].sort(stable=True)[1]]
                frame = self.frame[order]
            mask = None if self.mask is None else self.mask[order]
            return self._replace(x=self.x[order], frame=frame, batch=self.batch[order], mask=mask)
        mask = None if self.mask is None else self.mask.gather(1, order)
        return self._replace(x=self.x.gather(1, order.unsqueeze(-1).expand_as(self.x)), frame=frame, mask=mask)


def frames_in_order(batch: Tensor, num_nodes: int, batch_size: int | None = None) -> Tensor:
    """Numbers the nodes of each sequence, all of which have ``num_nodes`` nodes.

    Args:
        batch: Int64 ``[N]``, each node's sequence, sorted.
        num_nodes: Nodes of every sequence, M.
        batch_size: The number of sequences, where it is known.

    Returns:
        The frames ``[N]``.

    Raises:
        ValueError: If N is not M times the number of sequences.
        IndexError: If a sequence has more or less than M nodes, or they do not stand next to each other.

    Example:
        >>> frames_in_order(torch.tensor([0, 0, 1, 1]), num_nodes=2).tolist()
        [0, 1, 0, 1]
    """
    num_sequences, rest = divmod(batch.numel(), num_nodes)
    if rest or batch_size not in (None, num_sequences):
        count = "" if batch_size is None else f" of {batch_size} sequences"
        raise ValueError(
            f"frame is None, but batch has {batch.numel()} nodes{count}, not num_nodes={num_nodes} for each; pass "
            f"frame= to say which frame each node is, or pad with lgrin.transforms.CyclicPad({num_nodes})"
        )
    expected = torch.arange(num_sequences, device=batch.device).repeat_interleave(num_nodes)
    _refuse_other_order(batch, expected, num_nodes)
    return torch.arange(num_nodes, device=batch.device).repeat(num_sequences)


def _refuse_other_order(batch: Tensor, expected: Tensor, num_nodes: int) -> None:
    """Raises, or asserts on the device, unless sequences of num_nodes nodes follow each other."""
    if torch.compiler.is_exporting():
        return
    if torch.compiler.is_compiling() or batch.is_cuda:
        torch._assert_async((batch == expected).all(), "batch does not give every sequence num_nodes nodes in a row")
    elif is_readable(batch) and not torch.equal(batch, expected):
        node = int((batch != expected).nonzero()[0])
        raise IndexError(
            f"frame is None and batch[{node}] is {int(batch[node])}, not {int(expected[node])}: without frame= each "
            f"sequence has num_nodes={num_nodes} nodes in a row; pass frame= to say which frame each node is"
        )


def frames_from_start(batch: Tensor, batch_size: int) -> Tensor:
    """Numbers the nodes of each sequence from 0.

    Args:
        batch: Int64 ``[N]``, each node's sequence, sorted.
        batch_size: The number of sequences.

    Returns:
        The positions ``[N]``.

    Example:
        >>> frames_from_start(torch.tensor([0, 0, 1]), batch_size=2).tolist()
        [0, 1, 0]
    """
    first = torch.searchsorted(batch, torch.arange(batch_size, device=batch.device))
    return torch.arange(batch.numel(), device=batch.device) - first[batch]
