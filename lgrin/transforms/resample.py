"""Sequences of one fixed length, each stretched or shortened in time."""

from functools import lru_cache

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin.options import check_option, check_whole
from lgrin.transforms.nodes import attributes_of_frames, check_sequence, select
from lgrin.transforms.thinning import THINNINGS, segments

NEAREST = "nearest"  # selects frames
RESAMPLINGS = (NEAREST, *THINNINGS)


def evenly_spread(length: int, num_nodes: int) -> Tensor:
    """Selects frames evenly from the first to the last.

    Args:
        length: Frames of the sequence, L.
        num_nodes: Frames to select, M.

    Returns:
        Int64 ``[M]``, nearest frames, repeated where M is larger than L.

    Example:
        >>> evenly_spread(5, 3).tolist(), evenly_spread(2, 4).tolist()
        ([0, 2, 4], [0, 0, 1, 1])
    """
    return torch.linspace(0, length - 1, num_nodes, dtype=torch.float64).round().long()


def evenly_spread_each(length: Tensor, num_nodes: int) -> Tensor:
    """Does the same as :func:`evenly_spread` for several sequences.

    Args:
        length: Int64 ``[B]``, frames of each sequence.
        num_nodes: Frames to select, M.

    Returns:
        Int64 ``[B, M]``, nearest frames.

    Example:
        >>> evenly_spread_each(torch.tensor([5, 2]), 3).tolist()
        [[0, 2, 4], [0, 0, 1]]
    """
    last = (length - 1).clamp(min=0).double().unsqueeze(-1)
    index = torch.arange(num_nodes, dtype=torch.double, device=length.device)
    step = last / max(1, num_nodes - 1)
    from_end = last - step * (num_nodes - 1 - index)
    return torch.where(index < max(1, num_nodes // 2), step * index, from_end).round().long()


@lru_cache(maxsize=64)
def _spread_once(length: int, num_nodes: int) -> Tensor:
    with torch.inference_mode(False):
        return evenly_spread(length, num_nodes)


def take_frames(data: Data, take: Tensor) -> Data:
    """Replaces the frames of a sequence by a selection of them, which become frames 0, 1, 2, ...

    Args:
        data: The sequence; whatever has one entry for each frame follows its frames.
        take: Int64, the frames to take.

    Returns:
        The same object.

    Raises:
        TypeError: As :func:`lgrin.transforms.nodes.check_sequence`.
        ValueError: If the sequence is empty, already a graph with edges, has frames left out of ``data.frame``, or an
            attribute that does not fit its frames.

    Example:
        >>> take_frames(Data(x=torch.tensor([[1.0], [2.0]])), torch.tensor([1, 1, 0])).x.flatten().tolist()
        [2.0, 2.0, 1.0]
    """
    check_sequence(data)
    return take_checked_frames(data, take)


def take_checked_frames(data: Data, take: Tensor) -> Data:
    """Does the same as :func:`take_frames` with a sequence that :func:`lgrin.transforms.nodes.check_sequence` has seen.

    Example:
        >>> take_checked_frames(Data(x=torch.tensor([[1.0], [2.0]])), torch.tensor([1])).x.tolist()
        [[2.0]]
    """
    names, length = attributes_of_frames(data), data.x.size(0)
    if length == 0:
        raise ValueError("data.x has no frame, so there is nothing to repeat; leave empty sequences out")
    frame = data.get("frame")
    if frame is not None and not torch.equal(frame.long(), torch.arange(length, device=frame.device)):
        raise ValueError("data.frame leaves frames out; keep them in data.x and mark them in data.mask instead")
    for name in names:
        data[name] = select(data[name], take)
    if "num_nodes" in data:
        data.num_nodes = len(take)
    data.frame = torch.arange(len(take), device=data.x.device)
    return data


def thin_checked_frames(data: Data, num_nodes: int, how: str) -> Data:
    """Thins a sequence that :func:`lgrin.transforms.nodes.check_sequence` has seen to M frames of its L.

    Args:
        data: The sequence, of M frames or more.
        num_nodes: Frames afterwards, M.
        how: A name in :data:`lgrin.transforms.thinning.THINNINGS`.

    Returns:
        The same object. Attributes other than ``x`` and ``mask`` are those of the frame in the middle of a segment.

    Example:
        >>> data = thin_checked_frames(Data(x=torch.tensor([[1.0], [4.0], [3.0]]), time=torch.arange(3)), 1, "max")
        >>> data.x.tolist(), data.time.tolist()
        ([[4.0]], [1])
    """
    x, mask, length = data.x, data.get("mask"), len(data.x)
    if length == 0:
        raise ValueError("data.x has no frame, so there is nothing to thin; leave empty sequences out")
    present = torch.ones(length, dtype=torch.bool) if mask is None else mask.cpu()
    thinned, there = THINNINGS[how](x.cpu().flatten(1), present, num_nodes)
    border = torch.searchsorted(segments(length, num_nodes), torch.arange(num_nodes + 1))
    data = take_checked_frames(data, (border[:-1] + border[1:] - 1) // 2)
    data.x = thinned.reshape(num_nodes, *x.shape[1:]).to(x.device)
    if mask is not None:
        data.mask = there.to(mask.device)
    return data


class Resample(BaseTransform):
    r"""Stretches or shortens every sequence to the same number of frames.

    Frame i then has the same relative position in each.

    .. math:: n'_i = n_{\mathrm{round}(i (L - 1) / (M - 1))}, \qquad 0 \le i < M

    Frames are selected or repeated, never interpolated. A sequence with more than M frames may instead be thinned,
    which looks at all of them.

    Args:
        num_nodes: Frames afterwards, M.
        how: What becomes of a sequence with more frames: ``"nearest"`` selects some; ``"mean"``, ``"max"`` and
            ``"lowpass"`` thin it as :class:`Thin` does.

    Shapes:
        - **data.x:** ``[L, F]`` becomes ``[M, F]``; ``data.mask``, ``data.time`` and whatever else has one entry for
          each frame follow their frames, and ``data.frame`` becomes 0..M-1

    Raises:
        ValueError: If a sequence is empty, already a graph with edges, has frames left out of ``data.frame``, or an
            attribute that does not fit its frames.

    Example:
        >>> Resample(4)(Data(x=torch.tensor([[1.0], [2.0]]))).x.flatten().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    def __init__(self, num_nodes: int, how: str = NEAREST) -> None:
        check_whole("num_nodes", num_nodes)
        check_option("how", how, RESAMPLINGS)
        self.num_nodes, self.how = num_nodes, how

    def forward(self, data: Data) -> Data:
        """Resamples one sequence; see the class."""
        take = self.picks(check_sequence(data))
        if take is not None:
            return take_checked_frames(data, take)
        return thin_checked_frames(data, self.num_nodes, self.how)

    def picks(self, length: int) -> Tensor | None:
        """Says which frames of so many are taken, int64 ``[M]``, to be read only; ``None`` where they are thinned.

        Example:
            >>> Resample(2).picks(5).tolist()
            [0, 4]
        """
        picked = self.how == NEAREST or length <= self.num_nodes
        return _spread_once(length, self.num_nodes) if picked else None

    @property
    def settings(self) -> dict[str, str | int]:
        """Its name and arguments as plain values, from which :func:`lgrin.transforms.from_settings` builds it again."""
        how = {} if self.how == NEAREST else {"how": self.how}
        return {"name": type(self).__name__, "num_nodes": self.num_nodes, **how}

    def __repr__(self) -> str:
        how = "" if self.how == NEAREST else f", how={self.how!r}"
        return f"{type(self).__name__}({self.num_nodes}{how})"
