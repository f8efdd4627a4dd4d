"""From nodes to sequences, Eq. (6)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from lgrin.graph import frames_in_order, wide
from lgrin.nn.calls import is_plain, needs_call
from lgrin.nn.sequences import Sequences
from lgrin.options import check_option, check_whole

INITS = ("mean", "ones", "xavier")
PARTS = ("max", "learned", "mean", "sum")


class LearnablePool(Module):
    r"""Adds up the nodes of a sequence, each frame with its own learned weight.

    .. math:: \Psi(H) = \sum_i p_i H_i

    Frames that a sequence does not have add nothing; p is not renormalised for them.

    Args:
        num_nodes: Frames per sequence, M.
        init: ``"mean"`` 1/M, ``"ones"`` (the released code) or ``"xavier"`` (the paper).

    Shapes:
        - **x:** ``[*, M, F]``, or flat ``[N, F]`` beside ``batch``
        - **frame:** int64, each node's frame in ``[0, M)``; ``None`` means 0..M-1, or the position in sequences of M
          nodes each
        - **batch:** int64 ``[N]``, sorted; **mask:** bool, shaped like the nodes; **batch_size:** B
        - **output:** ``[*, F]``, ``[1, F]`` for x ``[M, F]``; ``[B, F]`` beside ``batch``

    Raises:
        ValueError: If ranks or sizes do not fit or the option is unknown.
        IndexError: If the frame of a present node or the sequence of a node is out of range.

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
        """Pools nodes into ``[*, F]``; see the class."""
        nodes = Sequences.read(x, frame, batch, mask, batch_size, self.num_nodes)
        return nodes.unfold(self.pool(nodes), x)

    def pool(self, nodes: Sequences) -> Tensor:
        """Pools nodes that were read already."""
        weight = self.frame_weight(nodes)
        if nodes.batch is None:
            return torch.matmul(weight.unsqueeze(-2), nodes.x).squeeze(-2)
        total = nodes.sum(wide(nodes.x) * weight.unsqueeze(-1))
        return total.to(torch.promote_types(nodes.x.dtype, weight.dtype))

    def frame_weight(self, nodes: Sequences) -> Tensor:
        """Looks up p for every node.

        Raises:
            ValueError: If nodes do not say which frame they are and their number is not M.
        """
        frame = self.frames_of(nodes)
        return self.weight if frame is None else self.weight[frame]

    def frames_of(self, nodes: Sequences) -> Tensor | None:
        """Says which frame every node is, without a look at p; ``None`` means 0..M-1 in every sequence.

        Raises:
            ValueError: If nodes do not say which frame they are and their number is not M.
        """
        frame = nodes.frame
        if frame is None and nodes.batch is not None:
            frame, _ = frames_in_order(nodes.batch, self.num_nodes, nodes.batch_size)
        if frame is None and nodes.x.size(1) != self.num_nodes:
            raise ValueError(
                f"x has {nodes.x.size(1)} frames, but this pool was built for num_nodes={self.num_nodes}; pad with "
                f"lgrin.transforms.CyclicPad({self.num_nodes}), or say with frame= which frames x holds"
            )
        return frame

    def weights(self) -> Tensor:
        """Returns p, ``[M]``, as a call of this module uses it.

        Example:
            >>> LearnablePool(2).weights().tolist()
            [0.5, 0.5]
        """
        if not needs_call(self):
            return self.weight
        stored = next(self.parameters())
        node = torch.arange(self.num_nodes, device=stored.device)
        alone = torch.ones(self.num_nodes, 1, dtype=stored.dtype, device=stored.device)  # a sequence a frame
        return self(alone, node, node, batch_size=self.num_nodes).squeeze(-1)

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
        - **output:** ``[*, len(parts) * F]`` likewise; an empty sequence gives 0

    Raises:
        ValueError: If ranks or sizes do not fit or an option is unknown.
        IndexError: If the frame of a present node or the sequence of a node is out of range.

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
        """Reads nodes out into ``[*, len(parts) * F]``; see the class."""
        nodes = Sequences.read(x, frame, batch, mask, batch_size, self.num_nodes)
        return nodes.unfold(torch.cat([self._part(part, nodes) for part in self.parts], dim=-1), x)

    def _part(self, part: str, nodes: Sequences) -> Tensor:
        if part == "max":
            return nodes.largest()
        if part == "mean":
            return nodes.mean()
        if part == "sum":
            return nodes.sum(nodes.x).to(nodes.x.dtype)
        assert self.learned is not None
        if is_plain(self.learned, LearnablePool):
            return self.learned.pool(nodes)
        return self.learned(nodes.x, nodes.frame, nodes.batch, nodes.mask, nodes.batch_size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_nodes}, parts={self.parts})"
