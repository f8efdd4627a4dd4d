"""Classifies the nodes of a graph that is known in part: a third of its edges is missing, and as many are false.

    python -m examples.sensors.prior

A node's class depends on the nodes around it. The learned graph starts from the known one, in which every other pair
has a small weight; the edges that grew most are those that were missing.
"""

import torch

from lgrin.nn import GStarConv, LearnableAdjacency
from lgrin.visualization import strongest_edges

NODES, EDGES, FEATURES = 30, 60, 4


def plant(generator):
    """The true directed edges ``[2, 60]``, and a prior that lacks a third of them and has as many false ones."""
    pairs = (~torch.eye(NODES, dtype=torch.bool)).nonzero()
    pairs = pairs[torch.randperm(len(pairs), generator=generator)].T
    true, false = pairs[:, :EDGES], pairs[:, EDGES:]
    return true, torch.cat([true[:, EDGES // 3 :], false[:, : EDGES // 3]], dim=1)


def signals(edge_index, count, generator):
    """Features ``[n, 30, 4]``, and of each node whether the mean square of its sources and itself is above 1."""
    adjacency = torch.eye(NODES).index_put(tuple(edge_index.flip(0)), torch.ones(()))  # A[target, source]
    adjacency = adjacency / adjacency.norm(dim=1, keepdim=True)
    x = torch.randn(count, NODES, FEATURES, generator=generator)
    return x, ((adjacency @ x).square().mean(-1) > 1).long()


class Network(torch.nn.Module):
    def __init__(self, adjacency):
        super().__init__()
        self.adjacency, self.conv, self.head = adjacency, GStarConv(FEATURES, 32), torch.nn.Linear(32, 2)

    def forward(self, x):
        return self.head(self.conv(x, self.adjacency.graph()))  # [B, 30, 2]


def main(seed=0, new_edges=0.01, count=1000, epochs=30):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    true, known = plant(generator)
    (x, y), (x_test, y_test) = signals(true, count, generator), signals(true, 1000, generator)
    known = torch.cat([known, torch.arange(NODES).expand(2, -1)], dim=1)  # every node has its own features
    network = Network(LearnableAdjacency.from_edge_index(known, num_nodes=NODES, new_edges=new_edges))
    before = network.adjacency().detach().clone()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(epochs):
        for index in torch.randperm(count).split(100):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(x[index]).flatten(0, 1), y[index].flatten())
            (loss + network.adjacency.penalty(lambda_distance=0)).backward()
            optimizer.step()
    accuracy = (network.eval()(x_test).argmax(-1) == y_test).float().mean().item()
    grown = strongest_edges((network.adjacency().detach() - before).relu(), count=EDGES // 3)
    missing = set(map(tuple, true[:, : EDGES // 3].T.tolist()))
    found = len(missing & {(source, target) for source, target, _ in grown})
    print(f"new_edges={new_edges}: accuracy {accuracy:.3f}, {found} of {len(missing)} missing edges found")
    return accuracy, found / len(missing)


if __name__ == "__main__":
    for seed in range(3):
        main(seed)
        main(seed, new_edges=None)
