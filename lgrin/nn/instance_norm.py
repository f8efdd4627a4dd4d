"""Normalisation of each sequence by itself."""

import torch
from torch import Tensor
from torch.nn import Module

from lgrin.nodes import Nodes, at_least_float32, zero_absent
from lgrin.options import check_number, check_whole


class MaskedInstanceNorm(Module):
    r"""Standardises each channel of each sequence over the sequence's own present nodes.

    .. math:: y_i = \frac{x_i - \bar x}{\sqrt{\frac{1}{|V|} \sum_{j \in V} (x_j - \bar x)^2 + \epsilon}}

    It has no parameters and no statistics to keep, and what it makes of a sequence depends on no other. A level or a
    scale that is a sequence's own, such as a speaker's pitch or a sensor's offset, is gone afterwards. 16-bit floats
    are centred, squared and added in float32.

    Args:
        num_features: Channels F.
        eps: Added to the variance, so that channels that hardly move are not blown up; in units of x squared.

    Shapes:
        - **x:** ``[*, M, F]``, or flat ``[N, F]`` beside ``batch``
        - **batch:** int64 ``[N]``, sorted; **mask:** bool, shaped like the nodes; **batch_size:** B
        - **output:** like x; rows of absent nodes are 0

    Raises:
        ValueError: If x does not have F channels, or ranks or sizes do not fit.
        IndexError: If the sequence of a node is out of range.

    Source:
        Ulyanov, Vedaldi and Lempitsky, "Instance Normalization", 2016; over the cepstra of an utterance it is what
        speech recognition calls cepstral mean and variance normalisation. Not in the paper.

    Example:
        >>> MaskedInstanceNorm(1, eps=0.0)(torch.tensor([[[1.0], [3.0]], [[10.0], [30.0]]])).flatten().tolist()
        [-1.0, 1.0, -1.0, 1.0]
    """

    def __init__(self, num_features: int, eps: float = 0.01) -> None:
        super().__init__()
        self.num_features, self.eps = check_whole("num_features", num_features), check_number("eps", eps)

    def forward(
        self,
        x: Tensor,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Normalises node features; see the class."""
        if x.size(-1) != self.num_features:
            raise ValueError(
                f"x has {x.size(-1)} channels, but this norm was built for num_features={self.num_features}"
            )
        nodes = Nodes.read(x, None, batch, mask, batch_size).stacked()
        nodes = nodes._replace(x=at_least_float32(nodes.x))
        centered = zero_absent(nodes.x - nodes.to_nodes(nodes.mean()), nodes.mask)
        variance = nodes._replace(x=centered.square()).mean()
        return (centered * nodes.to_nodes(torch.rsqrt(variance + self.eps))).to(x.dtype).view(x.shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features})"
