import pytest
import torch

from lgrin import LGrIN
from lgrin.nn import (
    GraphInception,
    GraphReadout,
    GStarConv,
    LearnableAdjacency,
    LearnablePool,
    LGrINLoss,
    MaskedBatchNorm,
    structure_loss,
)

KINDS = ("dense", "batched dense", "banded", "ragged", "ragged banded", "edges")


def graph_of(kind):
    """An adjacency, a function that builds its graph, and the shape of the features."""
    mask = torch.tensor([[True, True, False, True], [True, False, True, True]])
    frame, batch = torch.tensor([0, 3, 1, 0, 2]), torch.tensor([0, 0, 0, 1, 1])
    adjacency = LearnableAdjacency(4, bandwidth=3 if "banded" in kind else None).double()
    build = {
        "dense": lambda: (adjacency.graph(mask=mask),),
        "batched dense": lambda: (torch.stack([adjacency(), 2 * adjacency()]), None, mask),
        "banded": lambda: (adjacency.graph(mask=mask),),
        "ragged": lambda: (adjacency.graph(frame, batch, batch_size=2),),
        "ragged banded": lambda: (adjacency.graph(frame, batch, batch_size=2),),
        "edges": lambda: adjacency.edges(frame, batch),
    }[kind]
    return adjacency, build, (5, 3) if "ragged" in kind or kind == "edges" else (2, 4, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["batch_norm", "layer_norm", None])
@pytest.mark.parametrize("make", [lambda **kw: GStarConv(3, 4, **kw), lambda **kw: GraphInception(3, (3, 2), **kw)])
def test_gradients_of_node_layers(kind, norm, make):
    torch.manual_seed(3)
    adjacency, build, shape = graph_of(kind)
    layer = make(norm=norm, act="tanh").double()
    for bias in (p for p in layer.parameters() if p.dim() == 1):
        bias.data.normal_()  # layer norm has a kink where a node hears nobody and all biases are 0
    x = torch.randn(shape).double().requires_grad_()
    inputs = (x, adjacency.weight, *layer.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: layer(x, *build()), inputs)


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize(
    "make", [lambda: LearnablePool(4, "xavier"), lambda: GraphReadout(4, ("max", "learned", "mean", "sum"))]
)
def test_gradients_of_readouts(flat, make):
    torch.manual_seed(0)
    readout = make().double()
    x = torch.randn((5, 3) if flat else (2, 4, 3)).double().requires_grad_()
    place = {"mask": torch.tensor([[True, True, False, True], [True, False, True, True]])}
    if flat:
        place = {"frame": torch.tensor([0, 3, 1, 0, 2]), "batch": torch.tensor([0, 0, 0, 1, 1]), "batch_size": 2}
    assert torch.autograd.gradcheck(lambda x, *_: readout(x, **place), (x, *readout.parameters()))


@pytest.mark.parametrize("options", [{}, {"normalize": "row"}, {"normalize": "present"}, {"symmetric": True}])
@pytest.mark.parametrize("bandwidth", [None, 2])
def test_gradients_of_the_adjacency_and_its_loss(options, bandwidth):
    torch.manual_seed(0)
    adjacency = LearnableAdjacency(4, bandwidth=bandwidth, **options).double()
    graph = adjacency.graph
    assert torch.autograd.gradcheck(lambda _: adjacency(), (adjacency.weight,))
    loss = lambda _: structure_loss(graph() if bandwidth else adjacency(), 0.3, 0.2)  # noqa: E731
    assert torch.autograd.gradcheck(loss, (adjacency.weight,))


def test_gradients_of_masked_batch_norm():
    torch.manual_seed(0)
    norm = MaskedBatchNorm(3).double()
    mask = torch.tensor([True, False, True, True])
    x = torch.randn(4, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: norm(x, mask)[mask], (x, norm.weight, norm.bias))


@pytest.mark.parametrize("kind", ["dense", "banded", "ragged", "ragged banded"])
def test_gradients_of_the_line_neighborhood(kind):
    torch.manual_seed(1)
    _, build, shape = graph_of(kind)
    layer = GraphInception(3, (), neighborhood="line").double()
    x = torch.randn(shape).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x, *build()), (x,))


@pytest.mark.parametrize("options", [{}, {"bandwidth": 2}])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradients_of_the_whole_model_and_its_loss(options, reduction):
    torch.manual_seed(0)
    model = LGrIN(3, 4, 2, branch_channels=(3,), dropout=0.0, head_channels=3, adjacency=options).double()
    loss, target = LGrINLoss(10, reduction=reduction), torch.tensor([0, 1])
    x = torch.randn(2, 4, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: loss(model(x), target, model), (x, *model.parameters()))
