"""Sequences of one fixed length, Sec. IV-A."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin.options import check_option, check_whole
from lgrin.transforms.nodes import check_sequence
from lgrin.transforms.resample import evenly_spread, take_checked_frames


def _refuse(length: int, num_nodes: int) -> Tensor:
    raise ValueError(
        f"data.x has {length} frames, more than num_nodes={num_nodes}; pass longer='crop' or longer='resample', or a "
        f"larger num_nodes"
    )


def _first(length: int, num_nodes: int) -> Tensor:
    return torch.arange(num_nodes)


LONGER: dict[str, Callable[[int, int], Tensor]] = {"error": _refuse, "crop": _first, "resample": evenly_spread}


class CyclicPad(BaseTransform):
    r"""Gives every sequence the same number of frames by repeating it from its beginning.

    .. math:: n'_i = n_{i \bmod L}, \qquad 0 \le i < M

    Args:
        num_nodes: Frames afterwards, M.
        longer: What happens to sequences of more than M frames: ``"error"`` raises, ``"crop"`` keeps the first M,
            ``"resample"`` keeps M frames evenly spread from the first to the last, none of them interpolated.

    Shapes:
        - **data.x:** ``[L, F]`` becomes ``[M, F]``; ``data.mask``, ``data.time`` and whatever else has one entry for
          each frame follow their frames, and ``data.frame`` becomes 0..M-1

    Raises:
        ValueError: If a sequence is empty, too long under ``"error"``, already a graph with edges, has frames left
            out of ``data.frame``, or an attribute that does not fit its frames.

    Source:
        "Implementation details" in Sec. IV-A of Shirian, Tripathi and Guha, 2021, which do not mention longer clips.

    Example:
        >>> from torch_geometric.data import Data
        >>> CyclicPad(5)(Data(x=torch.tensor([[1.0], [2.0]]))).x.flatten().tolist()
        [1.0, 2.0, 1.0, 2.0, 1.0]
    """

    def __init__(self, num_nodes: int, longer: str = "error") -> None:
        check_whole("num_nodes", num_nodes)
        check_option("longer", longer, tuple(LONGER))
        self.num_nodes, self.longer = num_nodes, longer

    def forward(self, data: Data) -> Data:
        """Pads or shortens one sequence; see the class."""
        length = check_sequence(data)
        if length <= self.num_nodes:
            return take_checked_frames(data, torch.arange(self.num_nodes) % max(length, 1))
        return take_checked_frames(data, LONGER[self.longer](length, self.num_nodes))

    @property
    def settings(self) -> dict[str, str | int]:
        """Its name and arguments as plain values, from which :func:`lgrin.transforms.from_settings` builds it again."""
        return {"name": type(self).__name__, "num_nodes": self.num_nodes, "longer": self.longer}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_nodes}, longer={self.longer!r})"
