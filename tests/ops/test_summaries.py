"""Summaries of sequences in one pass, held to those that are taken one by one."""

import pytest
import torch

from lgrin.nn import GraphReadout
from lgrin.nodes import Nodes
from lgrin.ops import summaries

LENGTHS = [5, 1, 0, 12, 3, 0]
PARTS = [("max", "learned", "mean"), ("max", "mean"), ("learned",), ("max",), ("learned", "mean")]


def case(dtype=torch.float32, channels=19):
    """Few different numbers, so that most maxima are ties."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-3, 4, (sum(LENGTHS), channels), generator=generator).to(dtype) / 3
    batch = torch.arange(len(LENGTHS)).repeat_interleave(torch.tensor(LENGTHS))
    frame = torch.cat([torch.arange(length) * (1 + (length == 5)) for length in LENGTHS])
    return x, frame, batch


def results(readout, x, frame, batch):
    x = x.clone().requires_grad_()
    out = readout(x, frame, batch, batch_size=len(LENGTHS))
    weights = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    return out, *torch.autograd.grad((out * weights).sum(), [x, *readout.parameters()])


@pytest.mark.parametrize("parts", PARTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_parts_one_by_one_to_the_bit(parts, dtype, monkeypatch):
    x, frame, batch = case(dtype)
    x[3, 2], x[7, 5], x[8, 5] = torch.nan, torch.inf, -torch.inf
    readout = GraphReadout(12, parts, init="xavier").to(dtype)
    together = results(readout, x, frame, batch)
    assert summaries.is_ordinary(x)
    monkeypatch.setattr("lgrin.nn.pool.is_ordinary", lambda *tensors: False)
    for ours, theirs in zip(together, results(readout, x, frame, batch), strict=True):
        assert torch.equal(ours.nan_to_num(7), theirs.nan_to_num(7))


def test_it_is_taken_where_nodes_stand_in_order_and_only_there(monkeypatch):
    taken = []
    monkeypatch.setattr("lgrin.nn.pool.summarize", lambda *given: taken.append(1) or summaries.summarize(*given))
    x, frame, batch = case()
    readout = GraphReadout(12)
    expected = readout(x, frame, batch, batch_size=6)
    assert len(taken) == 1 or summaries.find_bounds(batch, frame, 6) is None
    before = len(taken)
    backwards = torch.cat([torch.arange(5).flip(0), torch.arange(5, len(x))])
    assert torch.allclose(readout(x[backwards], frame[backwards], batch, batch_size=6), expected)
    masked = readout(x, frame, batch, torch.ones(len(x), dtype=torch.bool), batch_size=6)
    assert torch.allclose(masked, expected)
    assert len(taken) == before


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_dense_nodes_that_learn_are_summarised_as_flat_ones(parts, monkeypatch):
    taken = []
    monkeypatch.setattr("lgrin.nn.pool.summarize", lambda *given: taken.append(1) or summaries.summarize(*given))
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-3, 4, (2, 4, 12, 5), generator=generator).double() / 3  # most maxima are ties
    x[0, 1, 3, 2], x[1, 0, 5, 0] = torch.nan, torch.inf
    readout = GraphReadout(12, parts, init="xavier").double()
    weights = torch.randn(2, 4, 5 * len(parts), dtype=torch.float64, generator=generator)

    def results(x, *place):
        x = x.clone().requires_grad_()
        out = readout(x, *place).view(weights.shape)
        return out, *torch.autograd.grad((out * weights).sum(), [x, *readout.parameters()])

    out, grad, *others = results(x)
    batch = torch.arange(8).repeat_interleave(12)
    expected = results(x.flatten(0, 2), torch.arange(12).repeat(8), batch)
    assert len(taken) == (2 if summaries.find_bounds(batch, torch.arange(96), 8) is not None else 0)
    for ours, theirs in zip((out, grad.flatten(0, 2), *others), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12, equal_nan=True)
    with torch.no_grad():
        torch.testing.assert_close(readout(x), out, rtol=1e-12, atol=1e-12, equal_nan=True)


def test_gradients_of_gradients_and_transforms_are_right():
    x, frame, batch = case(torch.float64, channels=3)
    x = x + torch.arange(x.numel()).view(x.shape) * 1e-3  # no ties: finite differences need a neighbourhood
    weight = torch.rand(12, dtype=torch.float64, requires_grad=True)
    readout = GraphReadout(12).double()

    def total(x, weight):
        nodes = Nodes.read(x, frame, batch, None, len(LENGTHS), 12)
        bounds = summaries.find_bounds(batch, frame, len(LENGTHS))
        largest, weighted, sums = summaries.summarize(nodes.x, weight[frame], bounds)
        return largest.square() + (weighted * sums).sin()

    if summaries.find_bounds(batch, frame, 6) is not None:
        assert torch.autograd.gradcheck(total, (x.requires_grad_(), weight), check_batched_grad=True)
        assert torch.autograd.gradgradcheck(total, (x, weight), check_batched_grad=True)

    def loss(x):
        return readout(x, frame, batch, batch_size=len(LENGTHS)).square().sum()

    (expected,) = torch.autograd.grad(loss(x), x)
    assert torch.allclose(torch.func.grad(loss)(x.detach()), expected)
    assert torch.func.vmap(torch.func.grad(loss))(x.detach().expand(2, -1, -1)).shape == (2, *x.shape)
