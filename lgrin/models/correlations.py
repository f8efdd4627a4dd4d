"""Correlations: how channels of a sequence go together, at once or one after the other."""

import torch
from torch import Tensor

from lgrin.models.functionals import LAGS, earlier
from lgrin.nodes import zero_absent

EACH = 1 + 2 * len(LAGS)  # numbers for each pair of channels
QUIET = 0.01  # a channel with a lower deviation in a sequence goes with nothing


def correlations(x: Tensor, present: Tensor, pair: Tensor) -> Tensor:
    r"""Correlates pairs of channels over the present frames, each channel with the other one some frames earlier.

    .. math:: c_{abk} = \tfrac{1}{|V|} \sum_i u_{ia} \, u_{i - k, b}

    u are the channels, standardised within the sequence, or 0 where they hardly move. For each pair, k is 0, and then
    1, 2, 4, 8 and 16, first with the second channel earlier and then with the first one. All sums are divided by the
    number of present frames, so that they are smaller, the fewer frames have one k frames earlier.

    Args:
        x: ``[B, M, P]``, 0 at absent frames, with a deviation of about 1 over all sequences.
        present: Bool ``[B, M]``.
        pair: Int64 ``[K, 2]``, channels.

    Returns:
        ``[B, 11, K]``; 0 where a channel hardly moves, or no frame is present.

    Source:
        Cross-correlation; which lags are taken is this library's choice.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).unsqueeze(0)
        >>> found = correlations(x, torch.ones(1, 4, dtype=torch.bool), torch.tensor([[1, 0]]))
        >>> bool(found[0, 1] > found[0, 0]), found.shape  # channel 1 follows channel 0 by one frame
        (True, torch.Size([1, 11, 1]))
    """
    count = present.sum(1).to(x.dtype).clamp(min=1).view(-1, 1, 1)
    away = zero_absent(x - x.sum(1, keepdim=True) / count, present)
    power = away.square().sum(1, keepdim=True) / count
    standard = (away * power.clamp(min=QUIET**2).rsqrt()).masked_fill(power < QUIET**2, 0)  # else rounding has weight
    one, other = (standard.index_select(2, channel) for channel in pair.unbind(1))
    both, across = torch.cat([one, other], dim=2), torch.cat([other, one], dim=2)
    lagged = [(both * earlier(across, lag)).sum(1).unflatten(1, (2, -1)) for lag in LAGS]
    return torch.cat([(one * other).sum(1).unsqueeze(1), *lagged], dim=1) / count


def pairs_of(channels: int, count: int) -> Tensor:
    """Lists pairs of channels, or so many of them at equal steps through the list, ``[count, 2]``.

    Example:
        >>> pairs_of(3, 5).tolist(), pairs_of(4, 2).tolist()
        ([[0, 1], [0, 2], [1, 2]], [[0, 1], [2, 3]])
    """
    total = channels * (channels - 1) // 2
    place = torch.linspace(0, total - 1, min(count, total), dtype=torch.double).round().long()
    start = torch.arange(channels - 1, 0, -1).cumsum(0)  # after the pairs of each first channel
    first = torch.searchsorted(start, place, right=True)
    before = torch.cat([start.new_zeros(1), start])[first]
    return torch.stack([first, first + 1 + place - before], dim=1)
