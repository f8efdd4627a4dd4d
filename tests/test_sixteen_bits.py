"""16-bit floats: what can be represented is right, whatever the sums on the way to it, against float64."""

import pytest
import torch

from lgrin.graph import EdgeList
from lgrin.nn import (
    GraphReadout,
    GStarConv,
    LearnableAdjacency,
    LearnablePool,
    LGrINLoss,
    MaskedBatchNorm,
    MaskedInstanceNorm,
)

HALVES = {torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
LAYOUTS = ["dense", "dense with absent nodes", "ragged", "ragged with absent nodes"]


def laid_out(values, layout):
    """Sequences ``[B, M, F]`` in a layout, and the mask or places that belong to them."""
    batch_size, num_nodes = values.shape[:2]
    batch = torch.arange(batch_size).repeat_interleave(num_nodes)
    frame = torch.arange(num_nodes).repeat(batch_size)
    mask = torch.ones(batch_size, num_nodes, dtype=torch.bool)
    mask[:, 1::7] = "absent" not in layout
    x = values.masked_fill(~mask.unsqueeze(-1), torch.nan)
    if "dense" in layout:
        return x, {"mask": mask} if "absent" in layout else {}
    place = {"frame": frame, "batch": batch, "batch_size": batch_size}
    return x.flatten(0, 1), {**place, "mask": mask.flatten()} if "absent" in layout else place


def assert_close(found, expected, dtype):
    assert found.dtype == dtype
    assert expected.abs().max() < torch.finfo(dtype).max
    worst = (found.detach().double() - expected.detach()).abs().max()
    assert float(worst) <= HALVES[dtype] * float(expected.detach().abs().max())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("level", [1.0, 30_000.0])
def test_means_and_pools_of_large_numbers_are_those_of_float64(level, dtype, layout):
    torch.manual_seed(0)
    x, place = laid_out((level * (1 + 0.5 * torch.rand(3, 200, 4))).to(dtype), layout)
    readout = GraphReadout(200, ("max", "learned", "mean")).to(dtype)
    with torch.no_grad():
        readout.learned.weight[::2] *= -1  # what is added cancels
    expected = GraphReadout(200, ("max", "learned", "mean")).double()
    expected.load_state_dict(readout.state_dict())
    assert_close(readout(x, **place), expected(x.double(), **place), dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", HALVES)
def test_pools_whose_terms_cannot_be_represented_but_whose_sum_can(dtype, layout):
    values = torch.full((2, 4, 1), 40_000.0, dtype=dtype)
    x, place = laid_out(values, layout.replace(" with absent nodes", ""))
    pool = LearnablePool(4).to(dtype)
    with torch.no_grad():
        pool.weight.copy_(torch.tensor([2.0, -2.0, 3.0, -2.5]))
    assert_close(pool(x, **place), torch.full((2, 1), float(values[0, 0, 0]) / 2, dtype=torch.float64), dtype)
    alternating = values * torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=dtype).view(1, 4, 1)
    x, place = laid_out(alternating, layout.replace(" with absent nodes", ""))
    assert GraphReadout(4, ("sum",))(x, **place).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("level", [0.5, 300.0, 60_000.0])
def test_instance_norm_of_large_numbers_is_that_of_float64(level, dtype, layout):
    torch.manual_seed(0)
    x, place = laid_out((level * (2 * torch.rand(3, 50, 2) - 1)).to(dtype), layout)
    place.pop("frame", None)
    norm = MaskedInstanceNorm(2)
    assert_close(norm(x, **place), norm(x.double(), **place), dtype)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("half_weights", [True, False])
def test_batch_norm_of_large_numbers_is_that_of_float64(half_weights, dtype, masked):
    torch.manual_seed(0)
    x = (300 * torch.randn(40, 30, 2) + 100).to(dtype)
    mask = torch.rand(40, 30) > 0.2 if masked else None
    norm, expected = MaskedBatchNorm(2), MaskedBatchNorm(2).double()
    norm = norm.to(dtype) if half_weights else norm
    out = norm(x, mask)
    assert_close(out, expected(x.double(), mask), dtype)
    for name in ("running_mean", "running_var"):
        assert torch.allclose(getattr(norm, name).double(), getattr(expected, name), rtol=HALVES[dtype], atol=0.1)


@pytest.mark.parametrize("dtype", HALVES)
def test_an_average_of_whoever_is_there_is_that_of_float64(dtype):
    torch.manual_seed(0)
    x, mask = (40_000 + 5_000 * torch.randn(3, 90, 2)).to(dtype), torch.rand(3, 90) > 0.6
    for bandwidth in (None, 30):
        adjacency = LearnableAdjacency(90, init="temporal", normalize="present", bandwidth=bandwidth).to(dtype)
        exact = LearnableAdjacency(90, init="temporal", normalize="present", bandwidth=bandwidth).double()
        exact.load_state_dict(adjacency.state_dict())
        assert_close(adjacency.graph(mask=mask).aggregate(x), exact.graph(mask=mask).aggregate(x.double()), dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_edges_are_weighted_and_added_in_float32(dtype):
    x = torch.full((4, 1), 40_000.0, dtype=dtype)
    edge_index = torch.tensor([[0, 1, 2], [3, 3, 3]])
    graph = EdgeList(edge_index, torch.tensor([2.0, -2.0, 1.0], dtype=dtype))
    assert graph.aggregate(x)[3].item() == x[0].item()
    loud = torch.tensor([60_000.0, 60_000.0, -60_000.0, -60_000.0], dtype=dtype)
    parallel = EdgeList(torch.tensor([[0] * 4, [1] * 4]), loud)  # adds up to 0, so node 0 is no neighbour
    assert parallel.neighbor_max(torch.tensor([[5.0], [1.0], [0.0]], dtype=dtype))[1].item() == 1
    dense = torch.zeros(4, 4, dtype=dtype)
    dense[3, :3] = torch.tensor([2.0, -2.0, 1.0], dtype=dtype)
    torch.manual_seed(0)
    conv = GStarConv(1, 2, norm=None).to(dtype)
    assert torch.equal(conv(x / 1000, dense), conv(x / 1000, edge_index, graph.edge_weight))


def test_the_price_of_a_pool_is_added_in_float32():
    pool = LearnablePool(8).half()
    torch.nn.init.constant_(pool.weight, 300.0)
    assert LGrINLoss(1, lambda_pool=1.0).penalty(pool).item() == 90_000
