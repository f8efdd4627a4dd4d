"""Sequences that are shorter by a factor."""

from math import ceil

from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin.options import check_option, check_whole
from lgrin.transforms.nodes import check_sequence
from lgrin.transforms.resample import thin_checked_frames
from lgrin.transforms.thinning import THINNINGS


class Thin(BaseTransform):
    r"""Makes every sequence shorter by a factor, from all of its frames.

    .. math:: M = \lceil L / \text{factor} \rceil

    A short event remains in a maximum, a level in a mean, and a slow movement without aliases in what a low-pass filter
    leaves. :class:`Resample` brings sequences to one length in the same ways.

    Args:
        factor: Frames that become one.
        how: ``"mean"``, ``"max"`` or ``"lowpass"``, see :data:`lgrin.transforms.thinning.THINNINGS`.

    Shapes:
        - **data.x:** ``[L, F]`` becomes ``[M, F]``; a frame is present in ``data.mask`` if any of those that it is made
          of is; whatever else has one entry for each frame is taken from the one in the middle

    Raises:
        ValueError: If the factor is no positive whole number, there is no such way, or as :class:`Resample`.

    Example:
        >>> import torch
        >>> Thin(2, "max")(Data(x=torch.tensor([[1.0], [3.0], [2.0]]))).x.flatten().tolist()
        [3.0, 2.0]
    """

    def __init__(self, factor: int, how: str = "mean") -> None:
        check_whole("factor", factor)
        check_option("how", how, THINNINGS)
        self.factor, self.how = factor, how

    def forward(self, data: Data) -> Data:
        """Thins one sequence; see the class."""
        return thin_checked_frames(data, ceil(check_sequence(data) / self.factor), self.how)

    @property
    def settings(self) -> dict[str, str | int]:
        """Its name and arguments as plain values, from which :func:`lgrin.transforms.from_settings` builds it again."""
        return {"name": type(self).__name__, "factor": self.factor, "how": self.how}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.factor}, how={self.how!r})"
