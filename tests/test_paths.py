"""What is no path is named, wherever a file or folder is asked for, and nothing is written."""

import re

import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.checksum import load_tensors
from lgrin.datasets import UEA, AudioFolder
from lgrin.export import load, quantize, to_onnx
from lgrin.features import LogMel, extract
from lgrin.files import write_atomically
from lgrin.hub import PretrainedClassifier
from lgrin.sklearn import LGrINClassifier
from lgrin.training import (
    Candidate,
    SequenceClassifier,
    Training,
    cross_validate,
    fit,
    folds,
    train_and_test,
    write_results,
)
from lgrin.visualization import plot_adjacency, plot_learning_curves, save_animation, save_figure

DATA = [Data(x=torch.rand(3, 2), y=torch.tensor([i % 2])) for i in range(20)]


def classifier():
    return SequenceClassifier(LGrIN(2, 3, 2, branch_channels=(2,)), 20, classes=["calm", "glad"])


def run_folds(out):
    return cross_validate(Candidate("L-GrIN", LGrIN), DATA, folds("paper", DATA), Training(3, ["calm", "glad"]), out)


CALLS = {
    "estimator path": LGrINClassifier.load,
    "exported path": load,
    "quantize path": lambda path: quantize(path, "out.onnx"),
    "quantize out": lambda path: quantize("model.onnx", path),
    "to_onnx path": lambda path: to_onnx(classifier(), path),
    "hub pretrained_model_name_or_path": PretrainedClassifier.from_pretrained,
    "hub save_directory": lambda path: PretrainedClassifier.of(classifier()).save_pretrained(path),
    "checkpoint checkpoint_path": SequenceClassifier.load_from_checkpoint,
    "tensors path": lambda path: load_tensors(path, "file", "save it again"),
    "fit out": lambda path: fit(classifier(), DATA, [], path, progress=False),
    "train_and_test out": lambda path: train_and_test(LGrIN(2, 3, 2), DATA, DATA, path, progress=False),
    "cross_validate out": run_folds,
    "results path": lambda path: write_results(path, accuracy=1.0),
    "extract paths[0]": lambda path: extract(LogMel(), [path], workers=1, progress=False),
    "extractor path": LogMel(),
    "folder root": AudioFolder,
    "folder labels": lambda path: AudioFolder("nowhere", labels=path) if path is not None else AudioFolder(path),
    "archive root": lambda path: UEA(path, "JapaneseVowels"),
    "figure path": lambda path: save_figure(plot_adjacency(torch.eye(3)), path),
    "animation path": lambda path: save_animation(None, path),
    "curves out": plot_learning_curves,
    "file path": lambda path: write_atomically(path, None),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("path", [None, 3, b"model", ["model"]], ids=repr)
def test_what_is_no_path_is_named(name, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argument = "root" if (name, path) == ("folder labels", None) else name.split()[-1]
    message = f"{argument} is {path!r}; it has to be a string or a pathlib.Path"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
        CALLS[name](path)
    assert not any(tmp_path.iterdir())
