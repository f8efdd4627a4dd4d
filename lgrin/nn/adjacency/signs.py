"""What sign the weights of an adjacency may have."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST_SOFTPLUS = 1e-6  # a start below it would hardly get a gradient


class Sign(NamedTuple):
    """How parameters become weights of a graph.

    Attributes:
        apply: From parameters to weights, entry by entry.
        invert: From weights to start with to parameters.
        connects_all: Whether every pair is an edge whatever the parameters are.
        nonnegative: Whether no weight is below 0.
    """

    apply: Callable[[Tensor], Tensor]
    invert: Callable[[Tensor], Tensor]
    connects_all: bool = False
    nonnegative: bool = False


def keep(weights: Tensor) -> Tensor:
    """Leaves weights as they are."""
    return weights


def inverse_softplus(weight: Tensor) -> Tensor:
    r"""Computes what softplus maps to these weights, :math:`\log(e^A - 1)`; weights below 1e-6 count as 1e-6.

    Args:
        weight: Weights ``[*]``.

    Returns:
        Parameters ``[*]``.

    Example:
        >>> torch.nn.functional.softplus(inverse_softplus(torch.tensor([0.5, 40.0]))).tolist()
        [0.5, 40.0]
    """
    weight = weight.clamp(min=SMALLEST_SOFTPLUS)
    return weight + torch.log(-torch.expm1(-weight))
