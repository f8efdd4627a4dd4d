"""The convolutional competitor for speech."""

from torch import Tensor
from torch.nn import Dropout, Linear, ReLU, Sequential

from lgrin.baselines.baseline import Baseline
from lgrin.baselines.parallel_conv import ParallelConv
from lgrin.nn import GraphReadout


class CNN(Baseline):
    r"""Convolves over time with several widths, takes the maximum over time and classifies it.

    .. math:: \mathrm{logits} = \mathrm{dense}\left( \max_t \mathrm{ParallelConv}(x)_t \right)

    The original applies parallel filters of 15, 25 and 100 ms to raw speech. Here the input is the descriptors of
    frames, so the filters are 3, 5 and 21 frames wide. Neither paper states the number of channels (128), the dense
    layer (512 units), the maximum over time or dropout 0.5. They are chosen to match the paper's 0.45M parameters on
    IEMOCAP.

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
        >>> sum(p.numel() for p in CNN(35, 120, 4).parameters())
        444292
    """

    def __init__(self, in_channels: int, num_nodes: int, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__(in_channels, num_nodes, num_classes, dropout=dropout)
        self.convolutions = ParallelConv(in_channels)
        self.readout = GraphReadout(num_nodes, parts=("max",))
        self.head = Sequential(Linear(128, 512), ReLU(), Dropout(dropout), Linear(512, num_classes))

    def classify(self, x: Tensor, mask: Tensor) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        return self.head(self.readout(self.convolutions(x, mask), mask=mask))
