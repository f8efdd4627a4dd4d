"""What the channels of a sequence are at each of so many places."""

import torch
from torch import Tensor


def places(x: Tensor, present: Tensor, count: int) -> Tensor:
    r"""Computes the mean of each channel over each of equal parts of a sequence.

    .. math:: p_s = \sum_i w_{si} x_i \Big/ \sum_i w_{si}, \qquad
              w_{si} = \left| [i, i + 1] \cap [s L / S, (s + 1) L / S] \right|

    A frame that two parts share counts in both, by how much of it is in each. A sequence of fewer frames than parts is
    in equal steps, so that places mean the same in sequences of any length.

    Args:
        x: ``[B, M, P]``, 0 at absent frames.
        present: Bool ``[B, M]``; a sequence has L frames, up to the last one that is present.
        count: Parts, S.

    Returns:
        ``[B, S, P]``; 0 where no frame of a part is present.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 3.0, 0.0]).view(1, 4, 1)
        >>> places(x, torch.tensor([[True, True, True, False]]), 2).flatten().tolist()
        [1.3333333730697632, 2.6666667461395264]
    """
    frame = torch.arange(x.size(1), device=x.device)
    length = (present * (frame + 1)).amax(1).view(-1, 1, 1)
    bounds = torch.arange(count + 1, device=x.device).view(-1, 1) * length.to(x.dtype) / count  # [B, S + 1, 1]
    start, end = bounds[:, :-1], bounds[:, 1:]
    shared = (torch.minimum(frame + 1, end) - torch.maximum(frame, start)).clamp(min=0) * present.unsqueeze(1)
    return shared @ x / shared.sum(2, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
