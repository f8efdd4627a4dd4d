"""Does the learned graph recover a known graph? The paper lacks this.

A teacher labels white noise X by a graph A*: ``y = argmax f(readout(g(A* X)))``. g is a random perceptron, and f is a
set of random directions of equal variance, so that classes are about equally frequent. A student, a small L-GrIN, is
trained on X and y. Every entry of its A off the diagonal is a score of that edge.

Mean and maximum do not depend on the order of the frames, so a teacher of one layer gives the same labels with the
graph P A* for every permutation P: the labels determine which frames are summed together, A*ᵀ A*, but not at which
frame. The study therefore scores AᵀA as well ("heard together").
"""

import functools
from typing import NamedTuple

import joblib
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from examples.reproduce.fixed_graphs import distances, fixed
from lgrin import LGrIN
from lgrin.nn import LGrINLoss
from lgrin.visualization import save_figure

FEATURES, CLASSES, HIDDEN, CHANNELS = 4, 4, 32, 8  # of the teacher
BATCH, STEPS, CHECK, HELD_OUT = 128, 1_200, 50, 1_000
RATE = 0.01


class Combination(NamedTuple):
    """The planted graph, the data and the student; noise is added to logits of variance 1."""

    graph: str = "band"
    frames: int = 12
    sequences: int = 6_000
    noise: float = 0.0
    layers: int = 1
    readout: str = "mean"
    start: str = "uniform"
    symmetric: bool = False
    normalize: str | None = None
    structure: float = 0.0
    permuted: bool = False
    given: str | None = None

    def setting(self):
        """How it differs from the base, in words."""
        base = Combination(self.graph)
        words = [WORDS[key].format(value) for key, value in self._asdict().items() if value != getattr(base, key)]
        return ", ".join(words) or BASE


BASE = "12 frames, 6,000 sequences, 1 layer, mean readout, uniform start, no structure loss"
WORDS = {
    "frames": "{} frames",
    "sequences": "{:,} sequences",
    "noise": "noise {}",
    "layers": "{} layers",
    "readout": "{} readout",
    "start": "{} start",
    "symmetric": "symmetric A",
    "normalize": "{}s normalised",
    "structure": "structure loss {}",
    "permuted": "control: labels permuted",
    "given": "nothing learned: {} given",
}


def band(num_nodes, generator):
    """Edges to up to two frames before and after."""
    return distances(num_nodes) <= 2


def block(num_nodes, generator):
    """Edges within each quarter of the sequence."""
    quarter = torch.arange(num_nodes) * 4 // num_nodes
    return quarter.unsqueeze(-1) == quarter


def far(num_nodes, generator):
    """Edges between frames that are half a sequence apart."""
    return distances(num_nodes) == num_nodes // 2


def ring(num_nodes, generator):
    """A random cycle: an edge to each frame from the one before it on the cycle."""
    order = torch.randperm(num_nodes, generator=generator)
    edges = torch.zeros(num_nodes, num_nodes, dtype=torch.bool)
    edges[order, order.roll(1)] = True
    return edges


GRAPHS = {"band": band, "block": block, "far": far, "ring": ring}
VARIED = (
    {},
    {"permuted": True},
    {"start": "normal"},
    {"start": "temporal"},
    {"symmetric": True},
    {"structure": 0.01},
    {"structure": 0.1},
    {"start": "temporal", "structure": 0.1},
    {"start": "temporal", "normalize": "row", "structure": 0.1},
    {"frames": 24},
    {"frames": 48},
    {"sequences": 200},
    {"sequences": 1_000},
    {"noise": 0.5},
    {"noise": 2.0},
    {"noise": 2.0, "sequences": 1_000},
    {"readout": "max"},
    {"layers": 2},
    {"layers": 2, "symmetric": True},
    {"given": "the line"},
    {"given": "the line", "sequences": 200},
    {"given": "the line", "sequences": 1_000},
    {"given": "the truth"},
    {"given": "the truth", "sequences": 200},
)


def plant(graph, num_nodes, seed):
    """The known graph A*, with self-loops and rows of length 1."""
    edges = GRAPHS[graph](num_nodes, torch.Generator().manual_seed(seed)) | torch.eye(num_nodes, dtype=torch.bool)
    return torch.nn.functional.normalize(edges.float())


def teach(truth, x, generator, layers=1, readout="mean", noise=0.0):
    """Labels ``[N]`` of sequences ``[N, M, P]``."""
    draw = functools.partial(torch.randn, generator=generator)
    for _ in range(layers):
        x = truth @ x
        x = torch.relu(x @ draw(x.size(-1), HIDDEN) / x.size(-1) ** 0.5 + 0.3 * draw(HIDDEN)) @ draw(HIDDEN, CHANNELS)
        x = (x - x.mean((0, 1))) / x.std((0, 1))
    seen = white(x.mean(1) if readout == "mean" else x.amax(1))
    directions = torch.linalg.qr(draw(CHANNELS, CHANNELS)).Q[:, :CLASSES]
    return (seen @ directions + noise * draw(len(seen), CLASSES)).argmax(1)


def white(x):
    """Removes means and correlations from ``[N, F]`` and scales to unit variance."""
    x = x - x.mean(0)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False).T


def examples(combination, seed):
    """Sequences and labels; those for validation and test come last."""
    generator = torch.Generator().manual_seed(seed)
    count = combination.sequences + 2 * HELD_OUT
    x = torch.randn(count, combination.frames, FEATURES, generator=generator)
    truth = plant(combination.graph, combination.frames, seed)
    y = teach(truth, x, generator, combination.layers, combination.readout, combination.noise)
    return x, y[torch.randperm(count, generator=generator)] if combination.permuted else y


def student(combination, seed):
    """A small L-GrIN with the teacher's depth and readout."""
    torch.manual_seed(seed)
    learned = {"init": combination.start, "symmetric": combination.symmetric, "normalize": combination.normalize}
    return LGrIN(
        FEATURES,
        combination.frames,
        CLASSES,
        branch_channels=(32,),
        num_layers=combination.layers,
        adjacency=given(combination, seed) if combination.given else learned,
        readout={"parts": (combination.readout,)},
        dropout=0.0,
        input_norm=False,
    )


def given(combination, seed):
    """A fixed graph: the true one, or the line with self-loops."""
    near = torch.nn.functional.normalize((distances(combination.frames) <= 1).float())
    matrix = near if combination.given == "the line" else plant(combination.graph, combination.frames, seed)
    return fixed(matrix)


def train(model, x, y, structure, epochs):
    """Trains for 1,200 steps or ``epochs``, whichever is less, and restores the step of the lowest validation loss."""
    num_train = len(x) - 2 * HELD_OUT
    batch = min(BATCH, num_train)
    steps = min(STEPS, epochs * (num_train // batch))
    objective = LGrINLoss(num_train, structure, structure, lambda_pool=0.0)
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    best, order = (float("inf"), model.state_dict()), torch.empty(0, dtype=torch.long)
    for step in range(1, steps + 1):
        order = order if len(order) >= batch else torch.randperm(num_train)
        chosen, order = order[:batch], order[batch:]
        optimizer.zero_grad()
        objective(model(x[chosen]), y[chosen], model).backward()
        optimizer.step()
        schedule.step()
        if step % CHECK == 0 or step == steps:
            held = slice(num_train, num_train + HELD_OUT)
            loss = float(cross_entropy(logits(model, x[held]), y[held]))
            if loss < best[0]:
                best = loss, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(best[1])


@torch.no_grad()
def logits(model, x):
    """The logits of sequences, in evaluation mode."""
    model.eval()
    found = model(x)
    model.train()
    return found


def off_diagonal(matrix):
    """The entries of a matrix off its diagonal."""
    return matrix[~torch.eye(len(matrix), dtype=torch.bool)].detach().numpy()


def auroc(scores, truth):
    """The area under the ROC curve of scores for the edges of a graph; diagonals are left out."""
    return float(roc_auc_score(off_diagonal(truth) > 0, off_diagonal(scores)))


def together(matrix):
    """How much two frames are summed together at the same frames, AᵀA."""
    return matrix.T @ matrix


def recovery(learned, start, truth):
    """Scores of a learned graph for the edges of the true one, beside scores that need no learning."""
    edges = off_diagonal(truth) > 0
    return {
        "AUROC": auroc(learned, truth),
        "transposed": auroc(learned.T, truth),
        "at the start": auroc(start, truth),
        "of nearness": auroc(-distances(len(truth)), truth),
        "precision": float(average_precision_score(edges, off_diagonal(learned))),
        "by chance": float(edges.mean()),
        "heard together": auroc(together(learned), together(truth)),
    }


def run(combination, seed, epochs):
    """Trains a student on one planted graph; returns its scores and the learned graph."""
    x, y = examples(combination, seed)
    model = student(combination, seed)
    start = model.adjacency().detach()
    train(model, x, y, combination.structure, epochs)
    learned, truth = model.adjacency().detach(), plant(combination.graph, combination.frames, seed)
    accuracy = float((logits(model, x[-HELD_OUT:]).argmax(1) == y[-HELD_OUT:]).float().mean())
    return {**recovery(learned, start, truth), "accuracy": accuracy}, learned


def draw(learned, path):
    """Draws the true graph above the learned one, then A*ᵀA* and AᵀA, a column for each graph."""
    titles = ("true A*", "learned A", "true A*ᵀA*", "learned AᵀA")
    figure = Figure(figsize=(9, 9.4), layout="constrained")
    axes = figure.subplots(len(titles), len(learned))
    for column, (graph, matrix) in zip(axes.T, learned.items(), strict=True):
        truth = plant(graph, len(matrix), seed=0)
        for ax, shown in zip(column, (truth, matrix, together(truth), together(matrix)), strict=True):
            ax.imshow(shown.clone().fill_diagonal_(0).numpy(), cmap="Greys", vmin=0, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
        column[0].set_title(graph)
    for ax, title in zip(axes[:, 0], titles, strict=True):
        ax.set_ylabel(title)
    figure.supxlabel("diagonals are left out")
    save_figure(axes[0, 0], path)


def row(combination, found):
    """One row of the table: mean and standard deviation of each score over seeds."""
    scores = {name: [one[name] for one in found] for name in found[0]}
    return {
        "graph": combination.graph,
        "setting": combination.setting(),
        **{name: spread(values) for name, values in scores.items()},
    }


def spread(values):
    """Formats a mean and, for several values, their standard deviation."""
    return f"{np.mean(values):.2f}" + (f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else "")


def planted(plan):
    """One row for each graph and setting; the picture shows the first setting and seed."""
    options = plan.options
    varied, workers = (VARIED, options.workers or -1) if options.epochs > 1 else (VARIED[:2], 1)
    combinations = [Combination(graph, **other) for other in varied for graph in GRAPHS]
    jobs = [joblib.delayed(run)(one, seed, options.epochs) for one in combinations for seed in range(options.seeds)]
    results = joblib.Parallel(workers, return_as="generator")(jobs)
    results = list(tqdm(results, total=len(jobs), unit="run", disable=not plan.progress))
    runs = [results[start : start + options.seeds] for start in range(0, len(results), options.seeds)]
    draw({graph: found[0][1] for graph, found in zip(GRAPHS, runs, strict=False)}, plan.out / "planted.png")
    return [row(one, [scores for scores, _ in found]) for one, found in zip(combinations, runs, strict=True)]
