"""From nodes to sequences, Eq. (6)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from lgrin.arguments import check_nodes
from lgrin.graph import count_sequences, frames_from_start, frames_in_order, hide, wide
from lgrin.options import check_option, check_whole

INITS = ("mean", "ones", "xavier")
PARTS = ("max", "learned", "mean", "sum")


class Sequences(NamedTuple):
    """Node features with what says which node belongs where, ready to be reduced over each sequence.

    Attributes:
        x: Features ``[B, L, F]``, or ``[N, F]`` beside ``batch``; rows of absent nodes are 0.
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
    ) -> "Sequences":
        """Reads the arguments of a pooling layer.

        Raises:
            ValueError: If ranks or sizes do not fit.
        """
        check_nodes(x, frame, batch, mask, batch_size)
        frame = None if frame is None else frame.long().expand(x.shape[:-1])
        if mask is not None and frame is not None:
            frame = frame.masked_fill(~mask, 0)  # whatever the frame of an absent node was
        x = hide(x, mask)
        if batch is not None:
            return cls(x, frame, batch.long(), mask, count_sequences(batch, batch_size))
        if x.dim() == 2:
            x = x.unsqueeze(0)
            frame, mask = (None if one is None else one.unsqueeze(0) for one in (frame, mask))
        return cls(x, frame, None, mask, x.size(0))

    def sum(self, x: Tensor) -> Tensor:
        """Adds up ``x`` over each sequence."""
        if self.batch is None:
            return x.sum(1)
        return wide(x).new_zeros(self.batch_size, *x.shape[1:]).index_add(0, self.batch, wide(x)).to(x.dtype)

    def mean(self) -> Tensor:
        """Averages the present nodes of each sequence, ``[B, F]``; 0 for an empty one."""
        if self._is_full():
            return self.x.mean(1)
        return self.sum(self.x) / self.num_present().clamp(min=1).to(self.x.dtype)

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
        holds = self.x == (largest.unsqueeze(1) if self.batch is None else largest[self.batch])
        if self.mask is not None:
            holds = holds & self.mask.unsqueeze(-1)
        shared = self.sum(holds.double()).clamp(min=1)
        shared = shared.unsqueeze(1) if self.batch is None else shared[self.batch]
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


class LearnablePool(Module):
    r"""Adds up the nodes of a sequence, each frame with its own learned weight.

    .. math:: \Psi(H) = \sum_i p_i H_i

    Frames that a sequence does not have add nothing; p is not renormalised for them.

    Args:
        num_nodes: Frames per sequence, M.
        init: ``"mean"`` 1/M, ``"ones"`` (the released code) or ``"xavier"`` (the paper).

    Shapes:
        - **x:** ``[B, M, F]``, ``[M, F]``, or flat ``[N, F]`` beside ``batch``
        - **frame:** int64, each node's frame; ``None`` means 0..M-1, or the position in sequences of M nodes each
        - **batch:** int64 ``[N]``, sorted; **mask:** bool, shaped like the nodes; **batch_size:** B
        - **output:** ``[B, F]``

    Raises:
        ValueError: If ranks or sizes do not fit or the option is unknown.

    Source:
        Second part of Eq. (6) of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> LearnablePool(2, init="ones")(torch.tensor([[[1.0], [3.0]]])).item()
        4.0
    """

    def __init__(self, num_nodes: int, init: str = "mean") -> None:
        super().__init__()
        check_whole("num_nodes", num_nodes)
        check_option("init", init, INITS)
        self.num_nodes, self.init = num_nodes, init
        self.weight = Parameter(torch.empty(num_nodes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws or sets the start again."""
        if self.init == "xavier":
            torch.nn.init.xavier_uniform_(self.weight.data.unsqueeze(-1))
        else:
            torch.nn.init.constant_(self.weight, 1.0 if self.init == "ones" else 1 / self.num_nodes)

    def forward(
        self,
        x: Tensor,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Pools nodes into ``[B, F]``; see the class."""
        return self.pool(Sequences.read(x, frame, batch, mask, batch_size))

    def pool(self, nodes: Sequences) -> Tensor:
        """Pools nodes that were read already."""
        weight = self.frame_weight(nodes)
        if nodes.batch is None:
            return torch.matmul(weight.unsqueeze(-2), nodes.x).squeeze(-2)
        return nodes.sum(nodes.x * weight.unsqueeze(-1))

    def frame_weight(self, nodes: Sequences) -> Tensor:
        """Looks up p for every node.

        Raises:
            ValueError: If nodes do not say which frame they are and their number is not M.
        """
        frame = nodes.frame
        if frame is None and nodes.batch is not None:
            frame, _ = frames_in_order(nodes.batch, self.num_nodes, nodes.batch_size)
        if frame is not None:
            return self.weight[frame]
        if nodes.x.size(1) != self.num_nodes:
            raise ValueError(
                f"x has {nodes.x.size(1)} frames, but this pool was built for num_nodes={self.num_nodes}; pad with "
                f"lgrin.transforms.CyclicPad({self.num_nodes}), or say with frame= which frames x holds"
            )
        return self.weight

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_nodes}, init={self.init!r})"


class GraphReadout(Module):
    r"""Describes a sequence by several summaries of its nodes side by side.

    .. math:: h_G = \left[ \, \max_i H_i \mid \sum_i p_i H_i \mid \frac{1}{|V|} \sum_i H_i \, \right]

    Args:
        num_nodes: Frames per sequence, M; used by the part ``"learned"`` only.
        parts: Any of ``"max"``, ``"learned"``, ``"mean"`` and ``"sum"``, in the order of the output.
        init: Start of the learned part, see :class:`LearnablePool`.

    Shapes:
        - **x, frame, batch, mask, batch_size:** as for :class:`LearnablePool`. Without a learned part, sequences of any
          number of nodes need no ``frame``.
        - **output:** ``[B, len(parts) * F]``; an empty sequence gives 0

    Raises:
        ValueError: If ranks or sizes do not fit or an option is unknown.

    Source:
        Eq. (6) of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> GraphReadout(2)(torch.tensor([[[1.0], [3.0]]])).tolist()
        [[3.0, 2.0, 2.0]]
    """

    def __init__(self, num_nodes: int, parts: Sequence[str] = ("max", "learned", "mean"), init: str = "mean") -> None:
        super().__init__()
        if not parts:
            raise ValueError(f"parts is empty; it may hold {', '.join(map(repr, PARTS))}")
        for part in parts:
            check_option("parts", part, PARTS)
        self.num_nodes, self.parts = num_nodes, tuple(parts)
        self.learned = LearnablePool(num_nodes, init) if "learned" in parts else None

    def reset_parameters(self) -> None:
        """Resets the learned part."""
        if self.learned is not None:
            self.learned.reset_parameters()

    def forward(
        self,
        x: Tensor,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Reads nodes out into ``[B, len(parts) * F]``; see the class."""
        nodes = Sequences.read(x, frame, batch, mask, batch_size)
        return torch.cat([self._part(part, nodes) for part in self.parts], dim=-1)

    def _part(self, part: str, nodes: Sequences) -> Tensor:
        if part == "max":
            return nodes.largest()
        if part == "mean":
            return nodes.mean()
        if part == "sum":
            return nodes.sum(nodes.x)
        assert self.learned is not None
        return self.learned.pool(nodes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_nodes}, parts={self.parts})"
