import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from layouts import KINDS, can_hold, sequences
from torch.nn import BatchNorm1d, Identity, LayerNorm, Linear, Module
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from lgrin import LGrIN
from lgrin.models import fold
from lgrin.nn import GraphInception, GraphReadout, GStarConv, LearnableAdjacency, MaskedBatchNorm


@settings(deadline=None, max_examples=30)
@given(
    data=sequences(),
    kind=st.sampled_from(KINDS),
    normalize=st.sampled_from([None, "row", "present"]),
    symmetric=st.booleans(),
    input_norm=st.sampled_from([True, "both"]),
)
def test_a_folded_model_gives_what_the_model_gives_in_every_layout(data, kind, normalize, symmetric, input_norm):
    assume(can_hold(kind, normalize))
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
    expected, found = (data.run(one, kind, model.adjacency) for one in (model, folded))
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


def pruned_twice(lin):
    prune.random_unstructured(lin, "weight", 0.4)
    prune.l1_unstructured(lin, "weight", 0.3)
    prune.random_unstructured(lin, "bias", 0.5)


def without_bias(lin):
    lin.bias = None


CHANGES = {
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "old weight norm": weight_norm,
    "old spectral norm": spectral_norm,
    "pruned": pruned_twice,
    "old weight norm, pruned": lambda lin: prune.random_unstructured(weight_norm(lin), "bias", 0.5),
    "no bias": without_bias,
    "backward hook": lambda lin: lin.register_full_backward_hook(lambda *_: None),
}


def trained(model, x, steps=3):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 1, 0])).backward()
        optimizer.step()
    return model


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("after", ["train", "eval"])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("change", CHANGES)
def test_reparametrised_layers_fold_to_what_they_compute(change, layer, after):
    torch.manual_seed(0)
    model, x = LGrIN(3, 6, 2, branch_channels=(4, 2), dropout=0.0), torch.randn(4, 6, 3)
    CHANGES[change](model.layers[0].branches[0].lins[layer])
    CHANGES[change](model.layers[1].branches[1].lins[layer])
    trained(model, x * 3 + 1)
    if after == "eval":
        model.eval()(x)
    folded = fold(model)
    torch.testing.assert_close(folded(x), model.eval()(x), rtol=1e-4, atol=1e-5)
    assert type(folded.layers[0].branches[0].lins[layer]) is Linear
    assert not folded.layers[0].branches[0].lins[layer]._forward_pre_hooks
    assert [name for name, one in folded.named_modules() if isinstance(one, MaskedBatchNorm)] == ["input_norm"]


@pytest.mark.parametrize("change", ["weight norm", "pruned"])
def test_reparametrised_norms_fold_to_what_they_compute(change):
    torch.manual_seed(0)
    model, x = LGrIN(3, 6, 2, branch_channels=(4, 2), dropout=0.0), torch.randn(4, 6, 3)
    for norm in model.layers[0].branches[0].norms:
        norm.weight.data.normal_()
        if change == "pruned":
            pruned_twice(norm)
        else:
            parametrizations.weight_norm(norm, dim=None)
    trained(model, x)
    torch.testing.assert_close(fold(model)(x), model.eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bandwidth", [None, 2])
@pytest.mark.parametrize("change", ["spectral norm", "pruned", "hooked"])
def test_reparametrised_and_hooked_adjacencies_fold_to_what_they_compute(change, bandwidth):
    torch.manual_seed(0)
    adjacency = LearnableAdjacency(6, init="uniform", normalize="present", bandwidth=bandwidth)
    model, x = LGrIN(3, 6, 2, adjacency=adjacency, dropout=0.0), torch.randn(4, 6, 3)
    if change == "spectral norm":
        parametrizations.spectral_norm(adjacency)
    elif change == "pruned":
        prune.random_unstructured(adjacency, "weight", 0.5)
    else:
        adjacency.register_forward_hook(lambda module, inputs, output: output / 2)
    trained(model, x)
    mask = torch.rand(4, 6) > 0.3
    torch.testing.assert_close(fold(model)(x, mask=mask), model.eval()(x, mask=mask), rtol=1e-4, atol=1e-5)


def test_a_readout_alone_folds_to_a_copy():
    readout, x = GraphReadout(5), torch.rand(2, 5, 3)
    assert torch.equal(fold(readout)(x), readout(x))


def test_a_linear_layer_that_stands_in_two_places_is_folded_in_each():
    torch.manual_seed(0)
    layer, x, adj = GraphInception(3, (4, 4)), torch.randn(2, 5, 3), torch.rand(5, 5)
    layer.branches[1].lins[1] = layer.branches[0].lins[1]
    layer.branches[1].lins[0].weight = layer.branches[0].lins[0].weight
    layer.branches[0].norms[0].running_var.fill_(4.0)
    layer.branches[1].norms[1].running_mean.fill_(2.0)
    expected = layer.eval()(x, adj)
    torch.testing.assert_close(fold(layer)(x, adj), expected)


def test_what_can_be_folded_is_folded_beside_other_norms():
    torch.manual_seed(0)
    conv, x, adj = GStarConv(3, 4), torch.randn(2, 5, 3), torch.rand(5, 5)
    conv.norms[1] = LayerNorm(4)
    conv(x, adj)
    folded = fold(conv)
    torch.testing.assert_close(folded(x, adj), conv.eval()(x, adj))
    assert [type(norm) for norm in folded.norms] == [Identity, LayerNorm]


class Twice(Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class NormLast(GStarConv):
    def apply_norm(self, layer, x, mask=None):
        return 2 * super().apply_norm(layer, x, mask)


class OwnNorm(MaskedBatchNorm):
    def forward(self, x, mask=None):
        return 2 * super().forward(x, mask)


def quantised(conv):
    conv.lins[1] = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(conv.lins[1].eval()), {Linear})[0]


def patched(conv):
    conv.lins[1].forward = lambda x: x


REFUSED = {
    "quantised": (quantised, "lins.1 is a torch.ao.nn.quantized.dynamic.modules.linear.Linear"),
    "subclass": (lambda conv: conv.lins.__setitem__(1, Twice(4, 4)), "lins.1 is a .*Twice"),
    "wrapped": (lambda conv: conv.lins.__setitem__(1, torch.nn.Sequential(Linear(4, 4))), "lins.1 is a .*Sequential"),
    "hook": (lambda conv: conv.lins[1].register_forward_hook(lambda *_: None), "lins.1 has hooks"),
    "pre-hook": (lambda conv: conv.lins[1].register_forward_pre_hook(lambda *_: None), "lins.1 has hooks"),
    "patched": (patched, "lins.1 has hooks"),
    "norm hook": (lambda conv: conv.norms[0].register_forward_hook(lambda *_: None), "norms.0 has hooks"),
    "own norm": (lambda conv: conv.norms.__setitem__(0, OwnNorm(4)), "norms.0 is a .*OwnNorm"),
    "batch norm": (lambda conv: conv.norms.__setitem__(0, BatchNorm1d(4)), "norms.0 is a BatchNorm1d"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", REFUSED)
def test_what_cannot_be_folded_exactly_is_refused_by_name(change):
    model = LGrIN(3, 6, 2, branch_channels=(4, 2))
    apply, message = REFUSED[change]
    apply(model.layers[1].branches[0])
    with pytest.raises(TypeError, match=f"^layers.1.branches.0.{message}"):
        fold(model)


def test_a_convolution_with_a_computation_of_its_own_is_refused():
    holder = Module()
    holder.conv = NormLast(3, 4)
    with pytest.raises(TypeError, match=r"^conv is a NormLast with a computation of its own"):
        fold(holder)


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers_without_norms_stay():
    torch.manual_seed(0)
    model, x = LGrIN(3, 6, 2, norm=None).eval(), torch.randn(4, 6, 3)
    quantised = torch.ao.quantization.quantize_dynamic(model, {Linear})
    assert torch.equal(fold(quantised)(x), quantised(x))
