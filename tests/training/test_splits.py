import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from lgrin.training import group_split, hold_out


def corpus(groups, labels):
    return [
        Data(x=torch.zeros(1, 1), y=torch.tensor([label]), group=torch.tensor([group]))
        for group, label in zip(groups, labels, strict=True)
    ]


def names(sequences):
    return {int(data.group) for data in sequences}


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(1, 20), st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 100))
def test_no_group_is_on_both_sides_and_nothing_is_lost(num_groups, size, fraction, seed):
    groups = np.repeat(np.arange(num_groups), size)
    data = corpus(groups, np.zeros_like(groups))
    train, held_out = group_split(data, fraction, seed)
    assert names(train).isdisjoint(names(held_out))
    assert names(train) | names(held_out) == set(range(num_groups))
    assert len(train) + len(held_out) == len(data)
    assert [int(data.group) for data in train] == sorted(int(data.group) for data in train)


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_the_part_that_is_set_aside_is_about_what_was_asked_for(fraction):
    data = corpus(np.repeat(np.arange(20), 4), np.tile(np.arange(4), 20))
    assert len(group_split(data, fraction)[1]) == pytest.approx(fraction * 80, abs=4)


def test_a_single_group_is_split_within_and_said_so():
    with pytest.warns(UserWarning, match="all sequences are of one group, so the split is by sequence"):
        train, held_out = hold_out(corpus([7] * 20, [0, 1] * 10))
    assert [len(train), len(held_out)] == [16, 4]


def test_a_split_repeats_with_its_seed_and_changes_with_it():
    data = corpus(np.repeat(np.arange(10), 8), np.tile(np.arange(4), 20))
    held_out = [names(group_split(data, seed=seed)[1]) for seed in range(8)]
    assert held_out == [names(group_split(data, seed=seed)[1]) for seed in range(8)]
    assert len(set(map(frozenset, held_out))) > 3
    assert all(len(part) == 2 for part in held_out)


def test_the_unit_of_a_split_follows_the_data():
    grouped = corpus(np.repeat(np.arange(5), 4), np.tile([0, 1], 10))
    assert names(hold_out(grouped)[0]).isdisjoint(names(hold_out(grouped)[1]))
    alone = [Data(x=data.x, y=data.y) for data in grouped]
    assert [len(part) for part in hold_out(alone)] == [16, 4]
    with pytest.raises(ValueError, match="4 of 8 sequences have a group; give one to all or to none"):
        hold_out(grouped[:4] + alone[:4])


def test_what_cannot_be_split_says_why():
    with pytest.raises(ValueError, match="sequences have 1 group; whole groups can be set aside only if"):
        group_split(corpus([3, 3], [0, 1]))
    with pytest.raises(
        ValueError, match=r"class \d stands in the groups \[\d\] alone, which are set aside; try another"
    ):
        group_split(corpus([0, 0, 1, 1], [0, 0, 1, 1]))
    with pytest.raises(ValueError, match="fraction is 1; it has to lie between 0 and 1"):
        group_split(corpus([0, 1], [0, 0]), 1)
