"""Functionals: what statistics say of each channel of a sequence, wherever in it something happens."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from lgrin.nodes import zero_absent

QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
LAGS = (1, 2, 4, 8, 16)  # frames between the values whose product makes an autocorrelation
NUMBER = 2 * (len(QUANTILES) + 2) + len(LAGS) + 2
LEAST = 1e-4  # a lower deviation is rounding; likewise what is nearer to the mean
MOST = 30.0  # of a kurtosis, which a single frame can drive up to the length


def functionals(x: Tensor, present: Tensor) -> Tensor:
    r"""Computes the functionals of each channel over the present frames.

    They are, in this order: quantiles of a channel and of its first differences; the skewness of both, and the
    kurtosis, 30 at the most; for the channel, autocorrelations :math:`\tfrac{1}{n_k} \sum_i u_i u_{i - k}` of its
    standardised values u, the share of frames above the mean, and the share of frames at which it crosses the mean.

    Args:
        x: ``[B, M, P]``, 0 at absent frames, with a deviation of about 1 over all sequences.
        present: Bool ``[B, M]``.

    Returns:
        ``[B, 25, P]``; 0 where no frame is present.

    Source:
        Functionals of contours as for speech: Schuller et al., "The INTERSPEECH 2013 computational paralinguistics
        challenge", 2013. This choice is this library's.

    Example:
        >>> x = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]).view(1, 5, 1)
        >>> functionals(x, torch.ones(1, 5, dtype=torch.bool))[0, 3, 0].item()
        2.0
    """
    before, there = earlier(x, 1), earlier(present, 1) & present
    change = zero_absent(x - torch.where(there.unsqueeze(-1), before, x), present)
    both, inside = torch.cat([x, change], dim=-1), present.unsqueeze(-1)
    count = present.sum(1).to(x.dtype).clamp(min=1).view(-1, 1, 1)
    away = zero_absent(both - both.sum(1, keepdim=True) / count, present)
    standard = away / (away.square().sum(1, keepdim=True) / count).sqrt().clamp(min=LEAST)
    skewness = standard.pow(3).sum(1, keepdim=True) / count
    kurtosis = (standard.pow(4).sum(1, keepdim=True) / count).clamp(max=MOST)
    first = torch.cat([quantiles(both, present), skewness, kurtosis], dim=1)
    of_value, of_change = first.split(x.size(-1), dim=-1)
    value = standard[..., : x.size(-1)]
    products = [_mean(value * earlier(value, lag), inside & earlier(inside, lag)) for lag in LAGS]
    above = away[..., : x.size(-1)] > LEAST
    shares = [_mean(above, inside), _mean(above != earlier(above, 1), there.unsqueeze(-1))]
    return torch.cat([of_value, of_change, *products, *shares], dim=1)


def quantiles(x: Tensor, present: Tensor) -> Tensor:
    """Computes seven quantiles of each channel over the present frames, between two values in proportion.

    Args:
        x: ``[B, M, P]``.
        present: Bool ``[B, M]``.

    Returns:
        ``[B, 7, P]``; 0 where no frame is present.

    Example:
        >>> quantiles(torch.arange(101.0).view(1, 101, 1), torch.ones(1, 101, dtype=torch.bool)).flatten().tolist()
        [1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 99.0]
    """
    values = x.masked_fill(~present.unsqueeze(-1), torch.finfo(x.dtype).max).sort(dim=1).values
    last = (present.sum(1, keepdim=True) - 1).clamp(min=0)
    place = last.double() * torch.tensor(QUANTILES, dtype=torch.double, device=x.device)
    low = place.floor().long()
    high, part = torch.minimum(low + 1, last), (place - low).to(x.dtype).unsqueeze(-1)
    lower, upper = (values.gather(1, one.unsqueeze(-1).expand(-1, -1, x.size(-1))) for one in (low, high))
    return (lower + part * (upper - lower)).masked_fill(~present.any(1).view(-1, 1, 1), 0)


def earlier(x: Tensor, frames: int) -> Tensor:
    """Moves ``[B, M, ...]`` so many frames back; 0 where there was none.

    Example:
        >>> earlier(torch.tensor([[1, 2, 3]]), 1).tolist(), earlier(torch.tensor([[1]]), 4).tolist()
        ([[0, 1, 2]], [[0]])
    """
    return pad(x, (0, 0) * (x.dim() - 2) + (frames, 0))[:, : x.size(1)]


def _mean(x: Tensor, inside: Tensor) -> Tensor:
    """The mean inside a mask, ``[B, 1, P]``; 0 where it is empty."""
    kept = (x & inside if x.dtype == torch.bool else x.masked_fill(~inside, 0)).sum(1, keepdim=True)
    return kept / inside.sum(1, keepdim=True).clamp(min=1)
