"""A graph for each sequence, from the features of its frames."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear

from lgrin.graph import DenseGraph, FrameGraph
from lgrin.nn.adjacency.base import Adjacency
from lgrin.nn.adjacency.learnable import NONNEGATIVITIES
from lgrin.nn.adjacency.rows import Refinement
from lgrin.nodes import Nodes
from lgrin.options import check_option, check_whole

SOFTMAX = "softmax"


class AttentionAdjacency(Adjacency):
    r"""A graph for each sequence: what a frame pays attention to, by the features of both.

    .. math:: A_{ij} = \mathrm{softmax}_j \left( \frac{q_i \cdot k_j}{\sqrt{d}} \right), \qquad
              q_i = W_q h_i + b, \quad k_j = W_k h_j

    A network computes it once, from what its first inception layer sees, and all layers share it. Masked frames get no
    weight and give none; the softmax is over the frames that are present. A key has no bias, since it would add the
    same number to all scores of a row, which a softmax does not see.

    The frames have no places: the weights depend on features alone, so that any number of frames is read and a
    permutation of the frames permutes A.

    Args:
        in_channels: Features of a frame; in an :class:`lgrin.LGrIN` those that the first layer sees, which it tells.
        channels: Entries of queries and keys of each head, d.
        nonnegativity: ``"softmax"``; or the scores themselves, mapped by ``"relu"``, ``"leaky"`` or ``"softplus"``, or
            as they are (``None``), of either sign. Their sums grow with the length of a sequence unless ``normalize``
            is set.
        self_loops: Whether frames may be neighbours of themselves.
        topk: Neighbours that each frame keeps, those of the largest absolute weights; ``None`` keeps all. A network
            whose neighbour maximum is to follow the graph needs it, since a softmax connects all frames.
        normalize: ``None``, or what rows are divided by, as for :class:`LearnableAdjacency`. Rows of a softmax add up
            to 1 before the strongest are picked; ``"row"`` makes them do so afterwards.
        heads: Graphs over the same frames, K, each with queries and keys of its own.
        num_nodes: Frames per sequence, M, if it is fixed; the network tells it, too.

    Shapes:
        - **x:** ``[*, M, F]``, or flat ``[N, F]`` beside ``batch``; **frame, batch, mask, batch_size:** as for
          :class:`Adjacency`
        - **output:** the graph of these nodes, ``[B, M, M]`` or ``[B, K, M, M]``, ``A[target, source]``

    Raises:
        ValueError: If an option is unknown, a number out of range, or the features are not given or of another width.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, Eq. (1).

    Example:
        >>> import torch
        >>> adjacency = AttentionAdjacency(in_channels=3, num_nodes=5)
        >>> A = adjacency.graph(x=torch.rand(2, 5, 3)).matrix()
        >>> A.shape, torch.allclose(A.sum(-1), torch.ones(2, 5))
        (torch.Size([2, 5, 5]), True)
    """

    reads_features = True

    def __init__(
        self,
        in_channels: int,
        channels: int = 16,
        *,
        num_nodes: int | None = None,
        nonnegativity: str | None = SOFTMAX,
        self_loops: bool = True,
        topk: int | None = None,
        normalize: str | None = None,
        heads: int = 1,
    ) -> None:
        super().__init__(num_nodes)
        check_option("nonnegativity", nonnegativity, (SOFTMAX, *NONNEGATIVITIES))
        self.in_channels, self.channels = check_whole("in_channels", in_channels), check_whole("channels", channels)
        self.nonnegativity, self.heads = nonnegativity, check_whole("heads", heads)
        self.refinement = Refinement.checked(self_loops, topk, normalize)
        self.query = Linear(self.in_channels, self.heads * self.channels)
        self.key = Linear(self.in_channels, self.heads * self.channels, bias=False)
        self.reset_parameters()

    @classmethod
    def for_frames(
        cls, num_nodes: int | None, in_channels: int | None = None, /, **options: Any
    ) -> "AttentionAdjacency":
        """Builds one for a network, which tells its width."""
        return cls(**{"in_channels": in_channels, "num_nodes": num_nodes, **options})

    @property
    def config(self) -> dict[str, Any]:  # type: ignore[override]
        """The arguments apart from M."""
        return {
            "in_channels": self.in_channels,
            "channels": self.channels,
            "nonnegativity": self.nonnegativity,
            **self.refinement.config,
            "heads": self.heads,
        }

    @property
    def connects_all(self) -> bool:  # type: ignore[override]
        """Whether every pair of frames is an edge, whatever was learned."""
        full = self.nonnegativity == SOFTMAX or NONNEGATIVITIES[self.nonnegativity].connects_all
        return full and self.refinement.topk is None

    def reset_parameters(self) -> None:
        """Draws Xavier-uniform queries and keys, without bias."""
        torch.nn.init.xavier_uniform_(self.query.weight)
        torch.nn.init.xavier_uniform_(self.key.weight)
        torch.nn.init.zeros_(self.query.bias)

    def weigh(self, nodes: Nodes | None) -> FrameGraph:
        """Computes the attention of all frames of each sequence; see the class."""
        assert nodes is not None
        if nodes.x.size(-1) != self.in_channels:
            raise ValueError(
                f"x has {nodes.x.size(-1)} channels, but this adjacency was built for in_channels={self.in_channels}"
            )
        x, present = nodes.lay_out(nodes.length("adjacency"))
        scores = self._by_head(self.query(x) / self.channels**0.5) @ self._by_head(self.key(x)).mT
        allowed = self._allowed(nodes, present)
        return self.refinement.apply(DenseGraph(self._weights(scores, allowed)))

    def _allowed(self, nodes: Nodes, present: Tensor) -> Tensor | None:
        """Bool ``[B, M, M]``, with an axis for heads, the pairs that may be edges; ``None`` means all."""
        whole = nodes.mask is None and nodes.frame is None and nodes.batch is None
        if whole and self.refinement.self_loops:
            return None
        allowed = present.unsqueeze(-1) & present.unsqueeze(-2)
        if not self.refinement.self_loops:
            allowed = allowed & ~torch.eye(present.size(-1), dtype=torch.bool, device=present.device)
        return allowed if self.heads == 1 else allowed.unsqueeze(-3)

    def _weights(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        if self.nonnegativity != SOFTMAX:
            weights = NONNEGATIVITIES[self.nonnegativity].apply(scores)
        elif allowed is None:
            return scores.softmax(-1)
        else:  # not -inf: a frame may have nobody to look at
            weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1)
        return weights if allowed is None else weights.masked_fill(~allowed, 0)

    def _by_head(self, x: Tensor) -> Tensor:
        """``[B, M, K d]`` as ``[B, K, M, d]``, of one head as it is."""
        return x if self.heads == 1 else x.unflatten(-1, (self.heads, self.channels)).transpose(-3, -2)

    def __repr__(self) -> str:
        options = {} if self.heads == 1 else {"heads": self.heads}
        shown = "".join(f", {name}={value!r}" for name, value in {**options, **self.refinement.config}.items())
        return f"{type(self).__name__}({self.in_channels}, channels={self.channels}{shown})"
