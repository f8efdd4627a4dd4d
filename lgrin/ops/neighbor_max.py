"""The maximum over each node's neighbours, one registered operator per way to list the neighbours.

Every operator returns the values and the node that each came from. At a tie the lowest node wins, so the gradient,
which flows to the winner alone, is the same in every layout and on every device. NaN counts as the largest value.
A node without a neighbour gets 0 and the source -1.
"""

import warnings

import torch
from torch import Tensor

NOBODY = -1


@torch.library.custom_op("lgrin::neighbor_max", mutates_args=())
def neighbor_max(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Takes the maximum over the neighbours that a boolean matrix lists, never building ``[B, M, M, F]``.

    .. math:: y_{bif} = \max \{ x_{bjf} : \mathrm{neighbors}_{ij} \wedge \mathrm{mask}_{bj} \}

    Args:
        x: Node features ``[B, M, F]``.
        neighbors: Bool ``[M, M]`` or ``[B, M, M]``; entry ``[i, j]`` says that node j is a neighbour of node i.
        mask: Bool ``[B, M]``, the nodes that are present; ``None`` means all.

    Returns:
        The maxima ``[B, M, F]`` and their source nodes ``[B, M, F]``, int64 in ``[-1, M)``.

    Example:
        >>> x = torch.tensor([[[1.0], [3.0], [2.0]]])
        >>> values, source = neighbor_max(x, torch.eye(3, dtype=torch.bool).roll(1, dims=1))
        >>> source.flatten().tolist()
        [1, 2, 0]
    """
    best, source = _empty_race(x)
    for j in range(x.size(1)):
        runs = neighbors[..., :, j, None]
        if mask is not None:
            runs = runs & mask[:, j, None, None]
        best, source = _challenge(best, source, x[:, j : j + 1], torch.tensor(j, device=x.device), runs)
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
        The maxima ``[B, M, F]`` and their source nodes ``[B, M, F]``, int64 in ``[-1, M)``.

    Example:
        >>> x = torch.tensor([[[1.0], [3.0], [2.0]]])
        >>> values, source = neighbor_max_banded(x, torch.tensor([[True, False, True]]).expand(3, 3))
        >>> values.flatten().tolist()
        [3.0, 2.0, 3.0]
    """
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
            best[:, targets], source[:, targets], x[:, sources], index[sources, None], runs
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
        The maxima ``[N, F]`` and their source nodes ``[N, F]``, int64 in ``[-1, N)``.

    Example:
        >>> values, source = neighbor_max_edges(torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1], [1, 1]]))
        >>> values.flatten().tolist(), source.flatten().tolist()
        ([0.0, 3.0], [-1, 1])
    """
    order, rank = _ranks(x, mask)
    best = torch.full_like(rank, x.size(0))
    index = edge_index[1].unsqueeze(-1).expand(-1, x.size(1))
    best.scatter_reduce_(0, index, rank[edge_index[0]], "amin", include_self=True)
    return _winners(x, order, best)


@neighbor_max.register_kernel("cpu")
def _(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    batch_size, num_nodes, channels = x.shape
    order, rank = _ranks(x, mask)
    if neighbors.dim() == 2:
        rank = rank.transpose(0, 1).reshape(num_nodes, -1)
        best = _lowest_rank(neighbors.nonzero().T, rank, nobody=num_nodes)
        best = best.view(num_nodes, batch_size, channels).transpose(0, 1)
    else:
        graph, target, node = neighbors.nonzero(as_tuple=True)
        pairs = torch.stack([target, node]) + graph * num_nodes
        best = _lowest_rank(pairs, rank.reshape(-1, channels), nobody=num_nodes).view(x.shape)
    return _winners(x, order, best)


@neighbor_max_edges.register_kernel("cpu")
def _(x: Tensor, edge_index: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    order, rank = _ranks(x, mask)
    target, by_target = edge_index[1].sort(stable=True)
    pairs = torch.stack([target, edge_index[0][by_target]])
    return _winners(x, order, _lowest_rank(pairs, rank, nobody=x.size(0)))


def _empty_race(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(x), torch.full(x.shape, NOBODY, device=x.device)


def _challenge(best: Tensor, source: Tensor, x: Tensor, node: Tensor, runs: Tensor) -> tuple[Tensor, Tensor]:
    """Lets node with features x take the lead wherever it runs and beats every lower node so far."""
    beats = (x > best) | (x.isnan() & ~best.isnan()) | (source == NOBODY)
    wins = beats & runs
    return torch.where(wins, x, best), torch.where(wins, node, source)


def _ranks(x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sorts each channel once, so that a maximum with ties becomes a minimum over distinct whole numbers."""
    num_nodes = x.size(-2)
    order = torch.sort(x, dim=-2, descending=True, stable=True)[1]
    dtype = torch.float32 if num_nodes < 2**24 else torch.float64
    places = torch.arange(num_nodes, dtype=dtype, device=x.device).unsqueeze(-1).expand(x.shape)
    rank = torch.empty(x.shape, dtype=dtype, device=x.device).scatter_(-2, order, places)
    if mask is not None:
        rank.masked_fill_(~mask.unsqueeze(-1), num_nodes)
    return order, rank


def _lowest_rank(pairs: Tensor, rank: Tensor, nobody: int) -> Tensor:
    """Reduces ``rank [rows, columns]`` over the (target, source) pairs, which are sorted by target."""
    rows = rank.size(0)
    degree = torch.bincount(pairs[0], minlength=rows)
    pointers = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse ", category=UserWarning)
        matrix = torch.sparse_csr_tensor(pointers, pairs[1], rank.new_ones(pairs.size(1)), (rows, rows))
        best = torch.sparse.mm(matrix, rank, "amin")
    return best.masked_fill_((degree == 0).unsqueeze(-1), nobody)


def _winners(x: Tensor, order: Tensor, best: Tensor) -> tuple[Tensor, Tensor]:
    nobody = best >= x.size(-2)
    source = order.gather(-2, best.masked_fill(nobody, 0).long())
    values = x.gather(-2, source).masked_fill_(nobody, 0)
    return values, source.masked_fill_(nobody, NOBODY)


def _fake(x: Tensor, neighbors: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(x, dtype=torch.int64)


def _remember_source(ctx, inputs, output) -> None:
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx, grad: Tensor, _) -> tuple[Tensor, None, None]:
    (source,) = ctx.saved_tensors
    grad = grad.masked_fill(source == NOBODY, 0)
    return torch.zeros_like(grad).scatter_add(-2, source.clamp(min=0), grad), None, None


for operator in (neighbor_max, neighbor_max_banded, neighbor_max_edges):
    operator.register_fake(_fake)
    operator.register_autograd(_backward, setup_context=_remember_source)
