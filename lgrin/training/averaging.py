"""Averages of the weights over training steps."""

import torch
from torch import Tensor

from lgrin.extras import optional
from lgrin.options import check_number

with optional("train"):
    from lightning.pytorch.callbacks import WeightAveraging

HEAD_START = 10


class MovingAverage(WeightAveraging):
    r"""Validates and keeps an exponential moving average of the weights that is short at first.

    .. math:: \bar\theta_n = d_n \bar\theta_{n - 1} + (1 - d_n) \theta_n, \qquad
              d_n = \min \left( d, \frac{1 + n}{10 + n} \right)

    Runs of few steps would otherwise keep weights from before they learned anything.

    Args:
        decay: The largest decay d per step.

    Raises:
        ValueError: If it does not lie from 0 to 1.

    Source:
        The warm-up is that of TensorFlow's ``ExponentialMovingAverage``.

    Example:
        >>> average = MovingAverage(0.98)
        >>> average.decay_at(0), average.decay_at(10_000)
        (0.1, 0.98)
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._average)
        self.decay = check_number("decay", decay, maximum=1)

    def decay_at(self, step: int) -> float:
        """Returns the decay of a step."""
        return min(self.decay, (1 + step) / (HEAD_START + step))

    def _average(self, average: list[Tensor], current: list[Tensor], num_averaged: Tensor | int) -> None:
        decay = self.decay_at(int(num_averaged))
        if average[0].is_floating_point():
            torch._foreach_mul_(average, decay)
            torch._foreach_add_(average, torch._foreach_mul(current, 1 - decay))
        else:  # counts of batches
            torch._foreach_copy_(average, current)
