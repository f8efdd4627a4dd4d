"""Predicts the next step of every sensor from the last eight steps of all of them.

    python -m examples.sensors.next_step

The series are simulated: twelve sensors along three pipes, each of which follows the one upstream. The learned graph
names who follows whom.
"""

import torch

from lgrin.nn import GStarConv, LearnableAdjacency
from lgrin.visualization import strongest_edges

NODES, WINDOW = 12, 8
UPSTREAM = {node: node - 1 for node in range(NODES) if node % 4}  # three pipes of four sensors


def simulate(steps, generator):
    """A series ``[steps, 12]``: half of a sensor's last value, half of the last value upstream, and noise."""
    pull = 0.5 * torch.eye(NODES)
    pull[list(UPSTREAM), list(UPSTREAM.values())] = 0.5
    x = torch.zeros(steps, NODES)
    for step in range(1, steps):
        x[step] = pull @ x[step - 1] + torch.randn(NODES, generator=generator)
    return x


def windows(x):
    """Nodes with their last eight steps as features ``[T, 12, 8]``, and the step that follows ``[T, 12]``."""
    return x.unfold(0, WINDOW, 1)[:-1], x[WINDOW:]


class Network(torch.nn.Module):
    def __init__(self, adjacency):
        super().__init__()
        self.adjacency, self.conv, self.head = adjacency, GStarConv(WINDOW, 32, norm=None), torch.nn.Linear(32, 1)

    def forward(self, x):
        return self.head(self.conv(x, self.adjacency.graph())).squeeze(-1)


def main(seed=0, steps=2000, epochs=20):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    (x, y), (x_test, y_test) = windows(simulate(steps, generator)), windows(simulate(1000, generator))
    network = Network(LearnableAdjacency(NODES, init=torch.eye(NODES) + 0.1))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(100):
            optimizer.zero_grad()
            loss = (network(x[index]) - y[index]).square().mean() + network.adjacency.penalty(lambda_distance=0)
            loss.backward()
            optimizer.step()
    error = (network(x_test) - y_test).square().mean().item()
    alone = torch.linalg.lstsq(x.transpose(0, 1), y.T.unsqueeze(-1)).solution  # each sensor from its own past
    error_alone = (x_test.transpose(0, 1) @ alone - y_test.T.unsqueeze(-1)).square().mean().item()
    edges = strongest_edges(network.adjacency, count=len(UPSTREAM))
    found = sum(UPSTREAM.get(edge.target) == edge.source for edge in edges)
    print(f"mean squared error {error:.2f}, of each sensor alone {error_alone:.2f}, of the noise 1.00")
    print(f"{found} of {len(UPSTREAM)} edges found")
    return error, error_alone, found / len(UPSTREAM)


if __name__ == "__main__":
    for seed in range(3):
        main(seed)
