"""The memory of a training step: the peak of the process minus its size before the first step."""

import json
import sys

from benchmarks.measure import in_process, peak, resident, row

SIZES = {"RML, B=128": (128, 90, 136, 6), "IEMOCAP, B=32": (32, 120, 35, 4), "MPI, B=32": (32, 120, 72, 11)}
PRESETS = ("paper", "released", "wide")


def measure() -> list[dict]:
    rows = []
    for size, numbers in SIZES.items():
        for preset in PRESETS:
            rows.append(
                row(f"memory of a step, {preset}, {size}", in_process("benchmarks.memory", preset, *numbers), "MB")
            )
    return rows


def steps(preset: str, batch_size: int, num_nodes: int, in_channels: int, num_classes: int, loaded: int = 0) -> float:
    """Runs three steps in this process and returns what they add, in MB; ``loaded`` loads machine code before them."""
    import torch

    from benchmarks.composed import ComposedLGrIN, wide
    from benchmarks.step import step
    from lgrin import LGrIN, ops

    torch.set_num_threads(1 if batch_size == 32 else 2)
    models = {
        "paper": LGrIN.paper,
        "released": LGrIN.released,
        "wide": wide,
        "composed": ComposedLGrIN,
    }
    size = (in_channels, num_nodes, num_classes)
    run = step(models[preset](*size), batch_size, size)
    if loaded:
        x = torch.rand(1, 2, 1, requires_grad=True)
        ops.neighbor_max(x, torch.ones(2, 2, dtype=torch.bool))[0].sum().backward()
    before = resident()
    for _ in range(3):
        run()
    return (peak() - before) / 1e6


if __name__ == "__main__":
    print(json.dumps(steps(sys.argv[1], *map(int, sys.argv[2:]))))
