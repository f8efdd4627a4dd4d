import numpy as np
import pytest
import reference
import torch

from lgrin import LGrIN
from lgrin.graph import DenseGraph
from lgrin.nn import GraphInception, LearnableAdjacency, LearnablePool, LGrINLoss, StructureLoss, structure_loss
from lgrin.nn.loss import _list_modules


@pytest.mark.parametrize("num_nodes", [1, 7, 90, 120])
def test_structure_loss_equals_equations_8_and_9(num_nodes):
    A = torch.rand(num_nodes, num_nodes, dtype=torch.float64)
    expected = reference.graph_loss(A.numpy(), np.zeros(1), 0.3, 0.7, 0.0)
    assert float(structure_loss(A, 0.3, 0.7)) == pytest.approx(expected, rel=1e-10)
    assert float(StructureLoss(0.3, 0.7, "mean")(A)) == pytest.approx(expected / num_nodes**2, rel=1e-10)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_band_costs_what_its_matrix_costs(reduction):
    torch.manual_seed(0)
    adjacency = LearnableAdjacency(9, bandwidth=3).double()
    assert torch.allclose(
        structure_loss(adjacency.graph(), reduction=reduction), structure_loss(adjacency(), reduction=reduction)
    )


def test_every_adjacency_and_pool_of_any_model_is_priced_once():
    torch.manual_seed(0)
    shared = LearnableAdjacency(5)
    model = torch.nn.ModuleDict(
        {"one": shared, "again": shared, "two": LearnableAdjacency(5, bandwidth=1), "pool": LearnablePool(5, "xavier")}
    )
    model["layer"] = GraphInception(3, (4,))
    expected = sum(float(structure_loss(model[name]())) for name in ("one", "two"))
    expected += 1e-4 * float(model["pool"].weight.square().sum())
    assert float(LGrINLoss(8, reduction="sum").penalty(model)) == pytest.approx(expected / 8, rel=1e-6)


def test_modules_are_listed_as_pytorch_lists_them():
    layer = GraphInception(3, (4,))
    model = torch.nn.ModuleDict(
        {"first": layer, "again": torch.nn.Sequential(layer.branches[0], layer), "own": LGrIN(3, 4, 2)}
    )
    model["own"].register_module("nothing", None)
    assert _list_modules(model) == list(model.named_modules())


def test_a_model_without_a_graph_costs_its_cross_entropy():
    logits, target = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    expected = torch.nn.functional.cross_entropy(logits, target)
    assert torch.equal(LGrINLoss(8)(logits, target, torch.nn.Linear(2, 2)), expected)


def test_a_negative_weight_gets_no_gradient_from_the_structure_loss():
    adjacency = LearnableAdjacency(3, init=torch.tensor([[1.0, -1, 1], [1, 1, 1], [-1, 1, 1]]))
    structure_loss(adjacency()).backward()
    assert (adjacency.weight.grad == 0).tolist() == [[False, True, False], [False, False, False], [True, False, False]]


class Learned(torch.nn.Module):
    """An adjacency, and a pool, of a class that the loss does not know."""

    def __init__(self, num_nodes, trained=True):
        super().__init__()
        self.num_nodes = num_nodes
        self.weight = torch.nn.Parameter(torch.rand(num_nodes, num_nodes), requires_grad=trained)

    def forward(self, *args):
        return torch.relu(self.weight)

    def graph(self, frame=None, batch=None, mask=None, batch_size=None):
        return DenseGraph(self(), mask)


class Pool(torch.nn.Module):
    def __init__(self, num_nodes):
        super().__init__()
        self.lin = torch.nn.Linear(num_nodes, 1)

    def forward(self, x, *args):
        return self.lin(x.transpose(1, 2)).squeeze(-1)


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: torch.nn.Sequential(one)])
def test_an_adjacency_whose_price_is_not_known_is_refused(wrap):
    model = LGrIN(3, 5, 2, adjacency=Learned(5))
    logits, target = model(torch.randn(4, 5, 3)), torch.tensor([0, 1, 1, 0])
    with pytest.raises(
        TypeError, match="the adjacency is a Learned, whose structure loss is not known; derive it from"
    ):
        LGrINLoss(9)(logits, target, wrap(model))
    with pytest.raises(TypeError, match="the adjacency is a Learned"):
        LGrINLoss(9)(logits, target, wrap(model.adjacency))
    for price in ("lambda_distance", "lambda_frobenius"):
        with pytest.raises(TypeError, match="the adjacency is a Learned"):
            LGrINLoss(9, **{price: 0.0}).penalty(model)
    alone = LGrINLoss(9, lambda_distance=0.0, lambda_frobenius=0.0, reduction="sum").penalty(model)
    assert float(alone) == pytest.approx(1e-4 * 5 * 0.2**2 / 9)


def test_an_adjacency_that_learns_nothing_or_holds_one_that_is_priced_passes():
    fixed = LGrIN(3, 5, 2, adjacency=Learned(5, trained=False))
    assert float(LGrINLoss(9, lambda_pool=0.0).penalty(fixed)) == 0
    holder = Learned(5, trained=False)
    holder.inner = LearnableAdjacency(5)
    expected = structure_loss(holder.inner(), reduction="mean")
    torch.testing.assert_close(LGrINLoss(9).penalty(holder), expected)


def test_a_pool_whose_price_is_not_known_is_refused():
    model = LGrIN(3, 5, 2)
    model.readout.learned = Pool(5)
    with pytest.raises(TypeError, match="the learned pool is a Pool, whose loss is not known; derive it from"):
        LGrINLoss(9)(model(torch.randn(4, 5, 3)), torch.tensor([0, 1, 1, 0]), model)
    expected = structure_loss(model.adjacency(), reduction="mean")
    torch.testing.assert_close(LGrINLoss(9, lambda_pool=0.0).penalty(model), expected)


def test_a_model_with_an_encoder_takes_an_adjacency_of_any_class():
    class Fixed(torch.nn.Module):
        num_nodes = 5

        def graph(self, frame=None, batch=None, mask=None, batch_size=None):
            return DenseGraph(torch.eye(5), mask)

    model = LGrIN(3, 5, 2, adjacency=Fixed(), encoder=torch.nn.Embedding(7, 3))
    assert model(torch.randint(0, 7, (4, 5))).shape == (4, 2)
