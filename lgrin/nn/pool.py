"""From nodes to sequences, Eq. (6)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import LazyLinear, Module, Parameter
from torch_geometric.nn.inits import reset

from lgrin.arguments import one_place
from lgrin.nn.fused import is_plain, needs_call
from lgrin.nn.structure import REDUCTIONS
from lgrin.nodes import Nodes, at_least_float32, zero_absent
from lgrin.ops.summaries import bounds_of_dense, find_bounds, is_ordinary, summarize
from lgrin.options import check_option, check_whole


def _mean(weight: Tensor) -> None:
    torch.nn.init.constant_(weight, 1 / weight.numel())


def _xavier(weight: Tensor) -> None:
    torch.nn.init.xavier_uniform_(weight.data.unsqueeze(-1))


INITS: dict[str, Callable[[Tensor], Any]] = {"mean": _mean, "ones": torch.nn.init.ones_, "xavier": _xavier}


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
          nodes each; **node:** another name of it
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
        check_option("init", init, tuple(INITS))
        self.num_nodes, self.init = num_nodes, init
        self.weight = Parameter(torch.empty(num_nodes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws or sets the start again."""
        INITS[self.init](self.weight)

    def forward(
        self,
        x: Tensor,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        *,
        node: Tensor | None = None,
    ) -> Tensor:
        """Pools nodes into ``[*, F]``; see the class."""
        frame = frame if node is None else one_place(frame, node)
        nodes = Nodes.read(x, frame, batch, mask, batch_size, self.num_nodes).stacked()
        return unstacked(self.pool(nodes), x)

    def pool(self, nodes: Nodes) -> Tensor:
        """Pools nodes that were read already, ``[B, F]``."""
        if nodes.frame is None and (nodes.batch is not None or nodes.x.size(1) != self.num_nodes):
            nodes = nodes.framed(self.num_nodes, "pool")
        frame = nodes.frame
        weight = self.weight if frame is None else self.weight[frame]
        if nodes.batch is None:
            return torch.matmul(weight.unsqueeze(-2), nodes.x).squeeze(-2)
        total = nodes.sum(at_least_float32(nodes.x) * weight.unsqueeze(-1))
        return total.to(torch.promote_types(nodes.x.dtype, weight.dtype))

    def penalty(self, lambda_pool: float = 1e-4, reduction: str = "mean") -> Tensor:
        r"""Prices p, :math:`\lambda_3 \sum_i p_i^2`.

        Args:
            lambda_pool: The paper's lambda_3.
            reduction: ``"sum"`` (the paper) or ``"mean"`` (the released code).

        Returns:
            A scalar.

        Raises:
            ValueError: If the reduction is unknown.

        Example:
            >>> LearnablePool(4).penalty(1.0).item()
            0.0625
        """
        check_option("reduction", reduction, REDUCTIONS)
        squares = at_least_float32(self.weights()).square()
        return lambda_pool * (squares.mean() if reduction == "mean" else squares.sum())

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


class AttentionPool(Module):
    r"""Averages the nodes of a sequence, each with a weight that its own features decide.

    .. math:: \frac{\sum_i e^{s_i} H_i}{\sum_i e^{s_i}}, \qquad s_i = w^\top H_i + b

    It has no weights for places, so that sequences may have any length. F is read off the first call.

    Args:
        num_nodes: Not needed.

    Shapes:
        - **x, frame, batch, mask, batch_size:** as for :class:`LearnablePool`, with any number of nodes
        - **output:** ``[*, F]``; an empty sequence gives 0

    Raises:
        ValueError: If ranks or sizes do not fit.

    Source:
        Global attention of Li, Tarlow, Brockschmidt and Zemel, 2016, with a linear gate;
        :class:`torch_geometric.nn.aggr.AttentionalAggregation` computes it with any gate.

    Example:
        >>> AttentionPool()(torch.rand(2, 7, 3)).shape
        torch.Size([2, 3])
    """

    def __init__(self, num_nodes: int | None = None) -> None:
        super().__init__()
        self.score: Any = LazyLinear(1)

    def reset_parameters(self) -> None:
        """Draws the weights of the score again."""
        self.score.reset_parameters()

    def forward(
        self,
        x: Tensor,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        *,
        node: Tensor | None = None,
    ) -> Tensor:
        """Pools nodes into ``[*, F]``; see the class."""
        frame = frame if node is None else one_place(frame, node)
        nodes = Nodes.read(x, frame, batch, mask, batch_size).stacked()
        return unstacked(self.pool(nodes), x)

    def pool(self, nodes: Nodes) -> Tensor:
        """Pools nodes that were read already, ``[B, F]``."""
        return self.read(self.state(nodes)).to(nodes.x.dtype)

    def state(self, nodes: Nodes) -> tuple[Tensor, Tensor, Tensor]:
        """Adds up a part of a sequence: the largest score ``[B, 1]``, and relative to it weights and weighted nodes."""
        score = at_least_float32(self.score(nodes.x))
        largest = nodes._replace(x=score.detach()).max()[0]
        weight = (score - nodes.to_nodes(largest)).exp()
        weight = weight if nodes.mask is None else zero_absent(weight, nodes.mask)
        return largest, nodes.sum(weight), nodes.sum(weight * nodes.x)

    @staticmethod
    def read(state: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Divides what :meth:`state` has added up, ``[B, F]``."""
        _, total, weighted = state
        return weighted / total.masked_fill(total == 0, 1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _sum(nodes: Nodes) -> Tensor:
    return nodes.sum(nodes.x).to(nodes.x.dtype)


PARTS: dict[str, Callable[[Nodes], Tensor] | type[Module]] = {
    "max": Nodes.largest,
    "learned": LearnablePool,
    "mean": Nodes.mean,
    "sum": _sum,
    "attention": AttentionPool,
}
OF_PLACES = ("learned",)  # parts with a weight for each frame
AT_ONCE = ("max", "learned", "mean")  # parts that one look at a node serves; the last one's gradient is counted first


class GraphReadout(Module):
    r"""Describes a sequence by several summaries of its nodes side by side.

    .. math:: h_G = \left[ \, \max_i H_i \mid \sum_i p_i H_i \mid \frac{1}{|V|} \sum_i H_i \, \right]

    Args:
        num_nodes: Frames per sequence, M; used by the part ``"learned"`` only, and ``None`` without it.
        parts: Any of ``"max"``, ``"learned"``, ``"mean"``, ``"sum"`` and ``"attention"`` (:class:`AttentionPool`), in
            the order of the output. A further part is a line in ``lgrin.nn.pool.PARTS``: a function of
            :class:`lgrin.nodes.Nodes`, or a module that is built with M and called like :class:`LearnablePool`.
        init: Start of the learned part, see :class:`LearnablePool`.
        segments: Over how many equal parts of a sequence the summaries go, one number after the other: ``(1, 4)``
            describes the whole and its quarters. The learned part, which has its own weights for places, describes
            the whole alone.

    Shapes:
        - **x, frame, batch, mask, batch_size:** as for :class:`LearnablePool`. Without a learned part, sequences of any
          number of nodes need no ``frame``.
        - **output:** ``[*, len(parts) * F]`` likewise, with segments ``[*, K F]``; an empty sequence gives 0

    Raises:
        ValueError: If ranks or sizes do not fit or an option is unknown.
        IndexError: If the frame of a present node or the sequence of a node is out of range.

    Source:
        Eq. (6) of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> GraphReadout(2)(torch.tensor([[[1.0], [3.0]]])).tolist()
        [[3.0, 2.0, 2.0]]
        >>> GraphReadout(None, ("max",), segments=(1, 2))(torch.tensor([[[1.0], [3.0], [2.0]]])).tolist()
        [[3.0, 3.0, 2.0]]
    """

    segments: tuple[int, ...] = (1,)  # of readouts that were pickled before there was a choice

    def __init__(
        self,
        num_nodes: int | None,
        parts: Sequence[str] = ("max", "learned", "mean"),
        init: str = "mean",
        segments: Sequence[int] = (1,),
    ) -> None:
        super().__init__()
        if not parts:
            raise ValueError(f"parts is empty; it may hold {', '.join(map(repr, PARTS))}")
        for part in parts:
            check_option("parts", part, tuple(PARTS))
        self.num_nodes = None if num_nodes is None else check_whole("num_nodes", num_nodes)
        self.parts = tuple(parts)
        self.segments = tuple(check_whole("segments", count) for count in segments)
        if not self.segments:
            raise ValueError("segments is empty; (1,) describes the whole sequence")
        if self.segments != (1,) and all(part in OF_PLACES for part in parts):
            raise ValueError(
                f"segments is {self.segments}, but parts is {self.parts}, which describe the whole sequence alone; add "
                f"one such as 'max'"
            )
        if num_nodes is None and (placed := [part for part in parts if part in OF_PLACES]):
            raise ValueError(
                f"num_nodes is None, but the part {placed[0]!r} has a weight for each of so many frames; say how many, "
                f"or take parts without places, such as ('max', 'attention', 'mean')"
            )
        self.learned = None if num_nodes is None or "learned" not in parts else LearnablePool(num_nodes, init)
        for part in parts:
            kind = PARTS[part]
            if isinstance(kind, type) and part != "learned":
                self.add_module(part, kind(num_nodes))

    @property
    def config(self) -> dict[str, Any]:
        """The arguments apart from M."""
        init = "mean" if self.learned is None else getattr(self.learned, "init", "mean")
        return {"parts": self.parts, "init": init, **({} if self.segments == (1,) else {"segments": self.segments})}

    def reset_parameters(self) -> None:
        """Resets the parts that learn."""
        for pool in self._pools().values():
            reset(pool)

    def forward(
        self,
        x: Tensor,
        frame: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        *,
        node: Tensor | None = None,
    ) -> Tensor:
        """Reads nodes out into ``[*, len(parts) * F]``; see the class."""
        frame = frame if node is None else one_place(frame, node)
        return unstacked(self.read_out(Nodes.read(x, frame, batch, mask, batch_size, self.num_nodes)), x)

    def read_out(self, nodes: Nodes) -> Tensor:
        """Reads out nodes that were read already, ``[B, len(parts) * F]``."""
        if self.segments == (1,):
            return self._summarize(nodes, self.parts)
        nodes = nodes.stacked()
        parts = [part for part in self.parts if part not in OF_PLACES]
        outputs = []
        for count in self.segments:
            if count == 1:
                outputs.append(self._summarize(nodes, self.parts))
                continue
            segment = nodes.segment(count)
            outputs.extend(self._summarize(nodes.only(segment == index), parts) for index in range(count))
        return torch.cat(outputs, dim=-1)

    def _summarize(self, nodes: Nodes, parts: Sequence[str]) -> Tensor:
        pools, outputs = self._pools(), []
        plain = [part for part, pool in pools.items() if is_plain([pool], LearnablePool)]
        nodes = nodes.stacked()
        at_once = self._summarize_at_once(nodes, parts) if "learned" not in pools or "learned" in plain else None
        if at_once is not None:
            return at_once
        for part in parts:
            if part in plain:
                outputs.append(pools[part].pool(nodes))
            elif part in pools:
                outputs.append(pools[part](*nodes[:5]))
            else:
                summarize: Any = PARTS[part]
                outputs.append(summarize(nodes))
        return torch.cat(outputs, dim=-1)

    def _summarize_at_once(self, nodes: Nodes, parts: Sequence[str]) -> Tensor | None:
        """Summarizes nodes of which none is missing by one look at each; ``None`` where that cannot be done."""
        learned: Any = self.learned if "learned" in parts else None
        x, in_order = nodes.x, [one for one in AT_ONCE if one in parts]
        learns = self.training and torch.is_grad_enabled() and x.requires_grad
        if nodes.batch is None and not (learns and nodes.frame is None):  # three looks are as fast
            return None
        if nodes.mask is not None or not x.numel() or list(parts) != in_order:
            return None
        if not is_ordinary(x, x if learned is None else learned.weight):
            return None
        nodes = nodes.framed(None if learned is None else learned.num_nodes, "pool")
        frame: Any = nodes.frame
        bounds = bounds_of_dense(x) if nodes.batch is None else find_bounds(nodes.batch, frame, nodes.batch_size)
        if bounds is None:
            return None
        if learned is not None:
            learned = learned.weight.repeat(nodes.batch_size) if frame is None else learned.weight[frame]
        largest, weighted, total = summarize(x.flatten(0, -2), learned, bounds)
        counts = bounds.diff().unsqueeze(-1).clamp(min=1).to(total.dtype)
        outputs: dict[str, Any] = {"max": largest, "learned": weighted, "mean": total / counts}
        return torch.cat([outputs[part] for part in parts], dim=-1)

    def check_nodes(self, nodes: Nodes) -> None:
        """Raises as the learned part would if nodes do not say which frame they are, before anything is computed."""
        if isinstance(self.learned, LearnablePool):
            nodes.framed(self.num_nodes, "pool")

    def _pools(self) -> dict[str, Any]:
        """The parts that are modules."""
        return {part: self._modules[part] for part in self.parts if self._modules.get(part) is not None}

    def __repr__(self) -> str:
        segments = "" if self.segments == (1,) else f", segments={self.segments}"
        return f"{type(self).__name__}({self.num_nodes}, parts={self.parts}{segments})"


def unstacked(values: Tensor, x: Tensor) -> Tensor:
    """Gives values of sequences, ``[B, F]``, the leading axes of the features they came from.

    Args:
        values: ``[B, F]``.
        x: Features ``[*, M, F]``, or flat ``[N, F]``.

    Returns:
        ``[*, F]``; ``[B, F]`` for flat features.

    Example:
        >>> unstacked(torch.zeros(6, 1), torch.zeros(2, 3, 5, 1)).shape
        torch.Size([2, 3, 1])
    """
    return values if x.dim() <= 3 else values.unflatten(0, x.shape[:-2])
