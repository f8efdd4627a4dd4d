"""When does it pay to learn the graph? The same model and recipe on learned graphs and on given ones.

Everything is run twice: with frames in order, which a line or a band reflects, and with the frames of all sequences
shuffled by one permutation, which no given graph reflects. Starts from N(0, 1) and U[0, 1) do not depend on the order.
"""

import functools

import torch

from examples.reproduce import compare
from examples.reproduce.fixed_graphs import complete, empty, fixed, line
from examples.reproduce.recipe import BAND, network
from examples.reproduce.tables import SPACE
from lgrin.nn import LearnableAdjacency
from lgrin.training import Candidate


def given(make, num_nodes):
    """A fixed graph."""
    return fixed(make(num_nodes))


def start(num_nodes):
    """The initial graph of the first row, fixed."""
    return LearnableAdjacency(num_nodes, **BAND).requires_grad_(False)


GRAPHS = {
    "learned from a band": lambda num_nodes: BAND,
    "learned from N(0, 1) (the paper's)": lambda num_nodes: {"init": "normal"},
    "learned from U[0, 1) (the released code's)": lambda num_nodes: {"init": "uniform"},
    "learned from N(0, 1), rows normalised": lambda num_nodes: {"init": "normal", "normalize": "row"},
    "given: the band": start,
    "given: the line": functools.partial(given, line),
    "given: the identity": functools.partial(given, torch.eye),
    "given: all edges": functools.partial(given, complete),
    "none": functools.partial(given, empty),
}


def build(graph, num_features, num_nodes, num_classes):
    """L-GrIN on a graph by its name."""
    return network(num_features, num_nodes, num_classes, adjacency=GRAPHS[graph](num_nodes))


def graphs(plan):
    """One row for each graph and order of the frames, tested against the first graph with the same order."""
    setting = plan.setting()
    shuffled, _ = setting.shuffled()
    candidates = [Candidate(name, functools.partial(build, name), space=SPACE) for name in GRAPHS]
    return [
        {"frames": frames, **{key: value for key, value in row.items() if key != "paper"}}
        for frames, one in (("in order", setting), ("shuffled", shuffled))
        for row in compare.table(candidates, one, {}, {})
    ]
