"""The bidirectional LSTM."""

import torch
from torch import Tensor
from torch.nn import Linear

from lgrin.baselines.baseline import Baseline
from lgrin.baselines.recurrent import BidirectionalLSTM, compact, final
from lgrin.options import check_whole


class BLSTM(Baseline):
    r"""Runs an LSTM over the present frames in both directions and classifies the two last states.

    .. math:: \mathrm{logits} = W \left[ \overrightarrow{h}_T \mid \overleftarrow{h}_1 \right] + b

    The paper does not state the input of the fully connected layer. The two last states are the usual choice.

    Args:
        in_channels: Features per frame, P.
        num_nodes: Frames per sequence, M.
        num_classes: Classes, C.
        hidden_channels: Units in each direction.

    Shapes:
        - **x, frame, batch, mask, batch_size, output:** as for :class:`Baseline`

    Raises:
        ValueError: If sizes do not fit or a graph is given.

    Source:
        Graves and Schmidhuber, "Framewise phoneme classification with bidirectional LSTM", Neural Networks 2005; one
        layer of 300 units as in Sec. IV-A of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> sum(p.numel() for p in BLSTM(136, 90, 6).parameters())
        1054806
    """

    def __init__(self, in_channels: int, num_nodes: int, num_classes: int, hidden_channels: int = 300) -> None:
        hidden_channels = check_whole("hidden_channels", hidden_channels)
        super().__init__(in_channels, num_nodes, num_classes, hidden_channels=hidden_channels)
        self.lstm = BidirectionalLSTM(in_channels, hidden_channels)
        self.head = Linear(2 * hidden_channels, num_classes)

    def classify(self, x: Tensor, mask: Tensor) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        x, mask = compact(x, mask)
        return self.head(torch.cat([final(states, mask) for states in self.lstm(x, mask)], dim=-1))
