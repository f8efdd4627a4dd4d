"""A training step of the default beside that of the authors' code: ``python -m benchmarks.authors DIR``.

DIR is a clone of their repository, github.com/AmirSh15/graph_emotion_recognition, with the file ``mlp.py`` of
github.com/weihua916/powerful-gnns in its folder ``models``. Their network gets what their training loop gives it: a
list of graphs, the line over the frames, Adam, and the losses of ``Comp_loss``.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor

from benchmarks.__main__ import machine
from benchmarks.measure import row, times
from benchmarks.step import SIZES, step
from benchmarks.table import print_table
from lgrin import LGrIN

BATCH_SIZE, GOAL = 128, 4
ADJACENCY_PRICE, POOL_PRICE = 0.1, 0.0001


def measure(folder: str) -> list[dict]:
    size, rows = SIZES["RML"], []
    theirs = their_step(folder, size)
    models = {"default": LGrIN(*size), "released preset": LGrIN.released(*size)}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        calls = {name: step(model, BATCH_SIZE, size) for name, model in models.items()}
        taken = times({**calls, "theirs": theirs}, repeats=9)
        for name in models:
            title = f"training step, RML, B={BATCH_SIZE}, {threads} threads, {name}: the authors' code"
            goal = GOAL if (name, threads) == ("default", 2) else None
            ms = {"ms": 1e3 * taken[name], "theirs": 1e3 * taken["theirs"]}
            rows.append(row(title, taken["theirs"] / taken[name], "times faster", goal, most=False, **ms))
    return rows


def their_step(folder: str, size: tuple[int, int, int]) -> Callable[[], None]:
    """A step of their training loop, which takes a batch as a list of graphs."""
    features, frames, classes = size
    network = their_network(folder)(2, features, classes, 0.5, torch.device("cpu"), "", BATCH_SIZE, frames, None)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    place = torch.arange(frames)
    distance = (place - place[:, None]).square().float()
    graphs, target = [_line(frames, features) for _ in range(BATCH_SIZE)], torch.randint(classes, (BATCH_SIZE,))

    def run() -> None:
        logits, _ = network(graphs)
        adj = network.Adj.relu()
        price = (adj * distance).mean() + adj.square().mean()
        loss = torch.nn.functional.cross_entropy(logits, target) + ADJACENCY_PRICE * price
        loss = loss + POOL_PRICE * network.Pool.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return run


def their_network(folder: str) -> Callable[..., torch.nn.Module]:
    """Their class, whose one call of ``cuda`` stays where it is on a machine without a GPU."""
    sys.path[:0] = [str(Path(folder)), str(Path(folder) / "models")]
    if not torch.cuda.is_available():
        Tensor.cuda = lambda self, *_: self  # type: ignore[method-assign]
    return importlib.import_module("models.graphcnn_Inception_learning_adj_pool").Graph_Inception


def _line(frames: int, features: int) -> SimpleNamespace:
    """A graph as their loader makes it."""
    neighbors = [[near for near in (node - 1, node + 1) if 0 <= near < frames] for node in range(frames)]
    return SimpleNamespace(
        g=range(frames), neighbors=neighbors, max_neighbor=2, node_features=torch.randn(frames, features)
    )


if __name__ == "__main__":
    found = measure(sys.argv[1])
    print_table(machine(), found)
