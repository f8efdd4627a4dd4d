"""What a training step adds to the process: the peak of its memory less its size before the first step."""

import json
import resource
import subprocess
import sys

TITLE = "Memory of training steps (process peak less its size before the first step)"
SIZES = {"RML, B=128": (128, 90, 136, 6), "IEMOCAP, B=32": (32, 120, 35, 4), "MPI, B=32": (32, 120, 72, 11)}
PRESETS = ("paper", "released", "default")


def measure() -> list[dict]:
    rows = []
    for size, numbers in SIZES.items():
        for preset in PRESETS:
            command = [sys.executable, "-m", "benchmarks.memory", preset, *map(str, numbers)]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append({"size": size, "model": preset, "MB": json.loads(result.stdout)})
    return rows


def steps(preset: str, batch_size: int, num_nodes: int, in_channels: int, num_classes: int) -> float:
    """Runs three steps in this process and returns what they add, in MB."""
    import torch

    from lgrin import LGrIN
    from lgrin.nn import LGrINLoss

    model = {"paper": LGrIN.paper, "released": LGrIN.released, "default": LGrIN}[preset](
        in_channels, num_nodes, num_classes
    )
    loss, optimizer = LGrINLoss(720), torch.optim.Adam(model.parameters(), 0.01)
    x, y = torch.randn(batch_size, num_nodes, in_channels), torch.randint(num_classes, (batch_size,))
    with open("/proc/self/statm") as file:
        before = int(file.read().split()[1]) * resource.getpagesize()
    for _ in range(3):
        optimizer.zero_grad()
        loss(model(x), y, model).backward()
        optimizer.step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1e6


if __name__ == "__main__":
    print(json.dumps(steps(sys.argv[1], *map(int, sys.argv[2:]))))
