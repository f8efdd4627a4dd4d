"""Asks whether a learned graph over sensors names the hidden pairs that decide the class.

Thirty nodes stand in fifteen hidden pairs. The class of a sequence is 1 if the mean squared positive part of the sums
of the pairs is above 1. A student, one graph convolution with a mean readout, is trained on sequences and classes for
1,200 steps. Of its 30 strongest entries off the diagonal, the share that belongs to the pairs is the score of A, and
of AᵀA.

A mean does not depend on the order of nodes, so any permutation of the rows of A gives the same output: labels say
which nodes are heard together, which is AᵀA, but not by which node.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import joblib
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.table import print_table
from lgrin.nn import GStarConv, LearnableAdjacency, StructureLoss, sparsity_loss
from lgrin.training import write_results
from lgrin.visualization import plot_adjacency, save_figure

NODES, FEATURES, CHANNELS, BATCH, STEPS, RATE, TESTED = 30, 8, 32, 100, 1_200, 0.01, 1_000


class Student(torch.nn.Module):
    """One graph convolution on a learned graph, and a mean over the nodes."""

    def __init__(self, self_features=False, **adjacency):
        super().__init__()
        self.adjacency = LearnableAdjacency(NODES, **adjacency)
        self.conv = GStarConv(FEATURES, CHANNELS, self_features=self_features)
        self.head = torch.nn.Linear(CHANNELS, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x, self.adjacency.graph()).mean(1))


GUIDE = "adjacency.penalty(lambda_distance=0)"  # what the guides recommend for nodes without an order
PENALTIES = {
    "none": lambda adjacency: 0.0,
    "1e-3 * StructureLoss()(adjacency())": lambda adjacency: 1e-3 * StructureLoss()(adjacency()),
    "adjacency.penalty()": lambda adjacency: adjacency.penalty(),
    "1e-3 * sparsity_loss(adjacency())": lambda adjacency: 1e-3 * sparsity_loss(adjacency()),
    GUIDE: lambda adjacency: adjacency.penalty(lambda_distance=0),
}
UNIFORM, OWN = {"init": "uniform"}, {"init": torch.eye(NODES) + 0.1}
EVEN = {"init": torch.full((NODES, NODES), 0.03), "nonnegativity": "softplus"}
GRAPHS = {
    'init="uniform"': UNIFORM,
    "symmetric=True": {**UNIFORM, "symmetric": True},
    "self_features=True": {**UNIFORM, "self_features": True},
    "topk=2": {**UNIFORM, "topk": 2},
    "self_features=True, topk=1": {**UNIFORM, "self_features": True, "topk": 1},
    "softplus, 0.03 everywhere, self_features=True": {**EVEN, "self_features": True},
    "the same, symmetric=True": {**EVEN, "self_features": True, "symmetric": True},
    "init=torch.eye(M) + 0.1": OWN,
    "init=torch.eye(M) + 0.1, symmetric=True": {**OWN, "symmetric": True},
}
SHOWN = ('init="uniform"', "init=torch.eye(M) + 0.1")
FEW, MANY = 500, 6_000


class Setting(NamedTuple):
    """What is varied: the graph, its penalty, and the number of sequences."""

    graph: str = 'init="uniform"'
    penalty: str = GUIDE
    sequences: int = MANY


STUDIES = {
    "penalty": [Setting(penalty=penalty) for penalty in PENALTIES],
    "graph": [
        *(Setting(graph) for graph in GRAPHS),
        Setting(penalty="1e-3 * sparsity_loss(adjacency())"),
        Setting("self_features=True", "1e-3 * sparsity_loss(adjacency())"),
    ],
    "sequences": [
        Setting(graph, sequences=count) for graph in SHOWN for count in (FEW, 1_000, 2_000, 3_000, MANY, 12_000)
    ],
}


def main(study: str, arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="*", choices=STUDIES, default=list(STUDIES), help="tables (default: all)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help="of training (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="runs at a time (%(default)s)")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder for the numbers (%(default)s)")
    options = parser.parse_args(arguments)
    for table in options.only:
        settings = STUDIES[table]
        jobs = [joblib.delayed(run)(one, seed, options.steps) for one in settings for seed in range(options.seeds)]
        trained = joblib.Parallel(options.workers)(jobs)
        runs = [trained[start : start + options.seeds] for start in range(0, len(trained), options.seeds)]
        rows = [row(setting, [scores for scores, _ in found]) for setting, found in zip(settings, runs, strict=True)]
        write_results(Path(options.out) / f"sensors-{table}.json", rows=rows, steps=options.steps, seeds=options.seeds)
        print_table(f"Hidden pairs of sensors, by {table}", rows)
        if table == "graph":
            learned = {setting: found[0][1] for setting, found in zip(settings, runs, strict=True)}
            picture(
                {name: learned[Setting(name)] for name in SHOWN}, hidden_pairs(0), Path(options.out) / "sensors.png"
            )


def hidden_pairs(seed: int) -> Tensor:
    """Pairs ``[15, 2]`` of nodes, no node twice."""
    return torch.randperm(NODES, generator=torch.Generator().manual_seed(seed)).view(-1, 2)


def draw(pairs: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sequences ``[n, 30, 8]`` and their classes."""
    x = torch.randn(count, NODES, FEATURES, generator=generator)
    together = (x[:, pairs[:, 0]] + x[:, pairs[:, 1]]).relu().square().mean((1, 2))
    return x, (together > 1).long()


def share(matrix: Tensor, pairs: Tensor) -> float:
    """The share of the 30 strongest entries off the diagonal that belongs to the pairs."""
    true = torch.zeros(NODES, NODES, dtype=torch.bool)
    true[pairs[:, 0], pairs[:, 1]] = true[pairs[:, 1], pairs[:, 0]] = True
    strength = matrix.abs().masked_fill(torch.eye(NODES, dtype=torch.bool), -1).flatten()
    return true.flatten()[strength.topk(2 * len(pairs)).indices].float().mean().item()


def run(setting: Setting, seed: int, steps: int = STEPS) -> tuple[dict[str, float], Tensor]:
    """Trains a student; returns its accuracy on new sequences, what A and AᵀA name, and A."""
    torch.manual_seed(seed)
    pairs, generator = hidden_pairs(seed), torch.Generator().manual_seed(100 + seed)
    x, y = draw(pairs, setting.sequences, generator)
    x_test, y_test = draw(pairs, TESTED, generator)
    student = Student(**GRAPHS[setting.graph])
    train(student, x, y, PENALTIES[setting.penalty], steps)
    learned = student.adjacency().detach()
    accuracy = (student.eval()(x_test).argmax(1) == y_test).float().mean().item()
    return {"accuracy": accuracy, "A": share(learned, pairs), "AᵀA": share(learned.T @ learned, pairs)}, learned


def train(student: Student, x: Tensor, y: Tensor, penalty, steps: int) -> None:
    """Trains by Adam on shuffled batches of 100."""
    optimizer, order = torch.optim.Adam(student.parameters(), RATE), torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        order = order if len(order) >= BATCH else torch.randperm(len(x))
        chosen, order = order[:BATCH], order[BATCH:]
        optimizer.zero_grad()
        (cross_entropy(student(x[chosen]), y[chosen]) + penalty(student.adjacency)).backward()
        optimizer.step()


def picture(learned: dict[str, Tensor], pairs: Tensor, path: Path) -> None:
    """Draws A and AᵀA of each graph without their diagonals, the two nodes of a pair side by side."""
    axes = Figure(figsize=(8.5, 7.5), layout="constrained").subplots(len(learned), 2)
    names = [str(node) for node in pairs.flatten().tolist()]
    for (name, matrix), (left, right) in zip(learned.items(), axes, strict=True):
        for ax, title, shown in ((left, "A", matrix), (right, "AᵀA", matrix.T @ matrix)):
            ordered = shown[pairs.flatten()][:, pairs.flatten()].fill_diagonal_(0)
            plot_adjacency(ordered, ax, names=names).set_title(f"{title} after {name}")
        right.set(xlabel="node", ylabel="node")
        right.images[0].colorbar.set_label("entry of AᵀA")
    save_figure(axes[0, 0], path)


def row(setting: Setting, scores: list[dict[str, float]]) -> dict[str, str]:
    """A row of a table: each score of every seed."""
    shown = {name: ", ".join(f"{one[name]:.2f}" for one in scores) for name in scores[0]}
    return {**setting._asdict(), "sequences": f"{setting.sequences:,}", **shown}
