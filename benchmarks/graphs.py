"""Graphs that differ by sequence, compared with PyG's attention on the complete graph."""

import json
import sys
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import DenseGATConv, GATConv

from benchmarks.measure import in_process, peak, resident, row, times
from lgrin.nn import AttentionAdjacency, GStarConv

BATCH_SIZE, FRAMES, FEATURES, WIDTH = 32, 120, 34, 64
HEADS = (1, 4)
TITLE = f"attention and a convolution, {FRAMES} x {FEATURES} to {WIDTH}, B={BATCH_SIZE}, one thread"


def measure() -> list[dict]:
    torch.set_num_threads(1)
    rows = []
    for heads in HEADS:
        title = f"{{}} of a step, {TITLE}, {heads} head{'s' * (heads > 1)}: {{}}"
        taken = times({side: step(side, heads) for side in SIDES})
        memory = {side: in_process("benchmarks.graphs", side, heads) for side in SIDES}
        for side, time_goal, memory_goal in (("PyG's GATConv", 1, 0.3), ("PyG's DenseGATConv", None, None)):
            ms = {"ms": 1e3 * taken["lgrin"], "theirs": 1e3 * taken[side]}
            rows.append(row(title.format("time", side), taken["lgrin"] / taken[side], "times as long", time_goal, **ms))
            mb = {"MB": memory["lgrin"], "theirs": memory[side]}
            rows.append(row(title.format("memory", side), memory["lgrin"] / memory[side], "of it", memory_goal, **mb))
    return rows


class Attention(Module):
    """A graph for each sequence and a convolution on it."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.adjacency = AttentionAdjacency(FEATURES, WIDTH // heads, heads=heads, num_nodes=FRAMES)
        self.conv = GStarConv(FEATURES, WIDTH, heads=heads)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x, self.adjacency.graph(x=x))


class Sparse(Module):
    """Attention over all pairs of frames of each sequence, as edges."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.conv = GATConv(FEATURES, WIDTH // heads, heads=heads, add_self_loops=False)
        sequence = torch.arange(BATCH_SIZE).view(-1, 1, 1) * FRAMES
        source, target = torch.ones(FRAMES, FRAMES).nonzero(as_tuple=True)
        self.register_buffer("edge_index", (torch.stack([source, target]).unsqueeze(0) + sequence).mT.flatten(0, 1).T)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.flatten(0, 1), self.edge_index)


class Dense(Module):
    """Attention over all pairs of frames of each sequence, as matrices."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.conv = DenseGATConv(FEATURES, WIDTH // heads, heads=heads)
        self.register_buffer("adj", torch.ones(1, FRAMES, FRAMES))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x, self.adj, add_loop=False)


SIDES = {"lgrin": Attention, "PyG's GATConv": Sparse, "PyG's DenseGATConv": Dense}


def step(side: str, heads: int) -> Callable[[], None]:
    """A training step of the layer on a dense batch."""
    torch.manual_seed(0)
    model = SIDES[side](heads)
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    x = torch.randn(BATCH_SIZE, FRAMES, FEATURES)

    def run() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return run


def steps(side: str, heads: int) -> float:
    """Runs three steps in this process and returns what they add, in MB."""
    torch.set_num_threads(1)
    run = step(side, heads)
    before = resident()
    for _ in range(3):
        run()
    return (peak() - before) / 1e6


if __name__ == "__main__":
    print(json.dumps(steps(sys.argv[1], int(sys.argv[2]))))
