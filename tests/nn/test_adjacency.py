import copy
import math

import pytest
import torch
from torch_geometric.utils import to_dense_adj

from lgrin.nn import LearnableAdjacency


def test_starts_are_what_they_say():
    torch.manual_seed(0)
    normal, uniform = LearnableAdjacency(200).weight, LearnableAdjacency(200, init="uniform").weight
    assert abs(float(normal.mean())) < 0.02
    assert abs(float(normal.std()) - 1) < 0.02
    assert 0 <= float(uniform.min()) < 0.001 < 0.999 < float(uniform.max()) < 1
    temporal = LearnableAdjacency(5, init="temporal")()
    distance = torch.tensor([[(i - j) ** 2 for j in range(5)] for i in range(5)])
    assert torch.allclose(temporal, torch.exp(-distance / 18.0))
    lazy = LearnableAdjacency(101, init="lazy", normalize="row")()
    assert float(lazy[50, 50]) == pytest.approx(0.5 + 0.5 * 0.3989423 / 3, rel=1e-5)
    assert float(lazy[50, 53] / lazy[50, 51]) == pytest.approx(math.exp(-4 / 9), rel=1e-5)
    matrix = torch.randn(5, 5)
    assert torch.equal(LearnableAdjacency(5, init=matrix)(), matrix.relu())


@pytest.mark.parametrize("bandwidth", [None, 0, 2, 9])
@pytest.mark.parametrize("symmetric", [True, False])
def test_rows_sum_to_one_and_empty_rows_stay_empty(bandwidth, symmetric):
    torch.manual_seed(0)
    plain = LearnableAdjacency(6, bandwidth=bandwidth, symmetric=symmetric)
    rows = LearnableAdjacency(6, bandwidth=bandwidth, symmetric=symmetric, normalize="row")
    with torch.no_grad():
        plain.weight.view(-1)[0] = -1
        rows.weight.copy_(plain.weight)
    matrix = plain()
    total = matrix.sum(1, keepdim=True)
    assert torch.allclose(rows(), torch.where(total > 0, matrix / total, 0.0))
    assert bool((matrix >= 0).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("normalize", [None, "row"])
@pytest.mark.parametrize("bandwidth", [None, 299])
@pytest.mark.parametrize("init", ["temporal", "lazy"])
def test_starts_hold_neither_zeros_nor_denormal_numbers(init, bandwidth, normalize, dtype):
    adjacency = LearnableAdjacency(300, init=init, bandwidth=bandwidth, normalize=normalize).to(dtype)
    adjacency.reset_parameters()
    assert float(adjacency.weight.min()) >= torch.finfo(dtype).tiny
    if dtype != torch.float16:
        assert float(adjacency().min()) >= torch.finfo(dtype).tiny


def test_every_pair_of_frames_of_the_default_learns():
    torch.manual_seed(0)
    adjacency = LearnableAdjacency(120, init="lazy", normalize="present")
    before = adjacency.weight.detach().clone()
    x, direction = torch.randn(120, 8), torch.randn(120, 8)
    (adjacency.graph().aggregate(x) * direction).sum().backward()
    torch.optim.Adam(adjacency.parameters(), 0.01).step()
    assert bool((adjacency.weight != before).all())


@pytest.mark.parametrize("value", [2e38, 1e30, 1.0, 1e-30, 2e-38])
@pytest.mark.parametrize("bandwidth", [None, 3])
def test_rows_of_any_normal_size_are_averages(value, bandwidth):
    start = torch.full((4, 4), value)
    adjacency = LearnableAdjacency(4, init=start, bandwidth=bandwidth, normalize="row")
    assert torch.equal(adjacency(), torch.full((4, 4), 0.25))
    (adjacency() * torch.arange(4.0)).sum().backward()
    expected = (torch.arange(4.0) - 1.5).double() / (4 * start.double())
    expected = expected.clamp(-torch.finfo().max, torch.finfo().max)
    grad = adjacency.weight.grad
    if bandwidth is not None:  # the band has places outside the matrix
        grad = torch.stack([grad[i, 3 - i : 7 - i] for i in range(4)])
    assert torch.allclose(grad.double(), expected, rtol=1e-5, atol=0)


def test_rows_too_small_for_a_gradient_count_as_empty():
    adjacency = LearnableAdjacency(3, init=torch.full((3, 3), 4e-40), normalize="row")
    (adjacency() * torch.arange(3.0)).sum().backward()
    assert bool(adjacency.weight.grad.isfinite().all())
    assert float(adjacency().max()) < 1e-39


@pytest.mark.parametrize("bandwidth", [None, 3])
def test_rows_average_whoever_is_present_as_if_nobody_else_had_ever_been_there(bandwidth):
    torch.manual_seed(0)
    adjacency = LearnableAdjacency(9, init="uniform", bandwidth=bandwidth, normalize="present").double()
    left = torch.tensor([0, 1, 4, 8])
    mask = torch.zeros(9, dtype=torch.bool).index_fill(0, left, True)
    x = torch.randn(9, 2).double()
    weights = torch.relu(LearnableAdjacency.from_dense(adjacency().detach()).weight)[left][:, left]
    expected = weights / weights.sum(1, keepdim=True) @ x[left]
    assert torch.allclose(adjacency.graph(mask=mask).aggregate(x)[left], expected)
    assert not torch.allclose(LearnableAdjacency.from_dense(adjacency()).graph(mask=mask).aggregate(x)[left], expected)


def test_sequences_that_lack_nothing_are_averaged_to_the_last_digit_as_ever():
    torch.manual_seed(0)
    row, present = (LearnableAdjacency(50, init="uniform", normalize=name) for name in ("row", "present"))
    present.load_state_dict(row.state_dict())
    x, mask = torch.randn(3, 50, 4), torch.ones(3, 50, dtype=torch.bool)
    mask[1, 20:] = False
    whole = row.graph(mask=mask).aggregate(x)
    found = present.graph(mask=mask).aggregate(x)
    assert torch.equal(found[[0, 2]], whole[[0, 2]])
    assert not torch.allclose(found[1], whole[1])


def test_frames_far_from_all_that_are_present_spoil_no_gradient():
    adjacency = LearnableAdjacency(120, init="lazy", normalize="present")
    x = torch.randn(120, 2, requires_grad=True)
    adjacency.graph(mask=torch.arange(120) < 2).aggregate(x).square().sum().backward()
    assert bool(adjacency.weight.grad.isfinite().all())
    assert bool(x.grad.isfinite().all())
    assert float(adjacency.weight.grad.abs().sum()) > 0


def test_nobody_is_averaged_where_no_neighbour_is_present():
    adjacency = LearnableAdjacency(2, init=torch.tensor([[0.0, 1.0], [1.0, 1.0]]), normalize="present")
    mask = torch.tensor([True, False])
    assert adjacency.graph(mask=mask).aggregate(torch.ones(2, 1)).tolist() == [[0.0], [0.0]]


def test_a_symmetric_adjacency_stores_each_pair_once():
    torch.manual_seed(0)
    adjacency = LearnableAdjacency(6, symmetric=True)
    assert adjacency.weight.numel() == 21
    assert torch.equal(adjacency(), adjacency().T)
    banded = LearnableAdjacency(6, symmetric=True, bandwidth=2)
    assert banded.weight.numel() == 18
    assert torch.equal(banded(), banded().T)
    matrix = torch.rand(6, 6)
    matrix = matrix + matrix.T
    assert torch.equal(LearnableAdjacency(6, init=matrix, symmetric=True)(), matrix)


@pytest.mark.parametrize("bandwidth", [0, 1, 3, 5, 8])
def test_a_band_holds_what_its_matrix_holds(bandwidth):
    torch.manual_seed(0)
    index = torch.arange(6)
    matrix = torch.randn(6, 6).masked_fill((index - index[:, None]).abs() > bandwidth, 0)
    banded = LearnableAdjacency.from_dense(matrix, bandwidth=bandwidth)
    assert banded.weight.numel() == 6 * (2 * bandwidth + 1)
    assert torch.equal(banded(), matrix.relu())
    num_edges = int((matrix > 0).sum())
    edge_index, edge_weight = banded.edges()
    assert torch.equal(to_dense_adj(edge_index, edge_attr=edge_weight, max_num_nodes=6)[0].T, matrix.relu())
    assert edge_index.size(1) == num_edges


def test_from_dense_keeps_the_dtype():
    matrix = torch.rand(4, 4, dtype=torch.float64)
    assert torch.equal(LearnableAdjacency.from_dense(matrix)(), matrix)


@pytest.mark.parametrize("bandwidth", [None, 4])
def test_edges_of_flat_sequences_connect_their_own_frames_only(bandwidth):
    torch.manual_seed(0)
    adjacency = LearnableAdjacency(5, bandwidth=bandwidth)
    frame, batch = torch.tensor([4, 0, 2, 2, 1]), torch.tensor([0, 0, 0, 1, 1])
    A = adjacency()
    expected = {
        (j, i): float(A[frame[i], frame[j]].detach())
        for i in range(5)
        for j in range(5)
        if batch[i] == batch[j] and A[frame[i], frame[j]] > 0.5
    }
    edge_index, edge_weight = adjacency.edges(frame, batch, threshold=0.5)
    actual = {(int(j), int(i)): float(w.detach()) for (j, i), w in zip(edge_index.T, edge_weight, strict=True)}
    assert actual == expected
    assert expected
    alone, _ = adjacency.edges(frame[:3], threshold=0.5)
    assert {(int(j), int(i)) for j, i in alone.T} == {pair for pair in expected if max(pair) < 3}


def test_edges_without_sequences_to_lie_on_are_empty():
    edge_index, edge_weight = LearnableAdjacency(5, init=torch.full((5, 5), -1.0)).edges(
        torch.arange(3), torch.zeros(3).long()
    )
    assert edge_index.shape == (2, 0)
    assert edge_weight.shape == (0,)


def test_a_start_is_a_copy():
    source = torch.rand(3, 3)
    adjacency = LearnableAdjacency(3, init=source)
    before = source.clone()
    source.zero_()
    with torch.no_grad():
        adjacency.weight.zero_()
    adjacency.reset_parameters()
    assert torch.equal(adjacency.weight, before)
    copy.deepcopy(LearnableAdjacency(3, init=torch.rand(3, 3, requires_grad=True) * 2))


def test_absent_nodes_get_no_edges():
    adjacency = LearnableAdjacency(3, init=torch.ones(3, 3))
    edge_index, _ = adjacency.edges(torch.tensor([0, 2, 0]), mask=torch.tensor([True, True, False]))
    assert {tuple(edge) for edge in edge_index.T.tolist()} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_graph_is_never_cached():
    adjacency = LearnableAdjacency(3, init=torch.ones(3, 3))
    before = adjacency.graph().adj
    with torch.no_grad():
        adjacency.weight.zero_()
    assert float(before.sum()) == 9
    assert float(adjacency.graph().adj.sum()) == 0


def test_long_bands_need_no_matrix():
    adjacency = LearnableAdjacency(100_000, init="temporal", bandwidth=2)
    out = adjacency.graph().aggregate(torch.ones(100_000, 1))
    assert float(out[50_000]) == pytest.approx(float(adjacency.weight[0].sum()), rel=1e-6)


@pytest.mark.parametrize("symmetric", [True, False])
def test_edges_of_a_band_end_with_the_sequences(symmetric):
    adjacency = LearnableAdjacency(9, init="uniform", bandwidth=2, symmetric=symmetric)
    frame, batch = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([0, 0, 0, 1, 1])
    edge_index, edge_weight = adjacency.edges(frame, batch)
    found = torch.zeros(5, 5).index_put((edge_index[1], edge_index[0]), edge_weight)
    expected = torch.block_diag(adjacency()[:3, :3], adjacency()[:2, :2])
    assert torch.equal(found, expected)
