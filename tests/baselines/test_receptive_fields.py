"""PATCHY-SAN's steps against networkx, and its convolutions against loops."""

import networkx as nx
import numpy as np
import pytest
import torch
from competitors import ragged
from hypothesis import given, settings
from hypothesis import strategies as st

from lgrin.baselines import PatchySAN
from lgrin.baselines.patchy_san import label_nodes
from lgrin.baselines.receptive_fields import betweenness, gather_fields, rank_nodes, receptive_fields


@st.composite
def graphs(draw):
    """A small graph, the frames of it that exist, and its adjacency without the others."""
    size, chance, seed = draw(st.integers(1, 9)), draw(st.floats(0.0, 0.7)), draw(st.integers(0, 10_000))
    whole = nx.gnp_random_graph(size, chance, seed=seed)
    present = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    graph = whole.subgraph(node for node in whole if present[node])
    adj = np.zeros((size, size))
    for a, b in graph.edges:
        adj[a, b] = adj[b, a] = 1
    return graph, torch.tensor(adj)[None], torch.tensor(present)[None]


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_betweenness_equals_networkx(case):
    graph, adj, mask = case
    expected = nx.betweenness_centrality(graph, normalized=False)
    found = betweenness(adj)[0]
    for node in graph:
        assert float(found[node]) == pytest.approx(expected[node], abs=1e-6)
    assert not found[~mask[0]].any()


@given(graphs(), st.integers(1, 6), st.sampled_from(["frame", "betweenness"]))
@settings(max_examples=60, deadline=None)
def test_fields_equal_a_breadth_first_search(case, size, labelling):
    graph, adj, mask = case
    label = label_nodes(labelling, adj)
    rank = rank_nodes(label, mask)
    order = sorted(graph, key=lambda node: (-float(label[0, node]), node))
    assert rank[0].argsort().tolist()[: len(order)] == order
    index, valid = receptive_fields(adj, rank, mask, size)
    for root in range(adj.size(-1)):
        expected = []
        if root in graph:
            hops = nx.single_source_shortest_path_length(graph, root)
            expected = sorted(hops, key=lambda node: (hops[node], order.index(node)))[:size]
        assert index[0, root][valid[0, root]].tolist() == expected
        assert valid[0, root].tolist() == [True] * len(expected) + [False] * (size - len(expected))


def test_the_fields_of_a_line_are_windows_in_time():
    model = PatchySAN(1, 6, 2, field_size=3)
    line = torch.diag_embed(torch.ones(1, 5), 1) + torch.diag_embed(torch.ones(1, 5), -1)
    mask = torch.ones(1, 6, dtype=torch.bool)
    index, _ = receptive_fields(line, rank_nodes(label_nodes("frame", line), mask), mask, model.field_size)
    assert index[0].tolist() == [[0, 1, 2], [1, 0, 2], [2, 1, 3], [3, 2, 4], [4, 3, 5], [5, 4, 3]]
    middle_first = rank_nodes(label_nodes("betweenness", line), mask)
    assert middle_first.argsort().tolist() == [[2, 3, 1, 4, 0, 5]]


def test_the_convolution_of_stride_k_equals_a_loop_over_fields():
    torch.manual_seed(0)
    model = PatchySAN(4, 12, 3).double()
    x = torch.randn(2, 12, 4, dtype=torch.float64)
    index = torch.randint(12, (2, 12, 5))
    valid = torch.rand(2, 12, 5) > 0.3
    found = model.fields(gather_fields(x, index, valid)).detach().numpy()
    weight, bias = model.fields.weight.detach().numpy(), model.fields.bias.detach().numpy()
    for b in range(2):
        for field in range(12):
            expected = bias.copy()
            for place in range(5):
                if valid[b, field, place]:
                    expected += weight[:, :, place] @ x[b, index[b, field, place]].numpy()
            assert np.allclose(found[b, :, field], expected, rtol=1e-10)


@pytest.mark.parametrize("labelling", ["frame", "betweenness"])
def test_patchy_san_equals_its_steps_in_numpy(labelling):
    torch.manual_seed(0)
    model, (x, mask) = PatchySAN(4, 12, 3, field_size=3, labelling=labelling).double().eval(), ragged()
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    for sequence, present, logits in zip(x.numpy(), mask.numpy(), model(x, mask=mask), strict=True):
        graph = nx.path_graph(12).subgraph(np.flatnonzero(present))
        label = {node: -node for node in graph}
        if labelling == "betweenness":
            label = nx.betweenness_centrality(graph, normalized=False)
        order = sorted(graph, key=lambda node: (-label[node], node))
        nodes = np.repeat(weights["fields.bias"][:, None], 12, axis=1)
        for place, root in enumerate(order):
            hops = nx.single_source_shortest_path_length(graph, root)
            for j, node in enumerate(sorted(hops, key=lambda node: (hops[node], order.index(node)))[:3]):
                nodes[:, place] += weights["fields.weight"][:, :, j] @ sequence[node]
        nodes = np.maximum(nodes, 0)
        steps = [(weights["sequence.weight"] * nodes[:, t : t + 10]).sum((1, 2)) for t in range(3)]
        hidden = np.maximum(np.stack(steps, 1) + weights["sequence.bias"][:, None], 0).ravel()
        hidden = np.maximum(weights["dense.weight"] @ hidden + weights["dense.bias"], 0)
        expected = weights["head.weight"] @ hidden + weights["head.bias"]
        assert np.allclose(logits.detach().numpy(), expected, rtol=1e-10)


def test_an_unknown_labelling_is_named():
    with pytest.raises(ValueError, match="labelling is 'nauty'; it may be 'frame', 'betweenness'"):
        PatchySAN(4, 12, 3, labelling="nauty")
