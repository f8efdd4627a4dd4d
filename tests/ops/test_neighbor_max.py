import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lgrin.ops import neighbor_max, neighbor_max_banded, neighbor_max_edges

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
TIES = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45]
SPECIAL = [*TIES, np.inf, -np.inf, 3e38, -3e38]


def by_hand(x, neighbors, mask):
    """The definition, one number at a time: the largest value, the lowest node among equals, nobody gives (0, M)."""
    B, M, F = x.shape
    values, source = np.zeros(x.shape), np.full(x.shape, M)
    for b, i, f in np.ndindex(B, M, F):
        for j in range(M):
            if neighbors[b, i, j] and mask[b, j] and (source[b, i, f] == M or x[b, j, f] > values[b, i, f]):
                values[b, i, f], source[b, i, f] = x[b, j, f], j
    return values, source


@st.composite
def problems(draw):
    B, M, F = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 3))
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    pool = np.array(draw(st.sampled_from([TIES, SPECIAL, random.normal(size=50)])))
    x = torch.tensor(random.choice(pool, size=(B, M, F))).to(draw(st.sampled_from(DTYPES)))
    neighbors = torch.tensor(random.random((B, M, M)) < draw(st.sampled_from([0.0, 0.3, 1.0])))
    mask = torch.tensor(random.random((B, M)) < draw(st.sampled_from([0.5, 1.0])))
    return x, neighbors, mask


def check(result, expected, dtype):
    values, source = result
    assert values.dtype == dtype
    assert np.array_equal(values.double().numpy(), expected[0])
    assert np.array_equal(source.numpy(), expected[1])


@settings(deadline=None, max_examples=150)
@given(problems())
def test_every_way_to_list_neighbors_and_every_kernel_equals_the_definition(problem):
    x, neighbors, mask = problem
    B, M, F = x.shape
    numbers = x.double().numpy()
    expected = by_hand(numbers, neighbors.numpy(), mask.numpy())
    check(neighbor_max(x, neighbors, mask), expected, x.dtype)
    check(neighbor_max._init_fn(x, neighbors, mask), expected, x.dtype)
    graph, target, node = neighbors.nonzero(as_tuple=True)
    order = torch.randperm(len(graph))
    edge_index = (torch.stack([node, target]) + graph * M)[:, order]
    start = (torch.arange(B) * M).view(-1, 1, 1)
    for operator in (neighbor_max_edges, neighbor_max_edges._init_fn):
        values, source = operator(x.flatten(0, 1), edge_index, mask.flatten())
        nobody = source == B * M
        source = (source.view(B, M, F) - start).masked_fill(nobody.view(B, M, F), M)
        check((values.view(x.shape), source), expected, x.dtype)

    shared = neighbors[0]
    expected = by_hand(numbers, shared.expand(B, M, M).numpy(), mask.numpy())
    check(neighbor_max(x, shared, mask), expected, x.dtype)
    check(neighbor_max._init_fn(x, shared, mask), expected, x.dtype)
    reach = torch.arange(M)[:, None] + torch.arange(-M, M + 1)
    inside = (reach >= 0) & (reach < M)
    band = shared.gather(1, reach.clamp(0, M - 1)) | ~inside  # what lies outside is ignored
    check(neighbor_max_banded(x, band, mask), expected, x.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_counts_as_largest_in_every_kernel(dtype):
    x = torch.tensor([1.0, torch.nan, 2.0, torch.nan]).view(1, 4, 1).to(dtype)
    full = torch.ones(4, 4, dtype=torch.bool)
    edge_index = full.nonzero().T
    for values, source in (
        neighbor_max(x, full),
        neighbor_max._init_fn(x, full),
        neighbor_max_banded(x, torch.ones(4, 9, dtype=torch.bool)),
        neighbor_max_edges(x[0], edge_index),
        neighbor_max_edges._init_fn(x[0], edge_index),
    ):
        assert values.isnan().all()
        assert (source == 1).all()


@pytest.mark.parametrize("masked", [True, False])
def test_operators_are_registered_whole(masked):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 3, requires_grad=True)
    mask = torch.rand(2, 4) > 0.3 if masked else None
    dense, band = torch.rand(4, 4) > 0.5, torch.rand(4, 3) > 0.3
    torch.library.opcheck(neighbor_max, (x, dense, mask))
    torch.library.opcheck(neighbor_max, (x, torch.rand(2, 4, 4) > 0.5, mask))
    torch.library.opcheck(neighbor_max_banded, (x, band, mask))
    across = torch.randn(2, 3, 4, requires_grad=True).transpose(1, 2)
    torch.library.opcheck(neighbor_max, (across, dense, mask))
    torch.library.opcheck(neighbor_max, (across, torch.zeros(4, 4, dtype=torch.bool), mask))
    torch.library.opcheck(neighbor_max_banded, (across, band, mask))
    torch.library.opcheck(neighbor_max_edges, (torch.randn(3, 5, requires_grad=True).T, torch.tensor([[0], [1]])))
    flat = torch.randn(5, 3, requires_grad=True)
    edge_index = torch.tensor([[0, 1, 4], [1, 1, 0]])
    torch.library.opcheck(neighbor_max_edges, (flat, edge_index, torch.rand(5) > 0.3 if masked else None))
    torch.library.opcheck(neighbor_max_edges, (flat, edge_index[:, :0]))


def test_gradient_goes_to_the_source_alone():
    x = torch.tensor([[[1.0], [3.0], [2.0]]], requires_grad=True)
    neighbors = torch.tensor([[True, True, True], [False, False, False], [True, False, True]])
    values, source = neighbor_max(x, neighbors)
    assert source.flatten().tolist() == [1, 3, 2]
    (values * torch.tensor([[[10.0], [100.0], [1000.0]]])).sum().backward()
    assert x.grad.flatten().tolist() == [0, 10, 1000]
