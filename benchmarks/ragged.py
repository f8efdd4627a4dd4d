"""Sequences of unequal length with missing frames, compared with the same sequences padded."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.composed import wide
from benchmarks.measure import row, times
from benchmarks.step import SIZES
from lgrin import LGrIN
from lgrin.loader import BucketSampler

BATCH_SIZE = 32


def measure() -> list[dict]:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    features, frames, classes = SIZES["IEMOCAP"]
    lengths = torch.randint(30, frames + 1, (BATCH_SIZE,))
    mask = (torch.arange(frames) < lengths[:, None]) & (torch.rand(BATCH_SIZE, frames) > 0.2)
    x, target = torch.randn(BATCH_SIZE, frames, features), torch.randint(classes, (BATCH_SIZE,))
    batch, frame = mask.nonzero(as_tuple=True)
    place, flat = {"frame": frame, "batch": batch, "batch_size": BATCH_SIZE}, x[mask]
    model = wide(features, frames, classes)
    calls = {
        "padded": _step(model, target, lambda: model(x)),
        "masked": _step(model, target, lambda: model(x, mask=mask)),
        "ragged": _step(model, target, lambda: model(flat, **place)),
    }
    taken = times(calls, repeats=15)
    title = "ragged step, lengths 30..120, 20% missing, B=32, two threads"
    details = {f"{name}_ms": 1e3 * seconds for name, seconds in taken.items()}
    rows = [row(f"{title}: the dense padded step", taken["ragged"] / taken["padded"], "times as long", 1, **details)]
    rows.append(row(f"{title}: the dense step with a mask", taken["ragged"] / taken["masked"], "times as long", 1))
    rows += _flat()
    torch.set_num_threads(2)
    for density in (0.01, 0.1, 0.5):
        rows.append(_edges(model, target, flat, place, density, calls["padded"]))
    many = torch.randint(30, frames + 1, (720,)).tolist()
    order = torch.randperm(720).tolist()
    padding = {pool: BucketSampler(order, many, BATCH_SIZE, pool).padding() for pool in (1, 16)}
    rows.append(
        row("padding with buckets, 720 lengths 30..120, B=32", padding[16], "of a batch", 0.1, without=padding[1])
    )
    return rows


def _flat() -> list[dict]:
    """The default at EmoDB's size on the flat nodes of a PyG batch, against the same sequences as one dense tensor."""
    features, frames, classes = 34, 120, 7
    torch.set_num_threads(1)
    model, target = LGrIN(features, frames, classes), torch.randint(classes, (BATCH_SIZE,))
    x, batch = torch.randn(BATCH_SIZE, frames, features), torch.arange(BATCH_SIZE).repeat_interleave(frames)
    mask = torch.arange(frames) < torch.randint(frames // 2, frames + 1, (BATCH_SIZE, 1))
    flat, place = x.flatten(0, 1), {"batch": batch, "batch_size": BATCH_SIZE}
    calls = {
        "dense": _step(model, target, lambda: model(x)),
        "flat": _step(model, target, lambda: model(flat, **place)),
        "dense with a mask": _step(model, target, lambda: model(x, mask=mask)),
        "flat with a mask": _step(model, target, lambda: model(flat, mask=mask.flatten(), **place)),
    }
    taken, title = times(calls, repeats=15), "step of the default on flat nodes, 120 x 34, B=32, one thread"
    return [
        row(f"{title}{more}: dense", taken[f"flat{more}"] / taken[f"dense{more}"], "times as long")
        for more in ("", " with a mask")
    ]


def _step(model: LGrIN, target: Tensor, logits: Callable[[], Tensor]) -> Callable[[], None]:
    def run() -> None:
        model.zero_grad()
        torch.nn.functional.cross_entropy(logits(), target).backward()

    return run


def _edges(model: LGrIN, target: Tensor, flat: Tensor, place: dict, density: float, padded: Callable) -> dict:
    """The same step with an explicit list of edges."""
    threshold = float(torch.quantile(torch.rand(model.num_nodes, model.num_nodes), 1 - density))
    chosen = torch.rand(model.num_nodes, model.num_nodes) > threshold
    listed = wide(model.in_channels, model.num_nodes, model.num_classes, adjacency={"init": chosen.float()})

    def logits() -> Tensor:
        return listed(flat, *listed.adjacency.edges(place["frame"], place["batch"]), **place)

    taken = times({"padded": padded, "edges": _step(listed, target, logits)}, repeats=5)
    title = f"ragged step as a raw edge list, density {density:g}: the dense padded step"
    return row(title, taken["edges"] / taken["padded"], "times as long", edges_ms=1e3 * taken["edges"])
