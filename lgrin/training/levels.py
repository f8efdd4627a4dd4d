"""What the levels of sequences tell of their classes."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

ENOUGH = 0.3


def levels_tell(sequences: Sequence[Data]) -> bool:
    r"""Says whether the levels of sequences tell their classes.

    The level of a sequence is the mean of its present frames. How much of it the classes explain is their share of the
    variance, less what as many labels drawn at random would have:

    .. math:: \omega^2 = \frac{SS_\text{between} - (C - 1) s^2}{SS_\text{total} + s^2}, \qquad
              s^2 = \frac{SS_\text{within}}{n - C}

    for n sequences of C classes, 0 at the least. Levels tell where the mean over the features is 0.3 or more.

    Args:
        sequences: Sequences with ``x``, ``y [1]`` and perhaps ``mask``.

    Returns:
        Whether they do.

    Source:
        Hays, *Statistics for Psychologists*, 1963, for omega squared. The bound is this library's: ``docs/results.md``
        has the figures of five corpora.

    Example:
        >>> y = [0, 1, 0, 1]
        >>> apart = [Data(x=torch.rand(9, 1) + label, y=torch.tensor([label])) for label in y]
        >>> alike = [Data(x=torch.rand(9, 1) + index // 2, y=torch.tensor([label])) for index, label in enumerate(y)]
        >>> levels_tell(apart), levels_tell(alike)
        (True, False)
    """
    levels = torch.stack([_level(data) for data in sequences])
    return explained(levels, torch.cat([data.y for data in sequences])) >= ENOUGH


def _level(data: Data) -> Tensor:
    x = data.x if data.get("mask") is None else data.x[data.mask]
    return x.double().flatten(1).mean(0)


def explained(levels: Tensor, labels: Tensor) -> float:
    """Measures omega squared.

    Args:
        levels: Float64 ``[n, P]``.
        labels: ``[n]``.

    Returns:
        Its mean over the features; a feature that is the same everywhere has 0.

    Example:
        >>> explained(torch.tensor([[0.0], [0.0], [1.0], [1.0]]), torch.tensor([0, 0, 1, 1]))
        1.0
    """
    _, label = labels.unique(return_inverse=True)
    counts = label.bincount()
    means = levels.new_zeros(len(counts), levels.size(1)).index_add(0, label, levels) / counts.unsqueeze(-1)
    total = (levels - levels.mean(0)).square().sum(0)
    within = (levels - means[label]).square().sum(0)
    noise = within / max(1, len(levels) - len(counts))
    excess = total - within - (len(counts) - 1) * noise
    return float((excess.clamp(min=0) / (total + noise).masked_fill(total == 0, 1)).mean())
