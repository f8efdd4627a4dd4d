import pytest
import torch
from torch.nn import Linear
from torch.nn.utils import prune

from lgrin import LGrIN
from lgrin.models import fold
from lgrin.nn import GraphInception, GStarConv, MaskedBatchNorm


def test_hooks_on_first_layers_and_norms_are_called():
    layer = GraphInception(3, (4, 2))
    called = []
    for branch in layer.branches:
        branch.lins[0].register_forward_hook(lambda *_: called.append("linear"))
        branch.norms[0].register_forward_hook(lambda *_: called.append("norm"))
    x, adj = torch.randn(2, 5, 3), torch.rand(5, 5)
    watched = layer.eval()(x, adj)
    assert called == ["linear", "linear", "norm", "norm"]
    plain = GraphInception(3, (4, 2)).eval()
    plain.load_state_dict(layer.state_dict())
    assert torch.allclose(watched, plain(x, adj), atol=1e-6)


def test_pruned_layers_train_and_stay_pruned():
    layer = GraphInception(3, (4, 2))
    lin = layer.branches[0].lins[0]
    prune.l1_unstructured(lin, "weight", amount=0.5)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(2, 5, 3), torch.rand(5, 5)).sum().backward()
        optimizer.step()
    layer(torch.randn(2, 5, 3), torch.rand(5, 5))
    assert torch.equal(lin.weight, lin.weight_orig * lin.weight_mask)


@pytest.mark.filterwarnings("ignore")
def test_quantised_models_run():
    torch.manual_seed(0)
    model, x = LGrIN(3, 5, 2).eval(), torch.randn(4, 5, 3)
    quantised = torch.ao.quantization.quantize_dynamic(model, {Linear})
    assert torch.allclose(quantised(x), model(x), atol=0.1)


def test_a_norm_without_a_group_of_processes_is_alone():
    norm, x = MaskedBatchNorm(2), torch.randn(5, 2)
    expected = MaskedBatchNorm(2)(x)
    MaskedBatchNorm.synchronize(norm)
    assert torch.allclose(norm(x), expected, atol=1e-6)


@pytest.mark.parametrize("without", [{0}, {1}, {0, 1}])
@pytest.mark.parametrize("in_channels", [3, 9])
def test_linear_layers_may_lack_a_bias(without, in_channels):
    torch.manual_seed(0)
    layer = GraphInception(in_channels, (4, 2)).eval()
    x, adj = torch.randn(2, 5, in_channels), torch.rand(5, 5)
    for index in without:
        for lin in layer.branches[index].lins:
            torch.nn.init.zeros_(lin.bias)
    expected = layer(x, adj)
    for index in without:
        for lin in layer.branches[index].lins:
            lin.bias = None
    torch.testing.assert_close(layer(x, adj), expected)
    torch.testing.assert_close(fold(layer)(x, adj), expected)
    layer.reset_parameters()


def test_a_head_may_lack_a_bias():
    model = LGrIN(3, 5, 2)
    model.head[-1].bias = None
    model.reset_parameters()
    assert model(torch.randn(2, 5, 3)).shape == (2, 2)


def test_a_setting_of_a_subclass_may_have_the_name_of_an_old_method():
    kind = type("Conv", (GStarConv,), {"normalize": True})
    assert kind(3, 4).normalize


@pytest.mark.parametrize("name", ["normalize", "finish"])
def test_a_subclass_that_defines_a_method_of_before_is_refused(name):
    with pytest.raises(TypeError, match=rf"Own defines {name}, which is .* since lgrin 0\.2\.0"):
        type("Own", (GStarConv,), {name: lambda self, *args: None})


def test_a_layer_that_was_pickled_before_there_were_heads_computes_as_then():
    layer, x, adj = GraphInception(3, (4, 2)).eval(), torch.randn(2, 5, 3), torch.rand(5, 5)
    expected = layer(x, adj)
    for part in (layer, *layer.branches):
        for name in ("heads", "self_features"):
            vars(part).pop(name, None)
    assert torch.equal(layer(x, adj), expected)


def test_without_activation_and_norm_a_layer_is_linear_and_may_be_an_output():
    conv, x, adj = GStarConv(3, 1, num_layers=1, act=None, norm=None), torch.randn(7, 5, 3), torch.rand(5, 5)
    out = conv(x, adj)
    torch.testing.assert_close(out, adj @ x @ conv.lins[0].weight.T + conv.lins[0].bias)
    assert out.min() < 0
    torch.testing.assert_close(fold(conv.eval())(x, adj), out)
    assert GStarConv(3, 1)(x, adj).min() == 0, "it ends in ReLU by default"
