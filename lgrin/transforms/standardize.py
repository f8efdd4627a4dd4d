"""Normalisation fitted on training data and kept with the model."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Data

from lgrin import validate
from lgrin.arguments import check_mask
from lgrin.arrays import LOST, ROUNDING
from lgrin.options import check_whole


class Standardize(Module):
    r"""Scales each feature to zero mean and unit variance over the frames that it was fitted on.

    .. math:: x' = (x - \mu) / \sigma

    A module, so that ``state_dict``, ``.to()`` and checkpoints carry the statistics. Before it is fitted it
    changes nothing. A constant feature is centred, and not scaled. NaN becomes 0, the mean: a channel that is missing
    in one sequence is filled with the mean of the sequences that have it.

    Features in float64 are subtracted in float64. Where the mean is so large beside the deviation that float32 would
    round the signal away (time stamps, pressure in pascal), ``mean`` is kept in float64, whatever the dtype of the rest
    of the model.

    Args:
        num_features: Features per frame, P.

    Attributes:
        mean: Buffer ``[P]``.
        std: Buffer ``[P]``.

    Shapes:
        - **x:** ``[*, P]``; **output:** ``[*, P]``; of float64 features in the dtype of ``std``

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
            ValueError: If no frame is present, one does not have P features or is not finite, or no sequence has a
                channel. A channel that is NaN in a whole sequence does not count there.
        """
        fitting = Fitting(self)
        for data in sequences:
            fitting.add(data)
        return fitting.finish()

    def forward(self, x: Tensor) -> Tensor:
        """Scales ``[*, P]``."""
        if x.size(-1) != self.mean.numel():
            raise ValueError(f"x has {x.size(-1)} features, but num_features={self.mean.numel()}")
        scaled = (x - self.mean) / self.std
        scaled = scaled.masked_fill(scaled.isnan(), 0.0)
        return scaled.to(self.std.dtype) if torch.float64 in (x.dtype, self.mean.dtype) else scaled

    def take(self, mean: Tensor, std: Tensor, exact: bool = False) -> None:
        """Takes statistics that were measured in float64.

        Args:
            mean: ``[P]``.
            std: ``[P]``.
            exact: Whether to keep a mean in float64 that float32 would round by a part of the deviation that matters.
        """
        lost = (mean.float().double() - mean).abs() > LOST * std
        dtype = torch.float64 if exact and bool(lost.any()) else self.std.dtype
        if dtype != self.mean.dtype:
            self.mean = self.mean.to(dtype)
        self.mean.copy_(mean)
        self.std.copy_(std)

    @property
    def offset(self) -> Tensor | None:
        """The mean ``[P]`` in float64 where float32 would round it by more than 1e-4 of a deviation; else ``None``."""
        if self.mean.dtype != torch.float64 or self.mean.is_meta:
            return None
        lost = (self.mean.float().double() - self.mean).abs() > LOST * self.std
        return self.mean if bool(lost.any()) else None

    def subtracted_before(self) -> list[float] | None:
        """Sets an :attr:`offset` to 0, for features from which it will have been subtracted, and returns it."""
        if self.offset is None:
            return None
        offset: list[float] = self.mean.tolist()
        self.mean = torch.zeros_like(self.std)
        return offset

    def _apply(self, fn: Any, recurse: bool = True) -> "Standardize":
        """Converts the buffers, but for a mean that no narrower dtype holds."""
        offset = self.offset
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if offset is not None:
            self.mean = offset.to(self.mean.device)
        return self

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Takes the mean in float64 where the file has it so."""
        mean = state_dict.get(f"{prefix}mean")
        if isinstance(mean, Tensor) and mean.dtype == torch.float64 and not self.mean.is_meta:
            self.mean = self.mean.double()
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.mean.numel()})"


class Fitting:
    """The fitting of a :class:`Standardize` sequence by sequence, for a pass over the data that does more than that.

    Args:
        scale: What is fitted; it changes in :meth:`finish` alone.

    Example:
        >>> fitting = Fitting(Standardize(1))
        >>> for x in (1.0, 3.0):
        ...     fitting.add(Data(x=torch.tensor([[x]])))
        >>> fitting.finish().mean.item()
        2.0
    """

    def __init__(self, scale: Standardize) -> None:
        self.scale, self.num_features = scale, scale.mean.numel()
        self.num_sequences = 0
        zeros = (torch.zeros(self.num_features, dtype=torch.float64) for _ in range(4))
        self.num_frames, self.mean, self.squares, self.largest = zeros  # of each channel
        self.rounding = ROUNDING  # of the largest value: less than this is no signal

    def add(self, data: Data) -> None:
        """Adds the present frames of one sequence."""
        x = self._present_frames(f"sequences[{self.num_sequences}]", data)
        self.num_sequences += 1
        if x.size(0) == 0:
            return
        if data.x.dtype != torch.float64:
            self.rounding = 1e-7
        there = ~x.isnan().any(0)  # a channel is missing as a whole or not at all
        x, new = x.masked_fill(~there, 0.0), x.size(0) * there.double()
        shift = (x.mean(0) - self.mean).masked_fill(~there, 0.0)
        self.num_frames += new
        total = self.num_frames.clamp(min=1)
        within = (x - x.mean(0)).square().sum(0)
        self.squares += within + shift.square() * ((self.num_frames - new) * new / total)
        self.mean += shift * (new / total)
        self.largest = torch.maximum(self.largest, x.abs().amax(0))

    def finish(self) -> Standardize:
        """Gives mean and deviation to what is fitted, and returns it."""
        if not bool(self.num_frames.any()):
            raise ValueError("sequences holds no present frame; fit on training data that has some")
        if not bool(self.num_frames.all()):
            channel = int((self.num_frames == 0).nonzero()[0])
            raise ValueError(
                f"channel {channel} is missing in every sequence, so nothing can be learned from it; leave it out"
            )
        std = (self.squares / self.num_frames).sqrt()
        std = std.masked_fill(std <= self.rounding * self.largest.clamp(min=torch.finfo(torch.float64).tiny), 1)
        self.scale.take(self.mean, std, exact=self.rounding == ROUNDING)
        return self.scale

    def _present_frames(self, name: str, data: Data) -> Tensor:
        """The present frames of a sequence, all finite."""
        x, mask = data.x, data.get("mask")
        check_mask(x, mask)
        if x.dim() < 2:
            raise ValueError(f"{name}.x has shape {list(x.shape)}; it has to be [L, P]")
        if x.size(-1) != self.num_features:
            raise ValueError(f"{name} has {x.size(-1)} features a frame, but num_features={self.num_features}")
        validate.features(x, mask, f"{name}.x", torch.zeros(len(x), dtype=torch.long, device=x.device))
        return (x if mask is None else x[mask]).double()
