"""Losses of graphs: L1 and the distance to a known graph, beside the structure loss."""

import numpy as np
import pytest
import torch

from lgrin.graph import DenseGraph, StationaryGraph
from lgrin.nn import LearnableAdjacency, PriorLoss, SparsityLoss, prior_loss, sparsity_loss, structure_loss

M, K = 5, 3


def weights(*leading):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*leading, M, M, generator=generator, dtype=torch.float64)


def banded(matrix, heads=1):
    return LearnableAdjacency.from_dense(matrix, bandwidth=2, heads=heads, nonnegativity=None).graph()


def near(matrix):
    return matrix.tril(2).triu(-2)


def along(kernel):
    """The matrix of one kernel for all rows, A[i, j] = a[j - i + 2]."""
    diagonals = [kernel[..., d + 2, None].expand(*kernel.shape[:-1], M - abs(d)) for d in range(-2, 3)]
    return sum(torch.diag_embed(one, d) for d, one in zip(range(-2, 3), diagonals, strict=True))


GRAPHS = {
    "matrix": (weights(), weights()),
    "dense": (DenseGraph(weights()), weights()),
    "heads": (DenseGraph(weights(1, K)), weights(1, K)),
    "one for each sequence": (DenseGraph(weights(4)), weights(4)),
    "heads for each sequence": (DenseGraph(weights(4, K)), weights(4, K)),
    "banded": (banded(near(weights())), near(weights())),
    "stationary": (StationaryGraph(weights()[0], M), along(weights()[0])),
    "stationary heads": (StationaryGraph(weights()[:K], M), along(weights()[:K])),
    "banded heads": (banded(near(weights(K)), K), near(weights(K))),
}


def shape_of(name):
    sequences, heads = (4 if "sequence" in name else 1), (K if "heads" in name else 1)
    return sequences, heads


@pytest.mark.parametrize("name", GRAPHS)
def test_the_price_of_weight_adds_up_absolute_entries(name):
    (graph, entries), (sequences, heads) = GRAPHS[name], shape_of(name)
    expected = np.abs(entries.numpy()).sum() / sequences
    assert float(sparsity_loss(graph).detach()) == pytest.approx(expected)
    assert float(SparsityLoss("mean")(graph).detach()) == pytest.approx(expected / heads / M**2)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("each", [False, True])
def test_the_distance_to_a_prior_counts_every_entry_in_every_layout(name, each):
    (graph, entries), (sequences, heads) = GRAPHS[name], shape_of(name)
    prior = weights(heads) + 1 if each else weights() + 1
    difference = entries.numpy().reshape(sequences, heads, M, M) - prior.numpy().reshape(-1, M, M)
    expected = (difference**2).sum() / sequences
    assert float(prior_loss(graph, prior).detach()) == pytest.approx(expected)
    assert float(PriorLoss(prior, "mean")(graph).detach()) == pytest.approx(expected / heads / M**2)


@pytest.mark.parametrize("bandwidth", [None, 2])
@pytest.mark.parametrize("heads", [1, K])
def test_gradients_are_those_of_float64_numpy(bandwidth, heads):
    start = near(weights(heads)) if heads > 1 else near(weights())
    adjacency = LearnableAdjacency.from_dense(start, bandwidth=bandwidth, heads=heads, nonnegativity=None)
    prior, stored = near(weights()) * 2, near(torch.ones(M, M)).bool()
    (sparsity_loss(adjacency.graph()) + 0.5 * prior_loss(adjacency.graph(), prior)).backward()
    grad = adjacency.weight.grad
    found = grad if bandwidth is None else type(adjacency.graph())(grad).matrix()
    expected = np.sign(start.numpy()) + start.numpy() - prior.numpy()
    np.testing.assert_allclose(found.view(start.shape)[..., stored], expected[..., stored.numpy()], rtol=0, atol=1e-12)
    matrix = weights().requires_grad_()
    assert torch.autograd.gradcheck(sparsity_loss, matrix)
    assert torch.autograd.gradcheck(prior_loss, (matrix, prior.requires_grad_()))


def test_a_prior_may_be_a_graph_and_is_kept_with_a_module():
    prior = LearnableAdjacency.from_dense(near(weights()), bandwidth=2, nonnegativity=None)
    loss = PriorLoss(prior.graph())
    assert float(loss(prior()).detach()) == 0
    assert torch.equal(loss.state_dict()["prior"], near(weights()))
    assert not loss.prior.requires_grad
    assert repr(loss) == "PriorLoss([5, 5], reduction='sum')"


def test_weak_edges_vanish_and_strong_ones_stay_near_the_prior():
    prior = torch.eye(M)
    adjacency = LearnableAdjacency(M, init=0.2 * torch.ones(M, M))
    optimizer = torch.optim.SGD(adjacency.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        (prior_loss(adjacency(), prior) + 0.2 * sparsity_loss(adjacency())).backward()
        optimizer.step()
    torch.testing.assert_close(adjacency(), 0.9 * torch.eye(M), atol=1e-3, rtol=0)


@pytest.mark.parametrize("bandwidth", [None, 2])
def test_losses_compile_whole(bandwidth):
    torch.compiler.reset()
    adjacency, prior = LearnableAdjacency.from_dense(near(weights()), bandwidth=bandwidth), weights()
    price = lambda: sparsity_loss(adjacency.graph()) + prior_loss(adjacency.graph(), prior)  # noqa: E731
    torch.testing.assert_close(torch.compile(price, fullgraph=True, backend="aot_eager")(), price())


@pytest.mark.parametrize("loss", [structure_loss, sparsity_loss, lambda adj, **kw: prior_loss(adj, torch.eye(3), **kw)])
def test_what_is_no_graph_is_refused(loss):
    with pytest.raises(ValueError, match=r"adj has shape \[2, 3\]; it may be \[M, M\]"):
        loss(torch.rand(2, 3))
    with pytest.raises(TypeError, match=r"adj is a list; it may be a tensor \[M, M\]"):
        loss([[1.0]])
    with pytest.raises(ValueError, match=r"reduction is 'none'; it may be 'sum', 'mean'"):
        loss(torch.rand(3, 3), reduction="none")


@pytest.mark.parametrize("prior", [torch.rand(4, 4), torch.rand(2, 5, 5), torch.rand(5)])
def test_a_prior_of_another_size_is_refused(prior):
    with pytest.raises(ValueError, match=r"prior has shape .*; for this graph it has to be \[5, 5\]"):
        prior_loss(weights(), prior)
    with pytest.raises(TypeError, match=r"prior is torch.int64; it has to be a floating tensor"):
        PriorLoss(torch.ones(5, 5).long())
