"""The time to classify one clip, compared with the recurrent network of the paper."""

from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn import LSTM, Linear, Module

from benchmarks.composed import wide
from benchmarks.measure import row, times
from benchmarks.step import SIZES
from lgrin.export import ExportedModel, load, to_onnx
from lgrin.models import fold


class BiLSTM(Module):
    """A bidirectional LSTM of 300 units, the mean of its outputs and a linear layer."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.lstm = LSTM(in_channels, 300, batch_first=True, bidirectional=True)
        self.head = Linear(600, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0].mean(1))


def measure() -> list[dict]:
    torch.set_num_threads(1)
    features, frames, classes = SIZES["IEMOCAP"]
    model, lstm = wide(features, frames, classes).eval(), BiLSTM(features, classes).eval()
    x, folded, file = torch.randn(1, frames, features), fold(model), exported(model)
    clip = x.numpy()
    with torch.inference_mode():
        calls = {
            "module": lambda: model(x),
            "folded": lambda: folded(x),
            "file": lambda: file(clip),
            "LSTM": lambda: lstm(x),
        }
        taken = times(calls, repeats=15, calls=30)
    title = "inference of one clip, IEMOCAP size, one thread, BiLSTM(300)"
    return [
        row(
            f"{title}: {name}",
            taken["LSTM"] / taken[name],
            "times faster",
            goal,
            False,
            ms=1e3 * taken[name],
            theirs=1e3 * taken["LSTM"],
        )
        for name, goal in (("module", 6), ("folded", 9), ("file", 12))
    ]


def exported(model: Module) -> ExportedModel:
    """The model as an ONNX file that onnxruntime runs."""
    with TemporaryDirectory() as folder:
        to_onnx(model, f"{folder}/model.onnx")
        return load(f"{folder}/model.onnx", threads=1)
