"""Classifies motions by a graph over the six channels of a watch: four motions, 40 sequences to train on.

    python -m examples.sensors.motions

Nodes are channels, and features of a node are windows of time: [sequences, windows, channels, frames of a window].
"""

import torch
from aeon.datasets import load_basic_motions

from lgrin.nn import GraphReadout, GStarConv, LearnableAdjacency
from lgrin.visualization import strongest_edges

CHANNELS = [f"{sensor} {axis}" for sensor in ("acceleration", "rotation") for axis in "xyz"]


class Network(torch.nn.Module):
    def __init__(self, num_nodes=6, window=10, num_classes=4):
        super().__init__()
        self.adjacency = LearnableAdjacency(num_nodes, init=torch.eye(num_nodes) + 0.1)
        self.conv = GStarConv(window, 32)
        self.readout = GraphReadout(num_nodes, parts=("max", "mean"))
        self.head = torch.nn.Linear(64, num_classes)

    def forward(self, x):
        windows = self.readout(self.conv(x, self.adjacency.graph()))  # [B, T, 64]
        return self.head(windows.mean(1))


def read(window=10):
    """Sequences [B, T, 6, window] and labels [B] of the training set and of the test set."""
    parts = {split: load_basic_motions(split=split) for split in ("train", "test")}
    x = {split: torch.tensor(x, dtype=torch.float32) for split, (x, y) in parts.items()}  # [B, 6, 100]
    std, mean = torch.std_mean(x["train"], (0, 2), keepdim=True)
    classes = sorted(set(parts["train"][1]))
    for split, (_, y) in parts.items():
        windows = ((x[split] - mean) / std).unflatten(2, (-1, window)).transpose(1, 2)
        yield windows, torch.tensor([classes.index(label) for label in y])


def main(seed=0, epochs=60, learned=True):
    torch.manual_seed(seed)
    ((x, y), (x_test, y_test)), network = read(), Network()
    if not learned:  # for comparison: each channel by itself
        network.adjacency = LearnableAdjacency(6, init=torch.eye(6)).requires_grad_(False)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), y) + network.adjacency.penalty(lambda_distance=0)
        loss.backward()
        optimizer.step()
    accuracy = (network.eval()(x_test).argmax(1) == y_test).float().mean().item()
    print(f"learned={learned}: accuracy {accuracy:.3f}", *strongest_edges(network.adjacency, CHANNELS, 3), sep="\n")
    return accuracy


if __name__ == "__main__":
    for seed in range(3):
        main(seed)
        main(seed, learned=False)
