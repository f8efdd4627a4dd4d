"""The hot operation, the neighbour maximum, as registered PyTorch operators."""

from lgrin.ops.decompositions import decompositions
from lgrin.ops.neighbor_max import neighbor_max, neighbor_max_banded, neighbor_max_edges

__all__ = ["decompositions", "neighbor_max", "neighbor_max_banded", "neighbor_max_edges"]
