"""The layouts a graph can come in: dense, banded, stationary, ragged and edge list.

Each layout is a NamedTuple of tensors with the methods of :class:`Graph`: ``aggregate(x)``, which is A @ x,
``neighbor_max(x)``, the maximum over each node's closed neighbourhood, and ``line_max(x)``. ``A[i, j]`` is the weight
of the edge from node j to node i. Entries that are 0 are no neighbours. ``mask`` says which nodes are present: an
absent node sends nothing, whatever its features hold, and its own row of every result is 0.

A further layout is a file of its own and a line in :data:`LAYOUTS`.
"""

import warnings

from lgrin import nodes
from lgrin.graph.average import averaging
from lgrin.graph.banded import BandedGraph
from lgrin.graph.base import Graph, line_max
from lgrin.graph.convert import as_graph
from lgrin.graph.dense import DenseGraph
from lgrin.graph.edge_list import EdgeList, parallel_sum
from lgrin.graph.listing import list_edges
from lgrin.graph.matrices import to_matrices
from lgrin.graph.ragged import FrameGraph, MatrixGraph, RaggedGraph
from lgrin.graph.stationary import StationaryGraph

LAYOUTS = {
    "dense": DenseGraph,
    "banded": BandedGraph,
    "stationary": StationaryGraph,
    "ragged": RaggedGraph,
    "edges": EdgeList,
}

for _layout in LAYOUTS.values():
    _layout.__module__ = __name__  # where pickled graphs and exported programs look for them

_MOVED = {
    "hide": "zero_absent",
    "places": "present_indices",
    "wide": "at_least_float32",
    "is_readable": "is_readable",
    "count_sequences": "count_sequences",
    "frames_from_start": "frames_from_start",
}


def __getattr__(name: str) -> object:
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    message = f"lgrin.graph.{name} is lgrin.nodes.{_MOVED[name]} since 0.2.0; the old name goes in 0.3.0"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return getattr(nodes, _MOVED[name])


__all__ = [
    "LAYOUTS",
    "BandedGraph",
    "DenseGraph",
    "EdgeList",
    "FrameGraph",
    "Graph",
    "MatrixGraph",
    "RaggedGraph",
    "StationaryGraph",
    "as_graph",
    "averaging",
    "line_max",
    "list_edges",
    "parallel_sum",
    "to_matrices",
]
