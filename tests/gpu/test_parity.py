"""What an NVIDIA GPU computes, held against the same in float64 on a CPU."""

import copy

import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.models import FilterBank, MultimodalLGrIN
from lgrin.ops import neighbor_max, neighbor_max_banded, neighbor_max_edges, torch_kernels
from lgrin.ops.neighbor_max import gather_back
from lgrin.ops.window import Window
from lgrin.sklearn import LGrINClassifier, LGrINPretrainer
from lgrin.training import SequenceClassifier, fit
from lgrin.training.experiment import RECIPE
from lgrin.training.loop import fit_in_memory
from lgrin.training.pretrain import pretrain
from lgrin.training.recorded import Recorder

if not torch.cuda.is_available():
    pytest.skip("there is no NVIDIA GPU", allow_module_level=True)

GPU = "cuda"
B, M, P = 5, 37, 6
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-4}
SPECIAL = torch.tensor([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, torch.inf, -torch.inf, torch.nan, 3e38, -3e38])


def numbers(*shape, dtype=torch.float32, special=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    if special:
        return SPECIAL[torch.randint(len(SPECIAL), shape, generator=generator)].to(dtype)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def same_bits(found, expected):
    assert found.dtype == expected.dtype
    assert torch.equal(found.cpu().nan_to_num(7.0), expected.nan_to_num(7.0))
    assert torch.equal(found.cpu().isnan(), expected.isnan())


def close(found, expected, tolerance):
    found, expected = found.detach().cpu().double(), expected.detach().double()
    assert found.shape == expected.shape
    assert torch.isfinite(found).all()
    assert float((found - expected).norm()) <= tolerance * max(1.0, float(expected.norm()))


SIZES = [(3, 120, 130), (2, 300, 65), (1, 1, 1), (4, 16, 64), (2, 33, 7), (1, 257, 3)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["dense", "one list each", "band"])
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_maximum_and_its_source_are_those_of_the_definition(dtype, size, kind, special, masked):
    batch_size, num_nodes, _ = size
    x = numbers(*size, dtype=dtype, special=special)
    generator = torch.Generator().manual_seed(1)
    width = num_nodes if kind != "band" else 2 * min(9, num_nodes) + 1
    shape = (batch_size, num_nodes, width) if kind == "one list each" else (num_nodes, width)
    neighbors = torch.rand(shape, generator=generator) < 0.4
    mask = torch.rand(batch_size, num_nodes, generator=generator) < 0.8 if masked else None
    window, function = (Window.banded, neighbor_max_banded) if kind == "band" else (Window.dense, neighbor_max)
    expected = torch_kernels.window_max(x, window(neighbors), mask)
    found = function(x.to(GPU), neighbors.to(GPU), None if mask is None else mask.to(GPU))
    for one, other in zip(found, expected, strict=True):
        same_bits(one, other)
    grad = numbers(*size, dtype=dtype, seed=2)
    reach = window(neighbors).reach
    back = gather_back(grad.to(GPU), found[1], reach)
    assert torch.equal(back, gather_back(grad.to(GPU), found[1], reach))
    tolerance = {torch.bfloat16: 1e-2, torch.float16: 2e-3, torch.float32: 1e-6, torch.float64: 1e-14}[dtype]
    close(back, torch_kernels.gather_back(grad.double(), expected[1], reach), tolerance)


def test_memory_that_nobody_wrote_is_not_read():
    x, neighbors = numbers(2, 50, 70).to(GPU), (numbers(50, 50) > 0).to(GPU)
    first = neighbor_max(x, neighbors)
    torch.full((2, 50, 70), torch.nan, device=GPU)  # what the allocator hands out next
    for one, other in zip(first, neighbor_max(x, neighbors), strict=True):
        assert torch.equal(one, other)


def test_edge_lists():
    x = numbers(200, 33, dtype=torch.float64).requires_grad_()
    edges = torch.randint(200, (2, 900), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(200) % 7 != 0
    expected = neighbor_max_edges(x, edges, mask)
    there = x.detach().to(GPU).requires_grad_()
    found = neighbor_max_edges(there, edges.to(GPU), mask.to(GPU))
    for one, other in zip(found, expected, strict=True):
        same_bits(one.detach(), other.detach())
    found[0].square().sum().backward()
    expected[0].square().sum().backward()
    close(there.grad, x.grad, 1e-14)


def laid_out(layout, dtype):
    """The same sequences dense or flat, whole or with frames that are missing, and the keywords of a model.

    Of these numbers float32 puts none before another one that is larger in float64.
    """
    x, missing = numbers(B, M, P, dtype=dtype, seed=1), torch.zeros(B, M, dtype=torch.bool)
    missing[:, 1::5] = "missing" in layout
    missing[1, 20:] = "missing" in layout
    if layout == "dense":
        return x, {}
    if layout == "dense, missing":
        return x, {"mask": ~missing}
    batch, frame = torch.ones(B, M, dtype=torch.bool).nonzero(as_tuple=True)
    if layout == "flat, masked missing":
        return x.flatten(0, 1), {"batch": batch, "frame": frame, "mask": ~missing.flatten(), "batch_size": B}
    there = ~missing.flatten()
    return x.flatten(0, 1)[there], {"batch": batch[there], "frame": frame[there], "batch_size": B}


NETWORKS = {
    "default": {},
    "paper": {"preset": "paper"},
    "released": {"preset": "released"},
    "band": {"adjacency": {"bandwidth": 4}},
    "signed heads": {"adjacency": {"heads": 3, "nonnegativity": None, "bandwidth": 6}},
    "mixed heads": {"adjacency": {"heads": 3, "bandwidth": 6}, "mix": "channel"},
    "attention": {"adjacency": {"name": "AttentionAdjacency", "heads": 2, "topk": 9}},
    "low rank": {"adjacency": {"name": "LowRankAdjacency"}},
    "kernel": {"adjacency": {"name": "StationaryAdjacency"}},
    "kernels": {"adjacency": {"name": "StationaryAdjacency", "heads": 3, "dilation": (1, 2, 4)}},
    "averages": {"adjacency": {"normalize": "present"}},
    "any length": {"num_nodes": None},
}
LAYOUTS = ["dense", "dense, missing", "flat", "flat, missing", "flat, masked missing"]


def network(options):
    torch.manual_seed(0)
    options = {"num_nodes": M, **options}
    preset, num_nodes = options.pop("preset", None), options.pop("num_nodes")
    build = getattr(LGrIN, preset) if preset else LGrIN
    return build(P, num_nodes, 3, **options).double()


def run(model, x, place, device, dtype, loss=True):
    model = copy.deepcopy(model).to(device, dtype)
    x = x.detach().to(device, dtype).requires_grad_()
    place = {name: one.to(device) if isinstance(one, torch.Tensor) else one for name, one in place.items()}
    if model.num_nodes is None:
        place["max_num_nodes"] = M
    logits = model(x, **place)
    logits.square().sum().backward()
    gradients = torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])
    statistics = torch.cat([one.flatten().to(dtype) for one in model.buffers()] or [x.new_zeros(0)])
    return logits, x.grad, gradients, statistics


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_every_kind_in_every_layout(name, layout, training, dtype):
    model = network(NETWORKS[name]).train(training)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    x, place = laid_out(layout, torch.float64)
    expected = run(model, x, place, "cpu", torch.float64)
    found = run(model, x, place, GPU, dtype)
    for one, other in zip(found, expected, strict=True):
        close(one, other, TOLERANCE[dtype])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_call_gives_the_same_bits(layout):
    model = network({}).eval()
    x, place = laid_out(layout, torch.float64)
    first, again = (run(model, x, place, GPU, torch.float32) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["default", "band", "signed heads", "attention", "kernel"])
def test_16_bits(name, dtype):
    model = network(NETWORKS[name]).eval()
    x, _ = laid_out("dense", torch.float64)
    expected = model(x)
    with torch.autocast(GPU, dtype=dtype), torch.no_grad():
        found = copy.deepcopy(model).to(GPU, torch.float32)(x.to(GPU, torch.float32))
    close(found, expected, 3e-2 if dtype is torch.bfloat16 else 5e-3)


def test_compiled_networks():
    model = network({}).to(GPU, torch.float32)
    x, _ = laid_out("dense", torch.float32)
    expected = run(model.eval(), x, {}, GPU, torch.float32)
    compiled = torch.compile(copy.deepcopy(model))
    there = x.to(GPU).requires_grad_()
    logits = compiled(there)
    logits.square().sum().backward()
    close(logits, expected[0].cpu(), 1e-4)
    close(there.grad, expected[1].cpu(), 1e-3)


def test_recorded_networks():
    model = network({}).to(GPU, torch.float32).eval()
    x = numbers(B, M, P).to(GPU)
    with torch.no_grad():
        for _ in range(2):
            model(x)
        torch.cuda.synchronize()
        graph, place = torch.cuda.CUDAGraph(), torch.zeros_like(x)
        with torch.cuda.graph(graph):
            logits = model(place)
        place.copy_(x)
        graph.replay()
        assert torch.equal(logits, model(x))


BANKS = {"by default": {}, "its own scale": {"own_scale": True, "limit": 4.0}, "stretched": {"num_frames": 20}}
BANKS |= {"correlations and places": {"pairs": 5, "places": 9}}


@pytest.mark.parametrize("name", BANKS)
def test_banks(name):
    torch.manual_seed(0)
    bank = FilterBank(P, 3, **BANKS[name]).double()
    torch.nn.init.normal_(bank.head.weight)
    for layout in ("dense", "dense, missing"):
        x, place = laid_out(layout, torch.float64)
        place_there = {name: one.to(GPU) for name, one in place.items()}
        found = copy.deepcopy(bank).to(GPU)(x.to(GPU), **place_there)
        close(found, bank(x, **place), 1e-9)


def toy(count, lengths=(24,)):
    generator = torch.Generator().manual_seed(0)
    return [
        Data(
            x=torch.randn(lengths[index % len(lengths)], P, generator=generator) + 0.4 * (index % 3),
            y=torch.tensor([index % 3]),
        )
        for index in range(count)
    ]


def trained(train, device, monkeypatch=None, **how):
    torch.manual_seed(0)
    model = LGrIN(P, 24, 3, branch_channels=(8, 4), input_norm="both", dropout=how.pop("dropout", 0.5))
    classifier = SequenceClassifier(model, num_sequences=len(train), **RECIPE)
    run = fit_in_memory(classifier, train, [], epochs=12, batch_size=8, averaging=0.9, device=device, **how)
    return classifier.state_dict(), run


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_of_every_network_can_be_recorded(name, monkeypatch):
    made, record = [], Recorder._record
    monkeypatch.setattr(Recorder, "_record", lambda self, *batch: made.append(record(self, *batch)) or made[-1])
    model = network(NETWORKS[name]).float()
    train = toy(16, (model.num_nodes or 24,))
    classifier = SequenceClassifier(model, num_sequences=16, **RECIPE)
    fit_in_memory(classifier, train, [], epochs=5, batch_size=8, device=GPU)
    if model.num_nodes is None:  # the longest sequence of a batch is read from the GPU
        assert not made
    else:
        assert made[0] is not None


@pytest.mark.parametrize("lacks_frames", [False, True])
def test_recorded_steps_are_the_steps_themselves_to_the_bit(lacks_frames, monkeypatch):
    train = toy(30)
    if lacks_frames:
        for index, data in enumerate(train):
            data.mask = torch.arange(24) % (2 + index % 5) != 1
    recorded, run = trained(train, GPU)
    made = []
    monkeypatch.setattr(Recorder, "_record", lambda self, *batch: made.append(1))
    launched, again = trained(train, GPU)
    assert made  # there was something to record
    assert run.losses == again.losses
    for name, one in recorded.items():
        assert torch.equal(one, launched[name]), name


def test_training_goes_the_way_that_it_goes_on_a_cpu(monkeypatch):
    monkeypatch.setitem(RECIPE, "augment", {})
    train = toy(32)
    (_, run), (_, expected) = (trained(train, device, dropout=0.0) for device in (GPU, "cpu"))
    assert run.losses == pytest.approx(expected.losses, rel=2e-2)


@pytest.mark.parametrize("lengths", [(24, 17, 9), (24,)])
def test_a_network_of_any_length_and_ragged_sequences_are_trained(lengths):
    torch.manual_seed(0)
    train = toy(24, lengths)
    classifier = SequenceClassifier(LGrIN(P, None, 3, branch_channels=(8, 4)), num_sequences=24, **RECIPE)
    losses = fit_in_memory(classifier, train, train[:8], epochs=60, batch_size=8, device=GPU).losses
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_the_estimator_trains_here_and_predicts_on_a_cpu():
    random = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    X = [torch.randn(30, P, generator=random).numpy() + float(label) for label in y]
    found = LGrINClassifier(device=GPU, random_state=0, epochs=40).fit(X[:40], y[:40].numpy())
    assert found.score(X[40:], y[40:].numpy()) > 0.9


def test_pretraining_goes_the_way_that_it_goes_on_a_cpu(monkeypatch):
    found, made, record = {}, [], Recorder._record
    monkeypatch.setattr(Recorder, "_record", lambda self, *batch: made.append(record(self, *batch)) or made[-1])
    train = [Data(x=one.x.cumsum(0)) for one in toy(32)]
    for device in (GPU, "cpu"):
        torch.manual_seed(0)
        options = {name: value for name, value in RECIPE.items() if name != "augment"}
        how = {"epochs": 40, "batch_size": 16, "device": device}
        _, found[device] = pretrain(LGrIN(P, 24, 3, branch_channels=(8, 4)), train, options, **how)
    assert made[0] is not None
    assert found[GPU].losses[-1] == pytest.approx(found["cpu"].losses[-1], rel=0.2)  # other frames are hidden
    assert found[GPU].losses[-1] < 0.8 * found[GPU].losses[0]


def test_the_pretrainer_trains_here():
    X = [one.x.numpy().T for one in toy(30)]
    pretrainer = LGrINPretrainer(device=GPU, epochs=4, random_state=0)
    classifier = LGrINClassifier(pretrained=pretrainer, device=GPU, epochs=8, random_state=0)
    assert len(classifier.fit(X, [index % 3 for index in range(30)]).predict(X)) == 30


def test_modalities():
    torch.manual_seed(0)
    parts = {"voice": {"in_channels": P, "num_nodes": M}, "face": {"in_channels": 3, "num_nodes": None}}
    model = MultimodalLGrIN(parts, num_classes=3).double().eval()
    inputs = {"voice": numbers(B, M, P, dtype=torch.float64), "face": numbers(B, 20, 3, dtype=torch.float64)}
    found = copy.deepcopy(model).to(GPU)({name: one.to(GPU) for name, one in inputs.items()})
    close(found, model(inputs), 1e-9)


def test_lightning_trains_here(tmp_path):
    torch.manual_seed(0)
    classifier = SequenceClassifier(LGrIN(P, 24, 3, branch_channels=(8, 4)), num_sequences=30, **RECIPE)
    best = fit(classifier, toy(30), toy(9), tmp_path, epochs=3, batch_size=8, progress=False, device=GPU)
    assert best.exists()
