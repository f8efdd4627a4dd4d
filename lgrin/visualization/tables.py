"""Tables of learned graphs."""

from collections.abc import Sequence
from typing import NamedTuple

from lgrin.options import check_whole
from lgrin.visualization.figure import check_names
from lgrin.visualization.matrices import AdjacencyLike, strongest, to_matrix


class Edge(NamedTuple):
    """An edge of a graph.

    Attributes:
        source: The node that the edge comes from: its name, or its number.
        target: The node that the edge goes to.
        weight: ``A[target, source]``.
    """

    source: str | int
    target: str | int
    weight: float


class Pair(NamedTuple):
    """Two nodes that are heard together.

    Attributes:
        first: A node: its name, or its number.
        second: The other node.
        weight: Their entry of :math:`A^\\top A`.
    """

    first: str | int
    second: str | int
    weight: float


def strongest_edges(adjacency: AdjacencyLike, names: Sequence[str] | None = None, count: int = 10) -> list[Edge]:
    """Lists the edges between different nodes that weigh most in size, the heaviest first.

    Args:
        adjacency: ``[M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`.
        names: Names of the nodes; without them nodes are numbered.
        count: Edges at the most; weights of 0 are no edges.

    Returns:
        A row for each edge. ``pandas.DataFrame(rows)`` makes a table of them.

    Raises:
        TypeError: If the adjacency or names are something else.
        ValueError: If it is no square matrix, or not finite, names do not fit, or count is not positive.

    Example:
        >>> strongest_edges([[5.0, 1.0], [-2.0, 0.0]], names=["left", "right"])[0]
        Edge(source='left', target='right', weight=-2.0)
    """
    matrix, count = to_matrix(adjacency), check_whole("count", count)
    nodes = _nodes(names, len(matrix))
    target, source = (one.tolist() for one in strongest(matrix, count))
    return [Edge(nodes[j], nodes[i], float(matrix[i, j])) for i, j in zip(target, source, strict=True)]


def pairs_heard_together(adjacency: AdjacencyLike, names: Sequence[str] | None = None, count: int = 10) -> list[Pair]:
    r"""Lists the pairs of nodes that are most often summed at the same node, the heaviest first.

    .. math:: (A^\top A)_{jk} = \sum_i A_{ij} A_{ik}

    A target i hears its sources, weighted by row i of A. The entry of j and k is large if the same targets hear both.
    If all nodes are pooled alike (mean, sum or maximum), the labels of sequences determine this matrix only: any
    permutation of the rows of A gives the same output. Labels then say which nodes are heard together, but not by
    which node, so that single entries of A mean nothing. A negative entry pairs nodes that enter with opposite signs.

    Args:
        adjacency: ``[M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`.
        names: Names of the nodes; without them nodes are numbered.
        count: Pairs at the most; entries of 0 are none.

    Returns:
        A row for each pair. ``pandas.DataFrame(rows)`` makes a table of them.

    Raises:
        TypeError: If the adjacency or names are something else.
        ValueError: If it is no square matrix, or not finite, names do not fit, or count is not positive.

    Example:
        >>> pairs_heard_together([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], names=["a", "b", "c"])
        [Pair(first='a', second='b', weight=2.0)]
    """
    matrix, count = to_matrix(adjacency), check_whole("count", count)
    nodes = _nodes(names, len(matrix))
    together = matrix.T @ matrix
    first, second = (one.tolist() for one in strongest(together.triu(), count))
    return [Pair(nodes[j], nodes[k], float(together[j, k])) for j, k in zip(first, second, strict=True)]


def _nodes(names: Sequence[str] | None, num_nodes: int) -> Sequence[str | int]:
    """What a table calls the nodes: their names, or their numbers."""
    return check_names(names, num_nodes) or range(num_nodes)
