"""The network that is timed, and the same network composed of PyG's layers, as one would write it without lgrin."""

import functools

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, Linear, Module, ModuleList, Parameter, ReLU, Sequential
from torch_geometric.nn import DenseGINConv

from lgrin import LGrIN

WIDTHS = (128, 64)  # the paper's, whatever the default is
wide = functools.partial(LGrIN, branch_channels=WIDTHS)


def broadcast_max(x: Tensor, neighbors: Tensor) -> Tensor:
    """The maximum of a masked ``[B, M, M, F]``."""
    return torch.where(neighbors[:, :, None], x[:, None], -torch.inf).amax(2)


def loop_max(x: Tensor, neighbors: Tensor) -> Tensor:
    """A loop over nodes that picks the neighbours of each by a boolean index."""
    return torch.stack([x[:, neighbors[i]].amax(1) for i in range(neighbors.size(0))], dim=1)


def tuned_loop_max(x: Tensor, neighbors: Tensor) -> Tensor:
    """The fastest loop over nodes that we found: rows are picked by index, and the maximum stores its source."""
    picks = [row.nonzero().flatten() for row in neighbors]
    return torch.stack([x.index_select(1, pick).max(1).values for pick in picks], dim=1)


class FlatBatchNorm(BatchNorm1d):
    """Batch norm over the nodes of all sequences."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, -2)).view(x.shape)


class ComposedLGrIN(Module):
    """The same network as :func:`wide`, for dense batches, with as many parameters."""

    def __init__(self, in_channels: int, num_nodes: int, num_classes: int, maximum=broadcast_max) -> None:
        super().__init__()
        self.maximum = maximum
        index = torch.arange(num_nodes)
        self.weight = Parameter(torch.exp(-(index - index[:, None]).square() / 18))
        self.register_buffer("itself", torch.eye(num_nodes, dtype=torch.bool))
        self.input_norm = FlatBatchNorm(in_channels, affine=False)
        self.pool = Parameter(torch.full((num_nodes,), 1 / num_nodes))
        self.layers = ModuleList()
        channels = in_channels
        for _ in range(2):
            self.layers.append(ModuleList(DenseGINConv(_perceptron(channels, width)) for width in WIDTHS))
            channels += sum(WIDTHS)
        self.head = Linear(3 * channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        adj = torch.relu(self.weight)
        adj = adj / adj.sum(-1, keepdim=True)
        neighbors = (adj > 0) | self.itself
        x = self.input_norm(x)
        for convs in self.layers:
            x = torch.cat([*(conv(x, adj, add_loop=False) for conv in convs), self.maximum(x, neighbors)], dim=-1)
        return self.head(torch.cat([x.amax(1), self.pool @ x, x.mean(1)], dim=-1))


def _perceptron(in_channels: int, out_channels: int) -> Sequential:
    return Sequential(
        Linear(in_channels, out_channels),
        FlatBatchNorm(out_channels),
        ReLU(),
        Linear(out_channels, out_channels),
        FlatBatchNorm(out_channels),
        ReLU(),
    )
