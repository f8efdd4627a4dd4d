"""Trains on a corpus that does not have to fit into memory, with PyG's OnDiskDataset.

    python examples/large_corpus.py --sequences 12000

The corpus is drawn at random, so it can have any size. For your own corpus, replace `draw`. The class of a sequence is
the lag in frames at which it repeats itself.
"""

import argparse
import logging
import resource
from pathlib import Path

import torch
from lightning import seed_everything
from torch_geometric.data import Data, OnDiskDataset

from lgrin import LGrIN
from lgrin.training import SequenceClassifier, evaluate, fit
from lgrin.training.checkpoints import restore

NUM_NODES, FEATURES, LAGS = 500, 88, (5, 15, 40)
PART = 256  # sequences that are written to disk at a time


def draw(index):
    """One sequence of 176 kB."""
    generator = torch.Generator().manual_seed(index)
    label = index % len(LAGS)
    x = torch.randn(NUM_NODES, FEATURES, generator=generator)
    x[LAGS[label] :] = 0.7 * x[: -LAGS[label]] + 0.7 * x[LAGS[label] :]
    return Data(x=x, y=torch.tensor([label]))


class Corpus(OnDiskDataset):
    def __init__(self, root, num_sequences):
        self.num_sequences = num_sequences
        schema = {
            "x": {"dtype": torch.float, "size": (NUM_NODES, FEATURES)},
            "y": {"dtype": torch.long, "size": (1,)},
        }
        super().__init__(root, schema=schema, log=False)
        if len(self) != num_sequences:
            path = self.processed_paths[0]
            raise RuntimeError(f"{path} holds {len(self)} of {num_sequences} sequences; delete it and start again")

    @property
    def processed_file_names(self):
        return f"{self.num_sequences}.db"

    def process(self):
        for start in range(0, self.num_sequences, PART):
            self.extend([draw(index) for index in range(start, min(start + PART, self.num_sequences))])

    def serialize(self, data):
        return {"x": data.x, "y": data.y}

    def deserialize(self, row):
        return Data(**row)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sequences", type=int, default=600, metavar="N", help="size of the corpus (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="passes over the corpus (%(default)s)")
    parser.add_argument("--root", default="data/large_corpus", metavar="DIR", help="folder of the corpus (%(default)s)")
    parser.add_argument("--out", default="runs/large_corpus", metavar="DIR", help="folder of the run (%(default)s)")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    options = parser.parse_args(arguments)
    seed_everything(0, verbose=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)

    corpus = Corpus(options.root, options.sequences)
    held_out = len(corpus) // 10
    train, validation, test = corpus[2 * held_out :], corpus[:held_out], corpus[held_out : 2 * held_out]
    model = LGrIN(FEATURES, NUM_NODES, len(LAGS), adjacency={"init": "temporal", "normalize": "row", "bandwidth": 48})
    classifier = SequenceClassifier(model, num_sequences=len(train), lr=0.003)
    best = fit(classifier, train, validation, options.out, epochs=options.epochs, progress=not options.no_progress)
    restore(classifier, best)
    accuracy = evaluate(classifier, test).accuracy

    size = sum(path.stat().st_size for path in Path(options.root).rglob("*.db"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"accuracy {accuracy:.3f}; the corpus has {size / 1e9:.2f} GB, the process held {peak / 1e9:.2f} GB at the most"
    )
    return {"accuracy": accuracy, "corpus": size, "peak": peak}


if __name__ == "__main__":
    main()
