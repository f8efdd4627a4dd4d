import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import KINDS, sequences

from lgrin import LGrIN
from lgrin.models import fold
from lgrin.nn import GStarConv, LearnableAdjacency, MaskedBatchNorm


@settings(deadline=None, max_examples=30)
@given(
    data=sequences(),
    kind=st.sampled_from(KINDS),
    normalize=st.sampled_from([None, "row", "present"]),
    symmetric=st.booleans(),
    input_norm=st.sampled_from([True, "both"]),
)
def test_a_folded_model_gives_what_the_model_gives_in_every_layout(data, kind, normalize, symmetric, input_norm):
    weight = (data.weight + data.weight.T) / 2 if symmetric else data.weight
    adjacency = LearnableAdjacency.from_dense(
        weight, bandwidth=data.bandwidth if "banded" in kind else None, normalize=normalize, symmetric=symmetric
    )
    options = {"branch_channels": (4, 2), "input_norm": input_norm}
    model = LGrIN(3, data.num_nodes, 2, adjacency=adjacency, **options).double()
    for _ in range(3):
        model(torch.randn(8, data.num_nodes, 3).double() * 2 + 1)
    model.eval()
    folded = fold(model)
    x, graph, place = data.inputs(kind, model.adjacency)
    if "edges" in kind:
        edges = (graph[0], graph[1])
        expected, found = (one(x, *edges, **place) for one in (model, folded))
    else:
        expected, found = model(x, **place), folded(x, **place)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_nothing_of_training_is_left_and_the_model_is_untouched():
    model = LGrIN(3, 5, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold(model)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not folded.training
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert [name for name, one in folded.named_modules() if isinstance(one, MaskedBatchNorm)] == ["input_norm"]
    assert folded.config is None


@pytest.mark.parametrize("norm", [None, "layer_norm"])
def test_other_norms_stay(norm):
    conv = GStarConv(3, 4, norm=norm).eval()
    x, adj = torch.randn(2, 5, 3), torch.rand(5, 5)
    assert torch.equal(fold(conv)(x, adj), conv(x, adj))


def test_a_norm_without_parameters_folds():
    conv = GStarConv(3, 4)
    conv.norms[0] = MaskedBatchNorm(4, affine=False)
    x, adj = torch.randn(2, 5, 3), torch.rand(5, 5)
    conv(x * 3, adj)
    assert torch.allclose(fold(conv)(x, adj), conv.eval()(x, adj), atol=1e-5)
