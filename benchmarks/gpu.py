"""Kernels, training steps and fits on an NVIDIA GPU, compared with the limits of the card that the same run measures.

Kernels are timed by events, each time with an empty cache; steps by the clock, fifty in a row.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from benchmarks.composed import ComposedLGrIN, loop_max, wide
from benchmarks.measure import row
from benchmarks.step import DEFAULT_BRANCHES, DEFAULTS, SIZES, products, step
from lgrin import LGrIN
from lgrin.ops import kernels
from lgrin.ops.neighbor_max import gather_back
from lgrin.ops.window import Window
from lgrin.sklearn import LGrINClassifier
from lgrin.training import SequenceClassifier
from lgrin.training.experiment import AVERAGING, RECIPE
from lgrin.training.loop import Loop, Sequences

FRAMES, CHANNELS = 120, 224
OPERATIONS = 3  # of a comparison: which is larger, the larger one, and where it comes from
OPERATIONS_BACK = 1.5  # which is its source, and half of one for a sum, of which twice as many are done in a cycle
STEPS = 50
LAZY = {"init": "lazy", "normalize": "present"}
GRAPHS = {
    "one graph": LAZY,
    "4 graphs": {**LAZY, "heads": 4},
    "a band of 16": {**LAZY, "bandwidth": 16},
    "4 kernels": {"name": "StationaryAdjacency", "heads": 4},
}


def measure() -> list[dict]:
    if not torch.cuda.is_available():
        return [{**row("every row of a GPU", 0.0, ""), "measured": "not measured, there is no GPU here"}]
    card = ceilings()
    rows = [row(f"ceiling: {name}", value / 1e12, unit) for name, (value, unit) in card.items()]
    rows += neighbor_maxima(card)
    rows += default_steps()
    rows += wide_steps()
    rows += kinds_of_graphs()
    return rows + fits()


def milliseconds(function: Callable[[], object]) -> float:
    """The median time of a call between two events."""
    from triton.testing import do_bench

    return float(do_bench(function, warmup=20, rep=60, return_mode="median"))


def by_the_clock(function: Callable[[], object]) -> float:
    """The median milliseconds of a call among many in a row, as a loop makes them."""
    taken = []
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(STEPS):
            function()
        torch.cuda.synchronize()
        taken.append((time.perf_counter() - start) / STEPS)
    return 1e3 * statistics.median(taken[1:])


def recorded(function: Callable[[], object]) -> Callable[[], None]:
    """The kernels of a call, launched at once."""
    for _ in range(3):
        function()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


def ceilings() -> dict[str, tuple[float, str]]:
    """Bytes read and written by a copy, and operations of products, per second."""
    large = torch.randn(2**28, device="cuda")
    other = torch.empty_like(large)
    found = {"copy": (2 * 4 * large.numel() / milliseconds(lambda: other.copy_(large)) * 1e3, "TB/s")}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        square = torch.randn(8192, 8192, device="cuda", dtype=dtype)
        found[name] = 2 * 8192**3 / milliseconds(lambda one=square: one @ one) * 1e3, "TFLOP/s"
    return found


def neighbor_maxima(card: dict[str, tuple[float, str]]) -> list[dict]:
    """The neighbour maximum and its gradient, by density, beside A @ x, the bytes to move and the comparisons to make.

    A multiprocessor compares and selects half as many numbers in a cycle as it multiplies and adds, which are two
    operations of a product ("Arithmetic Instructions" of the CUDA C++ Programming Guide).
    """
    rows = []
    for batch_size in (32, 128):
        x, adj = (torch.randn(batch_size, FRAMES, width, device="cuda") for width in (CHANNELS, FRAMES))
        product = milliseconds(lambda x=x, adj=adj: adj[0].expand(x.size(0), -1, -1) @ x)
        for density in (1.0, 0.5, 0.1):
            neighbors = torch.rand(FRAMES, FRAMES, device="cuda") < density
            rows += _maximum(x, Window.dense(neighbors), f"{density:g} of the edges", FRAMES, product, card)
    x = torch.randn(1, 128_000, CHANNELS, device="cuda")
    band = torch.ones(128_000, 33, dtype=torch.bool, device="cuda")
    return rows + _maximum(x, Window.banded(band), "128,000 frames, band 16", 33, None, card)


def _maximum(x: Tensor, window: Window, what: str, reached: int, product: float | None, card: dict) -> list[dict]:
    fastest = kernels.kernels_for("cuda")
    _, source = fastest.window_max(x, window, None)
    grad = torch.randn_like(x)
    title = f"maximum, B={x.size(0)}, {what}"
    bytes_moved = x.numel() * (4 + 4 + source.element_size())
    compared = x.numel() * reached
    of_bytes, of_operation = 1e3 * bytes_moved / card["copy"][0], 1e3 * compared / (card["float32"][0] / 4)
    floor = max(of_bytes, OPERATIONS * of_operation)
    ms = milliseconds(lambda: fastest.window_max(x, window, None))
    also = {} if product is None else {"A_x": product}
    rows = [row(f"{title}: its floor", ms / floor, "times as long", ms=ms, floor=floor, **also)]
    back = milliseconds(lambda: gather_back(grad, source, window.reach))
    floor = max(of_bytes, OPERATIONS_BACK * of_operation)
    rows.append(row(f"{title}, gradient: its floor", back / floor, "times as long", ms=back, floor=floor))
    return rows


def training_loop(size: tuple[int, int, int], batch_size: int = 32, **network: object) -> Loop:
    """The loop of a fit by the recipe."""
    features, frames, classes = size
    torch.manual_seed(0)
    data = [Data(x=torch.randn(frames, features), y=torch.tensor([index % classes])) for index in range(batch_size)]
    classifier = SequenceClassifier(LGrIN(*size, **network), num_sequences=batch_size, **RECIPE).to("cuda")
    loop = Loop(classifier, Sequences(data, torch.device("cuda")), 10_000, batch_size, AVERAGING, seed=0)
    loop.divergence.look_up(classifier)
    return loop


def time_steps(size: tuple[int, int, int], batch_size: int = 32, **network: object) -> dict[str, float]:
    """Milliseconds of a step that is launched kernel by kernel, and of a recorded one."""
    index, taken = list(range(batch_size)), {}
    for name in ("launched", "recorded"):
        loop = training_loop(size, batch_size, **network)
        if name == "launched":
            loop.recorder.may_record = lambda: False
        taken[name] = by_the_clock(lambda loop=loop: loop.take_step(index))
    return taken


def default_steps() -> list[dict]:
    rows = []
    for name, (size, _) in DEFAULTS.items():
        taken = time_steps(size)
        with torch.device("cuda"):
            alone = by_the_clock(recorded(products(32, size, DEFAULT_BRANCHES, fewest=True)))
        title = f"step of the default, {name}, B=32, recorded"
        rows.append(row(f"{title}: launched kernel by kernel", taken["launched"] / taken["recorded"], "times faster"))
        rows[-1]["details"] = f"{taken['recorded']:.3g} ms, {taken['launched']:.3g} ms"
        rows.append(row(f"{title}: its products, recorded", taken["recorded"] / alone, "times as long", products=alone))
    return rows


def wide_steps() -> list[dict]:
    """The wide network at RML's size, beside PyG's layers, in float32 and bfloat16."""
    size, rows = SIZES["RML"], []
    for batch_size in (32, 128, 512):
        taken = time_steps(size, batch_size, branch_channels=(128, 64))
        title = f"step of the wide network, RML, B={batch_size}"
        if batch_size < 512:  # where [B, M, M, P] fits
            ways = {"launched": lambda one: one, "recorded": recorded}
            for way, run in ways.items():
                ours = by_the_clock(run(step(wide(*size), batch_size, size, "cuda")))
                theirs = by_the_clock(run(step(ComposedLGrIN(*size), batch_size, size, "cuda")))
                what = f"{title}, {way}: PyG parts, masked broadcast, {way}"
                rows.append(row(what, theirs / ours, "times faster", ms=ours, theirs=theirs))
            looped = by_the_clock(step(ComposedLGrIN(*size, loop_max), batch_size, size, "cuda"))
            what = f"{title}, recorded: PyG parts, loop, which cannot be recorded"
            rows.append(row(what, looped / ours, "times faster", ms=ours, theirs=looped))
        with torch.device("cuda"):
            alone = by_the_clock(recorded(products(batch_size, size, fewest=True)))
        what = f"{title}, recorded, with changes and average: its products, recorded"
        rows.append(row(what, taken["recorded"] / alone, "times as long", ms=taken["recorded"], products=alone))
        rows.append(_in_16_bits(size, batch_size))
    return rows


def _in_16_bits(size: tuple[int, int, int], batch_size: int) -> dict:
    """A recorded forward and backward pass under autocast, beside the same in float32."""
    taken = {}
    for name, enabled in (("float32", False), ("bfloat16", True)):
        torch.manual_seed(0)
        model = wide(*size).to("cuda")
        x = torch.randn(batch_size, size[1], size[0], device="cuda")

        def run(model: torch.nn.Module = model, x: Tensor = x, enabled: bool = enabled) -> None:
            model.zero_grad()
            with torch.autocast("cuda", torch.bfloat16, enabled=enabled, cache_enabled=False):
                loss = model(x).square().sum()
            loss.backward()

        taken[name] = by_the_clock(recorded(run))
    title = f"forward and backward, wide, RML, B={batch_size}, recorded, bfloat16: float32"
    return row(title, taken["float32"] / taken["bfloat16"], "times faster", **taken)


def kinds_of_graphs() -> list[dict]:
    rows, size = [], DEFAULTS["EmoDB"][0]
    taken = {name: time_steps(size, adjacency=options)["recorded"] for name, options in GRAPHS.items()}
    first = taken["one graph"]
    for name, ms in taken.items():
        rows.append(row(f"step of the default, EmoDB, recorded, {name}: one graph", ms / first, "times as long", ms=ms))
    long = (35, 128_000, 4)
    network = wide(*long, adjacency={"init": "temporal", "normalize": "row", "bandwidth": 16})
    ms = by_the_clock(step(network, 1, long, "cuda"))
    rows.append(row("step on one sequence of 128,000 frames, band 16, P=35", ms, "ms", us_per_frame=1e3 * ms / 128_000))
    return rows


def fits() -> list[dict]:
    """The network of the estimator, fitted here and on the CPUs of the same machine."""
    features, frames, classes = DEFAULTS["EmoDB"][0]
    random = np.random.default_rng(0)
    y = np.arange(480) % classes
    X = random.normal(size=(480, features, frames)) + y[:, None, None] / 4
    taken = {}
    for device in ("cuda", "cuda again", "cpu"):
        start = time.perf_counter()
        LGrINClassifier(bank=False, random_state=0, device=device.split()[0]).fit(X, y)
        taken[device] = time.perf_counter() - start
    title = "fit of the network, 480 sequences of EmoDB's size"
    ratio = taken["cpu"] / taken["cuda again"]
    return [row(f"{title}: CPU", ratio, "times faster", seconds=taken["cuda again"], cpu_seconds=taken["cpu"])]
