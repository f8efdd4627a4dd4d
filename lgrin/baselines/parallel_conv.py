"""Parallel convolutions of several widths."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Conv1d, Module, ModuleList

from lgrin.nodes import zero_absent


class ParallelConv(Module):
    r"""Applies parallel convolutions of several widths over time, and one convolution over their outputs.

    .. math:: H = \mathrm{ReLU}(\mathrm{conv}(\left[ F_3 \mid F_5 \mid F_{21} \right])), \qquad
              F_w = \mathrm{ReLU}(\mathrm{conv}_w(x))

    Missing frames are 0 before and after each convolution.

    Args:
        in_channels: Features per frame, P.
        channels: Channels of each width, and of the output.
        widths: Odd widths in frames.

    Shapes:
        - **x:** ``[B, M, P]``, zero at missing frames; **mask:** bool ``[B, M]``
        - **output:** ``[B, M, channels]``, zero at missing frames

    Source:
        Latif, Rana, Khalifa, Jurdak and Epps, "Direct modelling of speech emotion from raw speech", Interspeech 2019.

    Example:
        >>> ParallelConv(4)(torch.rand(2, 9, 4), torch.ones(2, 9, dtype=torch.bool)).shape
        torch.Size([2, 9, 128])
    """

    def __init__(self, in_channels: int, channels: int = 128, widths: Sequence[int] = (3, 5, 21)) -> None:
        super().__init__()
        self.parallel = ModuleList(Conv1d(in_channels, channels, width, padding="same") for width in widths)
        self.joint = Conv1d(channels * len(widths), channels, 5, padding="same")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Computes ``[B, M, channels]``; see the class."""
        found = torch.cat([conv(x.mT) for conv in self.parallel], dim=1).relu()
        return zero_absent(self.joint(zero_absent(found.mT, mask).mT).relu().mT, mask)
