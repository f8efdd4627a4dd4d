"""A graph from an embedding of each node."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from lgrin.graph import DenseGraph, FrameGraph
from lgrin.nn.adjacency.base import Adjacency
from lgrin.nn.adjacency.learnable import NONNEGATIVITIES
from lgrin.nn.adjacency.rows import Refinement
from lgrin.nodes import Nodes
from lgrin.options import check_option, check_whole


def uniform(embedding: Tensor) -> None:
    """Draws from U[0, sqrt(2 / r)), so that the products of two rows average 1/2."""
    torch.nn.init.uniform_(embedding, 0, (2 / embedding.size(-1)) ** 0.5)


def normal(embedding: Tensor) -> None:
    """Draws from N(0, 1) / r^(1/4), so that the products of two rows have mean 0 and variance 1."""
    torch.nn.init.normal_(embedding, std=embedding.size(-1) ** -0.25)


STARTS = {"uniform": uniform, "normal": normal}


class LowRankAdjacency(Adjacency):
    r"""A graph over frames from two embeddings of each frame, 2 M r weights in place of M * M.

    .. math:: A = \mathrm{ReLU}(E_1 E_2^\top), \qquad E_1, E_2 \in \mathbb{R}^{M \times r}

    An edge weighs much where the embedding of its target, a row of E_1, points the way of that of its source, a row of
    E_2. Frames with similar embeddings have similar neighbours, which is what few sequences can tell. An entry that is
    0 gets no gradient itself; it may come back when other edges of its two frames move their embeddings.

    Args:
        num_nodes: Frames per sequence, M.
        rank: Entries of an embedding, r; the rank of :math:`E_1 E_2^\top`.
        init: ``"uniform"`` draws embeddings from :math:`U[0, \sqrt{2 / r})`: every pair starts as an edge, 1/2 on
            average, as under ``"uniform"`` of :class:`LearnableAdjacency`. ``"normal"`` draws them from
            :math:`N(0, 1) / r^{1/4}`: entries have variance 1, half of them are negative, and under ReLU no edges. It
            is the start for weights of either sign.
        nonnegativity: ``"relu"``, ``"leaky"``, ``"softplus"`` or ``None``, as for :class:`LearnableAdjacency`.
        symmetric: Whether :math:`E_1 = E_2`, so that both directions of an edge weigh alike; M r weights.
        self_loops: Whether frames may be neighbours of themselves.
        topk: Neighbours that each frame keeps, those of the largest absolute weights; ``None`` keeps all.
        normalize: What rows are divided by, as for :class:`LearnableAdjacency`.
        heads: Graphs over the same frames, K, each with embeddings of its own.

    Shapes:
        - **output:** ``[M, M]``, or ``[K, M, M]`` of several heads, ``A[target, source]``; with the arguments of
          :class:`Adjacency` a graph

    Raises:
        ValueError: If an option is unknown or a number out of range.

    Source:
        :math:`\mathrm{ReLU}(E_1 E_2^\top)` is Eq. (5) of Wu et al., "Graph WaveNet for Deep Spatial-Temporal Graph
        Modeling", IJCAI 2019, who take a softmax of its rows. Bai et al., "Adaptive Graph Convolutional Recurrent
        Network", NeurIPS 2020, take :math:`E_1 = E_2`; Wu et al., "Connecting the Dots", KDD 2020, the k strongest
        edges of each row.

    Example:
        >>> adjacency = LowRankAdjacency(100, rank=4, normalize="row")
        >>> sum(weight.numel() for weight in adjacency.parameters())
        800
        >>> adjacency().shape, bool((adjacency() > 0).all())
        (torch.Size([100, 100]), True)
    """

    num_nodes: int

    def __init__(
        self,
        num_nodes: int,
        rank: int = 10,
        *,
        init: str = "uniform",
        nonnegativity: str | None = "relu",
        symmetric: bool = False,
        self_loops: bool = True,
        topk: int | None = None,
        normalize: str | None = None,
        heads: int = 1,
    ) -> None:
        super().__init__(num_nodes)
        check_option("init", init, STARTS)
        check_option("nonnegativity", nonnegativity, NONNEGATIVITIES)
        self.rank, self.heads = check_whole("rank", rank), check_whole("heads", heads)
        self.init, self.nonnegativity, self.symmetric = init, nonnegativity, symmetric
        self.refinement = Refinement.checked(self_loops, topk, normalize)
        leading = () if self.heads == 1 else (self.heads,)
        shape = *leading, self.num_nodes, self.rank
        self.target_embedding = Parameter(torch.empty(shape))
        self.source_embedding = None if symmetric else Parameter(torch.empty(shape))
        self.reset_parameters()

    @property
    def config(self) -> dict[str, Any]:  # type: ignore[override]
        """The arguments apart from M."""
        return {
            "rank": self.rank,
            "init": self.init,
            "nonnegativity": self.nonnegativity,
            "symmetric": self.symmetric,
            **self.refinement.config,
            "heads": self.heads,
        }

    @property
    def connects_all(self) -> bool:  # type: ignore[override]
        """Whether every pair of frames is an edge, whatever was learned."""
        return NONNEGATIVITIES[self.nonnegativity].connects_all and self.refinement.topk is None

    def reset_parameters(self) -> None:
        """Draws the embeddings again."""
        for embedding in self.parameters(recurse=False):
            STARTS[self.init](embedding)

    def weigh(self, nodes: Nodes | None) -> FrameGraph:
        """Computes the products of all embeddings; see the class."""
        target = self.target_embedding
        source = target if self.source_embedding is None else self.source_embedding
        weights = NONNEGATIVITIES[self.nonnegativity].apply(target @ source.mT)
        return self.refinement.apply(DenseGraph(weights if self.heads == 1 else weights.unsqueeze(0)))

    def rescaled(self, graph: FrameGraph) -> FrameGraph:
        """Averages over the present frames where ``normalize="present"``."""
        return self.refinement.rescaled(graph, self.num_nodes)

    def __repr__(self) -> str:
        options = {} if self.heads == 1 else {"heads": self.heads}
        shown = "".join(f", {name}={value!r}" for name, value in {**options, **self.refinement.config}.items())
        return f"{type(self).__name__}({self.num_nodes}, rank={self.rank}{shown})"
