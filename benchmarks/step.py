"""Training steps, compared with the same model of PyG's layers and with their matrix products alone."""

from collections.abc import Callable

import torch
from torch_geometric.data import Data

from benchmarks.composed import ComposedLGrIN, broadcast_max, loop_max, tuned_loop_max, wide
from benchmarks.measure import in_process, row, times
from lgrin import LGrIN
from lgrin.nn import LGrINLoss, fused
from lgrin.training import SequenceClassifier
from lgrin.training.experiment import AVERAGING, RECIPE
from lgrin.training.loop import Loop, Sequences
from lgrin.training.memory import kept_memory

SIZES = {"RML": (136, 90, 6), "IEMOCAP": (35, 120, 4), "MPI": (72, 120, 11)}  # features, frames, classes
DEFAULTS = {"JapaneseVowels": ((12, 26, 9), 3), "ERing": ((4, 65, 6), 3), "EmoDB": ((34, 120, 7), 1.5)}
DEFAULT_BRANCHES = (64, 32)
LOOPS = {"loop": loop_max, "tuned loop": tuned_loop_max}


def measure() -> list[dict]:
    rows = []
    torch.set_num_threads(1)
    for name, size in SIZES.items():
        rows += _against_composed(name, size)
    for name, size in SIZES.items():
        rows += _memory(name, size)
    rows.append(_against_own_products("RML", SIZES["RML"]))
    rows.append(_against_one_by_one())
    rows += [_of_the_default(name, size, goal) for name, (size, goal) in DEFAULTS.items()]
    torch.set_num_threads(2)
    rows += _against_products()
    return rows


def step(
    model: torch.nn.Module, batch_size: int, size: tuple[int, int, int], device: str = "cpu"
) -> Callable[[], None]:
    """A whole training step on a dense batch."""
    features, frames, classes = size
    model = model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), 0.003, capturable=device != "cpu")
    loss = LGrINLoss(720)
    x = torch.randn(batch_size, frames, features, device=device)
    target = torch.randint(classes, (batch_size,), device=device)

    def run() -> None:
        optimizer.zero_grad()
        loss(model(x), target, model).backward()
        optimizer.step()

    return run


def _against_composed(name: str, size: tuple[int, int, int]) -> list[dict]:
    ours, title = step(wide(*size), 32, size), f"training step, {name}, B=32, one thread"
    loops = {loop: step(ComposedLGrIN(*size, maximum), 32, size) for loop, maximum in LOOPS.items()}
    taken = times({"ours": ours, **loops}, repeats=7)
    slow = times({"ours": ours, "broadcast": step(ComposedLGrIN(*size, broadcast_max), 32, size)}, repeats=3)
    rows = [_faster(f"{title}: PyG parts, masked broadcast", slow["ours"], slow["broadcast"], 20)]
    rows.append(_faster(f"{title}: PyG parts, loop over nodes", taken["ours"], taken["loop"], 6))
    rows.append(_faster(f"{title}: PyG parts, tuned loop", taken["ours"], taken["tuned loop"]))
    return rows


def _against_own_products(name: str, size: tuple[int, int, int]) -> dict:
    """A step of the wide model against its matrix products, freed memory kept as in a fit."""
    calls = {"step": step(wide(*size), 32, size), "products": products(32, size, fewest=True)}
    with kept_memory():
        taken = times(calls, repeats=15)
    what = f"training step, {name}, B=32, one thread: its matrix products alone, freed memory kept"
    ms = {"ms": 1e3 * taken["step"], "products": 1e3 * taken["products"]}
    return row(what, taken["step"] / taken["products"], "times as long", 1.4, **ms)


def _against_one_by_one() -> dict:
    """The default at EmoDB's size, against every module called by itself."""
    size = (34, 120, 7)
    torch.manual_seed(0)
    together, alone = step(LGrIN(*size), 32, size), step(LGrIN(*size), 32, size)

    def one_by_one() -> None:
        with fused.disabled():
            alone()

    taken = times({"together": together, "one by one": one_by_one}, repeats=15)
    title = "training step, default, 120 x 34, B=32, one thread: modules called one by one (lgrin.nn.fused.disabled)"
    return _faster(title, taken["together"], taken["one by one"])


def _faster(what: str, ours: float, theirs: float, goal: float | None = None) -> dict:
    return row(what, theirs / ours, "times faster", goal, most=False, ms=1e3 * ours, theirs=1e3 * theirs)


def _memory(name: str, size: tuple[int, int, int]) -> list[dict]:
    features, frames, classes = size
    numbers = (32, frames, features, classes)
    theirs = in_process("benchmarks.memory", "composed", *numbers)
    rows, title = [], f"memory of a step, {name}, B=32, one thread"
    for loaded, more in ((0, ""), (1, ", machine code loaded before")):
        ours = in_process("benchmarks.memory", "wide", *numbers, loaded)
        rows.append(row(title + more, ours / theirs, "of the broadcast's", 0.1, MB=ours, theirs=theirs))
    return rows


def _against_products() -> list[dict]:
    size = SIZES["RML"]
    model = wide(*size)
    calls = {
        "step": step(model, 128, size),
        "products": products(128, size),
        "fewest": products(128, size, fewest=True),
    }
    compiled = torch.compile(wide(*size))
    taken = times({**calls, "compiled": step(compiled, 128, size)}, repeats=9)
    rows, title = [], "training step, RML, B=128, two threads: its matrix products alone"
    for name, key in ((title, "step"), (f"{title}, compiled model", "compiled")):
        ms = {
            "ms": 1e3 * taken[key],
            "products": 1e3 * taken["products"],
            "products_in_lgrin's_order": 1e3 * taken["fewest"],
        }
        rows.append(row(name, taken[key] / taken["products"], "times as long", 2.5, **ms))
    return rows


def _of_the_default(name: str, size: tuple[int, int, int], goal: float) -> dict:
    """A step of the default by the recipe, augmentation, optimiser and average of the weights included."""
    features, frames, classes = size
    torch.manual_seed(0)
    data = [Data(x=torch.randn(frames, features), y=torch.tensor([index % classes])) for index in range(32)]
    classifier = SequenceClassifier(LGrIN(*size), num_sequences=32, **RECIPE)
    loop = Loop(classifier, Sequences(data, torch.device("cpu")), 10_000, 32, AVERAGING, seed=0)
    loop.divergence.look_up(classifier)
    index = list(range(32))
    calls = {"step": lambda: loop.take_step(index), "products": products(32, size, DEFAULT_BRANCHES, fewest=True)}
    with kept_memory():  # as in a fit
        taken = times(calls, repeats=25, calls=3)
    what = f"training step of the default, {name}, {frames} x {features}, B=32, one thread: its matrix products alone"
    ms = {"ms": 1e3 * taken["step"], "products": 1e3 * taken["products"]}
    return row(what, taken["step"] / taken["products"], "times as long", goal, **ms)


def products(
    batch_size: int, size: tuple[int, int, int], branches: tuple[int, int] = (128, 64), fewest: bool = False
) -> Callable[[], None]:
    """The matrix products of a step, forward and backward, in the order of Eq. (4) or of fewest channels."""
    features, frames, _ = size
    parts: list[Callable[[], None]] = []
    for layer, channels in enumerate((features, features + sum(branches))):
        width = min(channels, sum(branches)) if fewest else channels
        parts.append(_sum_over_neighbors(batch_size, frames, width, to_input=layer > 0 or width < channels))
        for branch in (sum(branches),) if fewest else branches:
            parts.append(_linear(batch_size * frames, channels, branch))
        parts += [_linear(batch_size * frames, branch, branch) for branch in branches]

    def run() -> None:
        for part in parts:
            part()

    return run


def _linear(rows: int, channels: int, width: int) -> Callable[[], None]:
    x, weight, grad = torch.randn(rows, channels), torch.randn(width, channels), torch.randn(rows, width)

    def run() -> None:
        x @ weight.T, grad.T @ x, grad @ weight

    return run


def _sum_over_neighbors(batch_size: int, frames: int, channels: int, to_input: bool) -> Callable[[], None]:
    adj = torch.rand(frames, frames).expand(batch_size, -1, -1)
    x, grad = torch.randn(batch_size, frames, channels), torch.randn(batch_size, frames, channels)

    def run() -> None:
        torch.bmm(adj, x), torch.bmm(grad, x.mT)
        if to_input:
            torch.bmm(adj.mT, grad)

    return run
