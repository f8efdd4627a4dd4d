"""Graphs without self loops, of the k strongest edges of each node, and with normalised weights."""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import KINDS, sequences
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from lgrin import LGrIN
from lgrin.graph import BandedGraph, DenseGraph, EdgeList
from lgrin.models import fold
from lgrin.nn import GStarConv, LearnableAdjacency
from lgrin.nn.adjacency.rows import Refinement, strongest

REFINEMENTS = st.builds(
    Refinement, st.booleans(), st.sampled_from([None, 1, 2, 99]), st.sampled_from([None, "row", "present", "sym"])
)


def refined(A, refinement, frames=None):
    """The definition, entry by entry: no self loops, then the k strongest of each row, then the division."""
    A = A.copy()
    if not refinement.self_loops:
        np.fill_diagonal(A, 0)
    if refinement.topk is not None:
        for row in A:
            row[sorted(range(len(row)), key=lambda j: (-abs(row[j]), j))[refinement.topk :]] = 0
    degree = np.abs(A).sum(1)
    if refinement.normalize == "sym":
        root = np.array([1 / np.sqrt(d) if d > 0 else 0.0 for d in degree])
        A = A * root[:, None] * root
    elif refinement.normalize is not None:
        A = A / np.where(degree == 0, 1, degree)[:, None]
    A = A if frames is None else A[np.ix_(frames, frames)]
    if refinement.normalize == "present" and frames is not None:
        present = np.abs(A).sum(1)
        A = A / np.where(present < np.finfo(float).eps, 1, present)[:, None]
    return A


@settings(deadline=None, max_examples=80)
@given(data=sequences(), refinement=REFINEMENTS, nonnegativity=st.sampled_from([None, "relu"]))
def test_sums_and_maxima_of_refined_graphs_follow_their_definition_in_every_layout(data, refinement, nonnegativity):
    A = data.weight.numpy() if nonnegativity is None else np.maximum(data.weight.numpy(), 0)
    for kind in KINDS:
        adjacency = data.adjacency(kind, nonnegativity=nonnegativity, **refinement._asdict())
        x, graph, _ = data.inputs(kind, adjacency)
        graph = EdgeList(*graph) if "edges" in kind else graph[0]
        sums, maxima = (
            data.present(kind, getattr(graph, method)(x).detach()).numpy() for method in ("aggregate", "neighbor_max")
        )
        for rows, frames, H in data.by_sequence():
            sub = refined(A, refinement, frames)
            np.testing.assert_allclose(sums[rows], sub @ H, rtol=0, atol=1e-10 * max(1, np.abs(sub).max()))
            assert np.array_equal(maxima[rows], reference.neighbor_max(H, np.abs(sub)))


@settings(deadline=None, max_examples=40)
@given(data=sequences(), refinement=REFINEMENTS)
def test_a_layer_on_a_refined_graph_agrees_with_float64_numpy_in_every_layout(data, refinement):
    torch.manual_seed(0)
    conv = GStarConv(3, 4, norm=None).double().eval()
    W, b, V, c = (p.detach().numpy() for lin in conv.lins for p in (lin.weight, lin.bias))
    A = np.maximum(data.weight.numpy(), 0)
    for kind in KINDS:
        x, graph, _ = data.inputs(kind, data.adjacency(kind, **refinement._asdict()))
        out = data.present(kind, conv(x, *graph).detach()).numpy()
        for rows, frames, H in data.by_sequence():
            hidden = np.maximum(refined(A, refinement, frames) @ H @ W.T + b, 0)
            np.testing.assert_allclose(out[rows], np.maximum(hidden @ V.T + c, 0), rtol=1e-9, atol=1e-9)


def test_the_default_refinement_returns_the_very_weights():
    weight = torch.randn(5, 5)
    for graph in (DenseGraph(weight), BandedGraph(weight)):
        assert Refinement().apply(graph).weights is weight
    assert Refinement().config == {}
    assert "topk" not in LearnableAdjacency(5).config


@pytest.mark.parametrize("weight", [[3.0, 3.0, 3.0, 3.0], [1.0, -2.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
def test_ties_go_to_the_lowest_source(weight):
    kept = strongest(torch.tensor([weight]), 1).flatten()
    first = int(np.argmax(np.abs(weight)))
    expected = [value if j == first else 0.0 for j, value in enumerate(weight)]
    assert kept.tolist() == expected
    assert torch.equal(strongest(torch.tensor([weight]), 4), torch.tensor([weight]))


@pytest.mark.parametrize("bandwidth", [None, 2])
@pytest.mark.parametrize("heads", [1, 2])
def test_an_edge_outside_the_strongest_learns_until_it_enters(bandwidth, heads):
    torch.manual_seed(0)
    start = (torch.eye(3) + 0.1).expand(heads, 3, 3) if heads > 1 else torch.eye(3) + 0.1
    adjacency = LearnableAdjacency.from_dense(start.contiguous(), bandwidth=bandwidth, topk=1, heads=heads)
    assert adjacency.edges()[0].tolist() == [[0, 1, 2], [0, 1, 2]]
    optimizer = torch.optim.SGD(adjacency.parameters(), lr=0.2)
    x, wanted = torch.eye(3), torch.eye(3).roll(1, 0)
    for _ in range(20):
        optimizer.zero_grad()
        difference = adjacency.graph().aggregate(x).unflatten(-1, (heads, 3)) - wanted.unsqueeze(1)
        difference.square().sum().backward()
        optimizer.step()
    edge_index, edge_weight = adjacency.edges()
    assert edge_index.tolist() == [[2, 0, 1], [0, 1, 2]]
    torch.testing.assert_close(edge_weight, torch.ones_like(edge_weight), atol=0.05, rtol=0)


def test_the_gradient_of_the_strongest_is_that_of_all():
    weight = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    factor = torch.randn(4, 6, dtype=torch.float64)
    (strongest(weight, 2) * factor).sum().backward()
    assert torch.equal(weight.grad, factor)
    assert strongest(weight, 2).ne(0).sum(1).tolist() == [2] * 4


@pytest.mark.parametrize("bandwidth", [None, 3])
@pytest.mark.parametrize("heads", [1, 3])
def test_symmetric_normalisation_is_that_of_pyg(bandwidth, heads):
    torch.manual_seed(1)
    A = torch.randn(heads, 7, 7, dtype=torch.float64).relu()
    A[:, 2] = 0  # a node that receives nothing sends nothing either
    index = torch.arange(7)
    A[:, (index - index[:, None]).abs() > 3] = 0
    options = {"normalize": "sym", "bandwidth": bandwidth, "heads": heads}
    found = LearnableAdjacency.from_dense(A if heads > 1 else A[0], **options)().view(heads, 7, 7)
    for matrix, normalized in zip(A, found, strict=True):
        target, source = matrix.nonzero(as_tuple=True)
        edge_index, edge_weight = gcn_norm(
            torch.stack([source, target]), matrix[target, source], 7, add_self_loops=False
        )
        expected = torch.zeros(7, 7, dtype=torch.float64)
        expected[edge_index[1], edge_index[0]] = edge_weight
        torch.testing.assert_close(normalized, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("value", [0.0, 1e-38, 1e-30, 1e-25, 1e-15, 1e15, 1e38])
@pytest.mark.parametrize("bandwidth", [None, 2])
def test_symmetric_normalisation_of_any_degree_is_finite(value, bandwidth):
    A = torch.ones(5, 5).tril(2).triu(-2)
    A[:, 1] *= 2
    A[1] *= value
    A[3] = 0
    adjacency = LearnableAdjacency.from_dense(A, normalize="sym", bandwidth=bandwidth)
    (adjacency() ** 2).sum().backward()
    assert bool(adjacency().isfinite().all())
    assert bool(adjacency.weight.grad.isfinite().all())
    assert value < 1e-19 or bool((adjacency()[1, :3] > 0).all())
    assert bool((adjacency()[3] == 0).all())
    assert bool((adjacency()[:, 3] == 0).all())


def test_symmetric_degrees_count_the_frames_that_a_sequence_lacks():
    A = torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 0.0], [3.0, 0.0, 0.0]], dtype=torch.float64)
    adjacency, mask = LearnableAdjacency.from_dense(A, normalize="sym"), torch.tensor([True, True, False])
    found = adjacency.graph(mask=mask).aggregate(torch.ones(3, 1, dtype=torch.float64)).flatten()
    assert found.tolist() == pytest.approx([1 / np.sqrt(4 * 1), 1 / np.sqrt(1 * 4), 0])


def test_of_a_symmetric_graph_each_row_keeps_its_own_strongest():
    A = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    kept = LearnableAdjacency(3, init=A, symmetric=True, topk=1)()
    assert kept.tolist() == [[0, 0, 2], [0, 0, 3], [0, 3, 0]]


def test_nodes_without_self_loops_still_compare_themselves():
    adjacency = LearnableAdjacency(3, init=torch.eye(3), self_loops=False)
    x = torch.tensor([[1.0], [2.0], [3.0]])
    assert adjacency.edges()[1].numel() == 0
    assert torch.equal(adjacency.graph().neighbor_max(x), x)
    adjacency().sum().backward()
    assert not adjacency.weight.grad.diagonal().any()


@pytest.mark.parametrize("nonnegativity", ["relu", "leaky", "softplus", None])
@pytest.mark.parametrize("bandwidth", [None, 2])
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("normalize", [None, "row", "present", "sym"])
def test_a_network_on_a_refined_graph_folds_and_is_stored(nonnegativity, bandwidth, heads, normalize):
    torch.manual_seed(0)
    options = {"nonnegativity": nonnegativity, "bandwidth": bandwidth, "heads": heads, "normalize": normalize}
    model = LGrIN(3, 6, 2, branch_channels=(4, 2), adjacency={**options, "topk": 2, "self_loops": False}).eval()
    x, mask = torch.randn(3, 6, 3), torch.rand(3, 6) > 0.3
    again = LGrIN(**model.config).eval()
    again.load_state_dict(model.state_dict())
    assert again.adjacency.config == model.adjacency.config
    assert torch.equal(again(x, mask=mask), model(x, mask=mask))
    assert "topk=2" in repr(model)
    assert "self_loops=False" in repr(model)
    folded = fold(model)
    torch.testing.assert_close(folded(x, mask=mask), model(x, mask=mask), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(folded.adjacency(), model.adjacency(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topk": 0}, r"topk is 0; it has to be a whole number, 1 or larger"),
        ({"topk": 1.5}, r"topk is 1.5; it has to be a whole number"),
        ({"normalize": "symmetric"}, r"normalize is 'symmetric'; it may be None, 'row', 'present', 'sym'"),
    ],
)
def test_unknown_refinements_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LearnableAdjacency(4, **options)
