"""Size, memory and time of a model on a device, float32 and 8 bits: ``python -m benchmarks.edge --root corpora/emodb``.

Trains L-GrIN and the bidirectional LSTM of ``lgrin.baselines`` on EmoDB by the recipe of ``examples/train.py``, exports
both to ONNX and runs every clip of the corpus, one at a time, in a process with nothing but onnxruntime and the model.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from lightning import seed_everything

from benchmarks.__main__ import machine
from benchmarks.measure import in_process
from benchmarks.table import print_table
from lgrin import LGrIN
from lgrin.baselines import BLSTM
from lgrin.datasets import EmoDB
from lgrin.export import load, quantize, to_onnx
from lgrin.files import write_atomically
from lgrin.training import SequenceClassifier, hold_out, recommended, train_and_test, write_results
from lgrin.training.checkpoints import restore
from lgrin.training.experiment import RECIPE
from lgrin.transforms import Resample

NETWORKS = {
    "L-GrIN": lambda learn, *size: LGrIN(*size, **recommended(learn)),
    "BLSTM": lambda learn, *size: BLSTM(*size),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge", description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", required=True, metavar="DIR", help="folder of EmoDB")
    parser.add_argument("--cache", metavar="DIR", help="folder of cached features (default: the folder of EmoDB)")
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="passes over the training set (default: 600 steps, 60 at the least)"
    )
    parser.add_argument("--out", default="runs/edge", metavar="DIR", help="folder of the runs (default: %(default)s)")
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    out = Path(options.out)
    dataset = EmoDB(options.root, cache=options.cache)
    dataset.transform = Resample(dataset.num_frames)
    learn, test = hold_out(dataset, seed=0)
    sequences = [*learn, *test]
    clips = torch.stack([data.x for data in sequences])
    write_atomically(out / "clips.npy", lambda name: np.save(name, clips.numpy()))
    rows = []
    for name, network in NETWORKS.items():
        classifier = train(network, dataset, learn, test, out / name, options.epochs)
        expected = logits_of(classifier, clips)
        for path in write(classifier, out / name):
            found = in_process("benchmarks.edge_process", path, out / "clips.npy")
            rows.append(row(f"{name}, {load(path).description.precision}", path, found, expected, sequences, len(test)))
    runtime = in_process("benchmarks.edge_process")["resident"]
    write_results(out / "edge.json", rows=rows, machine=machine(), runtime=runtime)
    print_table(f"{machine()}; a process with onnxruntime and no model holds {runtime / 1e6:.1f} MB", rows)


def train(network, dataset, learn, test, out, epochs) -> SequenceClassifier:
    """Trains a network, or loads the checkpoint of an earlier run."""
    seed_everything(0, verbose=False)
    model = network(learn, dataset.num_features, dataset.num_frames, dataset.num_classes)
    signal = {"features": dataset.features.settings, "transform": dataset.transform.settings}
    options = {**RECIPE, **signal}
    best = out / "run" / "checkpoints" / "best.ckpt"
    if best.exists():
        classifier = SequenceClassifier(model, len(learn), classes=dataset.classes, **options)
        restore(classifier, best)
        return classifier.eval()
    classifier, _ = train_and_test(
        model,
        learn,
        test,
        out / "run",
        classes=dataset.classes,
        options=options,
        epochs=epochs,
        device="cpu",
        resume=True,
    )
    return classifier.eval()


def write(classifier, out) -> list[Path]:
    """Exports a classifier in float32 and in 8 bits."""
    paths = [out / "float.onnx", out / "8-bit.onnx"]
    to_onnx(classifier, paths[0])
    quantize(*paths)
    return paths


@torch.no_grad()
def logits_of(classifier, clips) -> np.ndarray:
    """The logits of the classifier itself, one clip at a time."""
    return torch.cat([classifier.model(classifier.normalize(clip[None])) for clip in clips]).numpy()


def row(name, path, found, expected, sequences, tested) -> dict:
    """One line of the table; the last sequences are those of the test speakers."""
    logits, labels = np.array(found["logits"]), np.array([int(data.y) for data in sequences])
    right = logits.argmax(1) == labels
    return {
        "model": name,
        "on disk, kB": f"{path.stat().st_size / 1000:.0f}",
        "resident with the model, MB": f"{found['resident'] / 1e6:.1f}",
        "after a clip, MB": f"{found['running'] / 1e6:.1f}",
        "a clip, ms": f"{1000 * found['seconds']:.2f}",
        "off PyTorch's logits": f"{np.abs(logits - expected).max():.1e}",
        "same class": f"{(logits.argmax(1) == expected.argmax(1)).sum()} of {len(labels)}",
        "accuracy, all": float(right.mean()),
        "accuracy, test": float(right[-tested:].mean()),
    }


if __name__ == "__main__":
    main()
