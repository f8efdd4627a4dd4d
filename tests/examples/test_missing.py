"""Losing frames and filling the gaps: pure, repeatable, and never everything."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from examples.reproduce.losses import (
    FILLS,
    PATTERNS,
    Damage,
    DamageByNumpy,
    by_cycle,
    by_interpolation,
    by_mask,
    count_lost,
    one_block,
    one_block_by_numpy,
    present,
    scattered,
    scattered_by_numpy,
)
from examples.reproduce.missing import change, draw, row
from lgrin.training.statistics import Interval

EVERY_PATTERN = (scattered, one_block, scattered_by_numpy, one_block_by_numpy)
lengths, seeds = st.integers(1, 60), st.integers(0, 1_000)
fractions = st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.95, 1.0])
patterns, fills = st.sampled_from(list(PATTERNS)), st.sampled_from(list(FILLS))
damages = st.one_of(*(st.builds(kind, patterns, fills, fractions) for kind in (Damage, DamageByNumpy)))


def recording(length, seed, masked=0):
    x = torch.randn(length + masked, 3, generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(length + masked) < length
    return Data(x=x, y=torch.tensor([0]), number=seed, **({"mask": mask} if masked else {}))


def holes(left):
    """The number of pieces that are lost."""
    return int((torch.cat([torch.tensor([True]), left]).int().diff() < 0).sum())


@given(st.sampled_from(EVERY_PATTERN), lengths, fractions, seeds)
@settings(deadline=None)
def test_as_many_frames_are_lost_as_asked_and_never_all(pattern, length, fraction, seed):
    left = pattern(length, fraction, seed)
    assert left.shape == (length,)
    assert left.dtype == torch.bool
    assert int((~left).sum()) == min(round(fraction * length), length - 1) == count_lost(length, fraction)
    assert torch.equal(left, pattern(length, fraction, seed))
    assert pattern in (scattered, scattered_by_numpy) or holes(left) <= 1


@given(lengths, fractions, seeds)
@settings(deadline=None)
def test_numpy_draws_a_start_and_then_an_order_as_for_the_published_figures(length, fraction, seed):
    count, generator = min(round(fraction * length), length - 1), np.random.default_rng(seed)
    start = int(generator.integers(length - count + 1))
    for pattern, lost in {
        scattered_by_numpy: generator.permutation(np.arange(length))[:count],
        one_block_by_numpy: np.arange(length)[start : start + count],
    }.items():
        assert (~pattern(length, fraction, seed)).nonzero()[:, 0].tolist() == sorted(lost)


@given(lengths, seeds)
@settings(deadline=None)
def test_a_smaller_part_that_is_scattered_is_lost_in_a_larger_one_too(length, seed):
    less, more = (scattered(length, fraction, seed) for fraction in (0.2, 0.6))
    assert bool((less | ~more).all())


def test_frames_differ_from_seed_to_seed_and_every_frame_may_be_lost():
    for pattern in EVERY_PATTERN:
        left = torch.stack([pattern(10, 0.4, seed) for seed in range(200)])
        assert len(left.unique(dim=0)) > 5
        assert not left.all(0).any()
        assert left.any(0).all()


@given(lengths, st.integers(0, 4), damages, seeds)
@settings(deadline=None)
def test_damage_changes_only_frames_that_are_lost_and_not_the_recording(length, tail, damage, seed):
    data = recording(length, seed, tail)
    before, mask = data.x.clone(), present(data).clone()
    damaged = damage(data)
    assert torch.equal(data.x, before)
    assert torch.equal(present(data), mask)
    assert damaged.x.shape == data.x.shape
    assert damaged.x.isfinite().all()
    assert present(damaged).any()
    assert not bool((present(damaged) & ~mask).any())
    if damage.fraction == 0:
        assert torch.equal(damaged.x[mask], before[mask])
        assert torch.equal(present(damaged), mask)
    again = damage(data)
    assert torch.equal(again.x, damaged.x)


@given(lengths, st.integers(0, 4), patterns, fills, seeds)
@settings(deadline=None)
def test_what_is_lost_leaves_no_trace(length, tail, pattern, fill, seed):
    data = recording(length, seed, tail)
    left = torch.zeros(length + tail, dtype=torch.bool)
    left[:length] = PATTERNS[pattern](length, 0.6, seed)
    other = data.clone()
    other.x = torch.where(left.unsqueeze(-1) | ~present(data).unsqueeze(-1), data.x, 7.0)
    one, two = (FILLS[fill](each, left) for each in (data, other))
    assert torch.equal(one.x, two.x)
    assert torch.equal(present(one), present(two))


def test_each_fill_of_a_small_recording():
    data = Data(x=torch.tensor([[0.0], [10.0], [20.0], [50.0], [40.0], [99.0]]), mask=torch.arange(6) < 5)
    left = torch.tensor([False, True, False, True, False, False])
    masked = by_mask(data, left)
    assert torch.equal(masked.mask, left)
    assert masked.x.flatten().tolist() == [0, 10, 0, 50, 0, 0]
    assert by_cycle(data, left).x.flatten().tolist() == [10, 50, 10, 50, 10, 99]
    assert by_interpolation(data, left).x.flatten().tolist() == [10, 10, 30, 50, 50, 99]


@given(lengths, seeds)
@settings(deadline=None)
def test_interpolation_keeps_what_is_left_and_restores_a_line(length, seed):
    slope = torch.tensor([2.0, -1.0])
    data = Data(x=torch.arange(length).unsqueeze(-1) * slope)
    left = scattered(length, 0.5, seed)
    filled = by_interpolation(data, left)
    assert torch.equal(filled.x[left], data.x[left])
    inner = slice(int(left.nonzero()[0]), int(left.nonzero()[-1]) + 1)
    np.testing.assert_allclose(filled.x[inner], data.x[inner], atol=1e-4)


def test_frames_are_lost_before_a_recording_is_stretched():
    recordings = [recording(5, seed) for seed in range(3)]
    for fill in FILLS:
        changed = change(recordings, Damage("scattered", fill, 0.4), 20, Data(number=1))
        assert changed.x.shape == (20, 3)
        assert changed.frame.tolist() == list(range(20))
    masked = change(recordings, Damage("scattered", "masks", 0.4), 20, Data(number=1))
    assert len(masked.x[masked.mask].unique(dim=0)) == 3


def test_a_row_and_a_picture():
    line = {part: Interval(0.9 - part, 0.8 - part, 1 - part, "") for part in (0.0, 0.2, 0.4)}
    key = "L-GrIN", "test", "scattered", "masks"
    found = row(key, line)
    assert list(found) == ["model", "missing in", "pattern", "filled by", "0%", "20%", "40%"]
    assert found["20%"] == "0.700"
    assert found["40%"] == "0.500 (0.400 to 0.600)"
    ax = draw({key: line, ("BLSTM", *key[1:]): line})
    assert [text.get_label() for text in ax.get_lines()] == ["L-GrIN, masks", "BLSTM, masks"]
    assert ax.get_lines()[0].get_xdata() == pytest.approx([0, 20, 40])
