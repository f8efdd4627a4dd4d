"""Ways to make a sequence shorter that look at every frame of it."""

from collections.abc import Callable
from math import ceil, pi

import torch
from torch import Tensor


def segment_mean(x: Tensor, present: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Averages the present frames of each of M segments of equal length.

    Args:
        x: ``[L, F]``, L being M or more.
        present: Bool ``[L]``.
        num_nodes: Segments, M.

    Returns:
        ``[M, F]``, NaN where a segment has no present frame, and which have one, ``[M]``.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [5.0], [7.0]])
        >>> segment_mean(x, torch.tensor([True, True, False, True]), 2)[0].flatten().tolist()
        [1.5, 7.0]
    """
    segment = segments(len(x), num_nodes)[present]
    total = torch.zeros(num_nodes, x.size(1), dtype=torch.float64).index_add_(0, segment, x[present].double())
    count = torch.bincount(segment, minlength=num_nodes)
    return (total / count.unsqueeze(1)).to(x.dtype), count > 0


def segment_max(x: Tensor, present: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Takes the maximum of each feature over the present frames of each of M segments; as :func:`segment_mean`.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [5.0], [7.0]])
        >>> segment_max(x, torch.tensor([True, True, False, True]), 2)[0].flatten().tolist()
        [2.0, 7.0]
    """
    segment = segments(len(x), num_nodes)[present]
    index = segment.unsqueeze(1).expand(-1, x.size(1))
    highest = x.new_full((num_nodes, x.size(1)), float("nan"))
    highest = highest.scatter_reduce(0, index, x[present], "amax", include_self=False)
    return highest, torch.bincount(segment, minlength=num_nodes) > 0


def low_pass(x: Tensor, present: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    r"""Filters with a Hann window and takes the result at the centre of each segment; as :func:`segment_mean`.

    With :math:`s = L / M` frames a segment, frame n counts for the segment around c with the weight
    :math:`\cos^2 (\pi (n - c) / 2 s)` where :math:`|n - c| < s`. Of the highest rate that M frames can show, half of it
    passes with 85% of its amplitude, itself with 50%, and its double not at all.

    Example:
        >>> x = torch.tensor([[0.0], [0.0], [8.0], [0.0], [0.0], [0.0]])
        >>> low_pass(x, torch.ones(6).bool(), 2)[0].flatten()
        tensor([2.1818, 0.7273])
    """
    width = len(x) / num_nodes
    centre = (torch.arange(num_nodes, dtype=torch.float64) + 0.5).unsqueeze(1) * width - 0.5
    frame = centre.round().long() + torch.arange(-ceil(width), ceil(width) + 1)
    inside = frame.clamp(0, len(x) - 1)
    distance = (frame - centre) / width
    counts = (frame == inside) & (distance.abs() < 1) & present[inside]
    weight = (distance * pi / 2).cos().square().where(counts, 0.0)
    found = x[inside].double().masked_fill(~counts.unsqueeze(-1), 0.0)
    total = torch.einsum("mk,mkf->mf", weight, found) / weight.sum(1, keepdim=True)
    return total.to(x.dtype), counts.any(1)


THINNINGS: dict[str, Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]] = {
    "mean": segment_mean,
    "max": segment_max,
    "lowpass": low_pass,
}


def segments(length: int, num_nodes: int) -> Tensor:
    """The segment of each frame, ``[L]``, where M segments share L frames as evenly as they can.

    Example:
        >>> segments(5, 2).tolist()
        [0, 0, 0, 1, 1]
    """
    return torch.arange(length) * num_nodes // length
