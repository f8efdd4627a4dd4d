"""Sequences of unequal length on one graph over frames."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from lgrin.arguments import check_index, check_range
from lgrin.graph.banded import BandedGraph
from lgrin.graph.base import Graph
from lgrin.graph.dense import DenseGraph
from lgrin.graph.stationary import StationaryGraph
from lgrin.nodes import is_readable, lay_out, read_back, zero_absent

MatrixGraph: TypeAlias = DenseGraph | BandedGraph  # a graph with weights of its own for each frame
FrameGraph: TypeAlias = MatrixGraph | StationaryGraph  # a graph over the frames of a sequence
WORTH_PADDING = 0.75  # part of the padding that nodes fill from which on the padding is the faster layout


class RaggedGraph(NamedTuple):
    """Sequences of unequal length on a matrix over frames: each node says which frame of which sequence it is.

    Nothing is stored per edge. Features are laid out in ``[B, M, F]`` by frame, the padded layout does the work,
    and the results of the nodes that exist are read back. On a CPU the padding ends with the longest sequence of the
    batch; on a GPU, and in compiled programs, it is M frames long, since a look at the frames would stall them.

    Attributes:
        padded: A dense, banded or stationary graph whose mask ``[B, M]`` says which frames exist; ``None`` means that
            nodes fill all frames of all sequences, one after the other.
        frame: Int64 ``[N]`` (or ``[*, L]`` beside dense features), each node's frame in ``[0, M)``.
        batch: Int64 of the same shape, each node's sequence in ``[0, B)``.
        mask: Bool of the same shape, the nodes that are present; ``None`` means all. The frame of an absent node
            does not matter.

    Example:
        >>> import torch
        >>> frame, batch = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])
        >>> graph = RaggedGraph.place(DenseGraph(torch.ones(2, 2)), frame, batch, batch_size=2)
        >>> graph.aggregate(torch.tensor([[1.0], [2.0], [5.0]])).flatten().tolist()
        [3.0, 3.0, 5.0]
    """

    padded: FrameGraph
    frame: Tensor
    batch: Tensor
    mask: Tensor | None = None

    @classmethod
    def place(
        cls,
        graph: FrameGraph,
        frame: Tensor,
        batch: Tensor,
        batch_size: int,
        mask: Tensor | None = None,
    ) -> "RaggedGraph":
        """Places nodes on a graph over frames.

        Args:
            graph: The graph over M frames; its own mask is replaced, and a scale beside it left out.
            frame: Int64 ``[N]``, each node's frame in ``[0, M)``, no frame twice in a sequence.
            batch: Int64 ``[N]``, each node's sequence in ``[0, B)``.
            batch_size: The number of sequences B.
            mask: Bool ``[N]``, the nodes that are present; ``None`` means all.

        Returns:
            The ragged graph.

        Raises:
            TypeError: If frame or batch are no whole numbers.
            IndexError: If the frame of a present node or the sequence of a node is out of range.
        """
        check_index("frame", frame)
        check_index("batch", batch)
        check_range("frame", frame, graph.num_nodes, mask)
        check_range("batch", batch, batch_size)
        if graph.mask is not None:  # the scale counts the frames of that mask
            graph = graph._replace(mask=None, scale=None)
        return cls.place_checked(graph, frame, batch, batch_size, mask, graph.num_nodes)

    @classmethod
    def place_checked(
        cls,
        graph: FrameGraph,
        frame: Tensor,
        batch: Tensor,
        batch_size: int,
        mask: Tensor | None,
        num_nodes: int,
    ) -> "RaggedGraph":
        """Places nodes whose frames and sequences were checked already on a graph of M nodes; see :meth:`place`."""
        if frame.numel() == batch_size * num_nodes and _is_in_order(frame, batch, num_nodes):
            present = None if mask is None else mask.reshape(batch_size, num_nodes)
            return cls(graph._replace(mask=present), frame, batch, mask)
        length = _longest(frame, mask, num_nodes)
        there = torch.ones_like(frame, dtype=torch.bool).unsqueeze(-1)
        present = lay_out(there, frame, batch, mask, batch_size, length).squeeze(-1)
        return cls(graph.first(length)._replace(mask=present), frame, batch, mask)

    @property
    def heads(self) -> int:
        """The number of graphs K over the same nodes."""
        return self.padded.heads

    @property
    def present(self) -> Tensor:
        """Bool ``[B, M]``, the frames that exist in each sequence."""
        if self.padded.mask is not None:
            return self.padded.mask
        return self.frame.new_ones(self.frame.numel() // self.padded.num_nodes, self.padded.num_nodes, dtype=torch.bool)

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x for ``[N, F]``; of several heads ``[A_1 x | ... | A_K x]``, ``[N, K F]``."""
        return self.read_back(self._unmasked().aggregate(self.lay_out(x)))

    def combine(self, x: Tensor) -> Tensor:
        """Adds up A_k @ x_k over the heads for ``[N, K F]``, ``[N, F]``."""
        return self.read_back(self._unmasked().combine(self.lay_out(x)))

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours, ``[N, F]``."""
        return self.read_back(self.padded.neighbor_max(self.lay_out(x)))

    def line_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over the frames before and after, whatever the weights are; 0 where both are absent."""
        return self.read_back(self.padded.line_max(self.lay_out(x)))

    def _unmasked(self) -> FrameGraph:
        """The padded graph for sums: absent nodes are laid out as 0 and not read back, so no mask is needed."""
        return self.padded._replace(mask=None)

    def lay_out(self, x: Tensor) -> Tensor:
        """Lays ``[N, F]`` out by sequence and frame, ``[B, M, F]``, with zeros where there is no node."""
        if self.padded.mask is None:
            return x.reshape(-1, self.padded.num_nodes, x.size(-1))
        batch_size, num_nodes = self.padded.mask.shape
        return lay_out(x, self.frame, self.batch, self.mask, batch_size, num_nodes)

    def read_back(self, padded: Tensor) -> Tensor:
        """Reads ``[N, F]`` from where :meth:`lay_out` put it."""
        if self.padded.mask is None:
            return padded.reshape(*self.frame.shape, padded.size(-1))
        return read_back(padded, self.frame, self.batch, self.mask)

    def through(self, layers: Callable[[Tensor, Graph], Tensor], x: Tensor) -> Tensor:
        """Runs several layers on nodes that are laid out once, where that is faster.

        It is where nodes fill three quarters of their padding; below, the linear layers would compute more padding than
        nodes. Compiled programs, whose nodes may change in number from batch to batch, and GPUs, where reading the
        frames would wait for the device, keep the nodes as they are.

        Args:
            layers: Called with features and a graph; returns features of the same nodes.
            x: Features ``[N, F]``.

        Returns:
            Features ``[N, F']``.

        Example:
            >>> frame, batch = torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1])
            >>> graph = RaggedGraph.place(DenseGraph(torch.ones(2, 2)), frame, batch, batch_size=2)
            >>> graph.through(lambda x, graph: graph.aggregate(x), torch.ones(3, 1)).flatten().tolist()
            [2.0, 2.0, 1.0]
        """
        mask, count = self.padded.mask, self.frame.numel()
        if mask is not None and (count < WORTH_PADDING * mask.numel() or not is_readable(self.frame)):
            return layers(x, self)
        if mask is None or count != mask.numel() or not _is_in_order(self.frame, self.batch, mask.size(1)):
            return self.read_back(layers(self.lay_out(x), self.padded))
        padded = zero_absent(x, self.mask).reshape(*mask.shape, x.size(-1))  # the padding is the nodes as they stand
        out = layers(padded, self.padded)
        return out.reshape(*self.frame.shape, out.size(-1))


def _is_in_order(frame: Tensor, batch: Tensor, num_nodes: int) -> bool:
    """Whether nodes fill all sequences one after the other, where it costs nothing to know."""
    if not is_readable(frame):
        return False
    place = batch * num_nodes + frame
    return torch.equal(place.flatten(), torch.arange(place.numel()))


def _longest(frame: Tensor, mask: Tensor | None, num_nodes: int) -> int:
    """The number of frames that the longest sequence reaches to, where it costs nothing to know."""
    if not is_readable(frame) or not (mask is None or is_readable(mask)):
        return num_nodes
    present = frame if mask is None else frame[mask]
    return min(num_nodes, max(1, int(present.max()) + 1)) if present.numel() else 1
