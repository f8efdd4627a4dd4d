"""Modules that learn a graph; a further one is a file of its own and a line in :data:`ADJACENCIES`."""

from lgrin.nn.adjacency.attention import AttentionAdjacency
from lgrin.nn.adjacency.base import Adjacency, graph_for
from lgrin.nn.adjacency.learnable import LearnableAdjacency
from lgrin.nn.adjacency.low_rank import LowRankAdjacency
from lgrin.nn.adjacency.stationary import StationaryAdjacency

ADJACENCIES: dict[str, type[Adjacency]] = {
    "AttentionAdjacency": AttentionAdjacency,
    "LearnableAdjacency": LearnableAdjacency,
    "LowRankAdjacency": LowRankAdjacency,
    "StationaryAdjacency": StationaryAdjacency,
}

for _kind in ADJACENCIES.values():
    _kind.__module__ = __name__  # where pickled modules and stored runs look for it

__all__ = [
    "ADJACENCIES",
    "Adjacency",
    "AttentionAdjacency",
    "LearnableAdjacency",
    "LowRankAdjacency",
    "StationaryAdjacency",
    "graph_for",
]
