"""What a graph object does by itself, whatever layer stands on it."""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import KINDS, sequences

import lgrin
from lgrin import LGrIN
from lgrin.graph import (
    BandedGraph,
    DenseGraph,
    EdgeList,
    RaggedGraph,
    StationaryGraph,
    as_graph,
    list_edges,
    parallel_sum,
)
from lgrin.nn import LearnableAdjacency, LGrINLoss


@settings(deadline=None, max_examples=60)
@given(data=sequences())
def test_every_layout_aggregates_and_compares_like_its_definition_and_clears_absent_rows(data):
    A = data.weight.relu().numpy()
    for kind in KINDS:
        x, graph, _ = data.inputs(kind, data.adjacency(kind))
        graph = EdgeList(*graph) if "edges" in kind else graph[0]
        methods = ["aggregate", "neighbor_max"] + ([] if "edges" in kind else ["line_max"])
        outputs = {method: getattr(graph, method)(x).detach() for method in methods}
        if x.dim() == 3 or "absent" in kind:
            absent = ~(data.mask if x.dim() == 3 else data.mask.flatten())
            assert all((out[absent] == 0).all() for out in outputs.values())
        present = {method: data.present(kind, out).numpy() for method, out in outputs.items()}
        for rows, frames, H in data.by_sequence():
            sub = A[np.ix_(frames, frames)]
            assert np.allclose(present["aggregate"][rows], sub @ H, rtol=0, atol=1e-10 * max(1, np.abs(sub @ H).max()))
            assert np.array_equal(present["neighbor_max"][rows], reference.neighbor_max(H, sub))
            if "line_max" in present:
                near = {i: [k for k, frame in enumerate(frames) if abs(frame - i) == 1] for i in frames}
                expected = [H[near[i]].max(0) if near[i] else np.zeros(3) for i in frames]
                assert np.array_equal(present["line_max"][rows], expected)


@settings(deadline=None, max_examples=60)
@given(num_nodes=st.integers(1, 5), num_edges=st.integers(0, 20), seed=st.integers(0, 1000))
def test_parallel_edges_are_summed(num_nodes, num_edges, seed):
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(num_nodes, (2, num_edges), generator=generator)
    weight = torch.randint(-3, 4, (num_edges,), generator=generator).double()
    total = np.zeros((num_nodes, num_nodes))
    np.add.at(total, tuple(edge_index.numpy()), weight.numpy())
    assert np.array_equal(parallel_sum(edge_index, weight, num_nodes).numpy(), total[tuple(edge_index.numpy())])


def test_a_frame_beyond_the_last_raises_instead_of_landing_in_the_next_sequence():
    adjacency = LearnableAdjacency(3)
    with pytest.raises(IndexError):
        adjacency.graph(torch.tensor([0, 3, 0]), torch.tensor([0, 0, 1]))


def test_sequences_of_unequal_length_need_frames_even_where_their_sum_fits():
    with pytest.raises(IndexError):
        LearnableAdjacency(2).graph(batch=torch.tensor([0, 0, 0, 1]))


def test_a_square_integer_tensor_of_two_rows_is_an_edge_list():
    assert isinstance(as_graph(torch.rand(3, 1), torch.tensor([[0, 1], [1, 2]])), EdgeList)
    assert isinstance(as_graph(torch.rand(2, 1), torch.rand(2, 2)), DenseGraph)


@pytest.mark.parametrize("num_nodes", [1, 2, 63, 64, 65, 200])
@pytest.mark.parametrize("bandwidth", [0, 1, 5, 40, 70])
@pytest.mark.parametrize("batched", [True, False])
def test_a_band_aggregates_like_its_matrix_at_every_size_of_block(num_nodes, bandwidth, batched):
    torch.manual_seed(0)
    band = torch.rand(num_nodes, 2 * bandwidth + 1, dtype=torch.float64)
    source = torch.arange(num_nodes)[:, None] + torch.arange(-bandwidth, bandwidth + 1)
    inside = (source >= 0) & (source < num_nodes)
    band = (band * inside).requires_grad_()
    target = torch.arange(num_nodes)[:, None].expand_as(source)
    matrix = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    matrix = matrix.index_put((target[inside], source[inside]), band[inside])
    x = torch.randn(*((3,) if batched else ()), num_nodes, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    results = []
    for graph in (BandedGraph(band), DenseGraph(matrix)):
        out = graph.aggregate(x)
        results.append((out, *torch.autograd.grad((out * weight).sum(), (x, band), retain_graph=True)))
    for found, expected in zip(*results, strict=True):
        assert torch.allclose(found * 1, expected, rtol=0, atol=1e-12)


def test_ragged_padding_ends_with_the_longest_sequence():
    frame, batch = torch.tensor([0, 2, 1, 0]), torch.tensor([0, 0, 1, 1])
    for graph in (DenseGraph(torch.rand(9, 9)), BandedGraph(torch.rand(9, 3))):
        assert RaggedGraph.place(graph, frame, batch, 2).present.shape == (2, 3)
        absent = torch.tensor([True, False, True, True])
        assert RaggedGraph.place(graph, frame, batch, 2, absent).present.shape == (2, 2)
        assert RaggedGraph.place(graph, frame[:0], batch[:0], 1).present.shape == (1, 1)


@pytest.mark.parametrize("bandwidth", [None, 2])
def test_a_ragged_graph_takes_no_scale_from_the_mask_that_it_replaces(bandwidth):
    adjacency = LearnableAdjacency(4, init="lazy", normalize="present", bandwidth=bandwidth)
    frame, batch, x = torch.tensor([0, 2, 1, 0]), torch.tensor([0, 0, 1, 1]), torch.rand(4, 2)
    masked = adjacency.graph(mask=torch.tensor([[True, False, True, False], [False, True, True, True]]))
    found, expected = (RaggedGraph.place(graph, frame, batch, 2) for graph in (masked, adjacency.graph()))
    assert torch.equal(found.aggregate(x), expected.aggregate(x))


@pytest.mark.parametrize("weights", [DenseGraph(torch.rand(4, 4)), BandedGraph(torch.rand(4, 3))])
def test_a_scale_of_whole_sequences_is_cut_with_their_padding(weights):
    scale, x = torch.rand(2, 4), torch.rand(2, 4, 3)
    mask = torch.tensor([[True, False, True, False], [True, True, False, False]])
    batch, frame = mask.nonzero(as_tuple=True)
    ragged = RaggedGraph.place(weights._replace(scale=scale), frame, batch, 2)
    assert ragged.padded.num_nodes == 3
    expected = weights._replace(mask=mask, scale=scale).aggregate(x)[mask]
    torch.testing.assert_close(ragged.aggregate(x[mask]), expected)


def test_a_batch_without_sequences_has_no_result_in_any_layout():
    model, none = LGrIN(3, 6, 2).eval(), torch.zeros(0, dtype=torch.long)
    assert model(torch.rand(0, 6, 3)).shape == (0, 2)
    for mask in (None, none.bool()):
        assert model(torch.rand(0, 3), frame=none, batch=none, mask=mask, batch_size=0).shape == (0, 2)


def test_edges_of_a_stack_of_matrices_are_refused():
    with pytest.raises(ValueError, match=r"graph holds 3 matrices"):
        list_edges(DenseGraph(torch.rand(3, 2, 2)))


def test_a_hundred_thousand_frames_never_become_a_matrix():
    model = LGrIN(2, 100_000, 2, branch_channels=(3,), adjacency={"init": "temporal", "bandwidth": 2})
    x = torch.randn(1, 100_000, 2)
    loss = model(x).sum() + LGrINLoss(1).penalty(model)  # a matrix would take 40 GB
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("old", ["hide", "places", "wide", "is_readable", "count_sequences", "frames_from_start"])
def test_names_that_moved_to_nodes_warn_for_a_release(old):
    with pytest.warns(DeprecationWarning, match=rf"lgrin\.graph\.{old} is lgrin\.nodes\."):
        found = getattr(lgrin.graph, old)
    assert found is getattr(lgrin.nodes, lgrin.graph._MOVED[old])
    with pytest.raises(AttributeError, match="has no attribute 'nowhere'"):
        _ = lgrin.graph.nowhere


def test_layouts_are_named_tuples_of_the_package_with_their_fields_in_order():
    fields = {
        DenseGraph: ("adj", "mask", "scale"),
        BandedGraph: ("band", "mask", "scale"),
        StationaryGraph: ("kernel", "num_nodes", "mask", "scale"),
        RaggedGraph: ("padded", "frame", "batch", "mask"),
        EdgeList: ("edge_index", "edge_weight", "mask", "frame"),
    }  # a new layout gets a line here
    assert list(fields) == list(lgrin.graph.LAYOUTS.values())
    for layout, names in fields.items():
        assert layout._fields == names
        assert layout.__module__ == "lgrin.graph"
        assert set(layout._field_defaults.values()) == {None}


@pytest.mark.parametrize(
    ("kept", "readable", "layout"), [(9, True, "DenseGraph"), (9, False, "RaggedGraph"), (5, True, "RaggedGraph")]
)
def test_nodes_are_laid_out_once_where_they_fill_their_padding_and_frames_can_be_read(
    kept, readable, layout, monkeypatch
):
    frame, batch = torch.arange(5).repeat(2)[:kept], torch.arange(2).repeat_interleave(5)[:kept]
    frame = frame if kept > 5 else torch.tensor([0, 1, 2, 3, 4])
    batch = batch if kept > 5 else torch.tensor([0, 0, 0, 0, 1])
    graph = RaggedGraph.place(DenseGraph(torch.rand(5, 5)), frame, batch, batch_size=2)
    monkeypatch.setattr(lgrin.graph.ragged, "is_readable", lambda x: readable)
    x, seen = torch.randn(kept, 3), []

    def layers(x, graph):
        seen.append(type(graph).__name__)
        return graph.aggregate(x)

    torch.testing.assert_close(graph.through(layers, x), graph.aggregate(x))
    assert seen == [layout]
