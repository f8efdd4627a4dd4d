"""What must hold between layouts, for every layer: values, gradients, absent nodes, permutations, batches."""

import pytest
import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st
from layouts import KINDS, can_hold, is_made_from_matrix, sequences

from lgrin import LGrIN
from lgrin.graph import LAYOUTS
from lgrin.nn import GraphInception, GraphReadout, GStarConv, LearnableAdjacency, LearnablePool
from lgrin.nn.pool import PARTS

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
INPUT_NORMS = st.sampled_from([True, "both"])
MODES = st.sampled_from([True, False])
NORMS = st.sampled_from(["batch_norm", "layer_norm", None])
NORMALIZED = [{}, {"normalize": "row"}, {"normalize": "present"}]
ADJACENCIES = st.sampled_from(NORMALIZED)
OF_EITHER_SIGN = st.sampled_from([*NORMALIZED, *({"nonnegativity": None, **options} for options in NORMALIZED)])


def node_layers(norm):
    torch.manual_seed(0)
    return [
        GStarConv(3, 4, norm=norm),
        GraphInception(3, (4, 2), norm=norm),
        GraphInception(3, (2,), neighborhood="line", norm=norm),
    ]


def assert_close(actual, expected, tolerance=1e-10):
    """Relative to the largest entry, as the design has it."""
    assert actual.shape == expected.shape
    assert torch.isfinite(actual).all()
    scale = max(1.0, float(expected.detach().abs().max())) if expected.numel() else 1.0
    assert float((actual - expected).detach().abs().max() if actual.numel() else 0.0) <= tolerance * scale


def dense_gradient(adjacency):
    """The gradient of the weights laid out as [M, M], whatever the storage; 0 where nothing is stored."""
    target, source = (
        index.expand_as(adjacency.weight) for index in adjacency._storage.positions(adjacency.weight.device)
    )
    inside = (source >= 0) & (source < adjacency.num_nodes)
    gradient = torch.zeros(adjacency.num_nodes, adjacency.num_nodes, dtype=adjacency.weight.dtype)
    if adjacency.weight.grad is not None:
        gradient[target[inside], source[inside]] = adjacency.weight.grad[inside]
    return gradient


def run_layer(layer, data, kind, training, probe, **options):
    adjacency = data.adjacency(kind, **options)
    data.x.grad = None
    layer.zero_grad()
    state = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    x, graph, _ = data.inputs(kind, adjacency)
    out = layer.train(training)(x, *graph)
    nodes = data.present(kind, out)
    (nodes * probe[: len(nodes), : nodes.size(1)]).sum().backward()
    gradients = [p.grad.clone() for p in layer.parameters()]
    statistics = [tensor.clone() for name, tensor in layer.state_dict().items() if "running" in name]
    layer.load_state_dict(state)
    if out.dim() == 3 or "absent" in kind:
        absent = out[~(data.mask if out.dim() == 3 else data.mask.flatten())]
        assert (absent == 0).all()
    of_edges = dense_gradient(adjacency) * (data.weight != 0)  # bands and edge lists do not store the other entries
    return [nodes.detach(), data.x.grad, of_edges, *gradients, *statistics]


@settings(deadline=None, max_examples=60)
@given(data=sequences(), training=MODES, norm=NORMS, options=OF_EITHER_SIGN)
def test_node_layers_agree_in_every_layout(data, training, norm, options):
    data.x.requires_grad_()
    probe = torch.randn(28, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for layer in node_layers(norm):
        layer.double()
        line = getattr(layer, "neighborhood", None) == "line"
        expected = run_layer(layer, data, "dense", training, probe, **options)
        for kind in KINDS[1:]:
            if (line and "edges" in kind) or not can_hold(kind, **options):
                continue
            note(f"{layer}, {kind} beside dense: output, gradients of x, A and the weights, running statistics")
            actual = run_layer(layer, data, kind, training, probe, **options)
            for one, other in zip(actual, expected, strict=True):
                assert_close(one, other)


@settings(deadline=None, max_examples=60)
@given(data=sequences())
def test_readouts_agree_in_every_layout(data):
    data.x.requires_grad_()
    for readout in (
        LearnablePool(data.num_nodes, "xavier"),
        GraphReadout(data.num_nodes, tuple(PARTS)),
    ):
        readout.double()
        results = []
        for kind in ("dense", "ragged", "ragged with absent nodes"):
            data.x.grad = None
            readout.zero_grad()
            x, _, place = data.inputs(kind, data.adjacency(kind))
            out = readout(x, **place)
            (out * torch.arange(1.0, 1 + out.size(1))).sum().backward()
            results.append([out.detach(), data.x.grad.clone(), *(p.grad.clone() for p in readout.parameters())])
        for result in results[1:]:
            for one, other in zip(result, results[0], strict=True):
                assert_close(one, other)


@settings(deadline=None, max_examples=40)
@given(
    data=sequences(),
    training=MODES,
    norm=INPUT_NORMS,
    rows=ADJACENCIES,
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
def test_the_model_agrees_in_every_layout(data, training, norm, rows, dtype):
    data.x, data.weight = data.x.to(dtype), data.weight.to(dtype)
    if dtype == torch.float32 and training and int(data.mask.sum()) < 8:
        return  # the variance of a handful of frames amplifies rounding without bound
    results = []
    for kind in KINDS:
        if not can_hold(kind, **rows):
            continue
        torch.manual_seed(0)
        options = {"branch_channels": (4, 2), "dropout": 0.0, "input_norm": norm}
        model = LGrIN(3, data.num_nodes, 2, adjacency=data.adjacency(kind, **rows), **options).to(dtype).train(training)
        note(kind)
        out = data.run(model, kind, model.adjacency)
        out.square().sum().backward()
        parameters = [p.grad for name, p in model.named_parameters() if name != "adjacency.weight"]
        results.append([out.detach(), dense_gradient(model.adjacency), *parameters])
    for result in results[1:]:
        for one, other in zip(result[: None if dtype == torch.float64 else 1], results[0], strict=False):
            assert_close(one, other, TOLERANCE[dtype])


@settings(deadline=None, max_examples=40)
@given(
    data=sequences(),
    training=MODES,
    norm=INPUT_NORMS,
    junk=st.sampled_from([torch.nan, torch.inf, -torch.inf, 1e30]),
)
def test_absent_frames_reach_no_value_and_no_gradient(data, training, norm, junk):
    def run(x):
        torch.manual_seed(0)
        options = {"branch_channels": (4, 2), "dropout": 0.0, "input_norm": norm}
        model = LGrIN(3, data.num_nodes, 2, **options).double().train(training)
        x = x.clone().requires_grad_()
        out = model(x, mask=data.mask)
        out.square().sum().backward()
        assert (x.grad[~data.mask] == 0).all()
        return [out, *(p.grad for p in model.parameters()), *model.state_dict().values(), x.grad]

    clean = run(data.x.detach().nan_to_num(0.0))
    dirty = run(data.x.detach().nan_to_num(junk, junk, junk))
    for one, other in zip(dirty, clean, strict=True):
        assert torch.equal(one, other)


@settings(deadline=None, max_examples=30)
@given(data=sequences(), training=MODES, seed=st.integers(0, 1000))
def test_permuting_sequences_permutes_the_output(data, training, seed):
    torch.manual_seed(seed)
    order = torch.randperm(data.x.size(0))
    model = LGrIN(3, data.num_nodes, 2, branch_channels=(4, 2), dropout=0.0).double().train(training)
    assert_close(model(data.x[order], mask=data.mask[order]), model(data.x, mask=data.mask)[order])


@settings(deadline=None, max_examples=30)
@given(data=sequences())
def test_in_eval_mode_a_sequence_does_not_depend_on_its_batch(data):
    model = LGrIN(3, data.num_nodes, 2, branch_channels=(4, 2)).double().eval()
    together = model(data.x, mask=data.mask)
    for x, mask, out in zip(data.x, data.mask, together, strict=True):
        assert_close(model(x[None], mask=mask[None])[0], out)


@settings(deadline=None, max_examples=30)
@given(data=sequences(), training=MODES, norm=INPUT_NORMS, seed=st.integers(0, 1000))
def test_permuting_nodes_with_their_frames_changes_nothing(data, training, norm, seed):
    torch.manual_seed(seed)
    order = torch.randperm(data.num_nodes)
    options = {"branch_channels": (4, 2), "dropout": 0.0, "input_norm": norm}
    model = LGrIN(3, data.num_nodes, 2, **options).double().train(training)
    expected = model(data.x, mask=data.mask)
    assert_close(model(data.x[:, order], mask=data.mask[:, order], frame=order), expected)
    batch, frame = data.mask.nonzero(as_tuple=True)
    shuffled = torch.cat(
        [(batch == b).nonzero()[:, 0][torch.randperm(int((batch == b).sum()))] for b in range(len(data.x))]
    )
    x = data.x[data.mask][shuffled]
    assert_close(model(x, frame=frame[shuffled], batch=batch[shuffled], batch_size=len(data.x)), expected)


@settings(deadline=None, max_examples=30)
@given(data=sequences(), seed=st.integers(0, 1000))
def test_permuting_nodes_together_with_a_and_p_changes_nothing(data, seed):
    torch.manual_seed(seed)
    order = torch.randperm(data.num_nodes)
    model = LGrIN(3, data.num_nodes, 2, branch_channels=(4, 2)).double().eval()
    expected = model(data.x, mask=data.mask)
    with torch.no_grad():
        model.adjacency.weight.copy_(model.adjacency.weight[order][:, order])
        model.readout.learned.weight.copy_(model.readout.learned.weight[order])
    assert_close(model(data.x[:, order], mask=data.mask[:, order]), expected)


def test_at_a_tie_edge_lists_with_frames_agree_with_ragged_graphs():
    torch.manual_seed(0)
    model = LGrIN(2, 4, 2, branch_channels=(3,), dropout=0.0, adjacency={"init": torch.ones(4, 4)}).double().eval()
    frame, batch = torch.tensor([2, 1, 0, 3, 1]), torch.tensor([0, 0, 0, 1, 1])
    gradients = []
    for edges in ((), model.adjacency.edges(frame, batch)):
        x = torch.ones(5, 2, dtype=torch.float64, requires_grad=True)
        gradients.append(torch.autograd.grad(model(x, *edges, frame=frame, batch=batch)[:, 0].sum(), x)[0])
    assert_close(*gradients)


def test_at_a_tie_the_gradient_goes_to_the_lowest_frame_then_the_lowest_node():
    x = torch.ones(1, 4, 1, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([[0.0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]]).double()
    expected = [2.0, 1.0, 1.0, 0.0]  # node 0 hears itself first, 1 itself, 2 itself, 3 node 0
    layer = GraphInception(1, ())
    for graph in (
        weight,
        weight[None],
        LGrIN(1, 4, 2, adjacency={"init": weight, "bandwidth": 3}).adjacency.double().graph(),
    ):
        (gradient,) = torch.autograd.grad(layer(x, graph).sum(), x)
        assert gradient.flatten().tolist() == expected
    flat = x.detach().view(4, 1).requires_grad_()
    edge_index = weight.T.nonzero().T
    (gradient,) = torch.autograd.grad(layer(flat, edge_index).sum(), flat)
    assert gradient.flatten().tolist() == expected

    frame = torch.tensor([3, 1, 0, 2])  # node 2 is the earliest frame
    dense = torch.ones(1, 4, 1, requires_grad=True)
    (gradient,) = torch.autograd.grad(GraphReadout(4, ("max",))(dense, frame=frame).sum(), dense)
    assert gradient.flatten().tolist() == [0, 0, 1, 0]
    for frames in (frame, torch.zeros(4, dtype=torch.long)):
        flat = torch.ones(4, 1, requires_grad=True)
        out = GraphReadout(4, ("max",))(flat, frame=frames, batch=torch.zeros(4, dtype=torch.long))
        (gradient,) = torch.autograd.grad(out.sum(), flat)
        assert gradient.flatten().tolist() == ([0, 0, 1, 0] if frames is frame else [1, 0, 0, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_trained_dense_give_the_same_logits_in_the_other_layouts(kind):
    torch.manual_seed(0)
    model = LGrIN(3, 6, 2, branch_channels=(4, 2), adjacency={"init": "uniform"}).double()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    x, y = torch.randn(8, 6, 3).double(), torch.arange(8) % 2
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    band = LearnableAdjacency.from_dense(model.adjacency.weight.detach(), bandwidth=5)
    other = LGrIN(3, 6, 2, branch_channels=(4, 2), adjacency=band if "banded" in kind else {"init": "uniform"}).double()
    state = model.state_dict()
    if "banded" in kind:
        state["adjacency.weight"] = other.adjacency.weight.detach()
    other.load_state_dict(state)
    model.eval(), other.eval()
    flat, batch = x.flatten(0, 1), torch.arange(8).repeat_interleave(6)
    frame = torch.arange(6).repeat(8)
    if "edges" in kind:
        edge_index, edge_weight = other.adjacency.edges(frame, batch)
        out = other(flat, edge_index, edge_weight, frame=frame, batch=batch)
    elif "ragged" in kind:
        mask = torch.ones(48, dtype=torch.bool) if "absent" in kind else None
        out = other(flat, frame=frame, batch=batch, mask=mask)
    elif is_made_from_matrix(kind):
        out = other(x, LAYOUTS[kind].from_dense(other.adjacency()))
    else:
        out = other(x)
    assert_close(out, model(x))
