"""The layers of a folded network in few operations, held to the layers called one by one."""

from copy import deepcopy

import pytest
import torch
from torch.nn import Linear
from torch_geometric.explain.algorithm.utils import set_masks

from lgrin import LGrIN
from lgrin.models import fold
from lgrin.models.frozen import frozen_layers
from lgrin.nn import GraphInception, LearnableAdjacency, fused

OPTIONS = [
    {},
    {"branch_channels": (4,), "num_layers": 3, "input_norm": "both"},
    {"branch_channels": (2, 3, 1), "norm": None, "adjacency": {"init": "normal", "topk": 2}},
    {"branch_channels": (1, 1), "adjacency": {"init": "uniform", "normalize": "sym", "symmetric": True}},
]
OTHERS = [
    {"norm": "layer_norm"},
    {"neighborhood": "line"},
    {"self_features": True},
    {"adjacency": {"heads": 2}},
    {"adjacency": {"bandwidth": 2}},
    {"num_layers": 1, "adjacency": {"name": "AttentionAdjacency"}, "neighborhood": "line"},
]


def network(**options):
    torch.manual_seed(0)
    model = LGrIN(3, 6, 2, **{"branch_channels": (4, 2), **options}).double()
    for _ in range(3):
        model(torch.randn(8, 6, 3).double() * 2 + 1)
    return fold(model)


def sequences():
    return torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(1)).double()


def one_by_one(folded, x, **place):
    with fused.disabled():
        return folded(x, **place)


@pytest.fixture
def calls(monkeypatch):
    """Which calls of inception layers there were."""
    made, forward = [], GraphInception.forward
    monkeypatch.setattr(GraphInception, "forward", lambda *given: made.append(1) or forward(*given))
    return made


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_results_are_those_of_the_layers_and_no_layer_is_called(options, calls):
    folded, x = network(**options), sequences()
    calls.clear()
    expected = one_by_one(folded, x)
    assert len(calls) == len(folded.layers)
    calls.clear()
    for _ in range(2):
        torch.testing.assert_close(folded(x), expected, rtol=1e-12, atol=1e-12)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), expected, rtol=1e-12, atol=1e-12)
    assert not calls
    graph = folded(x, return_graph=True)[1]
    torch.testing.assert_close(graph.matrix(), folded.adjacency())
    alone = folded.embed_nodes(x[0])
    torch.testing.assert_close(folded.embed_nodes(x)[0], alone, rtol=1e-12, atol=1e-12)


def test_nan_and_infinity_pass_as_through_the_layers():
    folded, x = network(), sequences()
    x[0, 2, 1], x[1, 3, 0] = torch.nan, torch.inf
    torch.testing.assert_close(folded(x), one_by_one(folded, x), equal_nan=True)


@pytest.mark.parametrize("options", OTHERS, ids=str)
def test_layers_of_other_kinds_are_called(options):
    folded, x = network(**options), sequences()
    torch.testing.assert_close(folded(x), one_by_one(folded, x))
    assert frozen_layers(folded, x) is None


def test_layers_are_called_for_gradients_missing_frames_flat_nodes_and_other_graphs(calls):
    folded, x = network(), sequences()
    calls.clear()
    torch.testing.assert_close(folded(x.clone().requires_grad_()), folded(x))
    mask = torch.ones(5, 6, dtype=torch.bool)
    batch = torch.arange(5).repeat_interleave(6)
    for given, place in ((x, {"mask": mask}), (x.flatten(0, 1), {"batch": batch})):
        torch.testing.assert_close(folded(given, **place), folded(x))
    torch.testing.assert_close(folded(x, folded.adjacency()), folded(x))
    assert len(calls) == 2 * 4


def test_a_model_that_was_not_folded_is_called(calls):
    model = LGrIN(3, 6, 2).eval()
    with torch.no_grad():
        model(torch.rand(1, 6, 3))
    assert len(calls) == 2


def weight(folded):
    with torch.no_grad():
        folded.layers[1].branches[0].lins[0].weight.mul_(2)


def edges(folded):
    folded.adjacency.weight.data = folded.adjacency.weight.data.roll(1, 0)


def part(folded):
    torch.manual_seed(1)
    folded.layers[0].branches[1].lins[1] = Linear(2, 2).double().requires_grad_(False)


def adjacency(folded):
    folded.adjacency = LearnableAdjacency(6, init="uniform").double().requires_grad_(False)


def loaded(folded):
    state = {name: value + 0.1 for name, value in folded.state_dict().items()}
    folded.load_state_dict(state)


@pytest.mark.parametrize("change", [weight, edges, part, adjacency, loaded])
def test_a_change_is_noticed(change):
    folded, x = network(), sequences()
    before, copy = folded(x), deepcopy(folded)
    change(folded)
    torch.testing.assert_close(folded(x), one_by_one(folded, x), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(folded(x), before)
    torch.testing.assert_close(copy(x), before)


WATCHED = {
    "layer": lambda folded: folded.layers[0],
    "branch": lambda folded: folded.layers[1].branches[0],
    "linear": lambda folded: folded.layers[0].branches[1].lins[1],
    "act": lambda folded: folded.layers[0].branches[1].act,
    "adjacency": lambda folded: folded.adjacency,
}


@pytest.mark.parametrize("name", WATCHED)
def test_hooks_and_other_forwards_are_called_and_forgotten_when_they_are_gone(name):
    folded, x = network(), sequences()
    before, module = folded(x), WATCHED[name](folded)
    handle = module.register_forward_hook(lambda module, inputs, output: 2 * output)
    changed = folded(x)
    assert not torch.allclose(changed, before)
    handle.remove()
    assert torch.equal(folded(x), before)
    forward = type(module).forward
    module.forward = lambda *given: 2 * forward(module, *given)
    torch.testing.assert_close(folded(x), changed)
    del module.forward
    assert torch.equal(folded(x), before)


def test_an_explanation_reaches_the_layers():
    folded, x = network(), sequences()
    folded(x)
    edge_index, _ = folded.adjacency.edges()
    set_masks(folded, torch.full((edge_index.size(1),), -9.0, requires_grad=True), edge_index)
    with pytest.raises(ValueError, match="an explanation with edge masks needs an edge list"):
        folded(x)
