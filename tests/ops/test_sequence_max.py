import numpy as np
import pytest
import torch

from lgrin.nodes import Nodes
from lgrin.ops import sequence_max, torch_kernels
from lgrin.ops.kernels import kernels_for

LENGTHS = [5, 1, 12, 3]


def case(dtype=torch.float32, seed=0):
    """Few different numbers, so that most maxima are ties."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-3, 4, (sum(LENGTHS), 19), generator=generator).to(dtype)
    return x, torch.arange(len(LENGTHS)).repeat_interleave(torch.tensor(LENGTHS))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kernels", [kernels_for("cpu"), torch_kernels], ids=lambda one: one.__name__)
def test_the_first_of_equal_maxima_is_found(kernels, dtype):
    x, batch = case(dtype)
    x[3, 2], x[4, 2], x[0, 1], x[7, 5] = torch.nan, torch.nan, torch.inf, -torch.inf
    expected, start = [], 0
    for length in LENGTHS:  # NumPy's argmax gives the first, too, and NaN wins
        expected.append(start + x[start : start + length].double().numpy().argmax(0))
        start += length
    assert np.array_equal(kernels.first_of_maxima(x, batch, 4).numpy(), np.stack(expected))


@pytest.mark.parametrize("kernels", [kernels_for("cpu"), torch_kernels], ids=lambda one: one.__name__)
def test_a_sequence_without_nodes_names_the_last_node_and_disturbs_no_other(kernels):
    x, batch = case()
    batch = batch + (batch > 1).long()  # nobody is in sequence 2
    found = kernels.first_of_maxima(x, batch, 6)
    whole = kernels.first_of_maxima(*case(), 4)
    assert torch.equal(found[[0, 1, 3, 4]], whole)
    assert (found[[2, 5]] == len(x) - 1).all()


def test_the_gradient_goes_to_the_node_that_is_named_in_every_way_to_take_it():
    x, batch = case(torch.float64)
    x = x + torch.arange(x.numel()).view(x.shape) * 1e-3  # no ties: finite differences need a neighbourhood
    weight = torch.randn(4, 19, dtype=torch.float64)

    def total(x):
        return (sequence_max(x, batch, 4)[0] * weight).sum()

    x.requires_grad_()
    (expected,) = torch.autograd.grad(total(x), x)
    source = sequence_max(x, batch, 4)[1]
    assert torch.equal(expected, torch.zeros_like(x).scatter(0, source, weight))
    assert torch.equal(torch.func.grad(total)(x.detach()), expected)
    assert torch.equal(torch.func.vmap(torch.func.grad(total))(x.detach().expand(3, -1, -1))[2], expected)
    tangent = torch.randn_like(x)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.detach(), tangent)
        pushed = torch.autograd.forward_ad.unpack_dual(total(dual)).tangent
    assert torch.allclose(pushed, (expected * tangent).sum())
    assert torch.autograd.gradcheck(total, (x,))
    compiled = torch.compile(total, backend="eager", fullgraph=True)
    assert torch.equal(torch.autograd.grad(compiled(x), x)[0], expected)


def test_flat_nodes_in_any_order_of_frames_have_the_maxima_of_dense_ones():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-2, 3, (3, 7, 5), generator=generator).float()
    expected, frames = Nodes.read(x).max()
    for shuffle in (False, True):
        order = torch.stack([torch.randperm(7, generator=generator) if shuffle else torch.arange(7) for _ in range(3)])
        rows = torch.stack([one[index] for one, index in zip(x, order, strict=True)]).flatten(0, 1)
        batch = torch.arange(3).repeat_interleave(7)
        found, frame = Nodes.read(rows, order.flatten(), batch).max()
        assert torch.equal(found, expected)
        assert torch.equal(frame, frames)
