"""Weights of either sign, and weights that are all above 0."""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import KINDS, sequences

from lgrin import LGrIN
from lgrin.graph import EdgeList
from lgrin.nn import GStarConv, LearnableAdjacency, structure_loss
from lgrin.nn.adjacency.signs import inverse_softplus, leaky_cut


@settings(deadline=None, max_examples=60)
@given(data=sequences(), normalize=st.sampled_from([None, "row"]))
def test_signed_graphs_sum_and_compare_like_their_definition_in_every_layout(data, normalize):
    A = data.weight.numpy()
    if normalize:
        total = np.abs(A).sum(1, keepdims=True)
        A = A / np.where(total == 0, 1, total)
    for kind in KINDS:
        x, graph, _ = data.inputs(kind, data.adjacency(kind, nonnegativity=None, normalize=normalize))
        graph = EdgeList(*graph) if "edges" in kind else graph[0]
        sums, maxima = (
            data.present(kind, getattr(graph, method)(x).detach()).numpy() for method in ("aggregate", "neighbor_max")
        )
        for rows, frames, H in data.by_sequence():
            sub = A[np.ix_(frames, frames)]
            np.testing.assert_allclose(sums[rows], sub @ H, rtol=0, atol=1e-10 * max(1, np.abs(A).max()))
            assert np.array_equal(maxima[rows], reference.neighbor_max(H, np.abs(sub)))


def test_averages_of_signed_graphs_divide_by_absolute_weights():
    A = torch.tensor([[0.5, -0.25, 0.25], [0.0, -1.0, 0.0], [0.2, 0.4, -0.4]], dtype=torch.float64)
    adjacency = LearnableAdjacency.from_dense(A, nonnegativity=None, normalize="present")
    x, mask = torch.tensor([[1.0], [2.0], [5.0]], dtype=torch.float64), torch.tensor([True, True, False])
    found = adjacency.graph(mask=mask).aggregate(x).flatten().tolist()
    assert found == pytest.approx([(0.5 * 1 - 0.25 * 2) / 0.75, -2.0, 0.0])
    ragged = adjacency.graph(torch.tensor([0, 1]), torch.tensor([0, 0])).aggregate(x[:2]).flatten().tolist()
    assert ragged == pytest.approx(found[:2])


def test_the_price_of_a_negative_weight_is_that_of_a_positive_one():
    A = torch.randn(6, 6, dtype=torch.float64, requires_grad=True)
    index = np.arange(6)
    expected = 0.3 * ((index[:, None] - index) ** 2 * np.abs(A.detach().numpy())).sum()
    expected += 0.2 * (A.detach().numpy() ** 2).sum()
    assert float(structure_loss(A, 0.3, 0.2)) == pytest.approx(expected)
    assert float(structure_loss(-A, 0.3, 0.2)) == pytest.approx(expected)
    assert torch.autograd.gradcheck(structure_loss, A)


def test_edges_of_a_signed_graph_are_those_of_large_absolute_weight():
    adjacency = LearnableAdjacency(2, init=torch.tensor([[0.0, -2.0], [0.5, 0.0]]), nonnegativity=None)
    edge_index, edge_weight = adjacency.edges(threshold=1.0)
    assert edge_index.tolist() == [[1], [0]]
    assert edge_weight.tolist() == [-2.0]
    assert adjacency.edges()[1].tolist() == [-2.0, 0.5]


@pytest.mark.parametrize("init", ["lazy", "temporal", torch.rand(9, 9) * 40 + 0.01])
def test_softplus_starts_where_relu_does_and_every_pair_learns(init):
    expected = LearnableAdjacency(9, init=init)()
    adjacency = LearnableAdjacency(9, init=init, nonnegativity="softplus")
    torch.testing.assert_close(adjacency(), expected, rtol=1e-5, atol=1e-6)
    adjacency().sum().backward()
    assert bool((adjacency.weight.grad > 0).all())
    gone = LearnableAdjacency(9, init=torch.zeros(9, 9), nonnegativity="softplus")
    gone().sum().backward()
    assert bool((gone.weight.grad > 0).all())


def test_the_inverse_of_softplus_is_exact_where_weights_are_small_or_large():
    weight = torch.tensor([1e-6, 1e-3, 1.0, 30.0, 700.0], dtype=torch.float64)
    torch.testing.assert_close(torch.nn.functional.softplus(inverse_softplus(weight)), weight, rtol=1e-12, atol=0)


def test_a_leaky_cut_has_the_values_of_relu_and_a_tenth_of_the_gradient_below():
    parameter = torch.tensor([3.0, 1e-30, 0.0, -0.0, -2.0, -1e30], requires_grad=True)
    weights = leaky_cut(parameter)
    assert torch.equal(weights, parameter.relu())
    (weights * torch.tensor([5.0, 5.0, 5.0, -5.0, 5.0, -5.0])).sum().backward()
    torch.testing.assert_close(parameter.grad, torch.tensor([5.0, 5.0, 0.5, -0.5, 0.5, -0.5]))
    rows = torch.randn(4, 3, dtype=torch.float64)
    of_rows = torch.func.vmap(torch.func.grad(lambda row: leaky_cut(row).sum()))(rows)
    _, forward = torch.func.jvp(leaky_cut, (rows,), (torch.ones_like(rows),))
    expected = torch.where(rows > 0, 1.0, 0.1).double()
    torch.testing.assert_close(of_rows, expected)
    torch.testing.assert_close(forward, expected)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("options", [{"nonnegativity": "leaky"}, {"nonnegativity": "relu"}, {"topk": 1}])
def test_an_edge_that_was_cut_comes_back_where_it_has_a_gradient(options, listed):
    """The second node copies the first; its edge starts below 0, or weaker than the one that topk keeps."""
    start = torch.tensor([[1.0, 0.0, 0.0], [-0.2, 0.0, 0.3], [0.0, 0.0, 1.0]])
    start = start.relu() + 0.1 if "topk" in options else start
    adjacency = LearnableAdjacency.from_dense(start, **options)
    x = torch.randn(64, 3, 1, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(adjacency.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        if listed:
            heard = EdgeList(*adjacency.edges(threshold=None)).aggregate(x.transpose(0, 1).flatten(1)).T.unsqueeze(-1)
        else:
            heard = adjacency.graph().aggregate(x)
        (heard[:, 1] - x[:, 0]).square().mean().backward()
        optimizer.step()
    returned = options != {"nonnegativity": "relu"}
    assert (adjacency()[1, 0].item() == pytest.approx(1, abs=0.01)) == returned
    assert (adjacency()[1, 0].item() == 0) != returned


def test_all_pairs_are_listed_on_request_and_add_nothing():
    allowed = torch.tensor([[True, False], [True, True]])
    adjacency = LearnableAdjacency(2, init=torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), allowed=allowed, self_loops=False)
    edge_index, edge_weight = adjacency.edges(threshold=None)
    assert edge_index.tolist() == [[0, 1, 0, 1], [0, 0, 1, 1]]
    assert edge_weight.tolist() == [0, 0, 0, 0]
    x = torch.randn(2, 3)
    for method in ("aggregate", "neighbor_max"):
        found, expected = (
            getattr(EdgeList(*edges), method)(x) for edges in ((edge_index, edge_weight), adjacency.edges())
        )
        assert torch.equal(found, expected)
    assert LearnableAdjacency(5, bandwidth=1, heads=2).edges(threshold=None)[1].shape == (13, 2)
    frame, batch = torch.tensor([0, 1, 4, 0, 3]), torch.tensor([0, 0, 0, 1, 1])
    assert LearnableAdjacency(5).edges(frame, batch, threshold=None)[0].shape == (2, 9 + 4)


@pytest.mark.parametrize("nonnegativity", ["relu", "leaky", "softplus", None, torch.exp])
@pytest.mark.parametrize("bandwidth", [None, 3])
def test_a_frozen_graph_is_the_same(nonnegativity, bandwidth):
    options = {"nonnegativity": nonnegativity, "normalize": "row", "bandwidth": bandwidth}
    adjacency = LearnableAdjacency(6, **options)
    torch.testing.assert_close(adjacency.frozen()(), adjacency())


@pytest.mark.parametrize("nonnegativity", [None, "softplus"])
def test_a_network_whose_graph_connects_all_frames_asks_for_a_band(nonnegativity):
    with pytest.raises(ValueError, match=r"connects all frames .* store a band .* or pass neighborhood='line'"):
        LGrIN(3, 5, 2, adjacency={"nonnegativity": nonnegativity})
    banded = LGrIN(3, 5, 2, adjacency={"nonnegativity": nonnegativity, "bandwidth": 2})
    line = LGrIN(3, 5, 2, adjacency={"nonnegativity": nonnegativity}, neighborhood="line")
    for model in (banded, line):
        again = LGrIN(**model.config).eval()
        again.load_state_dict(model.state_dict())
        x = torch.randn(2, 5, 3)
        assert torch.equal(again(x), model.eval()(x))


def test_negative_weights_of_a_raw_matrix_are_neighbours():
    conv, x = GStarConv(1, 1).eval(), torch.randn(3, 1)
    matrix = torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    edges = torch.tensor([[1], [0]])
    torch.testing.assert_close(conv(x, matrix), conv(x, edges, torch.tensor([-1.0])))
