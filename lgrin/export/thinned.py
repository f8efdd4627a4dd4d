"""A network and a bank of filters behind the thinning of sequences, as operators that can be exported."""

from math import pi

import torch
from torch import Tensor
from torch.nn import Module

from lgrin.models import Blend
from lgrin.transforms.resample import evenly_spread_each


class ThinnedBlend(Module):
    """A :class:`lgrin.models.Blend` whose sequences are thinned by tensor operations of any length.

    The Blend thins its sequences one by one, which no exporter can follow. It is called like the Blend with dense
    sequences, and gives the same.

    Args:
        blend: The model, whose parts are shared.

    Shapes:
        - **x:** ``[B, L, P]``; **mask:** bool ``[B, L]``; **output:** logits ``[B, C]``

    Example:
        >>> sizes = {"in_channels": 6, "num_classes": 3}
        >>> blend = Blend({**sizes, "num_nodes": 20}, sizes, thin="max").eval()
        >>> x, mask = torch.rand(2, 80, 6), torch.ones(2, 80).bool()
        >>> torch.allclose(ThinnedBlend(blend)(x, mask), blend(x, mask=mask), atol=1e-6)
        True
    """

    def __init__(self, blend: Blend) -> None:
        super().__init__()
        self.network, self.bank, self.weight = blend.network, blend.bank, blend.weight
        self.num_nodes: int = blend.network.num_nodes
        self.thin = THINNINGS[blend.thin]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Computes logits ``[B, C]``."""
        logits: Tensor = self.bank(x, mask=mask)
        frames, present = self._to_length(x, mask)
        return logits + self.weight * self.network(frames, mask=present)

    def _to_length(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Stretches or thins sequences to M frames; both are computed, since a program of any length cannot branch."""
        length = torch.ones_like(mask, dtype=torch.long).sum(1)
        take = evenly_spread_each(length, self.num_nodes)
        picked = x.gather(1, take.unsqueeze(-1).expand(-1, -1, x.size(-1)))
        thinned, there = self.thin(x, mask, self.num_nodes)
        is_short = (length <= self.num_nodes).unsqueeze(1)
        present = (is_short & mask.gather(1, take)) | (~is_short & there)  # onnxruntime has no Where of booleans
        return torch.where(is_short.unsqueeze(2), picked, thinned), present


def segment_mean(x: Tensor, mask: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Does the same as :func:`lgrin.transforms.thinning.segment_mean` for each of B sequences of L frames.

    Args:
        x: ``[B, L, F]``.
        mask: Bool ``[B, L]``.
        num_nodes: Segments, M.

    Returns:
        ``[B, M, F]`` and bool ``[B, M]``, both without meaning where L is less than M.

    Example:
        >>> segment_mean(torch.tensor([[[1.0], [2.0], [5.0], [7.0]]]), torch.ones(1, 4).bool(), 2)[0].flatten().tolist()
        [1.5, 6.0]
    """
    segment = _segments(mask[0], num_nodes)
    return _average(x, mask, (segment == torch.arange(num_nodes).unsqueeze(1)).double())


def low_pass(x: Tensor, mask: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Does the same as :func:`lgrin.transforms.thinning.low_pass`; as :func:`segment_mean`.

    Example:
        >>> x = torch.tensor([[[0.0], [0.0], [8.0], [0.0], [0.0], [0.0]]])
        >>> low_pass(x, torch.ones(1, 6).bool(), 2)[0].flatten()
        tensor([2.1818, 0.7273])
    """
    place = _places(mask[0])
    width = (place[-1] + 1).double() / num_nodes
    centre = (torch.arange(num_nodes, dtype=torch.float64).unsqueeze(1) + 0.5) * width - 0.5
    distance = (place - centre) / width
    return _average(x, mask, (distance * pi / 2).cos().square() * (distance.abs() < 1))


def segment_max(x: Tensor, mask: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Does the same as :func:`lgrin.transforms.thinning.segment_max`; as :func:`segment_mean`.

    Example:
        >>> segment_max(torch.tensor([[[1.0], [2.0], [5.0], [7.0]]]), torch.ones(1, 4).bool(), 2)[0].flatten().tolist()
        [2.0, 7.0]
    """
    lowest = x.masked_fill(~mask.unsqueeze(2), -torch.inf)
    index = _segments(mask[0], num_nodes).view(1, -1, 1).expand_as(x)
    highest = torch.full_like(x[:, :1], -torch.inf).repeat(1, num_nodes, 1)
    highest = highest.scatter_reduce(1, index, lowest, "amax")
    return highest, _average(x, mask, (index[0, :, 0] == torch.arange(num_nodes).unsqueeze(1)).double())[1]


THINNINGS = {"mean": segment_mean, "max": segment_max, "lowpass": low_pass}  # as in lgrin.transforms.thinning


def _average(x: Tensor, mask: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The average of present frames under weights ``[M, L]``, and where there is one."""
    counted = weight * mask.unsqueeze(1)
    total = counted.sum(2, keepdim=True)
    found = counted @ x.masked_fill(~mask.unsqueeze(2), 0.0).double() / total
    return found.to(x.dtype), total.squeeze(2) > 0


def _places(frames: Tensor) -> Tensor:
    """0, 1, 2, ... as many as there are frames."""
    return torch.ones_like(frames, dtype=torch.long).cumsum(0) - 1


def _segments(frames: Tensor, num_nodes: int) -> Tensor:
    """The segment of each frame, ``[L]``; as :func:`lgrin.transforms.thinning.segments`."""
    place = _places(frames)
    return place * num_nodes // (place[-1] + 1)
