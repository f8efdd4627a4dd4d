"""Scaling by group: by the speaker, subject or device that sequences come from."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.models.bank import FilterBank
from lgrin.training.bank import present_frames, summaries
from lgrin.training.splits import groups_share_classes
from lgrin.transforms import Standardize


def normalize_groups(sequences: Sequence[Data]) -> list[Data]:
    r"""Scales the features of every group by the mean and deviation of all its frames: transductive normalisation.

    .. math:: x' = (x - \mu_g) / \sigma_g

    It reads the features of test sequences, though not their labels, so a result that used it says so.

    Args:
        sequences: Sequences with ``x``, ``y``, ``group`` and perhaps ``mask``.

    Returns:
        Scaled copies. A channel that a sequence lacks (NaN) gets 0, the mean of its group.

    Raises:
        ValueError: If a sequence has no group, or every group has a single class, so that scaling would tell it.

    Example:
        >>> data = [Data(x=torch.tensor([[float(i)]]), y=torch.tensor([i]), group=torch.tensor([0])) for i in (0, 1)]
        >>> [float(scaled.x) for scaled in normalize_groups(data)]
        [-1.0, 1.0]
    """
    if any(data.get("group") is None for data in sequences):
        raise ValueError("normalize is 'group', but sequences have no group; take normalize='train'")
    groups = torch.cat([data.group for data in sequences])
    if not groups_share_classes(sequences):
        raise ValueError("normalize is 'group', but each group has a single class, which scaling by group would tell")
    scaled = [data.clone() for data in sequences]
    for group in groups.unique():
        members = [data for data in scaled if int(data.group) == int(group)]
        scale = scale_of(members)
        for data in members:
            data.x = scale(data.x).float()
    return scaled


def scale_of(sequences: Sequence[Data]) -> Standardize:
    """Measures the sequences of one group; a channel that none of them has gets mean 0 and deviation 1.

    Args:
        sequences: Sequences with ``x [L, P]`` and perhaps ``mask [L]``.

    Returns:
        What scales them to mean 0 and deviation 1.

    Raises:
        ValueError: If no frame is present, or values are infinite.

    Example:
        >>> scale_of([Data(x=torch.tensor([[1.0, torch.nan], [3.0, torch.nan]]))]).mean.tolist()
        [2.0, 0.0]
    """
    frames = [one.x[present_frames(one)] for one in sequences]
    unknown = torch.stack([x.isnan().all(0) for x in frames]).all(0)
    known = [Data(x=x.masked_fill(unknown, 0)) for x in frames]
    return Standardize(sequences[0].x.size(-1)).fit(known)


def adapt_bank(bank: FilterBank, sequences: Sequence[Data], center: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Moves the bias of a bank, in place, so that its summaries are centred on sequences of one group.

    .. math:: b' = b + W (\mu - \mu_g)

    Args:
        bank: A bank whose ridge was fitted to centred summaries, with weights W.
        sequences: Sequences of the group, scaled as those of training.
        center: Logits :math:`W \mu` of the summaries that it is centred on, ``[C]``; zeros for one that
            :func:`lgrin.training.fit_bank` has centred.
        weight: Positive ``[n]``, of each sequence; ``None`` means 1.

    Returns:
        Those of the summaries that it is centred on now, :math:`W \mu_g`, ``[C]``.

    Example:
        >>> bank, x = FilterBank(2, 3), torch.rand(4, 9, 2)
        >>> before, center = bank(x), adapt_bank(bank, [Data(x=one) for one in x], torch.zeros(3))
        >>> bool(((before - bank(x)) - center).abs().max() < 1e-4)
        True
    """
    weight = torch.ones(len(sequences), dtype=torch.double) if weight is None else weight.double()
    with torch.no_grad():
        mean = weight / weight.sum() @ summaries(bank, sequences).double()
        own = bank.head.weight.double() @ mean
        bank.head.bias.copy_(bank.head.bias.double() + center.to(own) - own)
    return own
