"""The squeeze-and-excitation network."""

from math import isqrt

from torch import Tensor

from lgrin.baselines.baseline import Baseline
from lgrin.extras import optional
from lgrin.nn import GraphReadout


class SENet(Baseline):
    r"""Classifies every frame as an image and averages the logits of the frames.

    .. math:: \mathrm{logits} = \frac{1}{|V|} \sum_i \mathrm{SEResNet}_{50}(x_i)

    The paper does not state how the results of images are combined for a video. The average is the usual choice. All
    present frames of a batch are passed to the network at once, so memory grows with B M S².

    Args:
        in_channels: Values per frame, 3 S² for images of S by S pixels, in the order ``[3, S, S]``.
        num_nodes: Frames per sequence, M.
        num_classes: Classes, C.

    Shapes:
        - **x, frame, batch, mask, batch_size, output:** as for :class:`Baseline`

    Raises:
        ImportError: If timm is not installed.
        ValueError: If sizes do not fit or a graph is given.

    Source:
        Hu, Shen and Sun, "Squeeze-and-excitation networks", CVPR 2018, as ``seresnet50`` of timm with random weights.

    Example:
        >>> SENet(in_channels=136, num_nodes=90, num_classes=6)  # landmarks are not images
        Traceback (most recent call last):
        ValueError: in_channels is 136; a square picture has 3 * S * S values, such as 12288 for S = 64
    """

    def __init__(self, in_channels: int, num_nodes: int, num_classes: int) -> None:
        super().__init__(in_channels, num_nodes, num_classes)
        self.side = isqrt(in_channels // 3)
        if self.side < 1 or 3 * self.side**2 != in_channels:
            raise ValueError(
                f"in_channels is {in_channels}; a square picture has 3 * S * S values, such as {3 * 64 * 64} for S = 64"
            )
        with optional("baselines"):
            from timm import create_model
        self.network = create_model("seresnet50", num_classes=num_classes)
        self.readout = GraphReadout(num_nodes, parts=("mean",))

    def classify(self, x: Tensor, mask: Tensor) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        logits = self.network(x[mask].unflatten(-1, (3, self.side, self.side)))
        frames = logits.new_zeros(*mask.shape, self.num_classes).masked_scatter(mask.unsqueeze(-1), logits)
        return self.readout(frames, mask=mask)
