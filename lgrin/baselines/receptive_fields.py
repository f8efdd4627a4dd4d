"""The receptive fields of PATCHY-SAN: ranked nodes, each with the k nodes nearest to it."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def betweenness(adj: Tensor) -> Tensor:
    r"""Sums for each node the shares of the shortest paths between two others that contain it.

    .. math:: b(v) = \sum_{\{s, t\} \not\ni v} \frac{\sigma_{st}(v)}{\sigma_{st}}

    Args:
        adj: Symmetric adjacency ``[B, M, M]``; entries > 0 are edges.

    Returns:
        Centrality ``[B, M]``, not normalised, rounded to six decimals so that symmetric nodes tie exactly.

    Source:
        Brandes, "A faster algorithm for betweenness centrality", Journal of Mathematical Sociology 2001.

    Example:
        >>> betweenness(torch.tensor([[[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]])).tolist()
        [[0.0, 1.0, 0.0]]
    """
    steps = (adj > 0).double()
    paths = torch.eye(adj.size(-1), dtype=steps.dtype, device=adj.device).expand_as(steps)
    levels, seen = [paths], paths > 0  # paths[b, s, v]: shortest paths from s to v, level by level
    while (paths := (paths @ steps).masked_fill(seen, 0)).any():
        levels.append(paths)
        seen = seen | (paths > 0)
    total = torch.zeros_like(steps)
    for nearer, farther in zip(levels[-2:0:-1], levels[:1:-1], strict=True):
        share = torch.where(farther > 0, (1 + total) / farther.clamp(min=1), 0)
        total = total + nearer * (share @ steps)
    return (total.sum(1) / 2).round(decimals=6).to(adj.dtype)


def rank_nodes(label: Tensor, mask: Tensor) -> Tensor:
    """Ranks nodes by decreasing label; the lower frame is first among equals, and missing frames are last.

    Args:
        label: ``[B, M]``.
        mask: Bool ``[B, M]``, the frames that exist.

    Returns:
        Ranks, int64 ``[B, M]``.

    Example:
        >>> rank_nodes(torch.tensor([[1.0, 3.0, 3.0]]), torch.tensor([[True, True, True]])).tolist()
        [[2, 0, 1]]
    """
    order = label.masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1)


def receptive_fields(adj: Tensor, rank: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Selects the k nodes nearest to each node: itself first, then by distance in hops, then by rank.

    Args:
        adj: Symmetric adjacency ``[B, M, M]``; entries > 0 are edges.
        rank: Int64 ``[B, M]``, the order of equally near nodes.
        mask: Bool ``[B, M]``, the frames that exist.
        size: Nodes in a field, k.

    Returns:
        The nodes, int64 ``[B, M, k]``, and bool ``[B, M, k]``, false where a component has fewer than k nodes.

    Example:
        >>> line = torch.tensor([[[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]])
        >>> rank, mask = torch.tensor([[0, 1, 2]]), torch.ones(1, 3, dtype=torch.bool)
        >>> receptive_fields(line, rank, mask, size=2)[0].tolist()
        [[[0, 1], [1, 0], [2, 1]]]
    """
    num_nodes = adj.size(-1)
    steps = (adj > 0).float()
    reached = torch.diag_embed(mask)
    nowhere = size * num_nodes
    key = rank.unsqueeze(1).expand(adj.shape)
    nearness = torch.where(reached, key, nowhere)
    for hop in range(1, size):  # a hop without a new node is followed by none
        new = (reached.float() @ steps > 0) & ~reached
        nearness = torch.where(new, key + hop * num_nodes, nearness)
        reached = reached | new
    nearest, index = pad(nearness, (0, max(0, size - num_nodes)), value=nowhere).topk(size, largest=False)
    return index.clamp(max=num_nodes - 1), nearest < nowhere


def gather_fields(x: Tensor, index: Tensor, valid: Tensor) -> Tensor:
    """Concatenates the features of receptive fields.

    Args:
        x: Features ``[B, M, F]``.
        index: Int64 ``[B, W, k]``, the nodes of W fields.
        valid: Bool ``[B, W, k]``; features are 0 where it is false.

    Returns:
        Channels first, ``[B, F, W * k]``, for a convolution of width and stride k.

    Example:
        >>> index, valid = torch.tensor([[[1, 0], [2, 0]]]), torch.tensor([[[True, True], [True, False]]])
        >>> gather_fields(torch.tensor([[[1.0], [2.0], [3.0]]]), index, valid).tolist()
        [[[2.0, 1.0, 3.0, 0.0]]]
    """
    flat = index.flatten(1).unsqueeze(-1).expand(-1, -1, x.size(-1))
    return x.gather(1, flat).masked_fill(~valid.flatten(1).unsqueeze(-1), 0).transpose(1, 2)
