"""Windows of frames, for encoders that learn their features."""

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin.options import check_whole
from lgrin.transforms.nodes import check_sequence
from lgrin.transforms.resample import evenly_spread, take_checked_frames


class Patches(BaseTransform):
    r"""Cuts every sequence into the same number of overlapping windows, spread evenly from its first to its last frame.

    .. math:: n'_{i k} = n_{c_i + k - \lfloor w / 2 \rfloor}, \qquad c_i = \mathrm{round}(i (L - 1) / (M - 1)),
              \qquad 0 \le i < M, \; 0 \le k < w

    Beyond its ends a sequence is continued by its first and its last frame.

    Args:
        num_nodes: Windows per sequence, M.
        width: Frames per window, w.

    Shapes:
        - **data.x:** ``[L, F]`` becomes ``[M, w, F]``; ``data.mask`` is True where all frames of a window are present,
          ``data.time`` and whatever else has one entry for each frame that of its middle, ``data.frame`` 0..M-1

    Raises:
        ValueError: If a sequence is empty, already a graph with edges, has frames left out of ``data.frame``, or an
            attribute that does not fit its frames.

    Example:
        >>> Patches(3, width=2)(Data(x=torch.tensor([[1.0], [2.0], [3.0]]))).x.squeeze(-1).tolist()
        [[1.0, 1.0], [1.0, 2.0], [2.0, 3.0]]
    """

    def __init__(self, num_nodes: int, width: int) -> None:
        self.num_nodes, self.width = check_whole("num_nodes", num_nodes), check_whole("width", width)

    def forward(self, data: Data) -> Data:
        """Cuts one sequence; see the class."""
        length, x, mask = check_sequence(data), data.x, data.get("mask")
        centres = evenly_spread(length, self.num_nodes)
        data = take_checked_frames(data, centres)
        context = torch.arange(self.width) - self.width // 2
        windows = (centres.unsqueeze(-1) + context).clamp(0, length - 1).to(x.device)
        data.x = x[windows]
        if mask is not None:
            data.mask = mask[windows].all(-1)
        return data

    @property
    def settings(self) -> dict[str, str | int]:
        """Its name and arguments as plain values, from which :func:`lgrin.transforms.from_settings` builds it again."""
        return {"name": type(self).__name__, "num_nodes": self.num_nodes, "width": self.width}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_nodes}, width={self.width})"
