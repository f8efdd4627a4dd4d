"""Graphs from embeddings of the nodes."""

import pytest
import torch

from lgrin import LGrIN
from lgrin.nn import LowRankAdjacency, StructureLoss


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("heads", [1, 3])
def test_it_has_two_embeddings_of_each_node_and_a_matrix_of_their_rank(symmetric, heads):
    torch.manual_seed(0)
    adjacency = LowRankAdjacency(20, rank=3, heads=heads, symmetric=symmetric, nonnegativity=None).double()
    assert sum(weight.numel() for weight in adjacency.parameters()) == (1 if symmetric else 2) * heads * 20 * 3
    A = adjacency().detach()
    assert A.shape == ((heads, 20, 20) if heads > 1 else (20, 20))
    assert set(torch.linalg.matrix_rank(A).flatten().tolist()) == {3}
    assert torch.equal(A, A.mT) == symmetric


def test_starts_are_what_they_say():
    torch.manual_seed(0)
    for rank in (1, 4, 40):
        uniform = LowRankAdjacency(300, rank)().detach()
        assert float(uniform.min()) > 0
        assert float(uniform.mean()) == pytest.approx(0.5, abs=0.05)
        normal = LowRankAdjacency(300, rank, init="normal", nonnegativity=None)().detach()
        assert float(normal.mean()) == pytest.approx(0, abs=0.1)
        assert float(normal.std()) == pytest.approx(1, abs=0.15)


def test_every_embedding_learns_at_the_start():
    torch.manual_seed(0)
    adjacency = LowRankAdjacency(30, 4, normalize="row")
    (adjacency.graph().aggregate(torch.randn(30, 5)) * torch.randn(30, 5)).sum().backward()
    assert all(bool((weight.grad != 0).all()) for weight in adjacency.parameters())


def test_an_edge_that_is_gone_may_come_back_with_the_others_of_its_nodes():
    torch.manual_seed(0)
    adjacency = LowRankAdjacency(8, 2, init="normal")
    absent = adjacency().detach() == 0
    assert 0.3 < float(absent.float().mean()) < 0.7
    optimizer = torch.optim.Adam(adjacency.parameters(), 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        (adjacency() - 1).square().sum().backward()
        optimizer.step()
    assert float((adjacency()[absent] > 0.5).float().mean()) > 0.2


def test_it_is_priced_compared_and_told_apart():
    adjacency = LowRankAdjacency(6, 2)
    torch.testing.assert_close(adjacency.penalty(), StructureLoss(reduction="mean")(adjacency()))
    assert repr(adjacency) == "LowRankAdjacency(6, rank=2)"
    assert repr(LowRankAdjacency(6, 2, heads=3, topk=2)) == "LowRankAdjacency(6, rank=2, heads=3, topk=2)"


def test_a_network_of_full_support_needs_the_strongest_edges_by_name():
    for options in ({"nonnegativity": "softplus"}, {"nonnegativity": None, "init": "normal"}):
        settings = {"name": "LowRankAdjacency", "rank": 2, **options}
        with pytest.raises(ValueError, match=r"a LowRankAdjacency that connects all frames .*'topk'"):
            LGrIN(3, 6, 2, adjacency=settings)
        assert LGrIN(3, 6, 2, adjacency={**settings, "topk": 2})(torch.randn(2, 6, 3)).shape == (2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank is 0; it has to be a whole number, 1 or larger"),
        ({"init": "lazy"}, "init is 'lazy'; it may be 'uniform', 'normal'"),
        ({"nonnegativity": "abs"}, "nonnegativity is 'abs'; it may be"),
        ({"heads": 0}, "heads is 0"),
        ({"topk": 0}, "topk is 0"),
        ({"normalize": "column"}, "normalize is 'column'"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LowRankAdjacency(5, **options)
