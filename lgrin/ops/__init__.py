"""The hot operations: the neighbour maximum as registered PyTorch operators, and the maximum over sequences."""

from lgrin.ops.decompositions import decompositions
from lgrin.ops.neighbor_max import neighbor_max, neighbor_max_banded, neighbor_max_edges
from lgrin.ops.sequence_max import sequence_max

__all__ = ["decompositions", "neighbor_max", "neighbor_max_banded", "neighbor_max_edges", "sequence_max"]
