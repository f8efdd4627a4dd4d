"""A graph whose weights depend on the distance in frames alone."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from lgrin.graph import FrameGraph, Graph, StationaryGraph, averaging
from lgrin.nn.adjacency.base import Adjacency
from lgrin.nn.adjacency.learnable import NONNEGATIVITIES
from lgrin.nn.adjacency.rows import Refinement, normalize_rows, normalize_symmetric, strongest
from lgrin.nn.structure import REDUCTIONS
from lgrin.nodes import Nodes, at_least_float32
from lgrin.options import check_number, check_option, check_whole

WIDTHS, ALONE = (0.7, 1.5, 3.0, 8.0), 3.0  # standard deviations in frames: of four heads, and of a single one


def widths(heads: int, device: torch.device | None = None) -> Tensor:
    """Spreads standard deviations over heads: 0.7, 1.5, 3 and 8 frames for four, as many between for more.

    Args:
        heads: The number of heads K.
        device: Where the result lies.

    Returns:
        ``[K]``, ascending; 3 frames for a single head.

    Example:
        >>> [round(width, 1) for width in widths(4).tolist()], [round(width, 1) for width in widths(7).tolist()]
        ([0.7, 1.5, 3.0, 8.0], [0.7, 1.0, 1.5, 2.1, 3.0, 4.9, 8.0])
    """
    if heads == 1:
        return torch.tensor([ALONE], device=device)
    spread = []
    for head in range(heads):
        before, part = divmod(head * (len(WIDTHS) - 1) / (heads - 1), 1)
        low, high = WIDTHS[int(before)], WIDTHS[min(int(before) + 1, len(WIDTHS) - 1)]
        spread.append(low * (high / low) ** part)
    return torch.tensor(spread, device=device)


def gaussian(distance: Tensor) -> Tensor:
    r"""Averages, :math:`\exp(-d^2 / 2 \sigma_k^2)`."""
    return torch.exp(-_relative(distance).square() / 2)


def derivative(distance: Tensor) -> Tensor:
    r"""Compares what comes with what was, :math:`d \exp(-d^2 / 2 \sigma_k^2)`."""
    return distance * gaussian(distance)


def gabor(distance: Tensor) -> Tensor:
    r"""Oscillates, :math:`\cos(\pi d / \sigma_k) \exp(-d^2 / 2 \sigma_k^2)`, less its mean."""
    wave = torch.cos(torch.pi * _relative(distance))
    return _zero_sum(wave * gaussian(distance))


def random(distance: Tensor) -> Tensor:
    """Draws taps from N(0, 1), less their mean."""
    return _zero_sum(torch.randn_like(distance))


def _relative(distance: Tensor) -> Tensor:
    """Distances ``[K, T]`` in standard deviations of each head."""
    return distance / widths(distance.size(0), distance.device).unsqueeze(-1).to(distance.dtype)


def _zero_sum(taps: Tensor) -> Tensor:
    return taps - taps.mean(-1, keepdim=True) if taps.size(-1) > 1 else taps


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "gaussian": gaussian,
    "derivative": derivative,
    "gabor": gabor,
    "random": random,
}


class StationaryAdjacency(Adjacency):
    r"""A graph over frames whose weights depend on the distance alone, so that sequences may have any length.

    .. math:: A_{ij} = \frac{a_{j - i}}{\sum_{j'} |a_{j' - i}|}, \qquad -R \le j - i \le R

    It is a filter in time with learned taps, 2R + 1 for a head whatever the length; no matrix is built where a band
    will do. The sum goes over the frames that the sequence has, so that its first and last ones are no smaller.

    Args:
        reach: The largest distance R of an edge, or ``(past, future)``; ``(R, 0)`` looks back alone ("causal").
        heads: Kernels over the same frames, K, each with taps of its own.
        dilation: Frames between two taps, or one number for each head.
        start: ``"gaussian"`` averages, ``"derivative"`` its derivative, ``"gabor"`` a wave in such an envelope, or
            ``"random"`` taps from N(0, 1); the last two have a sum of zero. Heads start with widths from 0.7 to 8
            frames; a single one has 3.
        nonnegativity: ``None`` for weights of either sign, or as for :class:`LearnableAdjacency` with the start
            ``"gaussian"``.
        normalize: ``"present"`` divides each row by the absolute weights of the frames that are there; ``"row"`` by
            those of the whole kernel; ``"sym"`` by the roots of the degrees of both frames, which needs a band of
            weights; ``None`` by nothing.
        self_loops: Whether a frame may have an edge from itself, the tap at distance 0.
        topk: Taps of a head that are used, those of the largest absolute weights; ``None`` uses all.

    Attributes:
        weight: The taps, ``[2R + 1]``, or ``[K, 2R + 1]`` of several heads, from the earliest frame to the latest.

    Shapes:
        - **output:** ``[M, M]``, or ``[K, M, M]``, for a whole number M, ``A[target, source]``; with the arguments of
          :class:`Adjacency` a graph

    Raises:
        ValueError: If an option is unknown or out of range, or no number of frames is given where there are no nodes.

    Source:
        A convolution along time, written as the adjacency of Eq. (4) of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> import torch
        >>> adjacency = StationaryAdjacency(reach=2, heads=4)
        >>> adjacency(6).shape
        torch.Size([4, 6, 6])
        >>> adjacency.graph(x=torch.rand(3, 50, 7)).aggregate(torch.rand(3, 50, 7)).shape
        torch.Size([3, 50, 28])
    """

    def __init__(
        self,
        reach: int | Sequence[int] = 4,
        *,
        heads: int = 1,
        dilation: int | Sequence[int] = 1,
        start: str = "gaussian",
        nonnegativity: Any = None,
        normalize: str | None = "present",
        self_loops: bool = True,
        topk: int | None = None,
    ) -> None:
        super().__init__(None)
        self.past, self.future = _reach(reach)
        self.heads = check_whole("heads", heads)
        self.dilation = _dilations(dilation, self.heads)
        check_option("start", start, tuple(KERNELS))
        check_option("nonnegativity", nonnegativity, tuple(NONNEGATIVITIES))
        if nonnegativity is not None and start != "gaussian":
            raise ValueError(
                f"nonnegativity is {nonnegativity!r}, but the start {start!r} has weights of either sign; pass "
                f"nonnegativity=None, or start='gaussian'"
            )
        self.start, self.nonnegativity = start, nonnegativity
        self.self_loops, self.topk, self.normalize = Refinement.checked(self_loops, topk, normalize)
        self.distance: Tensor
        taps = torch.arange(-self.past, self.future + 1) * torch.tensor(self.dilation).unsqueeze(-1)
        self.register_buffer("distance", taps, persistent=False)
        self.weight = Parameter(torch.empty(taps.shape if self.heads > 1 else taps.shape[1:]))
        self.reset_parameters()

    @classmethod
    def for_frames(
        cls, num_nodes: int | None, in_channels: int | None = None, /, **options: Any
    ) -> "StationaryAdjacency":
        """Builds one for a network; how many frames sequences have does not matter."""
        return cls(**options)

    @property
    def config(self) -> dict[str, Any]:  # type: ignore[override]
        """The arguments."""
        settings = {"heads": self.heads, "dilation": self.dilation, "start": self.start}
        settings |= {"nonnegativity": self.nonnegativity, "self_loops": self.self_loops, "topk": self.topk}
        return {"reach": (self.past, self.future), **settings, "normalize": self.normalize}

    @property
    def context(self) -> tuple[int, int]:  # type: ignore[override]
        """How many frames before and after a frame its row depends on."""
        past, future = self.past * max(self.dilation), self.future * max(self.dilation)
        if self.normalize != "sym":
            return past, future
        return past + max(past, future), future + max(past, future)  # the degree of a source depends on its own row

    def reset_parameters(self) -> None:
        """Draws or computes the start again."""
        taps = KERNELS[self.start](self.distance.to(self.weight.dtype))
        taps = NONNEGATIVITIES[self.nonnegativity].invert(taps)
        self.weight.data.copy_(taps.view(self.weight.shape))

    def kernel(self) -> Tensor:
        """Computes the weight of every distance, ``[2w + 1]`` or ``[K, 2w + 1]``, w the largest distance in frames.

        The absolute weights of a head add up to 1 unless ``normalize`` is ``None`` or ``"sym"``.

        Example:
            >>> StationaryAdjacency(reach=(1, 0), normalize="row").kernel().shape
            torch.Size([3])
        """
        taps = NONNEGATIVITIES[self.nonnegativity].apply(self.weight).view(self.distance.shape)
        reach = max(self.past, self.future) * max(self.dilation)
        kernel = taps.new_zeros(self.heads, 2 * reach + 1).scatter(1, self.distance + reach, taps)
        if not self.self_loops:
            kernel = kernel.masked_fill(torch.arange(-reach, reach + 1, device=kernel.device) == 0, 0)
        if self.topk is not None:
            kernel = strongest(kernel, self.topk)
        if self.normalize in ("row", "present"):
            kernel = normalize_rows(kernel)
        return kernel if self.heads > 1 else kernel[0]

    def weights(self) -> Tensor:
        """Returns the :meth:`kernel`."""
        return self.kernel()

    def shown(self) -> Tensor:
        """Returns the matrix over 2w + 1 frames, whose middle row is the whole kernel."""
        matrix: Tensor = self(2 * max(self.context) + 1)
        return matrix

    def weigh(self, nodes: Nodes | None) -> FrameGraph:
        """Lays the kernel over so many frames; see the class."""
        assert nodes is not None  # a kind without a length is always told one
        graph = StationaryGraph(self.kernel(), nodes.length("adjacency"))
        return normalize_symmetric(graph.banded()) if self.normalize == "sym" else self.rescaled(graph)

    def rescaled(self, graph: FrameGraph) -> FrameGraph:
        """Divides by the weights of the frames that are there, under ``normalize="present"``."""
        if self.normalize != "present":
            return graph
        if not isinstance(graph, StationaryGraph):
            return averaging(graph, graph.num_nodes)
        there = graph.kernel.new_ones(graph.num_nodes) if graph.mask is None else graph.mask.to(graph.kernel.dtype)
        present = StationaryGraph(graph.kernel.abs(), graph.num_nodes).aggregate(there.unsqueeze(-1))
        present = present.masked_fill(present <= torch.finfo(present.dtype).eps, 1)
        return graph._replace(scale=present.reciprocal() if self.heads > 1 else present.squeeze(-1).reciprocal())

    def penalty(
        self,
        graph: Graph | None = None,
        lambda_distance: float = 0.1,
        lambda_frobenius: float = 0.1,
        reduction: str = "mean",
    ) -> Tensor:
        r"""Prices the kernel, whatever the number of frames is.

        .. math:: \lambda_1 \sum_d d^2 |a_d| + \lambda_2 \sum_d a_d^2

        Args:
            graph: Not needed.
            lambda_distance: Price of distance, the paper's lambda_1.
            lambda_frobenius: Price of weight, the paper's lambda_2.
            reduction: ``"sum"``, or ``"mean"`` over the distances and heads.

        Returns:
            A scalar.

        Raises:
            ValueError: If a price is no number of 0 or more, or the reduction is unknown.

        Example:
            >>> StationaryAdjacency(reach=0).penalty(lambda_frobenius=1.0).item()
            1.0
        """
        check_option("reduction", reduction, REDUCTIONS)
        check_number("lambda_distance", lambda_distance)
        check_number("lambda_frobenius", lambda_frobenius)
        kernel = at_least_float32(self.kernel())
        reach = kernel.size(-1) // 2
        squares = torch.arange(-reach, reach + 1, device=kernel.device).square().to(kernel.dtype)
        total = (lambda_distance * squares * kernel.abs() + lambda_frobenius * kernel.square()).sum()
        return total / self.weight.numel() if reduction == "mean" else total

    def __repr__(self) -> str:
        reach = self.past if self.past == self.future else (self.past, self.future)
        dilation = self.dilation[0] if len(set(self.dilation)) == 1 else self.dilation
        return f"{type(self).__name__}({reach}, heads={self.heads}, dilation={dilation}, start={self.start!r})"


def _reach(reach: int | Sequence[int]) -> tuple[int, int]:
    if not isinstance(reach, Sequence):
        reach = (reach, reach)
    if len(reach) != 2:
        raise ValueError(f"reach is {reach!r}; it may be a whole number of frames, or (past, future)")
    past, future = (check_whole(name, one, minimum=0) for name, one in zip(("past", "future"), reach, strict=True))
    return past, future


def _dilations(dilation: int | Sequence[int], heads: int) -> tuple[int, ...]:
    given = tuple(dilation) if isinstance(dilation, Sequence) else (dilation,) * heads
    if len(given) != heads:
        raise ValueError(f"dilation has {len(given)} numbers; with heads={heads} it has {heads}, or is a single number")
    return tuple(check_whole("dilation", one) for one in given)
