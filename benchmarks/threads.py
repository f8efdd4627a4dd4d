"""Training steps with one of PyTorch's threads, compared with two.

``chrt -f 1 python -m benchmarks threads`` measures them where no other process takes a core, on Linux.
"""

import torch

from benchmarks.composed import wide
from benchmarks.measure import row, times
from benchmarks.step import DEFAULTS, SIZES, step
from lgrin import LGrIN
from lgrin.training.memory import kept_memory
from lgrin.training.threads import count_weights

WIDE = {"wide, RML, B=32": 32, "wide, RML, B=128": 128}


def measure() -> list[dict]:
    models = {f"default, {name}, B=32": (LGrIN(*size), 32, size) for name, (size, _) in DEFAULTS.items()}
    models |= {name: (wide(*SIZES["RML"]), batch_size, SIZES["RML"]) for name, batch_size in WIDE.items()}
    return [_compare(name, *arguments) for name, arguments in models.items()]


def _compare(name: str, model: torch.nn.Module, batch_size: int, size: tuple[int, int, int]) -> dict:
    run = step(model, batch_size, size)

    def with_threads(count: int) -> None:
        torch.set_num_threads(count)
        for _ in range(3):
            run()

    with kept_memory():
        taken = times({"one": lambda: with_threads(1), "two": lambda: with_threads(2)}, repeats=7)
    multiplications = 3 * count_weights(model) * batch_size * size[1]
    also = {"ms": 1e3 * taken["two"] / 3, "one": 1e3 * taken["one"] / 3, "millions": multiplications / 1e6}
    what = f"training step with two threads, {name}: with one thread"
    return row(what, taken["one"] / taken["two"], "times faster", **also)
