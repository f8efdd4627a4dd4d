"""Training sequences that are never twice the same."""

import torch
from torch import Tensor
from torch.nn import Module

from lgrin.nodes import count_sequences
from lgrin.options import check_number


class Augment(Module):
    r"""Changes sequences at random while training: a part of each stands for the whole, and its level moves.

    A window with a share :math:`w \sim U[1 - \text{crop}, 1]` of a sequence, anywhere in it, is stretched to the number
    of frames that the sequence has; frames are picked or repeated, never mixed. A window without a present frame is not
    taken. Then each channel moves by one number:

    .. math:: n'_i = n_{\mathrm{round}(a + w i)} + s, \qquad s_p \sim N(0, \text{shift}^2)

    In evaluation mode nothing happens.

    Args:
        crop: The largest part of a sequence that is left out, from 0 (none) to below 1.
        shift: Standard deviation of s, in units of x; features that were standardised have 1.

    Shapes:
        - **x:** float ``[N, P]``, or frames for an encoder, ``[N, ...]``, which do not move; the nodes of a sequence in
          the order of time
        - **batch:** int64 ``[N]``, sorted; **mask:** bool ``[N]``, or ``None``; **batch_size:** B
        - **output:** x and mask, in the same shapes

    Raises:
        ValueError: If a number is out of range, or batch or mask does not fit x.

    Source:
        Not in the paper. Window slicing: Le Guennec, Malinowski and Tavenard, "Data augmentation for time series
        classification using convolutional neural networks", 2016.

    Example:
        >>> x, batch = torch.arange(6.0).unsqueeze(-1), torch.tensor([0, 0, 0, 0, 1, 1])
        >>> x, mask = Augment(crop=0.5, shift=0.0)(x, batch, None, batch_size=2)
        >>> x.shape, bool((x[1:4] >= x[:3]).all())
        (torch.Size([6, 1]), True)
    """

    def __init__(self, crop: float = 0.0, shift: float = 0.0) -> None:
        super().__init__()
        self.crop, self.shift = check_number("crop", crop), check_number("shift", shift)
        if self.crop >= 1:
            raise ValueError(f"crop is {crop}; a part of the sequence has to be left: from 0 to below 1")

    def forward(
        self, x: Tensor, batch: Tensor, mask: Tensor | None = None, batch_size: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Changes a batch; see the class."""
        if batch.shape != x.shape[:1] or (mask is not None and mask.shape != batch.shape):
            raise ValueError(
                f"batch has shape {list(batch.shape)} and mask {None if mask is None else list(mask.shape)}; both have "
                f"one entry for each of the {len(x)} nodes of x"
            )
        size = count_sequences(batch, batch_size)
        if self.training and self.crop:
            take = self._windows(batch, size)
            if mask is not None:
                left = batch.new_zeros(size).index_add(0, batch, mask[take].long())
                take = torch.where((left > 0)[batch], take, torch.arange(len(batch), device=batch.device))
            x, mask = x.index_select(0, take), None if mask is None else mask[take]
        if self.training and self.shift and x.dim() == 2:
            x = x + self.shift * torch.randn(size, x.size(1), device=x.device, dtype=x.dtype)[batch]
        return x, mask

    def _windows(self, batch: Tensor, size: int) -> Tensor:
        """Which node to take for each node."""
        length = batch.new_zeros(size).index_add(0, batch, torch.ones_like(batch))
        first = length.cumsum(0) - length
        share, place = torch.rand(2, size, device=batch.device)
        share = 1 - self.crop * share
        start = (1 - share) * place
        position = torch.arange(len(batch), device=batch.device) - first[batch]
        moved = start[batch] * (length[batch] - 1) + share[batch] * position
        return first[batch] + moved.round().long()

    def extra_repr(self) -> str:
        """Returns what ``repr`` shows."""
        return f"crop={self.crop}, shift={self.shift}"
