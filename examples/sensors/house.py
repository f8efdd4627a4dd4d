"""Learns which sensor of a house follows which, and counts the edges that training keeps, by layer and by option.

    python -m examples.sensors.house

The series are simulated: twelve sensors, ten of which follow another one with a delay of one step. A network predicts
the next value of each sensor from the last eight of all of them. Each row has five seeds.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch_geometric.nn import GCNConv

from lgrin.nn import GraphInception, LearnableAdjacency, sparsity_loss
from lgrin.visualization import strongest_edges

NAMES = ["boiler", "pump", "valve", "tank", "radiator_1", "radiator_2", "hall", "kitchen", "bath", "cellar"]
NAMES += ["roof", "street"]
FOLLOWS = {"boiler": "cellar", "pump": "boiler", "valve": "pump", "tank": "valve", "radiator_1": "valve"}
FOLLOWS |= {"radiator_2": "valve", "hall": "radiator_1", "kitchen": "radiator_2", "bath": "radiator_2"}
FOLLOWS |= {"street": "roof"}
NODES, WINDOW, NOISE = len(NAMES), 8, 0.5
AS_LEARNED = {"add_self_loops": False, "normalize": False}  # GCNConv takes the graph as it is


def convolution(**options):
    return lambda: (GCNConv(WINDOW, 32, **options), GCNConv(32, 1, **options))


def inception():
    return GraphInception(WINDOW, branch_channels=(16, 8), norm=None), GCNConv(32, 1, **AS_LEARNED)


class Setting(NamedTuple):
    """A row of the table: what differs from two layers of GCNConv over the graph as it was learned."""

    layers: Callable[[], tuple[Any, Any]] = convolution(**AS_LEARNED)
    adjacency: Mapping[str, Any] = MappingProxyType({})
    price: Callable[[LearnableAdjacency], Any] = lambda adjacency: adjacency.penalty(lambda_distance=0)
    threshold: float | None = 0.0


def penalty(factor):
    return lambda adjacency: factor * adjacency.penalty(lambda_distance=0)


def sparsity(factor):
    return lambda adjacency: factor * sparsity_loss(adjacency.graph())


LEAKY = {"adjacency": {"nonnegativity": "leaky"}, "threshold": None}
TOPK = {"adjacency": {"topk": 3}, "threshold": None}
SETTINGS = {
    "GraphInception": Setting(inception),
    "GraphInception, leaky": Setting(inception, **LEAKY),
    "GraphInception, leaky, 0.01 * sparsity_loss": Setting(inception, **LEAKY, price=sparsity(0.01)),
    "GraphInception, topk=3": Setting(inception, **TOPK),
    "GCNConv as PyG builds it": Setting(convolution()),
    "GCNConv as PyG builds it, leaky": Setting(convolution(), **LEAKY),
    "GCNConv": Setting(),
    "GCNConv, leaky": Setting(**LEAKY),
    "GCNConv, leaky, 0.01 * sparsity_loss": Setting(**LEAKY, price=sparsity(0.01)),
    "GCNConv, topk=3": Setting(**TOPK),
    "GCNConv, no price": Setting(price=penalty(0)),
    "GCNConv, 10 * penalty": Setting(price=penalty(10)),
    "GCNConv, 0.001 * sparsity_loss": Setting(price=sparsity(0.001)),
    "GCNConv, 0.01 * sparsity_loss": Setting(price=sparsity(0.01)),
}


def truth():
    """Bool ``[12, 12]``, the pairs ``[target, source]`` that are edges."""
    edges = torch.zeros(NODES, NODES, dtype=torch.bool)
    for target, source in FOLLOWS.items():
        edges[NAMES.index(target), NAMES.index(source)] = True
    return edges


def simulate(steps, generator):
    """A series ``[steps, 12]``: half of a sensor's last value, half of the last value of the one before, and noise."""
    pull, x = 0.5 * torch.eye(NODES) + 0.5 * truth(), torch.zeros(steps, NODES)
    for step in range(1, steps):
        x[step] = pull @ x[step - 1] + NOISE * torch.randn(NODES, generator=generator)
    return x


class Network(torch.nn.Module):
    """Two layers over one learned graph; the second gives the next value of each sensor."""

    def __init__(self, setting):
        super().__init__()
        self.adjacency = LearnableAdjacency(NODES, init=torch.eye(NODES) + 0.1, **setting.adjacency)
        self.first, self.second = setting.layers()
        self.threshold = setting.threshold

    def forward(self, x):
        edges = self.adjacency.edges(threshold=self.threshold)
        plain = isinstance(self.first, GCNConv)
        hidden = self.first(x, *edges).relu() if plain else self.first(x, self.adjacency.graph())
        return self.second(hidden, *edges).squeeze(-1)


class Found(NamedTuple):
    """What training left: the error on new steps, and edges between different sensors."""

    error: float
    true: int
    true_of_ten_strongest: int
    all: int


def run(setting, seed, steps=300):
    """Trains one network and counts its edges."""
    torch.manual_seed(seed)
    windows = simulate(1200, torch.Generator().manual_seed(0)).unfold(0, WINDOW + 1, 1)
    x, y = windows[..., :WINDOW], windows[..., WINDOW]
    network = Network(setting)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        ((network(x[:900]) - y[:900]).square().mean() + setting.price(network.adjacency)).backward()
        optimizer.step()
    with torch.no_grad():
        error = (network(x[900:]) - y[900:]).square().mean().item()
        between = network.adjacency().fill_diagonal_(0)
    strongest = {(edge.target, edge.source) for edge in strongest_edges(between, NAMES, len(FOLLOWS))}
    hits = len(strongest & set(FOLLOWS.items()))
    return Found(error, int((between[truth()] > 0).sum()), hits, int((between > 0).sum()))


def main(seeds=5, steps=300, settings=SETTINGS):
    print("| graph and layers | error | true edges left | true of the ten strongest | edges |")
    print("|---|---|---|---|---|")
    rows = {}
    for name, setting in settings.items():
        rows[name] = [run(setting, seed, steps) for seed in range(seeds)]
        errors, *counts = zip(*rows[name], strict=True)
        shown = [", ".join(f"{error:.3f}" for error in errors), *(", ".join(map(str, count)) for count in counts)]
        print("|", " | ".join([f"`{name}`", *shown]), "|", flush=True)
    return rows


if __name__ == "__main__":
    main()
