"""The maximum over each node's neighbours, one registered operator per way to list the neighbours.

Every operator returns the values and the node that each came from. At a tie the lowest node wins, so the gradient,
which flows to the winner alone, is the same in every layout and on every device. NaN counts as the largest value.
A node without a neighbour gets 0 and a source one beyond the last node.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

NODE_RANGE = 2**21


@torch.library.custom_op("lgrin::neighbor_max", mutates_args=())
def neighbor_max(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Takes the maximum over the neighbours that a boolean matrix lists, never building ``[B, M, M, F]``.

    .. math:: y_{bif} = \max \{ x_{bjf} : \mathrm{neighbors}_{ij} \wedge \mathrm{mask}_{bj} \}

    Args:
        x: Node features ``[B, M, F]``.
        neighbors: Bool ``[M, M]`` or ``[B, M, M]``; entry ``[i, j]`` says that node j is a neighbour of node i.
        mask: Bool ``[B, M]``, the nodes that are present; ``None`` means all.

    Returns:
        The maxima ``[B, M, F]`` and their source nodes ``[B, M, F]``, int64 in ``[0, M]``.

    Example:
        >>> x = torch.tensor([[[1.0], [3.0], [2.0]]])
        >>> values, source = neighbor_max(x, torch.eye(3, dtype=torch.bool).roll(1, dims=1))
        >>> source.flatten().tolist()
        [1, 2, 0]
    """
    x = x.contiguous()
    best, source = _empty_race(x)
    for j in range(x.size(1)):
        runs = neighbors[..., :, j, None]
        if mask is not None:
            runs = runs & mask[:, j, None, None]
        best, source = _challenge(best, source, x[:, j : j + 1], torch.tensor(j, device=x.device), runs, x.size(1))
    return best, source


@torch.library.custom_op("lgrin::neighbor_max_banded", mutates_args=())
def neighbor_max_banded(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Takes the maximum over the neighbours that a boolean band lists.

    Args:
        x: Node features ``[B, M, F]``.
        neighbors: Bool ``[M, 2w + 1]``; entry ``[i, k]`` says that node ``i + k - w`` is a neighbour of node i.
            What lies before the first or after the last node is ignored.
        mask: Bool ``[B, M]``, the nodes that are present; ``None`` means all.

    Returns:
        The maxima ``[B, M, F]`` and their source nodes ``[B, M, F]``, int64 in ``[0, M]``.

    Example:
        >>> x = torch.tensor([[[1.0], [3.0], [2.0]]])
        >>> values, source = neighbor_max_banded(x, torch.tensor([[True, False, True]]).expand(3, 3))
        >>> values.flatten().tolist()
        [3.0, 2.0, 3.0]
    """
    x = x.contiguous()
    best, source = _empty_race(x)
    num_nodes, width = x.size(1), neighbors.size(1) // 2
    index = torch.arange(num_nodes, device=x.device)
    for offset in range(-min(width, num_nodes - 1), min(width, num_nodes - 1) + 1):
        targets = slice(max(0, -offset), min(num_nodes, num_nodes - offset))
        sources = slice(targets.start + offset, targets.stop + offset)
        runs = neighbors[targets, offset + width, None]
        if mask is not None:
            runs = runs & mask[:, sources, None]
        best[:, targets], source[:, targets] = _challenge(
            best[:, targets], source[:, targets], x[:, sources], index[sources, None], runs, num_nodes
        )
    return best, source


@torch.library.custom_op("lgrin::neighbor_max_edges", mutates_args=())
def neighbor_max_edges(x: Tensor, edge_index: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Takes the maximum over the neighbours that an edge list holds; repeated edges do no harm.

    Args:
        x: Node features ``[N, F]``.
        edge_index: Int64 ``[2, E]``, source nodes first and target nodes second.
        mask: Bool ``[N]``, the nodes that are present; ``None`` means all.

    Returns:
        The maxima ``[N, F]`` and their source nodes ``[N, F]``, int64 in ``[0, N]``.

    Example:
        >>> values, source = neighbor_max_edges(torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1], [1, 1]]))
        >>> values.flatten().tolist(), source.flatten().tolist()
        ([0.0, 3.0], [2, 1])
    """
    keys, source_of = _keys(x, mask)
    index = edge_index[1].unsqueeze(-1).expand(-1, x.size(1))
    best = torch.full_like(keys, torch.inf).scatter_reduce_(0, index, keys[edge_index[0]], "amin")
    return _read_winners(x, best, source_of)


@neighbor_max.register_kernel("cpu")
def _(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    if neighbors.dim() == 2:
        columns = x.transpose(0, 1).contiguous()
        keys, source_of = _keys(columns, None if mask is None else mask.T)
        best = _lowest_key(neighbors.nonzero().T, keys.flatten(1)).view_as(columns)
        return _read_winners(x, best.transpose(0, 1), lambda key: source_of(key.transpose(0, 1)).transpose(0, 1))
    keys, source_of = _keys(x, mask, dim=1)
    graph, target, node = neighbors.nonzero(as_tuple=True)
    pairs = torch.stack([target, node]) + graph * x.size(1)
    return _read_winners(x, _lowest_key(pairs, keys.flatten(0, 1)).view_as(x), source_of)


@neighbor_max_edges.register_kernel("cpu")
def _(x: Tensor, edge_index: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    keys, source_of = _keys(x, mask)
    target, by_target = edge_index[1].sort(stable=True)
    pairs = torch.stack([target, edge_index[0][by_target]])
    return _read_winners(x, _lowest_key(pairs, keys), source_of)


def _empty_race(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(x), torch.full(x.shape, x.size(1), device=x.device)


def _challenge(
    best: Tensor, source: Tensor, x: Tensor, node: Tensor, runs: Tensor, nobody: int
) -> tuple[Tensor, Tensor]:
    """Lets node with features x take the lead wherever it runs and beats every lower node so far."""
    beats = (x > best) | (x.isnan() & ~best.isnan()) | (source == nobody)
    wins = beats & runs
    return torch.where(wins, x, best), torch.where(wins, node, source)


def _keys(x: Tensor, mask: Tensor | None, dim: int = 0) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Gives every entry a number, all distinct along ``dim``, that is the lower the earlier the entry would win.

    Absent nodes get infinity. The second result turns numbers back into nodes.
    """
    num_nodes = x.size(dim)
    shape = [-1 if axis == dim else 1 for axis in range(x.dim())]
    node = torch.arange(num_nodes, device=x.device).view(shape)
    if x.dtype != torch.float64 and num_nodes <= NODE_RANGE and bool(x.sum(dtype=torch.float32).isfinite()):
        keys = _packed_keys(x.float(), node)
        source_of = _unpack_node
    else:
        order = torch.sort(x, dim=dim, descending=True, stable=True)[1]
        keys = torch.empty(x.shape, dtype=torch.float64, device=x.device)
        keys.scatter_(dim, order, node.double().expand_as(x))

        def source_of(key: Tensor) -> Tensor:
            return order.gather(dim, key.long())

    if mask is not None:
        keys.masked_fill_(~mask.unsqueeze(-1), torch.inf)
    return keys, source_of


def _packed_keys(x: Tensor, node: Tensor) -> Tensor:
    """Packs a finite float32 and its node into one float64, which holds whole numbers below 2**53 exactly.

    The bits of a float, read as an integer, are ordered like the floats once those of negative ones are flipped.
    """
    bits = (x + 0.0).view(torch.int32)  # + 0.0 makes -0.0 equal to 0.0
    descending = (bits >> 31).bitwise_and_(0x7FFFFFFF).bitwise_not_().bitwise_xor_(bits)
    return descending.double().mul_(NODE_RANGE).add_(node)


def _unpack_node(key: Tensor) -> Tensor:
    return key.long().bitwise_and_(NODE_RANGE - 1)


def _lowest_key(pairs: Tensor, keys: Tensor) -> Tensor:
    """Reduces ``keys [rows, columns]`` over the (target, source) pairs, which are sorted by target."""
    rows = keys.size(0)
    degree = torch.bincount(pairs[0], minlength=rows)
    pointers = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse ", category=UserWarning)
        matrix = torch.sparse_csr_tensor(pointers, pairs[1], keys.new_ones(pairs.size(1)), (rows, rows))
        best = torch.sparse.mm(matrix, keys, "amin")
    alone = degree == 0
    return best.masked_fill_(alone.unsqueeze(-1), torch.inf) if bool(alone.any()) else best


def _read_winners(x: Tensor, best: Tensor, source_of: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    nobody = best == torch.inf
    if not bool(nobody.any()):
        source = source_of(best).contiguous()
        return x.gather(-2, source).contiguous(), source
    source = source_of(best.masked_fill(nobody, 0)).contiguous()
    return x.gather(-2, source).masked_fill_(nobody, 0), source.masked_fill_(nobody, x.size(-2))


def _fake(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape, dtype=torch.int64)


def _remember_source(ctx, inputs, output) -> None:
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx, grad: Tensor, _) -> tuple[Tensor, None, None]:
    (source,) = ctx.saved_tensors
    num_nodes = grad.size(-2)
    total = grad.new_zeros(*grad.shape[:-2], num_nodes + 1, grad.size(-1))  # the last row takes in what nobody sent
    return total.scatter_add(-2, source, grad)[..., :num_nodes, :], None, None


for operator in (neighbor_max, neighbor_max_banded, neighbor_max_edges):
    operator.register_fake(_fake)
    operator.register_autograd(_backward, setup_context=_remember_source)
