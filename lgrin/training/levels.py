"""How much of the levels of sequences their classes explain."""

from torch import Tensor
from torch_geometric.data import Data

ENOUGH = 0.3


def class_explains_level(levels: Tensor, labels: Tensor) -> bool:
    r"""Says whether the classes of sequences explain 30 % or more of the variance of their levels.

    The level of a sequence is the mean of its present frames. The share that the classes explain is omega squared, the
    share of the variance less what as many labels drawn at random would have:

    .. math:: \omega^2 = \frac{SS_\text{between} - (C - 1) s^2}{SS_\text{total} + s^2}, \qquad
              s^2 = \frac{SS_\text{within}}{n - C}

    for n sequences of C classes, 0 at the least. It is averaged over the features.

    Args:
        levels: Of each sequence, float64 ``[n, P]``.
        labels: Their classes ``[n]``.

    Returns:
        Whether omega squared is 0.3 or more.

    Source:
        Hays, *Statistics for Psychologists*, 1963, for omega squared. The bound is this library's: ``docs/results.md``
        has the figures of five corpora.

    Example:
        >>> import torch
        >>> labels = torch.tensor([0, 1, 0, 1])
        >>> by_class, by_speaker = torch.tensor([[0.0], [1], [0], [1]]), torch.tensor([[0.0], [0], [1], [1]])
        >>> class_explains_level(by_class, labels), class_explains_level(by_speaker, labels)
        (True, False)
    """
    return omega_squared(levels, labels) >= ENOUGH


def mean_level(data: Data) -> Tensor:
    """Averages the present frames of a sequence.

    Args:
        data: A sequence with ``x [L, ...]`` and perhaps ``mask [L]``.

    Returns:
        Float64 ``[P]``, one value for each entry of a frame.

    Example:
        >>> import torch
        >>> mean_level(Data(x=torch.tensor([[1.0], [3.0], [8.0]]), mask=torch.tensor([True, True, False]))).tolist()
        [2.0]
    """
    x = data.x if data.get("mask") is None else data.x[data.mask]
    return x.double().flatten(1).mean(0)


def omega_squared(levels: Tensor, labels: Tensor) -> float:
    """Computes omega squared, see :func:`class_explains_level`.

    Args:
        levels: Float64 ``[n, P]``.
        labels: ``[n]``.

    Returns:
        Its mean over the features; a feature that is the same everywhere has 0.

    Example:
        >>> import torch
        >>> omega_squared(torch.tensor([[0.0], [0.0], [1.0], [1.0]]), torch.tensor([0, 0, 1, 1]))
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
