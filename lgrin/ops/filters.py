"""What filters in time respond, and what parts of a sequence say of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv1d

from lgrin.ops.kernels import kernels_for
from lgrin.ops.summaries import is_ordinary


def has_filters(*tensors: Tensor) -> bool:
    """Says whether tensors may be given to kernels that look once at each frame, and have no backward pass.

    They may outside of autograd, where the device has such kernels and :func:`lgrin.ops.summaries.is_ordinary` says so.

    Args:
        *tensors: The tensors.

    Returns:
        Whether they may.

    Example:
        >>> has_filters(torch.zeros(1))
        False
    """
    if torch.is_grad_enabled() or not is_ordinary(*tensors):
        return False
    return hasattr(kernels_for(tensors[0].device.type), "filter_frames")


def filter_frames(x: Tensor, taps: Tensor, dilations: Sequence[int]) -> Tensor:
    r"""Applies dilated filters to the channels of their group.

    .. math:: y_{bi(gqk)} = \sum_{t=-R}^R a_{gkt} \, x_{b, i + t d_g, (gq)}

    Args:
        x: ``[B, M, G Q]``, Q channels for each of G groups.
        taps: The taps of K filters for each group, ``[G, K, 2R + 1]``.
        dilations: Frames between two taps of each group, d.

    Returns:
        ``[B, M, G Q K]``; beyond the ends of a sequence x counts as 0.

    Example:
        >>> x, taps = torch.tensor([[[1.0], [2.0], [4.0]]]), torch.tensor([[[-1.0, 0.0, 1.0]]])
        >>> filter_frames(x, taps, [1]).flatten().tolist()
        [2.0, 3.0, -2.0]
    """
    if x.dtype == torch.float64 and has_filters(x, taps):  # oneDNN, which convolves float32, has no float64
        kernels: Any = kernels_for(x.device.type)
        filtered: Tensor = kernels.filter_frames(x.contiguous(), taps.contiguous(), np.array(dilations))
        return filtered
    parts, reach = [], taps.size(-1) // 2
    for part, own, step in zip(x.split(x.size(2) // len(taps), dim=2), taps, dilations, strict=True):
        rows = part.mT.reshape(-1, 1, x.size(1))
        total = conv1d(rows, own.unsqueeze(1).to(x.dtype), padding=reach * step, dilation=step)
        parts.append(total.view(x.size(0), -1, x.size(1)).mT)
    return torch.cat(parts, dim=-1)


def summarize_parts(x: Tensor, levels: Tensor, present: Tensor, thresholds: Tensor, segments: Sequence[int]) -> Tensor:
    """Summarises equal parts of sequences.

    Args:
        x: ``[B, M, R]``.
        levels: ``[B, M, L]``.
        present: Bool ``[B, M]``, the frames that count. A sequence ends with the last of them: of n frames, frame f
            lies in part f s // n of s.
        thresholds: ``[T, R]``.
        segments: Into how many parts a sequence is split, S in all.

    Returns:
        ``[B, S (T R + 2 R + 2 L)]``: the shares of frames at which x is above each threshold, its mean absolute values
        and its maxima; the means of levels and their root mean squares. A part without frames gives 0.

    Example:
        >>> x, levels, present = torch.tensor([[[-3.0], [1.0]]]), torch.full((1, 2, 1), 2.0), torch.ones(1, 2).bool()
        >>> summarize_parts(x, levels, present, torch.zeros(1, 1), [1]).tolist()
        [[0.5, 2.0, 1.0, 2.0, 2.0]]
    """
    if has_filters(x, thresholds):
        kernels: Any = kernels_for(x.device.type)
        dense = (one.contiguous() for one in (x, levels, present, thresholds))
        found: Tensor = kernels.summarize_parts(*dense, np.array(segments))
        return found
    frame = torch.arange(x.size(1), device=x.device).expand_as(present)
    length = (frame + 1).masked_fill(~present, 0).amax(1, keepdim=True).clamp(min=1)
    places = [(count, frame * count // length) for count in segments]
    inside = torch.stack([(place == part) & present for count, place in places for part in range(count)], dim=1)
    average = inside.to(x.dtype) / inside.sum(-1, keepdim=True).clamp(min=1)  # [B, S, M]
    shares = [average @ (x > threshold).to(x.dtype) for threshold in thresholds]
    largest = torch.stack([_largest(x, part) for part in inside.unbind(1)], dim=1)
    means = [average @ levels, (average @ levels.square()).sqrt()]
    return torch.cat([one.flatten(1) for one in (*shares, average @ x.abs(), largest, *means)], dim=-1)


def _largest(x: Tensor, inside: Tensor) -> Tensor:
    """The largest value inside a part of each sequence, ``[B, R]``; 0 where the part is empty."""
    largest = x.masked_fill(~inside.unsqueeze(-1), torch.finfo(x.dtype).min).amax(1)
    return largest.masked_fill(~inside.any(1, keepdim=True), 0)


def rank_filters(x: Tensor, present: Tensor, heads: int, apart: float) -> Tensor:
    """Counts the frames at which each filter responds the most, and the least, of the K filters of its group.

    Args:
        x: ``[B, M, R]``, the K responses of a group beside each other.
        present: Bool ``[B, M]``, the frames that count.
        heads: Filters of a group, K.
        apart: Frames at which the responses of a group differ by no more than this are not counted.

    Returns:
        ``[B, 2 R]``, shares of the frames that count: of the most, and then of the least.

    Example:
        >>> x, present = torch.tensor([[[3.0, 1.0], [0.0, 0.0]]]), torch.ones(1, 2, dtype=torch.bool)
        >>> rank_filters(x, present, heads=2, apart=1e-4).tolist()
        [[0.5, 0.0, 0.0, 0.5]]
    """
    if has_filters(x):
        kernels: Any = kernels_for(x.device.type)
        counted: Tensor = kernels.rank_filters(x.contiguous(), present.contiguous(), heads, apart)
        return counted
    groups = x.unflatten(-1, (-1, heads))
    most, least = groups.amax(-1, keepdim=True), groups.amin(-1, keepdim=True)
    counts = present.unsqueeze(-1).unsqueeze(-1) & (most - least > apart)
    frames = [((groups == one) & counts).flatten(-2).sum(1) for one in (most, least)]
    return torch.cat(frames, dim=-1).to(x.dtype) / present.sum(1, keepdim=True).clamp(min=1)
