"""Functionals of channels against NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy import stats

from lgrin.models.functionals import LAGS, NUMBER, QUANTILES, functionals


def reference(x):
    """The functionals of one channel, computed one by one."""
    change = np.diff(x, prepend=x[:1])
    of_each = [
        np.concatenate([np.quantile(one, QUANTILES), [stats.skew(one), min(30, stats.kurtosis(one, fisher=False))]])
        for one in (x, change)
    ]
    u = (x - x.mean()) / x.std()
    products = [np.mean(u[lag:] * u[:-lag]) if len(u) > lag else 0 for lag in LAGS]
    above = u > 0
    return np.concatenate([*of_each, products, [above.mean(), (above[1:] != above[:-1]).mean()]])


@pytest.mark.parametrize("length", [3, 17, 100])
def test_they_are_those_of_numpy_and_scipy(length):
    x = np.random.default_rng(length).gamma(1.0, size=(length, 4))
    found = functionals(torch.from_numpy(x).unsqueeze(0), torch.ones(1, length, dtype=torch.bool))[0].numpy()
    assert np.allclose(found, np.stack([reference(channel) for channel in x.T], axis=1))


def test_padding_and_absent_frames_do_not_count():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 30, 3, generator=random, dtype=torch.double)
    present = torch.ones(2, 30, dtype=torch.bool)
    present[1, 12:] = False
    found = functionals(x.masked_fill(~present.unsqueeze(-1), 0), present)
    assert torch.allclose(found[1:], functionals(x[1:, :12], present[1:, :12]))
    assert torch.allclose(found[:1], functionals(x[:1], present[:1]))
    scattered = torch.rand(30, generator=random) > 0.4
    some = functionals(x[:1].masked_fill(~scattered.view(1, -1, 1), 0), scattered.unsqueeze(0))[0]
    left = x[0, scattered].numpy()
    assert np.allclose(some[: len(QUANTILES)], np.quantile(left, QUANTILES, axis=0))
    assert np.allclose(some[len(QUANTILES)], stats.skew(left))


@pytest.mark.parametrize("length", [0, 1, 2])
def test_hardly_any_frame_gives_finite_numbers(length):
    present = torch.arange(5).unsqueeze(0) < length
    found = functionals(torch.full((1, 5, 2), 3.0).masked_fill(~present.unsqueeze(-1), 0), present)
    assert found.shape == (1, NUMBER, 2)
    assert found.isfinite().all()
    assert torch.equal(found[0, 3], torch.full((2,), 3.0 if length else 0.0))


def test_rounding_on_a_level_stretch_is_no_signal():
    x = torch.full((1, 1000, 1), 2.7) + 1e-7 * torch.randn(1, 1000, 1)
    found = functionals(x, torch.ones(1, 1000, dtype=torch.bool))[0, :, 0]
    level = torch.zeros(NUMBER)
    level[: len(QUANTILES)] = 2.7
    assert torch.allclose(found, level, atol=1e-3)
