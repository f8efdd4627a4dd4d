"""Modules that learn a graph; a further one is a file of its own and a line in :data:`ADJACENCIES`."""

from lgrin.nn.adjacency.base import Adjacency, graph_for
from lgrin.nn.adjacency.learnable import LearnableAdjacency

LearnableAdjacency.__module__ = __name__  # where pickled modules and stored runs look for it

ADJACENCIES: dict[str, type[Adjacency]] = {"LearnableAdjacency": LearnableAdjacency}

__all__ = ["ADJACENCIES", "Adjacency", "LearnableAdjacency", "graph_for"]
