"""From nodes to sequences, Eq. (6)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from lgrin.graph import count_sequences, frames_from_start, frames_in_order, hide
from lgrin.options import check_option, check_positive

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
        if x.dim() not in (2, 3):
            raise ValueError(f"x has shape {list(x.shape)}; node features are [N, F], [M, F] or [B, M, F]")
        if mask is not None and (mask.dtype != torch.bool or mask.shape != x.shape[:-1]):
            raise ValueError(
                f"mask is {mask.dtype} {list(mask.shape)}; for x {list(x.shape)} it has to be torch.bool "
                f"{list(x.shape[:-1])}"
            )
        if frame is not None and frame.shape not in (x.shape[:-1], x.shape[-2:-1]):
            raise ValueError(f"frame has shape {list(frame.shape)}; for x {list(x.shape)} it is {list(x.shape[:-1])}")
        x = hide(x, mask)
        if batch is None:
            if x.dim() == 2:
                x, mask = x.unsqueeze(0), None if mask is None else mask.unsqueeze(0)
            if batch_size not in (None, x.size(0)):
                raise ValueError(f"batch_size is {batch_size}, but x {list(x.shape)} holds {x.size(0)} sequences")
            return cls(x, frame, None, mask, x.size(0))
        if x.dim() == 3 or batch.shape != x.shape[:1]:
            raise ValueError(
                f"batch has shape {list(batch.shape)} beside x {list(x.shape)}; batch is [N] for flat x [N, F], "
                f"and dense x [B, M, F] needs none"
            )
        return cls(x, frame, batch, mask, count_sequences(batch, batch_size))

    def sum(self, x: Tensor) -> Tensor:
        """Adds up ``x`` over each sequence."""
        if self.batch is None:
            return x.sum(1)
        return x.new_zeros(self.batch_size, *x.shape[1:]).index_add(0, self.batch, x)

    def num_present(self) -> Tensor:
        """Counts the present nodes of each sequence, ``[B, 1]``; at least 1."""
        present = self.x.new_ones(self.x.shape[:-1]) if self.mask is None else self.mask.to(self.x.dtype)
        return self.sum(present).clamp(min=1).unsqueeze(-1)

    def max(self) -> tuple[Tensor, Tensor]:
        """Finds the largest present feature of each sequence; at a tie the lowest frame, then the lowest node.

        Returns:
            The maxima ``[B, F]`` and the frames that they come from ``[B, F]``; 0 and -1 for an empty sequence.
        """
        nodes = self._sorted_by_frame()
        x = nodes.x if nodes.mask is None else nodes.x.masked_fill(~nodes.mask.unsqueeze(-1), -torch.inf)
        if nodes.batch is None:
            values, source = x.max(1)  # documented to return the first of equal maxima
            frame = source if nodes.frame is None else nodes.frame.expand(x.shape[:-1]).gather(1, source)
        else:
            values, source = _first_max(x, nodes.batch, self.batch_size)
            frame = frames_from_start(nodes.batch, self.batch_size) if nodes.frame is None else nodes.frame
            frame = frame[source]
        empty = ~nodes.exists()
        return values.masked_fill(empty, 0), frame.masked_fill(empty, -1)

    def exists(self) -> Tensor:
        """Says which sequences have a present node, bool ``[B, 1]``."""
        if self.mask is None and self.batch is None:
            return self.x.new_ones(self.batch_size, 1, dtype=torch.bool)
        present = self.x.new_ones(self.x.shape[:-1]) if self.mask is None else self.mask.to(self.x.dtype)
        return (self.sum(present) > 0).unsqueeze(-1)

    def _sorted_by_frame(self) -> "Sequences":
        if self.frame is None:
            return self
        frame, order = self.frame.expand(self.x.shape[:-1]).sort(dim=-1, stable=True)
        if self.batch is not None:
            mask = None if self.mask is None else self.mask[order]
            return self._replace(x=self.x[order], frame=frame, batch=self.batch[order], mask=mask)
        mask = None if self.mask is None else self.mask.gather(1, order)
        return self._replace(x=self.x.gather(1, order.unsqueeze(-1).expand_as(self.x)), frame=frame, mask=mask)


def _first_max(x: Tensor, batch: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """The maximum of each sequence of ``[N, F]`` and the first row that holds it."""
    index = batch.unsqueeze(-1).expand_as(x)
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
        check_positive("num_nodes", num_nodes)
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
        weight = self._frame_weight(nodes)
        if nodes.batch is None:
            return torch.matmul(weight.unsqueeze(-2), nodes.x).squeeze(-2)
        return nodes.sum(nodes.x * weight.unsqueeze(-1))

    def _frame_weight(self, nodes: Sequences) -> Tensor:
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
            return nodes.max()[0]
        if part == "mean":
            return nodes.sum(nodes.x) / nodes.num_present()
        if part == "sum":
            return nodes.sum(nodes.x)
        assert self.learned is not None
        return self.learned.pool(nodes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_nodes}, parts={self.parts})"
