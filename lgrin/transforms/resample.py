"""Sequences of one fixed length, each stretched or shortened in time."""

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin.options import check_whole
from lgrin.transforms.nodes import attributes_of_frames, check_sequence, select


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


class Resample(BaseTransform):
    r"""Stretches or shortens every sequence to the same number of frames.

    Frame i then has the same relative position in each.

    .. math:: n'_i = n_{\mathrm{round}(i (L - 1) / (M - 1))}, \qquad 0 \le i < M

    Frames are selected or repeated, never interpolated.

    Args:
        num_nodes: Frames afterwards, M.

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

    def __init__(self, num_nodes: int) -> None:
        check_whole("num_nodes", num_nodes)
        self.num_nodes = num_nodes

    def forward(self, data: Data) -> Data:
        """Resamples one sequence; see the class."""
        return take_checked_frames(data, evenly_spread(check_sequence(data), self.num_nodes))

    @property
    def settings(self) -> dict[str, str | int]:
        """Its name and arguments as plain values, from which :func:`lgrin.transforms.from_settings` builds it again."""
        return {"name": type(self).__name__, "num_nodes": self.num_nodes}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_nodes})"
