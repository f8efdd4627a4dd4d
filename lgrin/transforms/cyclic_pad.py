"""Sequences of one fixed length, Sec. IV-A."""

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin.options import check_option, check_positive

LONGER = ("error", "crop", "resample")


class CyclicPad(BaseTransform):
    r"""Gives every sequence the same number of frames by repeating it from its beginning.

    .. math:: n'_i = n_{i \bmod L}, \qquad 0 \le i < M

    Args:
        num_nodes: Frames afterwards, M.
        longer: What happens to sequences of more than M frames: ``"error"`` raises, ``"crop"`` keeps the first M,
            ``"resample"`` keeps M frames evenly spread from the first to the last, none of them interpolated.

    Shapes:
        - **data.x:** ``[L, F]`` becomes ``[M, F]``; ``data.mask``, if there is one, follows its frames, and
          ``data.frame`` becomes 0..M-1

    Raises:
        ValueError: If a sequence is empty, too long under ``"error"``, already a graph with edges, or has frames
            left out of ``data.frame``.

    Source:
        "Implementation details" in Sec. IV-A of Shirian, Tripathi and Guha, 2021, which do not mention longer clips.

    Example:
        >>> from torch_geometric.data import Data
        >>> CyclicPad(5)(Data(x=torch.tensor([[1.0], [2.0]]))).x.flatten().tolist()
        [1.0, 2.0, 1.0, 2.0, 1.0]
    """

    def __init__(self, num_nodes: int, longer: str = "error") -> None:
        check_positive("num_nodes", num_nodes)
        check_option("longer", longer, LONGER)
        self.num_nodes, self.longer = num_nodes, longer

    def forward(self, data: Data) -> Data:
        """Pads or shortens one sequence; see the class."""
        length = data.x.size(0)
        self._check(data, length)
        take = torch.arange(self.num_nodes, device=data.x.device)
        if length > self.num_nodes and self.longer == "resample":
            take = torch.linspace(0, length - 1, self.num_nodes, device=data.x.device).round().long()
        take = take % length
        data.x = data.x[take]
        if data.get("mask") is not None:
            data.mask = data.mask[take]
        data.frame = torch.arange(self.num_nodes, device=data.x.device)
        return data

    def _check(self, data: Data, length: int) -> None:
        if length == 0:
            raise ValueError("data.x has no frame, so there is nothing to repeat; leave empty sequences out")
        if length > self.num_nodes and self.longer == "error":
            raise ValueError(
                f"data.x has {length} frames, more than num_nodes={self.num_nodes}; pass longer='crop' or "
                f"longer='resample', or a larger num_nodes"
            )
        if data.get("edge_index") is not None:
            raise ValueError("data has an edge_index, which padding would break; pad before a graph is built")
        frame = data.get("frame")
        if frame is not None and not torch.equal(frame, torch.arange(length, device=frame.device)):
            raise ValueError("data.frame leaves frames out; keep them in data.x and mark them in data.mask instead")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_nodes}, longer={self.longer!r})"
