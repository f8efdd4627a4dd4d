"""The competitors of Tables I-III of the paper, and the figures that the paper prints for them."""

from lgrin.baselines.baseline import Baseline
from lgrin.baselines.blstm import BLSTM
from lgrin.baselines.cnn import CNN
from lgrin.baselines.cnn_lstm import CNNLSTM
from lgrin.baselines.gcn import GCN
from lgrin.baselines.graph_baseline import GraphBaseline
from lgrin.baselines.lstm_ctc import LSTMCTC
from lgrin.baselines.patchy_diff import PatchyDiff
from lgrin.baselines.patchy_san import PatchySAN
from lgrin.baselines.quoted import PAPER, QUOTED
from lgrin.baselines.se_net import SENet
from lgrin.baselines.sort_readout import SortReadout

BASELINES: dict[str, type[Baseline]] = {
    model.__name__: model for model in (BLSTM, GCN, PatchySAN, PatchyDiff, SENet, CNN, CNNLSTM, LSTMCTC)
}

__all__ = [
    "BASELINES",
    "BLSTM",
    "CNN",
    "CNNLSTM",
    "GCN",
    "LSTMCTC",
    "PAPER",
    "QUOTED",
    "Baseline",
    "GraphBaseline",
    "PatchyDiff",
    "PatchySAN",
    "SENet",
    "SortReadout",
]
