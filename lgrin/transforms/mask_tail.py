"""Constant frames at the end of a sequence."""

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin.options import check_whole
from lgrin.transforms.nodes import check_sequence


class MaskTail(BaseTransform):
    r"""Marks frames at the end as missing if they all equal the last one: digital silence, a frozen picture.

    Smoothing and deltas read neighbouring frames, so the first one to four frames of a silence may stay present.

    .. math:: \mathrm{mask}_i = \mathrm{False} \quad \text{if} \quad n_i = n_{i + 1} = \dots = n_L

    Args:
        least: The smallest number of equal frames at the end that are marked.

    Shapes:
        - **data.x:** ``[L, F]`` stays as it is; **data.mask:** bool ``[L]`` is added, or is True in fewer frames

    Raises:
        ValueError: If ``least`` is no positive whole number, or the sequence is empty, the same from its first frame,
            or no ``[L, F]``.

    Example:
        >>> from torch_geometric.data import Data
        >>> MaskTail(least=2)(Data(x=torch.tensor([[1.0], [2.0], [0.0], [0.0]]))).mask.tolist()
        [True, True, False, False]
    """

    def __init__(self, least: int = 3) -> None:
        self.least = check_whole("least", least)

    def forward(self, data: Data) -> Data:
        """Marks the tail of one sequence; see the class."""
        length = check_sequence(data)
        if length == 0:
            raise ValueError("data.x has no frame; leave empty sequences out")
        different = (data.x != data.x[-1:]).flatten(1).any(-1).nonzero()
        start = int(different[-1]) + 1 if len(different) else 0
        mask = torch.ones(length, dtype=torch.bool, device=data.x.device) if data.get("mask") is None else data.mask
        if length - start >= self.least:
            mask = mask & (torch.arange(length, device=data.x.device) < start)
        if not bool(mask.any()):
            raise ValueError("data.x is the same in all present frames, so nothing would be left; leave it out")
        data.mask = mask
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.least})"
