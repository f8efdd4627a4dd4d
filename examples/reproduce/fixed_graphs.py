"""Graphs that are given instead of learned."""

import torch

from lgrin.nn import LearnableAdjacency


def distances(num_nodes):
    """Frames between two frames, ``|i - j|``, ``[M, M]``."""
    index = torch.arange(num_nodes)
    return (index - index.unsqueeze(-1)).abs()


def line(num_nodes):
    """The binary line graph: an edge between neighbours in time."""
    return (distances(num_nodes) == 1).float()


def complete(num_nodes):
    """The mean over all frames: every edge has the weight 1 / M."""
    return torch.full((num_nodes, num_nodes), 1 / num_nodes)


def empty(num_nodes):
    """No edges."""
    return torch.zeros(num_nodes, num_nodes)


def fixed(matrix):
    """An adjacency module that holds a matrix ``[M, M]`` and is not trained."""
    return LearnableAdjacency(len(matrix), init=matrix).requires_grad_(False)
