"""What each kind of graph recovers of a planted one, up to what symmetry, and with how many sequences.

Every kind gets worlds that it can hold: a graph A* of its own shape (a random one, groups, groups by features), with
edges that go both ways or one way, and with weights of one sign or of both. Features X are white noise.

- Over frames, a class is known for each sequence: ``y = argmax f(mean_i g(A* X)_i)``. The mean does not tell at which
  frame others are heard, so P A* gives the same classes for every permutation P: only A*ᵀ A* is determined.
- Over sensors, the next value of each is known: ``y_i = g(A* X)_i + noise``. A* is determined up to a factor, which is
  negative, too, where weights may be.

A student learns the graph with one G* convolution. Every entry of A off the diagonal is a score of that edge.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import torch
from matplotlib.figure import Figure
from torch.nn import Linear, Module
from torch.nn.functional import cross_entropy, mse_loss, normalize, one_hot
from tqdm import tqdm

from benchmarks.table import markdown
from examples.reproduce.planted import CHANNELS, CLASSES, FEATURES, HIDDEN, auroc, off_diagonal, together, white
from lgrin.files import write_atomically
from lgrin.models.registry import ADJACENCY, build
from lgrin.nn import GStarConv
from lgrin.training import write_results
from lgrin.visualization import save_figure

NODES, GROUPS, WIDTH = 12, 4, 32
SEQUENCES = (250, 1_000, 4_000)
BATCH, STEPS, RATE, HELD_OUT, NOISE = 128, 600, 0.01, 50, 0.5
ITSELF, EXACT = torch.eye(NODES), 1e-6


class World(NamedTuple):
    """What is planted.

    Attributes:
        nodes: ``"frames"``, each sequence of which has a class, or ``"sensors"``, each of which has a next value.
        directed: Whether edges go one way.
        signed: Whether weights may be negative.
    """

    nodes: str
    directed: bool
    signed: bool


WORLDS = [World(nodes, directed, signed) for nodes in ("frames", "sensors") for directed in (0, 1) for signed in (0, 1)]


class Kind(NamedTuple):
    """A kind of graph in the study.

    Attributes:
        plant: Makes A*, ``[M, M]`` or ``[B, M, M]``, from a world, features ``[B, M, F]`` and a generator.
        options: What builds the student's adjacency, as ``LGrIN(adjacency=options)``.
        signed: What replaces some of them where weights may be negative.
    """

    plant: Callable[[World, torch.Tensor, torch.Generator], torch.Tensor]
    options: dict[str, Any]
    signed: dict[str, Any]


def free(world, x, generator):
    """A random graph: two sources for each node, or two random neighbours both ways."""
    draw = torch.rand(NODES, NODES, generator=generator) - 2 * ITSELF
    edges = torch.zeros(NODES, NODES).scatter(1, draw.topk(2 - (not world.directed)).indices, 1.0)
    signs = torch.randn(NODES, NODES, generator=generator).sign() if world.signed else torch.ones(NODES, NODES)
    weights = edges * signs
    return weights if world.directed else weights + (weights.T * (weights == 0))


def groups(world, x, generator):
    """Nodes in four groups: each hears its own, or the next one on a circle; two of them with a minus sign."""
    group = torch.arange(NODES)[torch.randperm(NODES, generator=generator)] % GROUPS
    signs = torch.randn(NODES, generator=generator).sign() if world.signed else torch.ones(NODES)
    heard = (group[:, None] + int(world.directed)) % GROUPS == group
    return heard * signs[:, None] * signs


def by_distance(world, x, generator):
    """Each node hears those one and two places away, or the two before it alone, all by the same weights."""
    index = torch.arange(NODES)
    apart = index - index[:, None]
    near = -1.0 if world.signed else 1.0
    taps = torch.tensor([1, near, 0, 0, 0] if world.directed else [1, near, 0, near, 1])
    return torch.where(apart.abs() <= 2, taps[(apart + 2).clamp(0, 4)], torch.tensor(0.0))


def by_features(world, x, generator):
    """As :func:`groups`, but the first features say which group a node is in: another in every sequence."""
    group = x[..., :GROUPS].argmax(-1)
    apart = (group.unsqueeze(-2) - group.unsqueeze(-1)) % GROUPS
    heard = (apart == int(world.directed)).float()
    return heard - (apart == int(world.directed) + 2).float() if world.signed else heard


KINDS = {
    "learnable": Kind(free, {"init": "uniform"}, {"nonnegativity": None, "init": "normal"}),
    "low rank": Kind(groups, {"name": "LowRankAdjacency", "rank": GROUPS}, {"nonnegativity": None, "init": "normal"}),
    "stationary": Kind(
        by_distance, {"name": "StationaryAdjacency", "reach": 4, "nonnegativity": "relu"}, {"nonnegativity": None}
    ),
    "attention": Kind(by_features, {"name": "AttentionAdjacency"}, {"nonnegativity": None, "normalize": "row"}),
}


def sequences(kind, world, count, seed):
    """Features, targets and graphs of ``count`` sequences and of those held out, which come last."""
    generator = torch.Generator().manual_seed(seed)
    total = count + HELD_OUT
    x = torch.randn(total, NODES, FEATURES, generator=generator)
    code = one_hot(torch.randint(GROUPS, (total, NODES), generator=generator), GROUPS) * 2.0
    x = torch.cat([code, x], dim=-1) if KINDS[kind].plant is by_features else x
    truth = normalize(KINDS[kind].plant(world, x, generator) * (1 - ITSELF) + ITSELF, dim=-1)
    return x, teach(world, truth @ x[..., -FEATURES:], generator), truth.expand(total, NODES, NODES)


def teach(world, heard, generator):
    """Classes ``[B]`` of sequences, or next values ``[B, M, F]`` of nodes, from what the nodes hear."""
    first, offset, last = (
        torch.randn(*shape, generator=generator) for shape in ((FEATURES, HIDDEN), (HIDDEN,), (HIDDEN, CHANNELS))
    )
    h = torch.relu(heard @ first / FEATURES**0.5 + 0.3 * offset) @ last
    h = (h - h.mean((0, 1))) / h.std((0, 1))
    if world.nodes == "sensors":
        return h + NOISE * torch.randn(h.shape, generator=generator)
    directions = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=generator)).Q[:, :CLASSES]
    return (white(h.mean(1)) @ directions).argmax(1)


class Student(Module):
    """A learned graph and one convolution, which tells classes of sequences or next values of nodes."""

    def __init__(self, kind, world, in_channels):
        super().__init__()
        options = {**KINDS[kind].options, **(KINDS[kind].signed if world.signed else {})}
        self.world, self.adjacency = world, build(ADJACENCY, options, NODES, in_channels)
        self.conv = GStarConv(in_channels, WIDTH)
        self.head = Linear(WIDTH, CLASSES if world.nodes == "frames" else CHANNELS)

    def forward(self, x):
        h = self.conv(x, self.adjacency.graph(x=x))
        return self.head(h.mean(1) if self.world.nodes == "frames" else h)


def train(student, x, y, steps):
    """Trains on batches of all sequences in a random order."""
    loss = cross_entropy if student.world.nodes == "frames" else mse_loss
    optimizer = torch.optim.Adam(student.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        order = order if len(order) >= BATCH else torch.randperm(len(x))
        chosen, order = order[:BATCH], order[BATCH:]
        optimizer.zero_grad()
        loss(student(x[chosen]), y[chosen]).backward()
        optimizer.step()
        schedule.step()


def learned_graphs(student, x):
    """The graph of each sequence, ``[B, M, M]``."""
    matrix = student.eval().adjacency.graph(x=x).matrix().detach()
    return matrix.expand(len(x), NODES, NODES)


def recovery(learned, truth):
    """Scores of learned graphs for the edges of the true ones, averaged over the sequences that have their own."""
    pairs = list(zip(learned, truth, strict=True))[: 1 if learned.stride(0) == 0 else None]
    both = [_scores(*pair) for pair in pairs]
    mean = {name: sum(one[name] for one in both) / len(both) for name in both[0]}
    right = sum(float((off_diagonal(one) * off_diagonal(other) > 0).sum()) for one, other in pairs)
    right /= sum(float((off_diagonal(other) != 0).sum()) for _, other in pairs)
    return {**mean, "signs": max(right, 1 - right)}


def _scores(learned, truth):
    heard, edges = (together(truth).abs() > EXACT).float(), truth.abs()
    undecided = float(off_diagonal(heard).mean()) in (0, 1)
    return {
        "A": auroc(learned.abs(), edges),
        "transposed": auroc(learned.abs().T, edges),
        "heard together": float("nan") if undecided else auroc(together(learned).abs(), heard),
    }


def run(kind, world, count, seed, steps=STEPS):
    """Trains a student in one world; returns its scores, and the true and the learned graph of a held-out sequence."""
    torch.set_num_threads(1)
    x, y, truth = sequences(kind, world, count, seed)
    torch.manual_seed(seed)
    student = Student(kind, world, x.size(-1))
    train(student, x[:count], y[:count], steps)
    learned = learned_graphs(student, x[count:])
    return recovery(learned, truth[count:]), truth[-1], learned[-1]


def draw(kind, shown, path):
    """Draws the true and the learned graph, and what is heard together, a row for each world."""
    figure = Figure(figsize=(8.4, 2.2 * len(shown)), layout="constrained")
    titles = ("true A*", "learned A", "true A*ᵀA*", "learned AᵀA")
    for axes, (title, truth, learned) in zip(figure.subplots(len(shown), 4), shown, strict=True):
        for ax, name, matrix in zip(axes, titles, (truth, learned, together(truth), together(learned)), strict=True):
            matrix = matrix.clone().fill_diagonal_(0)
            most = float(matrix.abs().max()) or 1.0
            ax.imshow(matrix.numpy(), cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
            ax.set(xticks=[], yticks=[], title=name)
        axes[0].set_ylabel(title)
    figure.suptitle(f"{kind}: red is positive, blue negative; diagonals are left out")
    save_figure(axes[0], path)


def in_words(world):
    """A world as a row of the table names it."""
    known = "frames, classes of sequences" if world.nodes == "frames" else "sensors, next values"
    return known, "one way" if world.directed else "both ways", "both" if world.signed else "one"


def table(results, counts, seeds):
    """A row for each kind and world: A and AᵀA for each number of sequences, means over seeds."""
    rows = []
    for kind in dict.fromkeys(kind for kind, *_ in results):
        for world in WORLDS:
            nodes, edges, signs = in_words(world)
            row = {"kind": kind, "nodes, what is known": nodes, "edges": edges, "signs": signs}
            for count in counts:
                scores = [results[kind, world, count, seed][0] for seed in range(seeds)]
                mean = {name: sum(one[name] for one in scores) / seeds for name in scores[0]}
                row[f"A, AᵀA: {count:,}"] = f"{mean['A']:.2f}, {mean['heard together']:.2f}".replace("nan", "-")
            row["transposed"] = f"{mean['transposed']:.2f}"
            row["right signs"] = f"{mean['signs']:.2f}" if world.signed else ""
            rows.append(row)
    return rows


def main(name, arguments=None):
    """Runs the study and writes its table and a picture of each kind."""
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {name}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="some kinds (default: all)")
    parser.add_argument("--sequences", nargs="+", type=int, default=SEQUENCES, metavar="N", help="%(default)s")
    parser.add_argument("--seeds", type=int, default=2, metavar="N", help="trainings of every row (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help="of a training (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="runs in parallel (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce/kinds"), metavar="DIR", help="%(default)s")
    options = parser.parse_args(arguments)
    start, counts = time.perf_counter(), tuple(options.sequences)
    jobs = [
        (kind, world, count, seed)
        for kind in options.kinds for world in WORLDS for count in counts for seed in range(options.seeds)
    ]  # fmt: skip
    calls = (joblib.delayed(run)(*job, options.steps) for job in jobs)
    found = joblib.Parallel(options.workers, return_as="generator")(calls)
    results = dict(zip(jobs, tqdm(found, total=len(jobs), unit="run"), strict=True))
    for kind in options.kinds:
        shown = [(", ".join(in_words(world)[1:]), *results[kind, world, counts[-1], 0][1:]) for world in WORLDS[4:]]
        draw(kind, shown, options.out / f"graph-{kind.replace(' ', '-')}.png")
    rows, seconds = table(results, counts, options.seeds), time.perf_counter() - start
    text = markdown(rows)
    print(text)
    write_atomically(options.out / "table.md", lambda name: Path(name).write_text(text, encoding="utf-8"))
    return write_results(options.out / "table.json", rows=rows, options={**vars(options), "out": str(options.out)},
                         seconds=seconds)  # fmt: skip
