"""When does it pay to learn the graph? The same model and recipe on graphs that are learned and graphs that are given.

Everything is run twice: on the sequences as they are, whose order a line or a band knows, and on the same with
their frames shuffled by one permutation, where nobody knows the order and a graph from N(0, 1) or U[0, 1) has lost
nothing.
"""

import functools

import torch

from examples.reproduce import compare
from examples.reproduce.recipe import BAND, network
from examples.reproduce.tables import SPACE, line
from lgrin.nn import LearnableAdjacency
from lgrin.training import Candidate
from lgrin.transforms.resample import take_frames


def given(make, num_nodes):
    """A graph that nothing trains."""
    return LearnableAdjacency(num_nodes, init=make(num_nodes)).requires_grad_(False)


def start(num_nodes):
    """The band that the first row starts from, which nothing trains."""
    return LearnableAdjacency(num_nodes, **BAND).requires_grad_(False)


def all_equal(num_nodes):
    """Each frame hears the mean of all."""
    return torch.full((num_nodes, num_nodes), 1 / num_nodes)


GRAPHS = {
    "learned from a band": lambda num_nodes: BAND,
    "learned from N(0, 1) (the paper's)": lambda num_nodes: {"init": "normal"},
    "learned from U[0, 1) (the released code's)": lambda num_nodes: {"init": "uniform"},
    "learned from N(0, 1), rows normalised": lambda num_nodes: {"init": "normal", "normalize": "row"},
    "given: the band": start,
    "given: the line": line,
    "given: the identity": functools.partial(given, torch.eye),
    "given: all edges": functools.partial(given, all_equal),
    "none": functools.partial(given, lambda num_nodes: torch.zeros(num_nodes, num_nodes)),
}


def build(graph, num_features, num_nodes, num_classes):
    """L-GrIN on a graph by its name."""
    return network(num_features, num_nodes, num_classes, adjacency=GRAPHS[graph](num_nodes))


def graphs(plan):
    """One row a graph and order of the frames, tested against the first on the same frames."""
    setting = plan.setting()
    order = torch.randperm(setting.training.num_nodes, generator=torch.Generator().manual_seed(0))
    shuffled = [take_frames(data.clone(), order) for data in setting.sequences]
    candidates = [Candidate(name, functools.partial(build, name), space=SPACE) for name in GRAPHS]
    return [
        {"frames": frames, **{key: value for key, value in row.items() if key != "paper"}}
        for frames, sequences in (("in order", setting.sequences), ("shuffled", shuffled))
        for row in compare.table(candidates, setting._replace(sequences=sequences), {}, {})
    ]
