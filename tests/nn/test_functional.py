"""Layers and models under function transforms, in every layout, held to plain backward passes of single samples."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.functional import hessian as reverse_hessian
from torch.autograd.functional import jacobian
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.nn import Module

from lgrin import LGrIN
from lgrin.graph import EdgeList
from lgrin.nn import GraphInception, GraphReadout, GStarConv, LearnableAdjacency, LearnablePool, MaskedInstanceNorm

PADDED = {"mask": torch.tensor([[True, True, False, True], [True, False, True, True]])}
PLACE = {"frame": torch.tensor([0, 3, 1, 0, 2]), "batch": torch.tensor([0, 0, 0, 1, 1]), "batch_size": 2}
ABSENT = torch.tensor([True, False, True, True, True])
EDGES = torch.tensor([[0, 1, 2, 3, 4, 0, 0], [1, 2, 0, 4, 3, 2, 2]])
LAYOUTS = ("dense", "masked", "stacked", "banded", "symmetric band", "ragged", "ragged band", "edges", "framed edges")
LAYERS = {
    "conv": lambda: GStarConv(3, 4, act="tanh"),
    "inception": lambda: GraphInception(3, (3, 2), act="tanh", norm="layer_norm"),
    "line": lambda: GraphInception(3, (), neighborhood="line"),
}
PLACED = {
    "pool": lambda: LearnablePool(4, "xavier"),
    "readout": lambda: GraphReadout(4, ("max", "learned", "mean", "sum")),
    "instance norm": lambda: MaskedInstanceNorm(3),
    "model": lambda: LGrIN(3, 4, 2, branch_channels=(3,), input_norm="both", dropout=0.0),
}


class OnGraph(Module):
    """A layer together with the adjacency that makes its graph."""

    def __init__(self, layer, layout):
        super().__init__()
        options = {"bandwidth": 2} if "band" in layout else {}
        options |= {"symmetric": True} if "symmetric" in layout else {"normalize": "present", "init": "uniform"}
        self.layer, self.layout, self.adjacency = layer, layout, LearnableAdjacency(4, **options)

    def forward(self, x, mask=None):
        adjacency = self.adjacency
        if "edges" in self.layout:
            weight = adjacency.weight.flatten()[:7] - 0.2
            frame = PLACE["frame"] if "framed" in self.layout else None
            return self.layer(x, EdgeList(EDGES, weight, mask, frame))
        if "ragged" in self.layout:
            return self.layer(x, adjacency.graph(**PLACE, mask=mask))
        if self.layout == "stacked":
            return self.layer(x, torch.stack([adjacency(), adjacency().T]), None, mask)
        return self.layer(x, adjacency.graph(mask=mask))


class Placed(Module):
    """A readout, norm or model of flat or padded nodes."""

    def __init__(self, layer, flat):
        super().__init__()
        self.layer = layer
        self.place = dict(PLACE) if flat else {}
        if isinstance(layer, MaskedInstanceNorm):
            self.place.pop("frame", None)

    def forward(self, x, mask=None):
        return self.layer(x, **self.place, mask=mask)


def every_case():
    """Every layer in every layout: a function that makes it, whether its nodes are flat, and a mask."""
    for layout in LAYOUTS:
        flat = "ragged" in layout or "edges" in layout
        for name in LAYERS:
            if name != "line" or "edges" not in layout:
                mask = None if layout in ("dense", "edges") else ABSENT if flat else PADDED["mask"]
                yield pytest.param(lambda n=name, y=layout: OnGraph(LAYERS[n](), y), flat, mask, id=f"{name}-{layout}")
    for name in PLACED:
        for flat in (False, True):
            mask = ABSENT if flat else PADDED["mask"]
            yield pytest.param(lambda n=name, f=flat: Placed(PLACED[n](), f), flat, mask, id=f"{name}-{flat}")


CASES = list(every_case())


def build(make, flat, count):
    """The module, a pure function of its parameters, and some inputs."""
    torch.manual_seed(1)
    module = make().double().eval()
    for parameter in module.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter)
    weights = {name: parameter.detach() for name, parameter in module.named_parameters()}
    x = torch.randn(count, *((5, 3) if flat else (2, 4, 3)), dtype=torch.float64)
    return lambda weights, x, mask: functional_call(module, weights, (x, mask)), weights, x


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("make", "flat", "mask"), CASES)
def test_derivatives_equal_finite_differences(make, flat, mask):
    run, weights, x = build(make, flat, 1)

    def function(x, *values):
        return run(dict(zip(weights, values, strict=True)), x, mask)

    inputs = [one.clone().requires_grad_() for one in (x[0], *weights.values())]
    options = {"check_batched_grad": True, "fast_mode": True}
    assert gradcheck(function, inputs, check_forward_ad=True, check_batched_forward_grad=True, **options)
    assert gradgradcheck(function, inputs, check_fwd_over_rev=True, **options)


@pytest.mark.parametrize(("make", "flat", "mask"), CASES)
def test_jacobians_and_hessians_are_the_same_in_every_mode(make, flat, mask):
    run, weights, x = build(make, flat, 1)

    def function(x):
        return run(weights, x, mask)

    def total(x):
        return function(x).pow(3).sum()

    expected = jacobian(function, x[0])
    for transform in (jacfwd, jacrev):
        close(transform(function)(x[0]), expected)
    close(jacobian(function, x[0], vectorize=True), expected)
    expected = reverse_hessian(total, x[0])
    close(hessian(total)(x[0]), expected)
    close(jacrev(jacrev(total))(x[0]), expected)


@pytest.mark.parametrize("many_masks", [True, False])
@pytest.mark.parametrize(("make", "flat", "mask"), CASES)
def test_gradients_of_samples_equal_a_loop(make, flat, mask, many_masks):
    run, weights, x = build(make, flat, 3)
    masks = torch.rand(x.shape[:-1]) > 0.3
    masks[..., -1] = True
    masks, dim = (masks, 0) if many_masks else (mask, None)
    if masks is not None:
        x = x.masked_fill(~masks.unsqueeze(-1), torch.nan)

    def loss(weights, x, mask):
        return run(weights, x, mask).square().sum()

    for index in range(3):
        one = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
        alone = masks[index] if many_masks else masks
        value = loss(one, x[index], alone)
        if index == 0:
            close(vmap(run, (None, 0, dim))(weights, x, masks)[0], run(weights, x[0], alone))
            mapped = vmap(grad(loss), (None, 0, dim))(weights, x, masks)
        if value.requires_grad:
            expected = torch.autograd.grad(value, list(one.values()), allow_unused=True, materialize_grads=True)
            close([gradient[index] for gradient in mapped.values()], list(expected))


@pytest.mark.parametrize(("make", "flat", "mask"), CASES)
def test_nested_transforms_equal_loops(make, flat, mask):
    run, weights, x = build(make, flat, 4)
    tangent = torch.randn_like(x)

    def one(x):
        return run(weights, x, mask)

    pairs = x.unflatten(0, (2, 2))
    expected = torch.stack([one(part) for part in x])
    close(vmap(vmap(one))(pairs), expected.unflatten(0, (2, 2)))
    expected = torch.stack([jvp(one, (part,), (toward,))[1] for part, toward in zip(x, tangent, strict=True)])
    close(jvp(vmap(one), (x,), (tangent,))[1], expected)
    close(vmap(lambda part, toward: jvp(one, (part,), (toward,))[1])(x, tangent), expected)


@pytest.mark.parametrize(("make", "flat", "mask"), CASES)
def test_several_models_run_as_one(make, flat, mask):
    run, weights, x = build(make, flat, 1)
    many = {name: torch.stack([weight, 1.1 * weight + 0.05]) for name, weight in weights.items()}
    if many:
        expected = [run({name: weight[index] for name, weight in many.items()}, x[0], mask) for index in range(2)]
        close(vmap(run, (0, None, None))(many, x[0], mask), torch.stack(expected))


@pytest.mark.parametrize("preset", [LGrIN, LGrIN.paper, LGrIN.released])
def test_gradients_of_samples_of_whole_models(preset):
    torch.manual_seed(0)
    model = preset(3, 5, 2).double().eval()
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    x, target = torch.randn(4, 5, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0])

    def loss(weights, x, target):
        logits = functional_call(model, weights, (x.unsqueeze(0),))
        return torch.nn.functional.cross_entropy(logits, target.unsqueeze(0))

    mapped = vmap(grad(loss), (None, 0, 0))(weights, x, target)
    for index in range(4):
        model.zero_grad()
        loss(dict(model.named_parameters()), x[index], target[index]).backward()
        close([gradient[index] for gradient in mapped.values()], [weight.grad for weight in model.parameters()])


def test_a_batch_norm_that_trains_is_refused_under_vmap():
    layer, adj = GStarConv(3, 4), torch.rand(5, 5)
    with pytest.raises(RuntimeError, match="updated in place"):
        vmap(lambda x: layer(x, adj))(torch.randn(2, 5, 3))
