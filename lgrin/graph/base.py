"""What every layout of a graph can do."""

from typing import Protocol

import torch
from torch import Tensor

from lgrin.ops import neighbor_max_banded


class Graph(Protocol):
    """A graph over the nodes of a batch, in one of several layouts.

    A layer calls these methods and never asks which layout it got. ``A[i, j]`` is the weight of the edge from node j
    to node i; entries that are 0 are no neighbours. Absent nodes send nothing, whatever their features hold, and their
    own rows of every result are 0.

    A layout is a NamedTuple of tensors, so that it compiles and exports as an input.

    Example:
        >>> from lgrin.graph import LAYOUTS
        >>> all(hasattr(layout, "aggregate") for layout in LAYOUTS.values())
        True
    """

    @property
    def mask(self) -> Tensor | None:
        """Bool, shaped like the nodes, those that are present; ``None`` means all."""

    def aggregate(self, x: Tensor) -> Tensor:
        """Computes A @ x, shaped like x."""

    def neighbor_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over each node and its neighbours; at a tie the gradient goes to the lowest node alone."""

    def line_max(self, x: Tensor) -> Tensor:
        """Takes the maximum over the frames before and after, whatever the weights are; 0 where both are absent."""


def line_max(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Takes the maximum over the frames before and after each frame, and not the frame itself.

    Args:
        x: Features in the order of frames, ``[*, M, F]``.
        mask: Bool ``[*, M]``, the frames that are present; ``None`` means all.

    Returns:
        The maxima, shaped like x; 0 where both neighbours are absent.

    Example:
        >>> line_max(torch.tensor([[1.0], [3.0], [2.0]])).flatten().tolist()
        [3.0, 2.0, 3.0]
    """
    sides = (torch.arange(3, device=x.device) != 1).expand(x.size(-2), 3)
    rows, present = stacked(x, mask)
    return neighbor_max_banded(rows, sides, present)[0].view(x.shape)


def stacked(x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Joins the leading axes of features and mask.

    Args:
        x: Features ``[*, M, F]``.
        mask: Bool ``[*, M]``, or ``None``.

    Returns:
        ``[B, M, F]`` and ``[B, M]``.

    Example:
        >>> stacked(torch.rand(2, 3, 5, 4), None)[0].shape
        torch.Size([6, 5, 4])
    """
    if x.dim() == 3:
        return x, mask
    return x.reshape(-1, *x.shape[-2:]), None if mask is None else mask.reshape(-1, mask.size(-1))
