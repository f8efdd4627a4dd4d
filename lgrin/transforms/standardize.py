"""Normalisation fitted on training data and kept with the model."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Data

from lgrin import validate
from lgrin.arguments import check_mask
from lgrin.options import check_whole


class Standardize(Module):
    r"""Scales each feature to zero mean and unit variance over the frames that it was fitted on.

    .. math:: x' = (x - \mu) / \sigma

    A module, so that ``state_dict``, ``.to()`` and checkpoints carry the statistics. Before it is fitted it
    changes nothing. A constant feature is centred, and not scaled.

    Args:
        num_features: Features per frame, P.

    Attributes:
        mean: Buffer ``[P]``.
        std: Buffer ``[P]``.

    Shapes:
        - **x:** ``[*, P]``; **output:** ``[*, P]``

    Raises:
        ValueError: If x does not have P features, or there is no frame to fit on.

    Example:
        >>> scale = Standardize(1).fit([Data(x=torch.tensor([[1.0], [3.0]]))])
        >>> scale(torch.tensor([[5.0]])).item()
        3.0
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        check_whole("num_features", num_features)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("std", torch.ones(num_features))

    def fit(self, sequences: Iterable[Data]) -> "Standardize":
        """Measures the training sequences one by one; frames outside ``data.mask`` do not count.

        Args:
            sequences: Training sequences with ``x [L, P]`` and perhaps ``mask [L]``.

        Returns:
            Itself.

        Raises:
            ValueError: If no frame is present, or one does not have P features or is not finite.
        """
        count = 0
        mean, squares, largest = (torch.zeros(self.mean.numel(), dtype=torch.float64) for _ in range(3))
        for index, data in enumerate(sequences):
            x = self._present_frames(index, data)
            if x.size(0) == 0:
                continue
            new, shift = x.size(0), x.mean(0) - mean
            count += new
            squares += (x - x.mean(0)).square().sum(0) + shift.square() * ((count - new) * new / count)
            mean += shift * (new / count)
            largest = torch.maximum(largest, x.abs().amax(0))
        if count == 0:
            raise ValueError("sequences holds no present frame; fit on training data that has some")
        std = (squares / count).sqrt()
        std = std.masked_fill(std <= 1e-7 * largest.clamp(min=torch.finfo(torch.float64).tiny), 1)
        self.mean.copy_(mean)
        self.std.copy_(std)
        return self

    def _present_frames(self, index: int, data: Data) -> Tensor:
        """The present frames of a sequence, all finite."""
        x, mask = data.x, data.get("mask")
        check_mask(x, mask)
        if x.dim() < 2:
            raise ValueError(f"sequences[{index}].x has shape {list(x.shape)}; it has to be [L, P]")
        if x.size(-1) != self.mean.numel():
            raise ValueError(
                f"sequences[{index}] has {x.size(-1)} features a frame, but num_features={self.mean.numel()}"
            )
        validate.features(x, mask, f"sequences[{index}].x")
        return (x if mask is None else x[mask]).double()

    def forward(self, x: Tensor) -> Tensor:
        """Scales ``[*, P]``."""
        if x.size(-1) != self.mean.numel():
            raise ValueError(f"x has {x.size(-1)} features, but num_features={self.mean.numel()}")
        return (x - self.mean) / self.std

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.mean.numel()})"
