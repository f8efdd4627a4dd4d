"""The neighbour maximum, forward and backward, compared with A @ x and with functions of PyTorch and PyG."""

from collections.abc import Callable
from unittest.mock import patch

import torch
from torch import Tensor
from torch_geometric.utils import segment

from benchmarks.composed import broadcast_max
from benchmarks.measure import row, times
from lgrin import ops
from lgrin.ops import torch_kernels

BATCH_SIZE, NUM_NODES, CHANNELS = 32, 120, 224
DENSITIES = (0.03, 0.1, 0.5, 1.0)


def measure() -> list[dict]:
    torch.set_num_threads(2)
    rows = []
    for density in DENSITIES:
        rows += compare(density)
    return rows


def compare(density: float, device: str = "cpu") -> list[dict]:
    torch.manual_seed(0)
    neighbors = (torch.rand(NUM_NODES, NUM_NODES) < density) | torch.eye(NUM_NODES, dtype=torch.bool)
    neighbors = neighbors.to(device)
    adj = (torch.rand(NUM_NODES, NUM_NODES, device=device) * neighbors).requires_grad_()
    x = torch.randn(BATCH_SIZE, NUM_NODES, CHANNELS, device=device, requires_grad=True)
    grad = torch.randn(x.shape, device=device)

    def forward_and_backward(function: Callable[[], Tensor]) -> Callable[[], None]:
        def run() -> None:
            x.grad = adj.grad = None
            function().backward(grad)

        return run

    def plain() -> None:
        with patch("lgrin.ops.neighbor_max.kernels_for", return_value=torch_kernels):
            forward_and_backward(lambda: ops.neighbor_max(x, neighbors)[0])()

    index, pointers = _csr(neighbors)
    fast = forward_and_backward(lambda: ops.neighbor_max(x, neighbors)[0])
    quick = times({"fast": fast, "plain": plain, "product": forward_and_backward(lambda: adj @ x)}, repeats=15)
    others = {
        "broadcast": forward_and_backward(lambda: broadcast_max(x, neighbors)),
        "segment": forward_and_backward(lambda: segment(x.flatten(0, 1)[index], pointers, "max").view(x.shape)),
    }
    slow = times({"fast": fast, **others}, repeats=3)
    title, ms = (
        f"neighbour max, M=120, P=224, density {density:g}",
        {name: 1e3 * value for name, value in quick.items()},
    )
    rows = [
        row(
            f"{title}, fast: A @ x",
            quick["fast"] / quick["product"],
            "times as long",
            1,
            ms=ms["fast"],
            A_x=ms["product"],
        ),
        row(f"{title}, PyTorch alone: A @ x", quick["plain"] / quick["product"], "times as long", 5, ms=ms["plain"]),
    ]
    for name, goal in (("broadcast", 20), ("segment", 8)):
        what = {"broadcast": "masked broadcast", "segment": "gather and segment max"}[name]
        rows.append(
            row(
                f"{title}, fast: {what}",
                slow[name] / slow["fast"],
                "times faster",
                goal,
                False,
                theirs=1e3 * slow[name],
            )
        )
    return rows


def _csr(neighbors: Tensor) -> tuple[Tensor, Tensor]:
    """The sources of all edges of the batch, sorted by target, and the index at which those of each target begin."""
    graph = torch.arange(BATCH_SIZE, device=neighbors.device).view(-1, 1) * NUM_NODES
    index = (neighbors.nonzero()[:, 1] + graph).flatten()
    degree = neighbors.sum(1).repeat(BATCH_SIZE)
    return index, torch.cat([degree.new_zeros(1), degree.cumsum(0)])
