"""Table VI: the networks between a GCN and L-GrIN."""

import torch
from torch.nn import Dropout, Linear, ModuleList

from examples.reproduce.recipe import BAND
from lgrin.baselines.gcn import normalized_adjacency
from lgrin.baselines.graph_baseline import GraphBaseline
from lgrin.graph import as_graph
from lgrin.nn import GraphReadout, GStarConv, LearnableAdjacency, MaskedBatchNorm

BRANCHES = (128, 64)


class SpectralConv(torch.nn.Module):
    """Eq. (3): ReLU(norm(A' H W)), where A' is A with self-loops, normalised by degree."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.linear, self.norm = Linear(in_channels, out_channels), MaskedBatchNorm(out_channels)
        torch.nn.init.xavier_uniform_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, x, adj, mask):
        return self.norm(normalized_adjacency(adj) @ self.linear(x), mask).relu()


class Ablation(GraphBaseline):
    """Two layers of one or two convolutions, Eq. (3) or Eq. (4), on the line graph or a learned graph.

    Args:
        in_channels: Features per frame, P.
        num_nodes: Frames per sequence, M.
        num_classes: Classes, C.
        gstar: Whether convolutions are Eq. (4) instead of Eq. (3).
        inception: Whether a layer is [G1 | G2 | neighbour maximum], Eq. (5), instead of one convolution of that width.
        learned_graph: Whether A is learned, instead of the binary line.
        learned_pool: Whether the readout has the learned pool beside maximum and mean.
    """

    def __init__(self, in_channels, num_nodes, num_classes, gstar, inception, learned_graph, learned_pool):
        flags = {"gstar": gstar, "inception": inception, "learned_graph": learned_graph, "learned_pool": learned_pool}
        super().__init__(in_channels, num_nodes, num_classes, **flags)
        self.inception = inception
        self.adjacency = LearnableAdjacency(num_nodes, **BAND) if learned_graph else None
        self.input_norm = MaskedBatchNorm(in_channels, affine=False)
        conv = GStarConv if gstar else SpectralConv
        self.layers, channels = ModuleList(), in_channels
        for _ in range(2):
            widths = BRANCHES if inception else (sum(BRANCHES),)
            self.layers.append(ModuleList(conv(channels, width) for width in widths))
            channels = sum(widths) + channels * inception
        self.readout = GraphReadout(num_nodes, ("max", "learned", "mean") if learned_pool else ("max", "mean"))
        self.dropout, self.head = Dropout(0.5), Linear((2 + learned_pool) * channels, num_classes)
        torch.nn.init.xavier_uniform_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def classify_on(self, x, mask, adj):
        if self.adjacency is not None:
            adj = self.adjacency() * (mask.unsqueeze(1) & mask.unsqueeze(2))
        x = self.input_norm(x, mask)
        for convs in self.layers:
            branches = [conv(x, adj, mask=mask) for conv in convs]
            if self.inception:
                branches.append(as_graph(x, adj, None, mask).neighbor_max(x))
            x = torch.cat(branches, dim=-1)
        return self.head(self.dropout(self.readout(x, mask=mask)))
