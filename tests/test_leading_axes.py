"""Leading axes: features [B, T, M, F] on one graph are what the same sequences are one after the other."""

import functools

import pytest
import torch
from torch_geometric.nn import GraphConv

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.baselines import GCN
from lgrin.nn import (
    GraphInception,
    GraphReadout,
    GStarConv,
    LearnableAdjacency,
    LearnablePool,
    MaskedBatchNorm,
    MaskedInstanceNorm,
)

LEADING = [(2, 5), (2, 1, 3), (1, 1), (0, 4)]
LAYERS = {
    "G*": lambda: GStarConv(3, 4),
    "G* without norm, narrower": lambda: GStarConv(3, 2, norm=None),
    "inception": lambda: GraphInception(3, (4, 2)),
    "line": lambda: GraphInception(3, (2,), neighborhood="line", norm="layer_norm"),
}
GRAPHS = {
    "matrix": lambda adjacency, mask: (adjacency(), None, mask),
    "dense graph": lambda adjacency, mask: (adjacency.graph(mask=mask),),
    "banded graph": lambda adjacency, mask: (
        LearnableAdjacency.from_dense(adjacency.weight.detach(), 6, normalize=adjacency.normalize).graph(mask=mask),
    ),
    "ragged graph": lambda adjacency, mask: (
        adjacency.graph(torch.arange(6).expand(mask.shape) if mask is not None else None, mask=mask),
    ),
}
X = torch.randn(2, 5, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def sequences(leading, masked):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*leading, 6, 3, dtype=torch.float64, generator=generator)
    if not masked:
        return x, None
    mask = torch.rand(x.shape[:-1], generator=generator) > 0.3
    return x.masked_fill(~mask.unsqueeze(-1), torch.nan), mask


def run(make, x, training, call):
    torch.manual_seed(0)
    layer, x = make().double().train(training), x.clone().requires_grad_()
    out = call(layer, x)
    (out * torch.arange(1.0, 1 + out.size(-1))).sum().backward()
    return out, x.grad, [p.grad for p in layer.parameters()], list(layer.state_dict().values())


def assert_same(found, expected, leading):
    for one, other in zip(found[:2], expected[:2], strict=True):
        assert one.shape[: len(leading)] == leading
        assert torch.equal(one.flatten(0, len(leading) - 1), other)
    for one, other in zip((*found[2], *found[3]), (*expected[2], *expected[3]), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_on_one_graph_equal_a_flattening_to_the_bit(name, graph, leading, masked, training):
    if leading[0] == 0 and training:
        return  # a batch norm has nothing to learn from nobody, in torch neither
    x, mask = sequences(leading, masked)
    adjacency = LearnableAdjacency(6, init="uniform", normalize="present").double()
    flat, flat_mask = x.flatten(0, -3), None if mask is None else mask.flatten(0, -2)
    found = run(LAYERS[name], x, training, lambda layer, x: layer(x, *GRAPHS[graph](adjacency, mask)))
    expected = run(LAYERS[name], flat, training, lambda layer, x: layer(x, *GRAPHS[graph](adjacency, flat_mask)))
    assert_same(found, expected, leading)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("leading", [(2, 5), (2, 1, 3)])
@pytest.mark.parametrize("name", LAYERS)
def test_each_matrix_of_a_stack_serves_one_entry_of_the_first_axis(name, leading, masked):
    x, mask = sequences(leading, masked)
    stack = torch.rand(2, 6, 6, dtype=torch.float64) - 0.3
    repeated = stack.repeat_interleave(x[0, ..., 0, 0].numel(), 0)
    flat, flat_mask = x.flatten(0, -3), None if mask is None else mask.flatten(0, -2)
    found = run(LAYERS[name], x, True, lambda layer, x: layer(x, stack, mask=mask))
    expected = run(LAYERS[name], flat, True, lambda layer, x: layer(x, repeated, mask=flat_mask))
    assert_same(found, expected, leading)


KINDS = {
    "dense": {},
    "banded": {"bandwidth": 2},
    "averages": {"normalize": "present"},
    "banded averages": {"normalize": "present", "bandwidth": 2},
    "signed": {"nonnegativity": None, "topk": 3},
}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_several_heads_and_own_features_equal_a_flattening_to_the_bit(kind, heads, masked):
    x, mask = sequences((2, 5), masked)
    flat, flat_mask = x.flatten(0, 1), None if mask is None else mask.flatten(0, 1)
    adjacency = LearnableAdjacency(6, init="uniform", heads=heads, **KINDS[kind]).double()
    make = functools.partial(GStarConv, 3, 4, heads=heads, self_features=True)
    found = run(make, x, True, lambda layer, x: layer(x, adjacency.graph(mask=mask)))
    expected = run(make, flat, True, lambda layer, x: layer(x, adjacency.graph(mask=flat_mask)))
    assert_same(found, expected, (2, 5))


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_of_whole_sequences_serves_every_step(kind, heads):
    x, mask = sequences((2, 5), False)[0], torch.rand(2, 6) > 0.3
    every = mask.unsqueeze(1).expand(2, 5, 6)
    adjacency = LearnableAdjacency(6, init="uniform", heads=heads, **KINDS[kind]).double()
    layer = GraphInception(3, (4, 2), heads=heads, self_features=True).double()
    expected = layer.eval()(x, adjacency.graph(mask=every))
    assert torch.allclose(layer(x, adjacency.graph(mask=mask)), expected, atol=1e-12)
    if heads == 1:
        assert torch.equal(layer(x, adjacency(), mask=mask), layer(x, adjacency(), mask=every))
    for readout in (make().double() for name, make in READOUTS.items() if name != "batch norm"):
        assert torch.equal(readout(x, mask=mask), readout(x, mask=every))
    with pytest.raises(ValueError, match=r"mask is torch.bool \[5, 6\]; .*\[2, 5, 6\]"):
        layer(x, adjacency.graph(mask=torch.ones(5, 6, dtype=torch.bool)))


def test_a_stack_of_another_length_is_refused():
    with pytest.raises(
        ValueError, match=r"edge_index holds 5 matrices, but x has shape \[2, 5, 6, 3\]; .*\[B, \*, M, F\]"
    ):
        GStarConv(3, 4).double()(X, torch.rand(5, 6, 6).double())


READOUTS = {
    "pool": lambda: LearnablePool(6, "xavier"),
    "readout": lambda: GraphReadout(6, ("max", "learned", "mean", "sum"), "xavier"),
    "instance norm": lambda: MaskedInstanceNorm(3),
    "batch norm": lambda: MaskedBatchNorm(3),
}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("leading", LEADING[:-1])
@pytest.mark.parametrize("name", READOUTS)
def test_readouts_and_norms_equal_a_flattening_to_the_bit(name, leading, masked):
    x, mask = sequences(leading, masked)
    flat, flat_mask = x.flatten(0, -3), None if mask is None else mask.flatten(0, -2)
    found = run(READOUTS[name], x, True, lambda layer, x: layer(x, mask=mask).nan_to_num())
    expected = run(READOUTS[name], flat, True, lambda layer, x: layer(x, mask=flat_mask).nan_to_num())
    assert_same(found, expected, leading)


@pytest.mark.parametrize("name", ["pool", "readout"])
def test_readouts_of_frames_out_of_order_equal_a_flattening(name):
    order = torch.stack([torch.randperm(6) for _ in range(10)]).view(2, 5, 6)
    readout = READOUTS[name]().double()
    assert torch.equal(readout(X, frame=order).flatten(0, 1), readout(X.flatten(0, 1), frame=order.flatten(0, 1)))
    assert torch.equal(readout(X, frame=order[0, 0]), readout(X, frame=order[0, 0].expand(2, 5, 6)))
    assert readout(X, batch_size=10).shape[:2] == (2, 5)
    with pytest.raises(ValueError, match=r"batch_size is 2, but x .* without batch holds 10"):
        readout(X, batch_size=2)


def test_a_network_of_layers_reads_as_pyg_does():
    adjacency = LearnableAdjacency(6, init="uniform").double()
    conv = GraphConv(3, 4).double()
    ours = GStarConv(3, 4, num_layers=1, norm=None, act=torch.nn.Identity()).double()
    with torch.no_grad():
        ours.lins[0].weight.copy_(conv.lin_rel.weight)
        ours.lins[0].bias.copy_(conv.lin_rel.bias)
        conv.lin_root.weight.zero_()
    assert torch.allclose(ours(X, adjacency()), conv(X, *adjacency.edges()), atol=1e-12)


def test_frames_beside_leading_axes_are_placed():
    adjacency = LearnableAdjacency(8, init="uniform", normalize="present").double()
    frame = torch.stack([torch.randperm(8)[:6] for _ in range(10)]).view(2, 5, 6)
    layer = GraphInception(3, (4,)).double().eval()
    expected = layer(X.flatten(0, 1), adjacency.graph(frame.flatten(0, 1))).unflatten(0, (2, 5))
    assert torch.equal(layer(X, adjacency.graph(frame)), expected)


@pytest.mark.parametrize(
    "make", [lambda: LGrIN(3, 6, 2), lambda: LGrIN(3, 6, 2, head_channels=4), lambda: GCN(3, 6, 2)]
)
def test_models_refuse_leading_axes_and_their_way_out_works(make):
    model = make().double().eval()
    with pytest.raises(ValueError, match=rf"\[B, M, P\] for {type(model).__name__}: .*x.flatten\(0, 1\)"):
        model(X)
    assert model(X.flatten(0, 1)).unflatten(0, [2, 5]).shape == (2, 5, 2)


def test_models_of_several_modalities_refuse_them_too():
    with pytest.raises(ValueError, match=r"x has shape \[2, 5, 6, 3\]; node features are .* for LGrIN"):
        MultimodalLGrIN({"one": {"in_channels": 3, "num_nodes": 6}}, 2).double()({"one": X})


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.adjacency, self.conv, self.readout = LearnableAdjacency(6), GraphInception(3, (4,)), GraphReadout(6)

    def forward(self, x, mask):
        return self.readout(self.conv(x, self.adjacency(), mask=mask), mask=mask)


def test_compiled_and_exported_layers_take_them_in_any_number():
    network, mask = Network().double().eval(), torch.rand(2, 5, 6) > 0.3
    assert torch.allclose(torch.compile(network, fullgraph=True)(X, mask), network(X, mask))
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    program = torch.export.export(network, (X, mask), dynamic_shapes=(sizes, sizes)).module()
    for batch, time in ((2, 5), (3, 2), (4, 7)):
        x, mask = torch.randn(batch, time, 6, 3).double(), torch.rand(batch, time, 6) > 0.3
        assert torch.allclose(program(x, mask), network(x, mask))
    torch.compiler.reset()
