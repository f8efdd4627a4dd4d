"""Several graphs in a network, and one that is a kernel, compared with what the products alone take."""

from collections.abc import Callable

import torch

from benchmarks.measure import row, times
from lgrin import LGrIN
from lgrin.nn import LearnableAdjacency, LGrINLoss, StationaryAdjacency
from lgrin.training.memory import kept_memory

BATCH_SIZE, FRAMES, FEATURES, CLASSES, HEADS = 32, 120, 34, 7, 4
LONG, LONG_BATCH = 2_000, 4
REPEATS = 21


def measure() -> list[dict]:
    torch.set_num_threads(1)
    steps = {f"step {heads}": network_step(heads) for heads in (1, HEADS)}
    products = {f"products {heads}": products_of_step(heads) for heads in (1, HEADS)}
    kinds = {"dense": LearnableAdjacency(LONG, init="lazy", normalize="row"), "stationary": StationaryAdjacency(4)}
    with kept_memory():
        taken = times({**steps, **products}, REPEATS)
        layers = times({name: sums(adjacency) for name, adjacency in kinds.items()}, REPEATS)
    added, alone = (taken[f"{what} {HEADS}"] - taken[f"{what} 1"] for what in ("step", "products"))
    sizes = f"{FRAMES} x {FEATURES}, B={BATCH_SIZE}, one thread"
    return [
        row(f"what {HEADS} heads add to a step, {sizes}: over the added products", added / alone, "times", 1.3)
        | {"details": f"ms {1e3 * added:.3g}, products {1e3 * alone:.3g}"},
        row(
            f"sums over neighbours and back, {LONG:,} x {FEATURES}, B={LONG_BATCH}, a kernel: a dense graph",
            layers["stationary"] / layers["dense"],
            "of it",
            0.1,
            ms=1e3 * layers["stationary"],
            dense=1e3 * layers["dense"],
        ),
    ]


def network_step(heads: int) -> Callable[[], None]:
    """A training step of the default network with so many graphs."""
    torch.manual_seed(0)
    adjacency = {"init": "lazy", "normalize": "present", "heads": heads}
    model, loss = LGrIN(FEATURES, FRAMES, CLASSES, adjacency=adjacency), LGrINLoss(BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), 0.003, foreach=True)
    x, y = torch.randn(BATCH_SIZE, FRAMES, FEATURES), torch.randint(CLASSES, (BATCH_SIZE,))

    def run() -> None:
        optimizer.zero_grad()
        loss(model(x), y, model).backward()
        optimizer.step()

    return run


def products_of_step(heads: int) -> Callable[[], None]:
    """The matrix products of such a step that the number of graphs changes, forward and backward.

    The first layer sums 34 channels and maps the sums to 96; the second maps 130 channels to 96 and sums those.
    """
    width, wide = 96, 130
    below, beside = torch.rand(heads * FRAMES, FRAMES), torch.rand(FRAMES, heads * FRAMES)
    below, beside = (one.expand(BATCH_SIZE, -1, -1) for one in (below, beside))
    first, second = torch.randn(width, heads * FEATURES), torch.randn(heads * width, wide)
    x, h = torch.randn(BATCH_SIZE, FRAMES, FEATURES), torch.randn(BATCH_SIZE * FRAMES, wide)
    sums, of_sums = (
        torch.randn(BATCH_SIZE * FRAMES, heads * FEATURES),
        torch.randn(BATCH_SIZE, heads * FRAMES, FEATURES),
    )
    parts, of_parts = torch.randn(BATCH_SIZE, heads * FRAMES, width), torch.randn(BATCH_SIZE * FRAMES, heads * width)
    grad = torch.randn(BATCH_SIZE, FRAMES, width)
    rows = grad.flatten(0, 1)

    def run() -> None:
        torch.bmm(below, x), sums @ first.T, rows.T @ sums, rows @ first, torch.bmm(of_sums, x.mT)
        h @ second.T, torch.bmm(beside, parts), torch.bmm(grad, parts.mT), torch.bmm(beside.mT, grad)
        of_parts.T @ h, of_parts @ second

    return run


def sums(adjacency: LearnableAdjacency | StationaryAdjacency) -> Callable[[], None]:
    """The sums over neighbours of long sequences, from the weights and back to them."""
    x = torch.randn(LONG_BATCH, LONG, FEATURES)

    def run() -> None:
        adjacency.zero_grad()
        adjacency.graph(max_num_nodes=LONG).aggregate(x).square().mean().backward()

    return run
