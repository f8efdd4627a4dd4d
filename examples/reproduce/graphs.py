"""When does it pay to learn the graph? The same model and recipe on graphs that are learned and graphs that are given.

Everything is run twice: on the sequences as they are, whose order a line or a band knows, and on the same with
their frames shuffled by one permutation, where nobody knows the order and a graph from N(0, 1) or U[0, 1) has lost
nothing.
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
    """A graph that is not trained."""
    return fixed(make(num_nodes))


def start(num_nodes):
    """The band that the first row starts from, not trained."""
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
    """One row a graph and order of the frames, tested against the first on the same frames."""
    setting = plan.setting()
    shuffled, _ = setting.shuffled()
    candidates = [Candidate(name, functools.partial(build, name), space=SPACE) for name in GRAPHS]
    return [
        {"frames": frames, **{key: value for key, value in row.items() if key != "paper"}}
        for frames, one in (("in order", setting), ("shuffled", shuffled))
        for row in compare.table(candidates, one, {}, {})
    ]
