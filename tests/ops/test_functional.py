"""The operators under function transforms and in forward mode, held to what they are one call at a time."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, jacfwd, jacrev, jvp, vmap

from lgrin.ops import decompositions, kernels, neighbor_max, neighbor_max_banded, neighbor_max_edges
from lgrin.ops.neighbor_max import gather_back

COUNT = 3
EDGES = torch.tensor([[0, 1, 3, 4, 2, 0, 2], [1, 1, 2, 3, 3, 4, 4]])
OPERATORS = (neighbor_max, neighbor_max_banded, neighbor_max_edges)


def example(operator, many=None):
    """Features with ties, neighbours and a mask; with ``many`` a stack of that many of each."""
    torch.manual_seed(0)
    lead = () if many is None else (many,)
    mask = torch.rand(*lead, 2, 5) > 0.3
    x = torch.randn(*lead, 2, 5, 3, dtype=torch.float64).mul(2).round()
    if operator is neighbor_max_edges:
        edge_index = EDGES if many is None else torch.randint(5, (many, 2, 7))
        return x.select(-3, 0), edge_index, mask.select(-2, 0)
    return x, torch.rand(*lead, 5, 5 if operator is neighbor_max else 3) > 0.4, mask


def jacobian_by_hand(source, x):
    """A one where each maximum comes from."""
    flat = source.reshape(-1, *source.shape[-2:]).long()
    expected = np.zeros((*flat.shape, *flat.shape))
    for b, i, f in np.ndindex(flat.shape):
        if flat[b, i, f] < flat.size(1):
            expected[b, i, f, b, flat[b, i, f], f] = 1
    return torch.tensor(expected).view(*x.shape, *x.shape)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_both_modes_give_the_gradient_to_the_source_alone(operator, masked):
    x, neighbors, mask = example(operator)
    mask = mask if masked else None
    expected = jacobian_by_hand(operator(x, neighbors, mask)[1], x)

    def values(x):
        return operator(x, neighbors, mask)[0]

    assert torch.equal(jacfwd(values)(x), expected)
    assert torch.equal(jacrev(values)(x), expected)
    assert torch.equal(torch.autograd.functional.jacobian(values, x), expected)
    assert torch.equal(torch.autograd.functional.jacobian(values, x, vectorize=True), expected)
    with forward_ad.dual_level():
        primal, tangent = forward_ad.unpack_dual(values(forward_ad.make_dual(x, torch.ones_like(x))))
    assert torch.equal(primal, values(x))
    assert torch.equal(tangent, expected.flatten(x.dim()).sum(-1))


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_mapped_operators_equal_a_loop(operator):
    one, stack = example(operator), example(operator, COUNT)
    for mapped in product([True, False], repeat=3):
        inputs = [many if which else single for many, single, which in zip(stack, one, mapped, strict=True)]
        dims = tuple(0 if which else None for which in mapped)
        if any(mapped):
            check_mapped(operator, inputs, dims)
    x, neighbors, mask = stack
    check_mapped(operator, (x.movedim(0, -1), neighbors.movedim(0, 1), mask.movedim(0, -1)), (x.dim() - 1, 1, -1))
    check_mapped(lambda x: operator(x, one[1]), (x,), (0,))
    check_mapped(vmap(operator), [part.unsqueeze(1).repeat_interleave(2, 1) for part in stack], (0, 0, 0))


def test_mapped_stacks_of_matrices_equal_a_loop():
    x, _, mask = example(neighbor_max)
    for operator, width in ((neighbor_max, 5), (neighbor_max_banded, 3)):
        check_mapped(operator, (x, torch.rand(COUNT, 2, 5, width) > 0.4, mask), (None, 0, None))
        check_mapped(operator, (x.expand(COUNT, 2, 5, 3), torch.rand(2, 5, width) > 0.4, mask), (0, None, None))


def test_a_band_for_each_sequence_decomposes():
    x, _, mask = example(neighbor_max_banded)
    band = torch.rand(2, 5, 3) > 0.4
    decomposed = decompositions()[neighbor_max_banded._opoverload]
    assert all(map(torch.equal, decomposed(x, band, mask), neighbor_max_banded(x, band, mask)))


def check_mapped(function, inputs, dims):
    pick = [
        [part if dim is None else part.select(dim, index) for part, dim in zip(inputs, dims, strict=True)]
        for index in range(COUNT)
    ]
    expected = [torch.stack(parts) for parts in zip(*(function(*parts) for parts in pick), strict=True)]
    for mapped, loop in zip(vmap(function, dims)(*inputs), expected, strict=True):
        assert mapped.dtype == loop.dtype
        assert torch.equal(mapped, loop)


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_derivatives_of_both_orders_equal_finite_differences(operator):
    _, neighbors, mask = example(operator)
    x = torch.randn_like(example(operator)[0]).requires_grad_()  # no ties, where differences mean nothing

    def values(x):
        return operator(x, neighbors, mask)[0].sin()

    assert gradcheck(values, x, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)
    assert gradgradcheck(values, x, check_fwd_over_rev=True, check_batched_grad=True)


def test_the_backward_operator_has_derivatives_too():
    torch.manual_seed(0)
    gradient, source = torch.randn(2, 5, 3, dtype=torch.float64), torch.randint(6, (2, 5, 3), dtype=torch.uint8)

    def back(gradient):
        return gather_back(gradient, source, 4)

    expected = torch.autograd.functional.jacobian(back, gradient)
    assert torch.equal(jacfwd(back)(gradient), expected)
    assert torch.equal(jacrev(back)(gradient), expected)
    assert torch.equal(jvp(back, (gradient,), (gradient,))[1], back(gradient))
    sources = torch.randint(6, (COUNT, 2, 5, 3), dtype=torch.uint8)
    for inputs, dims in (((gradient, sources), (None, 0)), ((gradient.expand(COUNT, 2, 5, 3), source), (0, None))):
        check_mapped(lambda gradient, source: (gather_back(gradient, source, 4),), inputs, dims)


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_where_nothing_is_transformed_the_fast_backward_runs(operator, monkeypatch):
    calls, fast = [], kernels.kernels_for("cpu")
    usual = fast.gather_back
    monkeypatch.setattr(fast, "gather_back", lambda *inputs: calls.append(inputs) or usual(*inputs))
    x, neighbors, mask = example(operator)
    expected = grad(lambda x: operator(x, neighbors, mask)[0].sin().sum())(x)
    assert not calls
    x.requires_grad_()
    operator(x, neighbors, mask)[0].sin().sum().backward()
    assert len(calls) == 1
    assert torch.equal(x.grad, expected)
