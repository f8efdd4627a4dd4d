"""AdamW on weights that lie one after the other."""

import copy
import pickle

import pytest
import torch
from torch.nn import Linear, Sequential
from torch.optim import AdamW

from lgrin.training.flat import FlatAdamW

OPTIONS = {"lr": 0.01, "weight_decay": 0.1}


def networks():
    torch.manual_seed(0)
    network = Sequential(Linear(3, 5), Linear(5, 7), Linear(7, 2))
    return network, copy.deepcopy(network)


def take_steps(network, optimizer, used=lambda step: slice(None), steps=6):
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        x = torch.randn(4, 3, generator=generator)
        for layer in network[used(step)]:
            x = layer(x)
        x.square().sum().backward()
        optimizer.param_groups[0]["lr"] *= 0.9  # as a schedule does
        optimizer.step()


@pytest.mark.parametrize(
    "used", [lambda step: slice(None), lambda step: slice(2 if step % 3 == 2 else 3)], ids=["all", "not all"]
)
def test_the_numbers_are_those_of_foreach_to_the_bit(used):
    ours, theirs = networks()
    take_steps(ours, FlatAdamW(ours.parameters(), **OPTIONS), used)
    take_steps(theirs, AdamW(theirs.parameters(), foreach=True, **OPTIONS), used)
    assert all(torch.equal(*pair) for pair in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_frozen_weights_stay():
    ours, _ = networks()
    ours[0].requires_grad_(False)
    before = ours[0].weight.clone()
    take_steps(ours, FlatAdamW(ours.parameters(), **OPTIONS))
    assert torch.equal(ours[0].weight, before)


@pytest.mark.parametrize("change", [lambda one: one[0].double(), lambda one: one[1].weight.data.t_()])
def test_weights_that_fit_into_no_single_tensor_are_moved_one_by_one(change):
    ours, theirs = networks()
    for network, kind in ((ours, FlatAdamW), (theirs, AdamW)):
        change(network)
        optimizer = kind(network.parameters(), foreach=True, **OPTIONS)
        for one in network.parameters():
            one.grad = torch.full_like(one, 0.5)
        optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_afterwards_each_weight_has_memory_of_its_own():
    network, _ = networks()
    optimizer = FlatAdamW(network.parameters(), **OPTIONS)
    take_steps(network, optimizer)
    expected = [one.clone() for one in network.parameters()]
    assert network[0].weight.untyped_storage().data_ptr() == network[2].weight.untyped_storage().data_ptr()
    optimizer.close()
    size = sum(one.numel() * one.element_size() for one in network.parameters())
    assert len(pickle.dumps(network)) < size + 10_000
    assert all(one.untyped_storage().nbytes() == one.numel() * 4 for one in network.parameters())
    assert all(torch.equal(*pair) for pair in zip(network.parameters(), expected, strict=True))
