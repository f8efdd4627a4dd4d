"""Graphs whose weights depend on the distance alone: their layout, their kernels, and networks without a length."""

import itertools

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from lgrin import LGrIN
from lgrin.graph import BandedGraph, StationaryGraph, list_edges
from lgrin.models import fold
from lgrin.nn import GraphReadout, LearnableAdjacency, StationaryAdjacency
from lgrin.nn.adjacency.stationary import KERNELS
from lgrin.training import SequenceClassifier

LENGTHS = (1, 3, 9, 128, 129, 300)  # around the length from which on blocks are multiplied


def matrix_of(kernel, num_nodes):
    """The matrices ``[K, M, M]`` of kernels ``[K, 2w + 1]``, entry by entry."""
    reach = kernel.size(1) // 2
    index = torch.arange(num_nodes)
    distance = index - index.unsqueeze(1)
    inside = distance.abs() <= reach
    return kernel[:, distance.clamp(-reach, reach) + reach] * inside


@pytest.mark.parametrize("num_nodes", LENGTHS)
@pytest.mark.parametrize(("heads", "reach"), [(1, 0), (1, 4), (3, 1), (2, 40)])
@pytest.mark.parametrize("masked", [False, True])
def test_sums_are_those_of_the_matrix(num_nodes, heads, reach, masked):
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(heads, 2 * reach + 1, generator=generator, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 3, num_nodes, 2 * heads, generator=generator, dtype=torch.float64)
    mask = torch.rand(2, 3, num_nodes, generator=generator) < 0.7 if masked else None
    shape = (num_nodes, heads) if mask is None else (*mask.shape, heads)
    scale = torch.rand(shape, generator=generator, dtype=torch.float64)
    of_heads = scale if heads > 1 else scale.squeeze(-1)
    graph = StationaryGraph(kernel if heads > 1 else kernel[0], num_nodes, mask, of_heads)
    present = torch.ones(num_nodes) if mask is None else mask
    A = matrix_of(kernel, num_nodes) * present.unsqueeze(-2).unsqueeze(-2)
    A = A * (present.unsqueeze(-1) * scale).mT.unsqueeze(-1)
    sums = (A @ x.unsqueeze(-3)).transpose(-3, -2)
    torch.testing.assert_close(graph.aggregate(x), sums.flatten(-2), rtol=1e-10, atol=1e-10)
    combined = (A @ x.unflatten(-1, (heads, 2)).transpose(-3, -2)).sum(-3)
    torch.testing.assert_close(graph.combine(x), combined, rtol=1e-10, atol=1e-10)
    found, wanted = (torch.autograd.grad(one.square().sum(), kernel)[0] for one in (graph.aggregate(x), sums))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    band = graph.banded()
    assert isinstance(band, BandedGraph)
    assert torch.equal(graph.neighbor_max(x), band.neighbor_max(x))
    torch.testing.assert_close(graph.matrix(), band.matrix(), rtol=0, atol=0)


def test_rows_are_divided_by_the_weights_inside_the_sequence():
    adjacency = StationaryAdjacency(reach=(3, 1), heads=2, start="random").double()
    matrix = adjacency(10)
    torch.testing.assert_close(matrix.abs().sum(-1), torch.ones(2, 10, dtype=torch.float64))
    inner = matrix[:, 3:9]
    for row in range(1, 6):
        torch.testing.assert_close(inner[:, row, row : row + 5], inner[:, 0, :5])
    mask = torch.tensor([[True, False, True, True, False, True]])
    present = adjacency.graph(mask=mask).aggregate(torch.eye(6, dtype=torch.float64).expand(1, -1, -1))
    totals = present.unflatten(-1, (2, 6)).abs().sum(-1)
    torch.testing.assert_close(totals, mask.double().unsqueeze(-1).expand_as(totals))


def test_a_kernel_that_looks_back_alone_is_causal():
    matrix = StationaryAdjacency(reach=(4, 0), dilation=2, start="random")(30)
    assert not matrix.triu(1).any()
    assert set((matrix != 0).nonzero().diff(dim=1).flatten().tolist()) == {0, -2, -4, -6, -8}


@pytest.mark.parametrize("start", KERNELS)
def test_heads_start_unlike_each_other(start):
    torch.manual_seed(0)
    kernel = StationaryAdjacency(reach=8, heads=4, start=start).kernel()
    for one, other in itertools.combinations(kernel, 2):
        assert torch.nn.functional.cosine_similarity(one, other, dim=0) < 0.99
    if start in ("gabor", "random", "derivative"):
        torch.testing.assert_close(kernel.sum(-1), torch.zeros(4), rtol=0, atol=1e-5)


def test_the_strongest_taps_are_kept_and_others_can_enter():
    adjacency = StationaryAdjacency(reach=2, topk=2, self_loops=False, normalize=None, start="random")
    with torch.no_grad():
        adjacency.weight.copy_(torch.tensor([0.1, -3.0, 9.0, 0.3, 2.0]))
    assert adjacency.kernel().tolist() == [0, -3, 0, 0, 2]
    optimizer = torch.optim.SGD(adjacency.parameters(), 0.1)
    for _ in range(60):
        optimizer.zero_grad()
        (adjacency(20)[5, 6] - 5).square().backward()
        optimizer.step()
    assert adjacency.kernel()[3].item() == pytest.approx(5, abs=0.1)


def test_its_price_does_not_depend_on_the_number_of_frames():
    adjacency = StationaryAdjacency(reach=(1, 2), dilation=2, normalize=None, start="random")
    taps = adjacency.weight.detach().numpy()
    squares = np.array([-2, 0, 2, 4]) ** 2
    expected = 0.3 * (squares * np.abs(taps)).sum() + 0.2 * (taps**2).sum()
    assert adjacency.penalty(None, 0.3, 0.2, "sum").item() == pytest.approx(expected)
    assert adjacency.penalty(None, 0.3, 0.2, "mean").item() == pytest.approx(expected / 4)


def test_edges_carry_the_scale_of_their_rows():
    adjacency = StationaryAdjacency(reach=1, start="random")
    edge_index, edge_weight = adjacency.edges(max_num_nodes=4)
    assert torch.equal(adjacency(4)[edge_index[1], edge_index[0]], edge_weight)
    frame, batch = torch.tensor([0, 1, 0, 1, 2, 3]), torch.tensor([0, 0, 1, 1, 1, 1])
    edge_index, edge_weight = adjacency.edges(frame, batch)
    whole = torch.zeros(6, 6).index_put((edge_index[1], edge_index[0]), edge_weight)
    torch.testing.assert_close(whole, torch.block_diag(adjacency(2), adjacency(4)))
    full = adjacency.graph(torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4))
    assert torch.equal(list_edges(full)[1], adjacency.edges(max_num_nodes=4)[1].repeat(2))


def any_length(**options):
    torch.manual_seed(0)
    adjacency = {"name": "StationaryAdjacency", "reach": (3, 1), "heads": 2, "start": "random"}
    options = {"adjacency": adjacency, "self_features": True, "dropout": 0.0, **options}
    model = LGrIN(4, None, 3, branch_channels=(5, 3), **options).double()
    model.train()(torch.randn(8, 30, 4, dtype=torch.float64))
    return model.eval()


@pytest.mark.parametrize("start", KERNELS)
def test_it_is_built_without_memory_and_started_again_in_its_own_type(start):
    with torch.device("meta"):
        assert StationaryAdjacency(reach=2, heads=2, start=start).weight.shape == (2, 5)
    adjacency = StationaryAdjacency(reach=2, heads=2, start=start).double()
    torch.manual_seed(0)
    adjacency.reset_parameters()
    assert adjacency.weight.dtype == torch.float64
    assert adjacency.weight.isfinite().all()


@pytest.mark.parametrize("segments", [(1,), (1, 2, 4), (3,)])
@pytest.mark.parametrize("training", [False, True])
def test_a_network_without_a_length_is_the_same_in_every_layout(segments, training):
    model = any_length(readout={"parts": ("max", "attention", "mean"), "segments": segments}).train(training)
    mask = torch.arange(20) < torch.tensor([20, 3, 11]).unsqueeze(1)
    mask &= torch.rand(3, 20, generator=torch.Generator().manual_seed(0)) < 0.9
    x = torch.randn(3, 20, 4, dtype=torch.float64)
    dense = model(x, mask=mask)
    batch, frame = mask.nonzero(as_tuple=True)
    place = {"frame": frame, "batch": batch, "batch_size": 3}
    torch.testing.assert_close(model(x[mask], **place), dense)
    torch.testing.assert_close(model(x[mask], **place, max_num_nodes=50), dense)
    edges = model.adjacency.edges(frame, batch)
    torch.testing.assert_close(model(x[mask], *edges, **place), dense)


def test_a_sequence_alone_gives_what_it_gives_in_a_batch():
    model, lengths = any_length(), [20, 1, 300]
    sequences = [torch.randn(length, 4, dtype=torch.float64) for length in lengths]
    batch = torch.arange(3).repeat_interleave(torch.tensor(lengths))
    together = model(torch.cat(sequences), batch=batch, batch_size=3)
    for one, expected in zip(sequences, together, strict=True):
        torch.testing.assert_close(model(one)[0], expected)
    torch.testing.assert_close(fold(model)(sequences[0]), model(sequences[0]))


def test_stored_settings_build_it_again():
    model = any_length(readout={"parts": ("attention", "mean"), "segments": (1, 2)}, mix="channel", reduced_channels=3)
    again = LGrIN(**model.config).double().eval()
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 17, 4, dtype=torch.float64)
    assert torch.equal(again(x), model(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adjacency": {}}, r"LearnableAdjacency has weights for each of so many frames; say how many, or take"),
        ({"readout": {}}, r"the part 'learned' has a weight for each of so many frames"),
        ({"adjacency": LearnableAdjacency(5)}, r"adjacency was built for 5 nodes, but num_nodes=None"),
        ({"readout": GraphReadout(5)}, r"readout was built for 5 nodes, but num_nodes=None"),
    ],
)
def test_parts_with_weights_for_places_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LGrIN(3, None, 2, **options)


def test_no_length_is_made_up():
    with pytest.raises(ValueError, match=r"max_num_nodes is None, but a StationaryAdjacency takes sequences of any"):
        StationaryAdjacency()()
    with pytest.raises(ValueError, match=r"nonnegativity is 'relu', but the start 'gabor' has weights of either sign"):
        StationaryAdjacency(start="gabor", nonnegativity="relu")
    with pytest.raises(IndexError, match=r"frame\[1\] is -1; it is 0 or more"):
        any_length()(torch.zeros(2, 4, dtype=torch.float64), frame=torch.tensor([0, -1]), batch=torch.zeros(2).long())


def test_compiled_programs_are_told_the_longest():
    model = any_length()
    x, batch = torch.randn(7, 4, dtype=torch.float64), torch.tensor([0, 0, 0, 0, 0, 1, 1])
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    found = compiled(x, batch=batch, batch_size=2, max_num_nodes=9)
    torch.testing.assert_close(found, model(x, batch=batch, batch_size=2))
    with pytest.raises(ValueError, match=r"max_num_nodes is None, but this \w+ takes sequences of any length"):
        torch.compile(model, backend="aot_eager")(x, batch=batch, batch_size=2)


def test_training_tells_a_compiled_network_the_longest():
    classifier = SequenceClassifier({"in_channels": 4, "num_nodes": None, "num_classes": 2}, num_sequences=2).eval()
    data = [Data(x=torch.randn(length, 4), y=torch.tensor([label])) for label, length in enumerate((5, 9))]
    batch = Batch.from_data_list(data)
    expected = classifier(batch)
    torch.compiler.reset()
    classifier.model = torch.compile(classifier.model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(classifier(batch), expected)


@pytest.mark.parametrize("neighborhood", ["learned", "line"])
@pytest.mark.parametrize("normalize", [None, "row", "present", "sym"])
@pytest.mark.parametrize(("reach", "dilation"), [(2, 1), ((3, 0), 2), ((1, 2), (1, 3))])
def test_a_stream_equals_the_sequence_so_far(neighborhood, normalize, reach, dilation):
    adjacency = {"name": "StationaryAdjacency", "reach": reach, "heads": 2, "dilation": dilation, "start": "random"}
    adjacency["normalize"] = normalize
    readout = {"parts": ("max", "mean", "sum", "attention")}
    model = any_length(adjacency=adjacency, readout=readout, neighborhood=neighborhood)
    x = torch.randn(2, 45, 4, dtype=torch.float64)
    stream = model.stream()
    for count in range(1, x.size(1) + 1):
        logits = stream.push(x[:, count - 1])
        assert stream._frames.size(1) <= stream.window  # what a call costs does not grow
        torch.testing.assert_close(logits, model(x[:, :count]), rtol=0, atol=1e-10)
    assert (stream.delay == 0) == (reach == (3, 0) and neighborhood == "learned" and normalize != "sym")
    stream.reset()
    torch.testing.assert_close(stream.push(x[0, 0]), model(x[:1, :1])[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_norm": "both"}, r"input_norm='both' standardises each sequence"),
        ({"readout": {"parts": ("max",), "segments": (1, 4)}}, r"the readout has segments=\(1, 4\)"),
        ({"num_nodes": 9}, r"the readout has the part 'learned'"),
        ({"num_nodes": 9, "adjacency": {}}, r"a LearnableAdjacency has weights between all frames"),
    ],
)
def test_a_stream_refuses_what_looks_at_the_whole_sequence(options, message):
    adjacency = {"name": "StationaryAdjacency"}
    model = LGrIN(**{"in_channels": 3, "num_nodes": None, "num_classes": 2, "adjacency": adjacency, **options})
    with pytest.raises(ValueError, match=message):
        model.eval().stream()
    with pytest.raises(ValueError, match=r"the model is training"):
        model.train().stream()


def test_a_file_takes_sequences_of_any_length(tmp_path):
    pytest.importorskip("onnxruntime")
    from lgrin.export import load, to_onnx

    model = any_length(readout={"parts": ("max", "attention", "mean"), "segments": (1, 4)}, input_norm="both").float()
    description = to_onnx(model, tmp_path / "any.onnx")
    assert description.num_nodes is None
    assert description.properties["lgrin.format"] == "2"
    run = load(tmp_path / "any.onnx")
    for length in (1, 3, 128, 129, 500):
        x, mask = torch.randn(2, length, 4), torch.rand(2, length) < 0.8
        mask[:, 0] = True
        expected = model(x, mask=mask).detach().numpy()
        np.testing.assert_allclose(run(x.numpy(), mask.numpy()).logits, expected, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=r"this model takes \[B, any number of frames, 4\]"):
        run(np.zeros((2, 5, 3), np.float32))
    assert "(any number)" in (tmp_path / "any.md").read_text()
