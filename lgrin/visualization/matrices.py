"""Reading an adjacency matrix, and its strongest edges."""

from typing import Any, TypeAlias

from numpy.typing import ArrayLike
from torch import Tensor

from lgrin.nn import Adjacency
from lgrin.visualization.figure import to_tensor

AdjacencyLike: TypeAlias = Tensor | ArrayLike | Adjacency  # [M, M]


def to_values(adjacency: AdjacencyLike, name: str = "adjacency") -> Tensor:
    """Reads the weights of one head or several.

    Args:
        adjacency: ``[M, M]`` or ``[K, M, M]``, tensor or array, a :class:`lgrin.nn.Adjacency`, or a fitted
            :class:`lgrin.sklearn.LGrINClassifier`, whose graph is taken.
        name: Its name in errors.

    Returns:
        Float64 numbers on the CPU.

    Raises:
        TypeError: If it is something else.
        ValueError: If a number is not finite.

    Example:
        >>> to_values([[0, 1], [0, 0]]).shape
        torch.Size([2, 2])
    """
    fitted: Any = getattr(adjacency, "classifier_", None)
    adjacency = adjacency if fitted is None else fitted.model.adjacency
    if isinstance(adjacency, Adjacency) and adjacency.reads_features:
        raise ValueError(
            f"{name} is a {type(adjacency).__name__}, whose graph differs by sequence; pass that of one, such as "
            f"model.graphs(x)[0] or classifier.graph(X)[0]"
        )
    values = adjacency.shown() if isinstance(adjacency, Adjacency) else adjacency
    return to_tensor(name, values, "a matrix [M, M] or a LearnableAdjacency, such as model.adjacency")


def to_matrix(adjacency: AdjacencyLike, name: str = "adjacency") -> Tensor:
    """Reads one adjacency matrix.

    Args:
        adjacency: ``[M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`.
        name: Its name in errors.

    Returns:
        Float32 ``[M, M]`` on the CPU.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is no square matrix, or not finite.

    Example:
        >>> to_matrix([[0, 1], [0, 0]])
        tensor([[0., 1.],
                [0., 0.]])
    """
    matrix = to_values(adjacency, name)
    if matrix.dim() != 2 or matrix.size(0) != matrix.size(1) or not len(matrix):
        several = (
            "; of several heads draw one, such as adjacency()[0], or all with plot_heads" if matrix.dim() == 3 else ""
        )
        raise ValueError(f"{name} is {list(matrix.shape)}; it has to be a square matrix [M, M]{several}")
    return matrix.float()


def strongest(matrix: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Finds the edges between different nodes that weigh most in size, the heaviest first; ties in order of rows.

    Args:
        matrix: ``[M, M]``.
        count: Edges at the most; those of weight 0 are none.

    Returns:
        Target and source of each, int64.

    Example:
        >>> import torch
        >>> target, source = strongest(torch.tensor([[9.0, 1.0], [-2.0, 0.0]]), 5)
        >>> target.tolist(), source.tolist()
        ([1, 0], [0, 1])
    """
    size, place = matrix.abs().fill_diagonal_(0).flatten().sort(descending=True, stable=True)
    kept = place[: int((size[:count] > 0).sum())]
    return kept // len(matrix), kept % len(matrix)
