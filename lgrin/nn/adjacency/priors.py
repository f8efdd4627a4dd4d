"""Graphs that are known before training, read into matrices."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import SparseTensor

from lgrin.arguments import check_index, check_range
from lgrin.options import check_whole


def read_matrix(given: Any) -> Tensor:
    """Reads a matrix from whatever holds one.

    Whole numbers and truth values become floats of torch's default dtype; floats keep their dtype.

    Args:
        given: A tensor of any layout, sparse ones included, a ``SparseTensor``, an array of NumPy, or a sparse matrix
            of SciPy. Entries of a sparse one that are stored twice are summed.

    Returns:
        A strided tensor.

    Raises:
        TypeError: If it holds no numbers.

    Example:
        >>> read_matrix(torch.eye(2, dtype=torch.long).to_sparse_csr()).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    if isinstance(given, SparseTensor):
        target, source, weight = given.coo()
        weight = torch.ones(target.size(0), device=target.device) if weight is None else weight
        return weight.new_zeros(given.sizes()).index_put((target, source), weight, accumulate=True)
    if not isinstance(given, Tensor):
        array = np.asarray(given.toarray() if hasattr(given, "toarray") else given)
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"tensor is a {type(given).__name__}; it may be a tensor of any layout, a SparseTensor, or an array of "
                f"numbers [M, M]"
            )
        given = torch.tensor(array)
    matrix = given if given.layout == torch.strided else given.to_dense()
    return matrix if matrix.is_floating_point() else matrix.to(torch.get_default_dtype())


class Edges(NamedTuple):
    """Edges as a matrix.

    Attributes:
        weight: ``[M, M]``, or ``[K, M, M]`` where each edge has several weights; ``A[target, source]``, parallel edges
            summed.
        exists: Bool ``[M, M]``, the pairs that are edges.
    """

    weight: Tensor
    exists: Tensor

    @classmethod
    def read(cls, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int | None, positive: bool) -> "Edges":
        """Reads an edge list.

        Args:
            edge_index: Whole numbers ``[2, E]``, sources first.
            edge_weight: Floating ``[E]`` or ``[E, K]``; ``None`` means 1.
            num_nodes: The number of nodes M; ``None`` takes the largest one that has an edge.
            positive: Whether weights have to be above 0.

        Returns:
            The edges.

        Raises:
            TypeError: If a dtype has no meaning.
            ValueError: If a size does not fit, or a weight has to be above 0 and is not.
            IndexError: If an edge names a node that is not there.

        Example:
            >>> Edges.read(torch.tensor([[0, 0], [1, 1]]), None, 2, positive=True).weight.tolist()
            [[0.0, 0.0], [2.0, 0.0]]
        """
        check_index("edge_index", edge_index)
        if edge_index.dim() != 2 or edge_index.size(0) != 2:
            raise ValueError(f"edge_index has shape {list(edge_index.shape)}; it has to be [2, E]")
        if isinstance(edge_index, EdgeIndex):
            num_nodes = num_nodes if num_nodes is not None else edge_index.sparse_size(0)
            edge_index = edge_index.as_tensor()
        if num_nodes is None:
            num_nodes = int(edge_index.max()) + 1 if edge_index.numel() else 0
        num_nodes = check_whole("num_nodes", num_nodes)
        check_range("edge_index", edge_index, num_nodes)
        source, target = edge_index.long()
        weight = torch.ones(source.numel(), device=source.device) if edge_weight is None else edge_weight.detach()
        _check_weight(weight, source.numel(), positive)
        empty = weight.new_zeros(num_nodes, num_nodes, *weight.shape[1:])
        matrix = empty.index_put((target, source), weight, accumulate=True)
        exists = torch.zeros(num_nodes, num_nodes, dtype=torch.bool, device=source.device)
        exists[target, source] = True
        return cls(matrix if weight.dim() == 1 else matrix.movedim(-1, 0), exists)


def _check_weight(weight: Tensor, num_edges: int, positive: bool) -> None:
    if not weight.is_floating_point():
        raise TypeError(f"edge_weight is {weight.dtype}; it has to be floating: pass edge_weight.float()")
    if weight.dim() not in (1, 2) or weight.size(0) != num_edges:
        raise ValueError(
            f"edge_weight has shape {list(weight.shape)}, and edge_index has {num_edges} edges; it has to be "
            f"[{num_edges}], or [{num_edges}, K] for several heads"
        )
    wrong = (~(weight > 0)).nonzero()
    if positive and len(wrong):
        place = wrong[0].tolist()
        raise ValueError(
            f"edge_weight{place} is {float(weight[tuple(place)]):g}; a graph without negative weights starts from "
            f"numbers above 0: leave that edge out, or pass nonnegativity=None for weights of either sign"
        )


def read_allowed(allowed: Any, num_nodes: int) -> Tensor:
    """Reads which pairs of nodes may be edges.

    Args:
        allowed: Bool ``[M, M]``, a tensor or an array.
        num_nodes: The number of nodes M.

    Returns:
        A tensor of its own.

    Raises:
        ValueError: If the dtype or shape is another.

    Example:
        >>> read_allowed(torch.ones(2, 2) > 0, 2).shape
        torch.Size([2, 2])
    """
    pairs = allowed if isinstance(allowed, Tensor) else torch.tensor(np.asarray(allowed))
    if pairs.dtype != torch.bool or pairs.shape != (num_nodes, num_nodes):
        raise ValueError(
            f"allowed is {pairs.dtype} {list(pairs.shape)}; it has to be torch.bool [{num_nodes}, {num_nodes}], true "
            f"where the edge from a column to a row may exist: pass allowed.bool() for a matrix of 0 and 1"
        )
    return pairs.detach().clone()
