"""The kernels and the training step on a GPU, compared with the limits of the card."""

import torch

from benchmarks import neighbor_max
from benchmarks.composed import ComposedLGrIN, wide
from benchmarks.measure import row, times
from benchmarks.step import SIZES, step
from lgrin import ops


def measure() -> list[dict]:
    if not torch.cuda.is_available():
        return [{**row("every row of a GPU", 0.0, ""), "measured": "not measured, there is no GPU here"}]
    return rows_on("cuda")


def rows_on(device: str, batch_size: int = 128) -> list[dict]:
    rows = []
    for density in neighbor_max.DENSITIES:
        rows += [{**one, "what": f"{device}: {one['what']}"} for one in neighbor_max.compare(density, device)]
    rows += _roofline(device)
    size = SIZES["RML"]
    ours, theirs = step(wide(*size), batch_size, size, device), step(ComposedLGrIN(*size), batch_size, size, device)
    taken = times({"ours": ours, "theirs": theirs}, repeats=5)
    title = f"{device}: training step, RML, B={batch_size}: PyG parts, masked broadcast"
    ratio, ms = taken["theirs"] / taken["ours"], {name: 1e3 * seconds for name, seconds in taken.items()}
    rows.append(row(title, ratio, "times faster", 20, most=False, **ms))
    return rows


def _roofline(device: str) -> list[dict]:
    """The bytes to move and the comparisons to make, compared with the measured limits of the card."""
    x = torch.randn(neighbor_max.BATCH_SIZE, neighbor_max.NUM_NODES, neighbor_max.CHANNELS, device=device)
    neighbors = torch.ones(neighbor_max.NUM_NODES, neighbor_max.NUM_NODES, dtype=torch.bool, device=device)
    large, square = torch.empty(2**28 // 4, device=device), torch.randn(2048, 2048, device=device)
    taken = times(
        {
            "maximum": lambda: ops.neighbor_max(x, neighbors),
            "copy": lambda: large.clone(),
            "product": lambda: square @ square,
        }
    )
    bandwidth = 2 * large.numel() * 4 / taken["copy"]
    moved = x.numel() * (4 + 4 + 1)  # the features, the maxima and one byte of source each
    compared = x.numel() * neighbor_max.NUM_NODES
    arithmetic = 2 * 2048**3 / taken["product"]
    rows = [row(f"{device}: full maximum, bytes over bandwidth", moved / bandwidth / taken["maximum"], "of the roof")]
    rows.append(row(f"{device}: full maximum, comparisons a second", compared / taken["maximum"] / 1e9, "billion"))
    rows[-1]["details"] = f"a float32 product does {arithmetic / 1e12:.3g} TFLOP/s, a copy {bandwidth / 1e9:.3g} GB/s"
    return rows
