"""Trains on a corpus that does not have to fit into memory, with lgrin.datasets.OnDiskSequences.

    python examples/large_corpus.py --sequences 12000

The corpus is drawn at random, so it can have any size. For your own corpus, replace `draw`. The class of a sequence is
the lag in frames at which it repeats itself.
"""

import argparse
import sys
from pathlib import Path

import torch
from lightning import seed_everything
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.datasets import OnDiskSequences
from lgrin.training import SequenceClassifier, evaluate, fit
from lgrin.training.checkpoints import restore

NUM_NODES, FEATURES, LAGS = 500, 88, (5, 15, 40)


def draw(index):
    """One sequence of 176 kB."""
    generator = torch.Generator().manual_seed(index)
    label = index % len(LAGS)
    x = torch.randn(NUM_NODES, FEATURES, generator=generator)
    x[LAGS[label] :] = 0.7 * x[: -LAGS[label]] + 0.7 * x[LAGS[label] :]
    return Data(x=x, y=torch.tensor([label]))


def open_corpus(root, num_sequences):
    """The corpus in a folder; it is drawn and written if it is not there yet."""
    folder = Path(root) / str(num_sequences)
    if not (folder / "about.pt").exists():
        classes = [f"lag {lag}" for lag in LAGS]
        return OnDiskSequences.write(folder, (draw(index) for index in range(num_sequences)), classes)
    return OnDiskSequences(folder)


def peak_memory():
    """The most memory that this process held so far, in bytes; NaN on Windows."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sequences", type=int, default=600, metavar="N", help="size of the corpus (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="passes over the corpus (%(default)s)")
    parser.add_argument("--root", default="data/large_corpus", metavar="DIR", help="folder of the corpus (%(default)s)")
    parser.add_argument("--out", default="runs/large_corpus", metavar="DIR", help="folder of the run (%(default)s)")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    options = parser.parse_args(arguments)
    seed_everything(0, verbose=False)

    corpus = open_corpus(options.root, options.sequences)
    held_out = len(corpus) // 10
    train, validation, test = corpus[2 * held_out :], corpus[:held_out], corpus[held_out : 2 * held_out]
    model = LGrIN(FEATURES, NUM_NODES, len(LAGS), adjacency={"init": "temporal", "normalize": "row", "bandwidth": 48})
    classifier = SequenceClassifier(model, num_sequences=len(train), lr=0.003)
    best = fit(classifier, train, validation, options.out, epochs=options.epochs, progress=not options.no_progress)
    restore(classifier, best)
    accuracy = evaluate(classifier, test).accuracy

    size = Path(corpus.path).stat().st_size
    peak = peak_memory()
    print(
        f"accuracy {accuracy:.3f}; the corpus has {size / 1e9:.2f} GB, the process held {peak / 1e9:.2f} GB at the most"
    )
    return {"accuracy": accuracy, "corpus": size, "peak": peak}


if __name__ == "__main__":
    main()
