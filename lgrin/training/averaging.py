"""Averages of the weights over training steps."""

from collections.abc import Iterable
from typing import Any

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
        return decay_at(step, self.decay)

    def _average(self, average: list[Tensor], current: list[Tensor], num_averaged: Tensor | int) -> None:
        if average[0].is_floating_point():
            decay = self.decay_at(int(num_averaged))
            torch._foreach_mul_(average, decay)
            torch._foreach_add_(average, torch._foreach_mul(current, 1 - decay))
        else:  # counts of batches
            torch._foreach_copy_(average, current)


class AveragedTensors:
    """The moving average of :class:`MovingAverage` for tensors that change in place.

    Args:
        tensors: Weights and statistics of a module; those that are no floating numbers, such as counts of batches, are
            copied.
        decay: The largest decay d per step; 0 makes the average the tensors themselves.

    Example:
        >>> weight = torch.ones(1)
        >>> average = AveragedTensors([weight], decay=0.98)
        >>> average.update()
        >>> average.update() if weight.add_(1.0).any() else None
        >>> [round(float(one), 3) for one in average.values()]
        [1.818]
    """

    def __init__(self, tensors: Iterable[Tensor], decay: float) -> None:
        self.current = [one.detach() for one in tensors]
        self.decay, self.updates = decay, 0
        on_gpu = bool(self.current) and self.current[0].is_cuda
        self._decay: Any = torch.zeros((), device=self.current[0].device) if on_gpu else 0.0
        self.average = [one.clone() for one in self.current] if decay else self.current
        kinds = dict.fromkeys(one.dtype for one in self.current if one.is_floating_point())
        self._floats = [self._lay_out(kind) for kind in kinds] if decay else []
        counts = [index for index, one in enumerate(self.current) if not one.is_floating_point()]
        self._counts = [self.average[index] for index in counts], [self.current[index] for index in counts]

    def _lay_out(self, kind: torch.dtype) -> tuple[Tensor, list[Tensor]]:
        """Lays the averages of one dtype one after the other, so that few calls move all of them."""
        chosen = [index for index, one in enumerate(self.current) if one.dtype == kind]
        flat = torch.cat([self.average[index].reshape(-1) for index in chosen])
        sizes = [self.average[index].numel() for index in chosen]
        for index, part in zip(chosen, flat.split(sizes), strict=True):
            self.average[index] = part.view(self.average[index].shape)
        return flat, [self.current[index] for index in chosen]

    def set_decay(self) -> None:
        """Takes the decay of the next update; on an NVIDIA GPU into its memory, so that updates can be recorded."""
        decay = decay_at(self.updates, self.decay)
        if isinstance(self._decay, Tensor):
            self._decay.fill_(decay)
        else:
            self._decay = decay
        self.updates += 1

    def update(self) -> None:
        """Takes in what the tensors are after a step."""
        self.set_decay()
        self.move()

    @torch.no_grad()
    def move(self) -> None:
        """Moves the average by the decay that was set."""
        if not self.decay:
            return
        decay = self._decay
        for average, tensors in self._floats:
            current = torch.cat([one.reshape(-1) for one in tensors])
            if self.updates > 1:
                average.mul_(decay).add_(current.mul_(1 - decay))
            else:
                average.copy_(current)
        if self._counts[0]:
            torch._foreach_copy_(*self._counts)

    def values(self) -> list[Tensor]:
        """Copies the average, in the order of the tensors."""
        return [one.clone() for one in self.average]

    @torch.no_grad()
    def exchange(self, values: list[Tensor]) -> list[Tensor]:
        """Gives values to the tensors, and returns those that they had."""
        before = [one.clone() for one in self.current]
        for one, value in zip(self.current, values, strict=True):
            one.copy_(value)
        return before


def check_decay(averaging: float) -> float:
    """Raises unless a decay is a number from 0 to below 1, and returns it as a float.

    Args:
        averaging: The decay; 0 means that nothing is averaged.

    Returns:
        The decay.

    Raises:
        ValueError: If it is not.

    Example:
        >>> check_decay(0)
        0.0
    """
    decay = check_number("averaging", averaging, maximum=1)
    if decay == 1:
        raise ValueError(f"averaging is {averaging}; a decay lies between 0 (off) and 1, which it may not reach")
    return decay


def decay_at(step: int, largest: float) -> float:
    """Computes the decay of a step, see :class:`MovingAverage`.

    Args:
        step: The step n.
        largest: The largest decay d.

    Returns:
        The decay.

    Example:
        >>> decay_at(0, largest=0.98)
        0.1
    """
    return min(largest, (1 + step) / (HEAD_START + step))
