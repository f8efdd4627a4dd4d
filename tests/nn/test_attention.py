"""A graph for each sequence, by attention."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from lgrin import LGrIN
from lgrin.graph import DenseGraph, RaggedGraph, averaging
from lgrin.nn import AttentionAdjacency, GStarConv


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 7, 3, generator=generator, dtype=torch.float64)
    mask = torch.rand(4, 7, generator=generator) > 0.3
    mask[:, 0] = True
    return x, mask


@pytest.mark.parametrize("heads", [1, 2])
def test_sums_are_those_of_pytorchs_attention(heads):
    adjacency, (x, mask) = AttentionAdjacency(3, 5, heads=heads, num_nodes=7).double(), batch()
    query, key = (lin(x).unflatten(-1, (heads, 5)).transpose(1, 2) for lin in (adjacency.query, adjacency.key))
    value = x.unsqueeze(1).expand(-1, heads, -1, -1)
    expected = scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
    expected = expected.transpose(1, 2).flatten(2)
    found = adjacency.graph(x=x, mask=mask).aggregate(x)
    torch.testing.assert_close(found[mask], expected[mask], rtol=1e-10, atol=1e-10)
    assert not found[~mask].any()


@pytest.mark.parametrize("options", [{}, {"topk": 2}, {"self_loops": False}, {"nonnegativity": "relu"}])
def test_masked_frames_are_not_seen(options):
    adjacency, (x, mask) = AttentionAdjacency(3, num_nodes=7, **options).double(), batch()
    junk = x.masked_fill(~mask.unsqueeze(-1), torch.nan).requires_grad_()
    other = torch.where(mask.unsqueeze(-1), x, 1e30)
    graph = adjacency.graph(x=junk, mask=mask)
    A = graph.matrix()
    assert torch.equal(A, adjacency.graph(x=other, mask=mask).matrix())
    assert not A[~mask].any()
    assert not A.mT[~mask].any()
    graph.aggregate(junk).sum().backward()
    assert not junk.grad[~mask].any()
    assert all(bool(weight.grad.isfinite().all()) for weight in adjacency.parameters())
    if options in ({}, {"self_loops": False}):
        torch.testing.assert_close(A.sum(-1)[mask], torch.ones(int(mask.sum()), dtype=x.dtype))
    if "self_loops" in options:
        assert not A.diagonal(dim1=1, dim2=2).any()


def test_a_sequence_of_one_frame_or_of_none_is_finite():
    adjacency, (x, mask) = AttentionAdjacency(3, self_loops=False, num_nodes=7).double(), batch()
    mask = torch.zeros_like(mask)
    mask[1, 3] = True
    graph = adjacency.graph(x=x, mask=mask)
    assert not graph.matrix().any()
    assert not graph.aggregate(x).any()


def test_permuted_frames_give_a_permuted_graph():
    adjacency, (x, mask) = AttentionAdjacency(3, num_nodes=7, topk=3).double(), batch()
    order = torch.randperm(7)
    A = adjacency.graph(x=x, mask=mask).matrix()
    permuted = adjacency.graph(x=x[:, order], mask=mask[:, order]).matrix()
    torch.testing.assert_close(permuted, A[:, order][:, :, order])


@pytest.mark.parametrize("input_norm", [True, "both"])
def test_a_network_tells_its_width_and_computes_the_graph_once_for_all_layers(input_norm):
    model = LGrIN(3, 7, 2, adjacency={"name": "AttentionAdjacency", "topk": 3}, input_norm=input_norm, num_layers=3)
    assert model.adjacency.in_channels == (6 if input_norm == "both" else 3)
    seen = []
    model.adjacency.register_forward_hook(lambda module, args, graph: seen.append((args[0], graph)))
    x, mask = batch()
    model.double()(x, mask=mask)
    ((features, graph),) = seen
    nodes, *_ = model._read(x, None, None, None, None, mask, None)
    assert isinstance(graph, DenseGraph)
    torch.testing.assert_close(features[mask], model.eval()._scale_input(nodes)[mask], rtol=0, atol=10)
    again = LGrIN(**model.config).double()
    again.load_state_dict(model.state_dict())


def test_sequences_of_any_length_are_read():
    adjacency, conv = AttentionAdjacency(3).double(), GStarConv(3, 4).double().eval()
    x, mask = batch()
    sequence, frame = mask.nonzero(as_tuple=True)
    ragged = adjacency.graph(frame, sequence, x=x[mask], batch_size=4)
    assert isinstance(ragged, RaggedGraph)
    expected = conv(x, adjacency.graph(x=x, mask=mask))
    torch.testing.assert_close(conv(x[mask], ragged), expected[mask])
    for length in (1, 3, 50):
        assert adjacency.graph(x=torch.randn(2, length, 3).double()).matrix().shape == (2, length, length)


def test_a_network_without_a_length_gives_the_same_in_every_layout():
    torch.manual_seed(0)
    model = LGrIN(3, None, 2, branch_channels=(4,), adjacency={"name": "AttentionAdjacency", "topk": 3}).double().eval()
    x, mask = batch()
    mask[:, 5:] = False
    sequence, frame = mask.nonzero(as_tuple=True)
    place = {"frame": frame, "batch": sequence, "batch_size": 4}
    masked, graph = model(x, mask=mask, return_graph=True)
    ragged, placed = model(x[mask], **place, return_graph=True)
    torch.testing.assert_close(ragged, masked, rtol=1e-10, atol=1e-10)
    prices = [model.adjacency.penalty(one) for one in (graph, placed)]
    torch.testing.assert_close(*prices)
    torch.testing.assert_close(model.graphs(x, mask=mask)[:, :5, :5], model.graphs(x[mask], **place))
    assert LGrIN(**model.config).adjacency.in_channels == 3


def test_scores_may_have_either_sign():
    adjacency, (x, _) = AttentionAdjacency(3, 4, nonnegativity=None, normalize="row", num_nodes=7).double(), batch()
    A = adjacency.graph(x=x).matrix()
    query = adjacency.query(x).detach().numpy()
    scores = query @ adjacency.key(x).detach().numpy().swapaxes(1, 2) / 2
    np.testing.assert_allclose(A.detach().numpy(), scores / np.abs(scores).sum(-1, keepdims=True), atol=1e-12)
    assert bool((A < 0).any())


@pytest.mark.parametrize("heads", [1, 2])
def test_averages_over_present_frames_are_those_of_each_sequence(heads):
    x, mask = batch()
    weights = torch.rand(4, heads, 7, 7, dtype=x.dtype)
    weights = weights / weights.sum(-1, keepdim=True)
    stack = DenseGraph(weights if heads > 1 else weights[:, 0], mask)
    found = averaging(stack, num_nodes=7).aggregate(x)
    for index in range(4):
        one = DenseGraph(weights[index : index + 1] if heads > 1 else weights[index, 0], mask[index : index + 1])
        torch.testing.assert_close(averaging(one, num_nodes=7).aggregate(x[index : index + 1])[0], found[index])
        A = weights[index] * mask[index]
        A = A / A.sum(-1, keepdim=True)
        expected = torch.cat([head @ x[index] for head in A], dim=-1)
        torch.testing.assert_close(found[index][mask[index]], expected[mask[index]])
    adjacency = AttentionAdjacency(3, 4, nonnegativity="softplus", normalize="present", heads=heads).double()
    rows = adjacency.graph(x=x, mask=mask).matrix().sum(-1)
    rows = rows if heads == 1 else rows[:, 0]
    torch.testing.assert_close(rows[mask], torch.ones_like(rows[mask]))


def test_a_network_whose_neighbors_follow_the_graph_asks_for_the_strongest():
    settings = {"name": "AttentionAdjacency"}
    with pytest.raises(ValueError, match=r"an? AttentionAdjacency that connects all frames .*'topk'"):
        LGrIN(3, 5, 2, adjacency=settings)
    for options in ({"adjacency": {**settings, "topk": 2}}, {"adjacency": settings, "neighborhood": "line"}):
        assert LGrIN(3, 5, 2, **options)(torch.randn(2, 5, 3)).shape == (2, 2)


def test_what_it_cannot_read_is_named():
    adjacency = AttentionAdjacency(3, num_nodes=5)
    with pytest.raises(ValueError, match=r"x has 4 channels, but this adjacency was built for in_channels=3"):
        adjacency.graph(x=torch.randn(2, 5, 4))
    with pytest.raises(ValueError, match=r"x is None, but the graph of AttentionAdjacency depends on the features"):
        adjacency()
    for options, message in (
        ({"channels": 0}, "channels is 0"),
        ({"nonnegativity": "tanh"}, "nonnegativity is 'tanh'; it may be 'softmax', 'relu'"),
        ({"topk": 0}, "topk is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            AttentionAdjacency(3, num_nodes=5, **options)
