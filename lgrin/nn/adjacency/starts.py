"""What the weights of an adjacency start from."""

from collections.abc import Callable
from math import pi, sqrt

import torch
from torch import Tensor

TEMPORAL_WIDTH = 3.0
STORED = "stored"
RANDOM_STARTS = ("normal", "uniform", STORED)  # of the parameters; the others are starts of the weights
SMALLEST_START = 1e-36  # far below rounding; divided by the sum of a row it is no denormal number yet


def normal(weight: Tensor, distance: Tensor) -> None:
    """Draws from N(0, 1), as the paper does."""
    torch.nn.init.normal_(weight)


def uniform(weight: Tensor, distance: Tensor) -> None:
    """Draws from U[0, 1), as the released code does."""
    torch.nn.init.uniform_(weight)


def temporal(weight: Tensor, distance: Tensor) -> None:
    r"""Decays with the distance in frames, :math:`\exp(-(i - j)^2 / 18)`."""
    _copy(weight, _decay(weight, distance))


def lazy(weight: Tensor, distance: Tensor) -> None:
    r"""Half for the frame itself, :math:`\frac12 \delta_{ij} + \frac{1}{6 \sqrt{2 \pi}} \exp(-(i - j)^2 / 18)`."""
    _copy(weight, (_decay(weight, distance) / (TEMPORAL_WIDTH * sqrt(2 * pi)) + (distance == 0)) / 2)


def missing(weight: Tensor, distance: Tensor) -> None:
    """Marks every weight as missing: a ``state_dict`` brings the values of a start that is :data:`STORED`."""
    torch.nn.init.constant_(weight, torch.nan)


def _decay(weight: Tensor, distance: Tensor) -> Tensor:
    return torch.exp(-(distance.to(weight.dtype) / TEMPORAL_WIDTH).square() / 2)


def _copy(weight: Tensor, start: Tensor) -> None:
    """Copies a start, raised to what still has a gradient: ReLU passes none to an exact 0."""
    smallest = max(SMALLEST_START, torch.finfo(start.dtype).tiny)
    weight.data.copy_(start.clamp(min=smallest))


STARTS: dict[str, Callable[[Tensor, Tensor], None]] = {
    "normal": normal,
    "uniform": uniform,
    "temporal": temporal,
    "lazy": lazy,
}
