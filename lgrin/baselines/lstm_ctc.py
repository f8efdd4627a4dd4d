"""The LSTM with connectionist temporal classification."""

import torch
from torch import Tensor
from torch.nn import Linear
from torch.nn.functional import pad

from lgrin.baselines.baseline import Baseline
from lgrin.baselines.recurrent import BidirectionalLSTM, compact, turn
from lgrin.options import check_whole


def one_label_likelihood(log_probs: Tensor, present: Tensor) -> Tensor:
    r"""Computes the likelihood under CTC that each label is the only one of its sequence.

    .. math:: \log p(c) = \log \sum_{i \le j} \prod_{t < i} p_t(\varnothing) \prod_{t=i}^{j} p_t(c)
              \prod_{t > j} p_t(\varnothing)

    Args:
        log_probs: Log-probabilities ``[B, L, 1 + C]`` of the blank and the labels at each frame.
        present: Bool ``[B, L]``, true up to the end of each sequence.

    Returns:
        Log-likelihoods ``[B, C]``, which are ``-torch.nn.functional.ctc_loss`` for each label.

    Example:
        >>> probs = torch.tensor([[[0.5, 0.5], [0.25, 0.75]]])
        >>> one_label_likelihood(probs.log(), torch.ones(1, 2, dtype=torch.bool)).exp().mul(8).round().item()
        7.0
    """
    log_probs = log_probs.masked_fill(~present.unsqueeze(-1), 0)
    blank, label = log_probs[..., :1], log_probs[..., 1:]
    gain = (label - blank).cumsum(1)  # log-ratio of the label at all frames so far to the blank
    starts = pad(-gain, (0, 0, 1, -1)).logcumsumexp(1)
    spans = (starts + gain).masked_fill(~present.unsqueeze(-1), -torch.inf)
    return blank.sum(1) + spans.logsumexp(1)


class LSTMCTC(Baseline):
    r"""Labels every frame with a class or a blank, and scores a class by CTC as the only label of the sequence.

    .. math:: p_t = \mathrm{softmax}(W \, \mathrm{BLSTM}(x)_t + b), \qquad \mathrm{logits}_c = \log p(c)

    A blank is a frame without emotion. The CTC loss is minus the logit of the true class. All models here are trained
    with the cross-entropy instead, which also normalises over the classes.

    The paper's reference [4] could not be identified. Han et al. use the blank for frames without emotion. Zhao et al.
    add attention, which is left out here, because the paper's name for the model does not mention it. The original
    has 238 descriptors a frame. The number of layers and their width are not known. One layer of 200 units in each
    direction has about 0.4M parameters.

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
        Han et al., "Towards temporal modelling of categorical speech emotion recognition", Interspeech 2018; Zhao et
        al., "Attention-enhanced connectionist temporal classification for discrete speech emotion recognition",
        Interspeech 2019.

    Example:
        >>> sum(p.numel() for p in LSTMCTC(35, 120, 4).parameters())
        381205
    """

    def __init__(self, in_channels: int, num_nodes: int, num_classes: int, hidden_channels: int = 200) -> None:
        hidden_channels = check_whole("hidden_channels", hidden_channels)
        super().__init__(in_channels, num_nodes, num_classes, hidden_channels=hidden_channels)
        self.lstm = BidirectionalLSTM(in_channels, hidden_channels)
        self.head = Linear(2 * hidden_channels, 1 + num_classes)

    def classify(self, x: Tensor, mask: Tensor) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        x, mask = compact(x, mask)
        forwards, backwards = self.lstm(x, mask)
        states = torch.cat([forwards, turn(backwards, mask)], dim=-1)
        return one_label_likelihood(self.head(states).log_softmax(-1), mask)
