"""Does training repair a graph that is partly wrong? The paper lacks this.

A teacher labels white noise X by a random directed graph A* over 20 nodes, three edges to each. The student is given a
prior: a third of the edges are missing, and as many false ones are there. It is a G* convolution on a graph that starts
from the prior. Labels are given for each node, or one for the whole sequence, by the mean over nodes.

Of n missing edges, the study counts how many are among the n strongest edges that the prior lacks, and how many of the
n false ones are among the n weakest edges of the prior.
"""

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch.nn.functional import cross_entropy, normalize
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.fixed_graphs import fixed
from examples.reproduce.planted import CHANNELS, CLASSES, FEATURES, HIDDEN, spread, white
from lgrin.nn import GStarConv, LearnableAdjacency
from lgrin.training import write_results

NODES, EDGES, HELD_OUT = 20, 3, 1_000  # edges to each node; sequences to test on
BATCH, RATE, WIDTH = 128, 0.01, 32


class Prior(NamedTuple):
    """A true graph and what the student is told of it, bool ``[M, M]`` each, without self loops."""

    true: Tensor
    missing: Tensor
    false: Tensor

    @property
    def given(self) -> Tensor:
        """The edges that the student is told."""
        return (self.true & ~self.missing) | self.false


def draw(seed: int) -> Prior:
    """Draws a graph with three edges to each node, of which a third is missing, and as many false edges."""
    generator = torch.Generator().manual_seed(1_000_000 + seed)  # a student's start is drawn from the seed itself
    order = torch.rand(2, NODES, NODES, generator=generator).clamp(min=1e-6)
    order.diagonal(dim1=1, dim2=2).zero_()  # no self loops
    true = strongest(order[0], torch.full((NODES,), EDGES))
    count = int(true.sum()) // 3
    return Prior(true, *(first(order[1] * edges, count) for edges in (true, ~true)))


def strongest(scores: Tensor, counts: Tensor) -> Tensor:
    """Marks the largest entries of each row."""
    return scores.argsort(1, descending=True).argsort(1) < counts.unsqueeze(1)


def first(scores: Tensor, count: int) -> Tensor:
    """Marks the largest entries of a matrix."""
    return strongest(scores.view(1, -1), torch.tensor([count])).view(scores.shape)


def weights(edges: Tensor) -> Tensor:
    """The matrix of a graph, with self loops and rows of length 1."""
    return normalize((edges | torch.eye(NODES, dtype=torch.bool)).float())


def each_node(x: Tensor) -> Tensor:
    """Leaves the nodes apart."""
    return x


def whole_sequence(x: Tensor) -> Tensor:
    """Averages over the nodes."""
    return x.mean(1)


Pool = Callable[[Tensor], Tensor]


def teach(edges: Tensor, x: Tensor, pool: Pool, generator: torch.Generator) -> Tensor:
    """Labels sequences ``[N, M, P]``, or each of their nodes."""
    draw_normal = functools.partial(torch.randn, generator=generator)
    h = weights(edges) @ x @ draw_normal(FEATURES, HIDDEN) / FEATURES**0.5 + 0.3 * draw_normal(HIDDEN)
    seen = pool(torch.relu(h) @ draw_normal(HIDDEN, CHANNELS))
    directions = torch.linalg.qr(draw_normal(CHANNELS, CHANNELS)).Q[:, :CLASSES]
    return (white(seen.flatten(0, -2)) @ directions).argmax(-1).view(seen.shape[:-1])


def kept(prior: Prior) -> LearnableAdjacency:
    """The prior as it is."""
    return fixed(weights(prior.given))


def untold(prior: Prior) -> LearnableAdjacency:
    """Weights that start without the prior, all pairs alike but for chance."""
    return LearnableAdjacency(NODES, init="uniform")


def from_matrix(prior: Prior) -> LearnableAdjacency:
    """Weights of ReLU that start from the prior: an entry that is 0 stays 0."""
    return LearnableAdjacency.from_dense(weights(prior.given))


def from_edges(prior: Prior) -> LearnableAdjacency:
    """Weights of softplus that start from the prior, and edges beside it that start near 0."""
    matrix = weights(prior.given)
    target, source = matrix.nonzero(as_tuple=True)
    edge_index = torch.stack([source, target])
    return LearnableAdjacency.from_edge_index(edge_index, matrix[target, source], NODES)


STARTS: dict[str, Callable[[Prior], LearnableAdjacency]] = {
    "the prior, fixed": kept,
    "learned without the prior": untold,
    "`from_dense(prior)`": from_matrix,
    "`from_edge_index(prior)`": from_edges,
}
LABELS = {"each node": each_node, "the sequence": whole_sequence}


class Student(Module):
    """A G* convolution on a graph, and a linear layer on each node or on their mean."""

    def __init__(self, adjacency: LearnableAdjacency, pool: Pool) -> None:
        super().__init__()
        self.adjacency, self.pool = adjacency, pool
        self.conv, self.head = GStarConv(FEATURES, WIDTH), Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.conv(x, self.adjacency.graph())))
        return logits


def run(start: str, label: str, seed: int, sequences: int, steps: int) -> dict[str, float]:
    """Trains a student from one prior; returns its accuracy on new sequences and what it found."""
    prior, pool, generator = draw(seed), LABELS[label], torch.Generator().manual_seed(seed)
    x = torch.randn(sequences + HELD_OUT, NODES, FEATURES, generator=generator)
    y = teach(prior.true, x, pool, generator)
    torch.manual_seed(seed)
    student = Student(STARTS[start](prior), pool)
    train(student, x[:sequences], y[:sequences], steps)
    with torch.no_grad():
        right = student.eval()(x[sequences:]).argmax(-1) == y[sequences:]
        return {"accuracy": float(right.float().mean()), **repaired(student.adjacency(), prior)}


def train(student: Student, x: Tensor, y: Tensor, steps: int) -> None:
    """Trains by Adam with a learning rate that rises and falls."""
    optimizer = torch.optim.Adam(student.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(x), (BATCH,))
        optimizer.zero_grad()
        cross_entropy(student(x[chosen]).flatten(0, -2), y[chosen].flatten()).backward()
        optimizer.step()
        schedule.step()


def repaired(learned: Tensor, prior: Prior) -> dict[str, float]:
    """Scores the n strongest new edges and the n weakest given ones."""
    count, others = int(prior.missing.sum()), ~prior.given & ~torch.eye(NODES, dtype=torch.bool)
    new = first(learned * others, count) & (learned > 0)
    weakest = first((learned.max() + 1 - learned) * prior.given, count)
    return {
        "new edges that are true": int((new & prior.missing).sum()) / count,
        "weakest that are false": int((weakest & prior.false).sum()) / count,
    }


def main(study: str, arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="graphs and trainings (%(default)s)")
    parser.add_argument("--sequences", type=int, default=6_000, metavar="N", help="to train on (%(default)s)")
    parser.add_argument("--steps", type=int, default=2_400, metavar="N", help="of a training (%(default)s)")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder for the numbers (%(default)s)")
    options = parser.parse_args(arguments)
    rows = []
    for label, start in tqdm([(label, start) for label in LABELS for start in STARTS], unit="row"):
        found = [run(start, label, seed, options.sequences, options.steps) for seed in range(options.seeds)]
        scores = {name: spread([one[name] for one in found]) for name in found[0]}
        rows.append({"labels for": label, "graph": start, **scores})
    write_results(Path(options.out) / "refine.json", rows=rows, **vars(options))
    print_table("A graph that is partly wrong", rows)
