"""The convolutional and recurrent competitor for speech."""

from torch import Tensor
from torch.nn import LSTM, Dropout, Linear, ReLU, Sequential

from lgrin.baselines.baseline import Baseline
from lgrin.baselines.parallel_conv import ParallelConv
from lgrin.baselines.recurrent import compact, final


class CNNLSTM(Baseline):
    r"""Convolves over time with several widths, runs an LSTM over the result and classifies its last state.

    .. math:: \mathrm{logits} = \mathrm{dense}\left( \mathrm{LSTM}(\mathrm{ParallelConv}(x))_T \right)

    The network is :class:`CNN` with an LSTM of 128 units over the present frames instead of the maximum. With the same
    choices, it has about the paper's 0.6M parameters on IEMOCAP.

    Args:
        in_channels: Features per frame, P.
        num_nodes: Frames per sequence, M.
        num_classes: Classes, C.
        dropout: Probability of dropping a unit of the dense layer.

    Shapes:
        - **x, frame, batch, mask, batch_size, output:** as for :class:`Baseline`

    Raises:
        ValueError: If sizes do not fit or a graph is given.

    Source:
        Latif, Rana, Khalifa, Jurdak and Epps, "Direct modelling of speech emotion from raw speech", Interspeech 2019.

    Example:
        >>> sum(p.numel() for p in CNNLSTM(35, 120, 4).parameters())
        576388
    """

    def __init__(self, in_channels: int, num_nodes: int, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__(in_channels, num_nodes, num_classes, dropout=dropout)
        self.convolutions = ParallelConv(in_channels)
        self.lstm = LSTM(128, 128, batch_first=True)
        self.head = Sequential(Linear(128, 512), ReLU(), Dropout(dropout), Linear(512, num_classes))

    def classify(self, x: Tensor, mask: Tensor) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        x, mask = compact(self.convolutions(x, mask), mask)
        return self.head(final(self.lstm(x)[0], mask))
