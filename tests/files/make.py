"""Writes a small file of every kind with the lgrin at hand, and what is read from each.

    python tests/files/make.py tests/files/0.1.0

The folders beside this script were written so, each by the version whose name it has, and are never written again.
``tests/test_written_files.py`` loads them with the lgrin of today.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch_geometric.data import Batch, Data, HeteroData

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.baselines import BLSTM, GCN
from lgrin.datasets.sequences import SequenceDataset, sequence
from lgrin.export import load, quantize, to_onnx
from lgrin.features import Extractor, Frames, extract
from lgrin.hub import PretrainedClassifier
from lgrin.sklearn import LGrINClassifier
from lgrin.training import Candidate, SequenceClassifier, Training, cross_validate, fit
from lgrin.training.protocols import Fold
from lgrin.transforms import Resample

CHANNELS, NODES, CLASSES = 3, 5, ["calm", "glad"]
SMALL = {"branch_channels": (4,), "num_layers": 1}
WIDE = {"in_channels": 40, "num_nodes": 4}  # 8 bits pay for wide networks alone
MODALITIES = {"face": {"in_channels": 3, "num_nodes": 5, **SMALL}, "voice": {"in_channels": 2, "num_nodes": 4, **SMALL}}
BUILD = {
    "lgrin": lambda: LGrIN(CHANNELS, NODES, 2, branch_channels=(4,)),
    "grouped": lambda: LGrIN(CHANNELS, NODES, 2, **SMALL, input_norm="both"),
    "banded": lambda: LGrIN(CHANNELS, NODES, 2, **SMALL, adjacency={"bandwidth": 1, "normalize": "row"}),
    "paper": lambda: LGrIN.paper(CHANNELS, NODES, 2, **SMALL),
    "released": lambda: LGrIN.released(CHANNELS, NODES, 2, **SMALL, head_channels=6),
    "multimodal": lambda: MultimodalLGrIN(MODALITIES, 2),
    "blstm": lambda: BLSTM(CHANNELS, NODES, 2, hidden_channels=3),
    "gcn": lambda: GCN(CHANNELS, NODES, 2, hidden_channels=4),
}
COMPETITORS = ("blstm", "gcn")  # checkpoints of these take model=


@dataclass(frozen=True)
class WordLengths(Extractor):
    """One frame a word, its length; it reads no library, so its fingerprint stays."""

    num_features: ClassVar[int] = 1

    def read(self, path):
        x = torch.tensor([[float(len(word))] for word in path.read_text().split()])
        return Frames(x, x[:, 0] != 3, 2.0)


class Two(SequenceDataset):
    """Two sequences and all that a processed file can hold."""

    processed_file_names: ClassVar[list[str]] = ["two.pt"]

    def __init__(self, root):
        super().__init__(root, settings={"dataset": "Two"})
        self.read(self.processed_paths[0])

    def process(self):
        x = torch.from_numpy(draw("two", 7, 2))
        mask = torch.tensor([True, False, True, True])
        sequences = [
            sequence(x[:4], mask, 0, group=1, name="a", text="kids"),
            sequence(x[4:], mask[:3], 1, group=0, name="b", text="dogs"),
        ]
        self.write(self.processed_paths[0], sequences, CLASSES, groups=["anna", "bert"], failures={"c": "it is empty"})


def draw(name, *shape):
    """Draws float32 numbers that depend on a name and on no generator of PyTorch."""
    return np.random.default_rng(list(name.encode())).standard_normal(shape).astype(np.float32)


def sequences(name, count=8):
    x = draw(name, count, NODES, CHANNELS)
    return [Data(x=torch.from_numpy(x[i] + i % 2), y=torch.tensor([i % 2])) for i in range(count)]


def modalities(count=8):
    parts = {name: draw(name, count, size["num_nodes"], size["in_channels"]) for name, size in MODALITIES.items()}
    return [
        HeteroData(
            {**{name: {"x": torch.from_numpy(x[i] + i % 2)} for name, x in parts.items()}, "y": torch.tensor([i % 2])}
        )
        for i in range(count)
    ]


def open_checkpoint(path):
    """Loads a checkpoint as a user does."""
    options = {"model": BUILD[path.stem]()} if path.stem in COMPETITORS else {}
    return SequenceClassifier.load_from_checkpoint(path, **options).eval()


@torch.no_grad()
def logits(classifier, name):
    """What a classifier says of three sequences that it was not trained on."""
    unseen = modalities(3) if name == "multimodal" else sequences("unseen", 3)
    return classifier(Batch.from_data_list(unseen)).numpy()


def exported(path):
    model = load(path)
    said = model.description
    x, mask = draw("exported", 3, said.num_nodes, said.in_channels), np.ones((3, said.num_nodes), bool)
    mask[1, 2:] = False
    return model(x, mask).logits


def features(folder):
    """Opens the features that are kept of a file, without reading that."""
    kept = extract(WordLengths(), [folder / "clip.txt"], folder / "features", workers=1, progress=False)
    return kept.frames[0]


def fold_of(out):
    """Runs one fold, or reads its result."""
    training = Training(num_nodes=NODES, classes=CLASSES, epochs=1)
    candidate = Candidate("L-GrIN", lambda *sizes: LGrIN(*sizes, **SMALL))
    folds = [Fold("one", [0, 1, 2, 3], [4, 5], [6, 7])]
    return cross_validate(candidate, sequences("folds"), folds, training, out, workers=1, progress=False)[0]


def write_checkpoints(out, names=tuple(BUILD)):
    for name in names:
        torch.manual_seed(1)
        classifier = SequenceClassifier(BUILD[name](), 8, classes=CLASSES, transform=Resample(NODES).settings)
        train = modalities() if name == "multimodal" else sequences("train")
        with tempfile.TemporaryDirectory() as folder:
            best = fit(classifier, train, [], folder, epochs=2, batch_size=4, device="cpu", progress=False)
            shutil.copyfile(best, out / f"{name}.ckpt")


def write_models(out):
    """Writes the estimator, the folder for the Hub and the exported files."""
    X, y = draw("estimator", 8, CHANNELS, NODES), np.array(CLASSES)[np.arange(8) % 2]
    LGrINClassifier(branch_channels=(4,), epochs=1, random_state=0, device="cpu").fit(X, y).save(out / "estimator.pt")
    classifier = open_checkpoint(out / "lgrin.ckpt")
    PretrainedClassifier.of(classifier).save_pretrained(out / "hub")
    to_onnx(classifier, out / "model.onnx")
    torch.manual_seed(1)
    wide = LGrIN(**WIDE, num_classes=2, branch_channels=(40,), num_layers=1, input_norm=False)
    with tempfile.TemporaryDirectory() as folder:
        to_onnx(wide, f"{folder}/wide.onnx", classes=CLASSES)
        quantize(f"{folder}/wide.onnx", out / "8bit.onnx")


def write_data(out):
    (out / "clip.txt").write_text("no frame of the word and is there\n")
    features(out)
    Two(str(out))
    with tempfile.TemporaryDirectory() as folder:
        fold_of(folder)
        shutil.copyfile(next(Path(folder).glob("*.json")), out / "fold.json")


def read_all(out):
    """What is read from the files, as arrays by name."""
    found = {f"{name}.ckpt": logits(open_checkpoint(out / f"{name}.ckpt"), name) for name in BUILD}
    found["estimator.pt"] = LGrINClassifier.load(out / "estimator.pt").predict_proba(draw("unseen", 3, CHANNELS, 9))
    found["hub"] = logits(PretrainedClassifier.from_pretrained(out / "hub"), "hub")
    found |= {name: exported(out / name) for name in ("model.onnx", "8bit.onnx")}
    found["features.x"], found["features.mask"] = (part.numpy() for part in features(out)[:2])
    found |= {f"processed.{index}": data.x.numpy() for index, data in enumerate(Two(str(out)))}
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, help="a folder that is not there yet, named after the version")
    out = parser.parse_args(arguments).out
    out.mkdir()
    write_checkpoints(out)
    write_models(out)
    write_data(out)
    np.savez(out / "expected.npz", **read_all(out))
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}
    print(json.dumps(sizes, indent=2))


if __name__ == "__main__":
    main()
