"""What sign the weights of an adjacency may have."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST_SOFTPLUS = 1e-6  # a start below it would hardly get a gradient
LEAK = 0.1  # of the gradient that an entry of 0 or below keeps


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

    @property
    def cuts(self) -> bool:
        """Whether parameters of 0 and below are no edges."""
        return self.nonnegative and not self.connects_all


def keep(weights: Tensor) -> Tensor:
    """Leaves weights as they are."""
    return weights


def leaky_cut(weights: Tensor) -> Tensor:
    r"""Cuts like ReLU, and lets what was cut come back: entries of 0 and below keep a tenth of their gradient.

    .. math:: A = \mathrm{ReLU}(W), \qquad
              \frac{\partial L}{\partial W} := \begin{cases} \partial L / \partial A & W > 0 \\
              0.1 \, \partial L / \partial A & W \le 0 \end{cases}

    It is the gradient of a leaky ReLU beside the values of ReLU ("straight-through"), so it is not a derivative.

    Args:
        weights: Parameters ``[*]``.

    Returns:
        Weights ``[*]``.

    Source:
        Straight-through gradients: Bengio, Leonard and Courville, 2013.

    Example:
        >>> parameter = torch.tensor([2.0, -1.0], requires_grad=True)
        >>> weights = leaky_cut(parameter)
        >>> weights.sum().backward()
        >>> weights.tolist(), parameter.grad.tolist()
        ([2.0, 0.0], [1.0, 0.1...])
    """
    below = LEAK * weights.clamp(max=0)
    return weights.relu() + (below - below.detach())


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
