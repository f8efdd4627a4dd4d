"""Does the graph earn its place? The default model beside the same one with its graph fixed.

    python -m benchmarks.graphs [--datasets JapaneseVowels BasicMotions] [--seeds 5]

Trains on the archive's training split, stops by a fifth of it, and looks at the test split once a run.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

from benchmarks.table import print_table
from lgrin import LGrIN
from lgrin.datasets import UEA
from lgrin.nn import LearnableAdjacency
from lgrin.training import train_and_test, write_results
from lgrin.transforms import Resample


def fixed(matrix):
    return LearnableAdjacency(len(matrix), init=matrix).requires_grad_(False)


def line(num_nodes):
    index = torch.arange(num_nodes)
    return ((index - index.unsqueeze(-1)).abs() == 1).float()


GRAPHS = {
    "learned (the default)": lambda num_nodes: None,
    "fixed to its start": lambda num_nodes: LearnableAdjacency(
        num_nodes, init="temporal", normalize="row"
    ).requires_grad_(False),
    "learned from N(0, 1), the paper's": lambda num_nodes: {"init": "normal"},
    "fixed to 0": lambda num_nodes: fixed(torch.zeros(num_nodes, num_nodes)),
    "fixed to the identity": lambda num_nodes: fixed(torch.eye(num_nodes)),
    "fixed to the binary line": lambda num_nodes: fixed(line(num_nodes)),
}


def describe(adjacency):
    """The part of all pairs that are edges, and the mean distance in frames that an edge's weight spans."""
    index = torch.arange(len(adjacency))
    distance = (index - index.unsqueeze(-1)).abs()
    total = adjacency.sum()
    return float((adjacency > 0).float().mean()), float((adjacency * distance).sum() / total) if total > 0 else 0.0


def run(name, graph, seed, root):
    torch.manual_seed(seed)
    train = UEA(root, name, "train")
    train.transform = Resample(train.max_num_frames)
    test = UEA(root, name, "test", transform=train.transform)
    num_nodes = train.transform.num_nodes
    model = LGrIN(train.num_features, num_nodes, train.num_classes, adjacency=GRAPHS[graph](num_nodes))
    with tempfile.TemporaryDirectory() as out:
        classifier, evaluation = train_and_test(model, train, test, out, seed=seed, progress=False)
    density, reach = describe(classifier.model.adjacency().detach())
    return {"accuracy": evaluation.accuracy, "uar": evaluation.uar, "density": density, "reach": reach}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graphs", description=__doc__.split("\n\n")[0])
    parser.add_argument("--datasets", nargs="+", default=["JapaneseVowels", "BasicMotions"], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--root", default="data", metavar="DIR")
    parser.add_argument("--out", default="runs/benchmarks", metavar="DIR")
    options = parser.parse_args()
    rows = []
    for name in options.datasets:
        for graph in GRAPHS:
            runs = [run(name, graph, seed, options.root) for seed in range(options.seeds)]
            scores = sorted(one["accuracy"] for one in runs)
            middle = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
            row = {"data": name, "graph": graph, "accuracy": middle["accuracy"]}
            row |= {"lowest": scores[0], "highest": scores[-1], "UAR": middle["uar"]}
            row |= {"density": middle["density"], "mean distance in frames": middle["reach"]}
            print(row, flush=True)
            rows.append(row)
            write_results(Path(options.out) / "graphs.json", rows=rows, seeds=options.seeds)
    print_table(f"Test accuracy by graph (median of {options.seeds} seeds)", rows)


if __name__ == "__main__":
    main()
