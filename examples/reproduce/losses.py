"""How frames are lost from a sequence, and how the gaps are filled.

A pattern says which frames are left, given the length, the fraction to lose and a seed; at least one frame is left. A
fill takes a sequence and the frames that are left, and returns a copy of the sequence.
"""

from typing import NamedTuple

import numpy as np
import torch


def count_lost(length, fraction):
    """The number of frames to lose, never all of them."""
    return min(round(fraction * length), length - 1)


def scattered(length, fraction, seed):
    """Frames are lost at random; those of a smaller fraction are also lost in a larger one."""
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed))
    return order.argsort() >= count_lost(length, fraction)


def one_block(length, fraction, seed):
    """Consecutive frames are lost."""
    lost = count_lost(length, fraction)
    start = torch.randint(length - lost + 1, (), generator=torch.Generator().manual_seed(seed))
    return outside(length, int(start), lost)


def scattered_by_numpy(length, fraction, seed):
    """As :func:`scattered`, drawn by NumPy: the draws of the published figures of ``missing-recommended``."""
    _, order = draws_of_numpy(length, fraction, seed)
    return torch.from_numpy(order.argsort() >= count_lost(length, fraction))


def one_block_by_numpy(length, fraction, seed):
    """As :func:`one_block`, drawn by NumPy: the draws of the published figures of ``missing-recommended``."""
    start, _ = draws_of_numpy(length, fraction, seed)
    return outside(length, start, count_lost(length, fraction))


def draws_of_numpy(length, fraction, seed):
    """The start of a block and an order of all frames; both are drawn for either pattern, the start first."""
    generator = np.random.default_rng(seed)
    return int(generator.integers(length - count_lost(length, fraction) + 1)), generator.permutation(length)


def outside(length, start, count):
    """The frames outside a block."""
    index = torch.arange(length)
    return (index < start) | (index >= start + count)


def present(data):
    """The frames that a sequence has, ``[M]`` bool."""
    return torch.ones(len(data.x), dtype=torch.bool) if data.get("mask") is None else data.mask


def by_mask(data, left):
    """Masks the lost frames."""
    data = data.clone()
    data.x, data.mask = data.x.masked_fill(~left.unsqueeze(-1), 0), left
    return data


def by_cycle(data, left):
    """Repeats the frames that are left from the first of them on, as the paper pads."""
    before = present(data)
    return replaced(data, before, data.x[left][torch.arange(int(before.sum())) % int(left.sum())])


def by_interpolation(data, left):
    """Interpolates the lost frames linearly; those before the first or after the last that is left repeat that one."""
    before = present(data)
    lines = [np.interp(before.nonzero()[:, 0], left.nonzero()[:, 0], feature) for feature in data.x[left].T.numpy()]
    return replaced(data, before, torch.from_numpy(np.stack(lines, axis=-1)).to(data.x.dtype))


def replaced(data, where, frames):
    """A copy of a sequence with other features in some frames."""
    data = data.clone()
    data.x = data.x.clone()
    data.x[where] = frames
    return data


PATTERNS = {"scattered": scattered, "in a block": one_block}
NUMPY_PATTERNS = {"scattered": scattered_by_numpy, "in a block": one_block_by_numpy}
FILLS = {"masks": by_mask, "cyclic refill": by_cycle, "interpolation": by_interpolation}


class Damage(NamedTuple):
    """How frames are lost and how the gaps are filled.

    Attributes:
        pattern: Which frames are lost, one of ``PATTERNS``.
        fill: How the gaps are filled, one of ``FILLS``.
        fraction: The part of the frames that is lost.
    """

    pattern: str
    fill: str
    fraction: float
    patterns = PATTERNS  # of the class, no field

    def __str__(self):
        return f"{self.fraction:.0%} {self.pattern}, {self.fill}"

    def __call__(self, data):
        """A damaged copy of a sequence; its ``number`` draws the frames."""
        before = present(data)
        left = before.clone()
        left[before] = self.patterns[self.pattern](int(before.sum()), self.fraction, seed=data.number)
        return FILLS[self.fill](data, left)


class DamageByNumpy(Damage):
    """The same with the draws of NumPy."""

    patterns = NUMPY_PATTERNS
