"""The kernels of a bank of filters against their definition in PyTorch's operations, which autograd takes."""

import pytest
import torch

from lgrin.models import FilterBank
from lgrin.ops import filters
from lgrin.ops.filters import filter_frames, has_filters

with torch.no_grad():
    pytestmark = pytest.mark.skipif(not has_filters(torch.zeros(1)), reason="numba is not installed")


def bank(dtype=torch.double, **options):
    torch.manual_seed(0)
    model = FilterBank(3, 4, mixes=5, heads=3, dilations=(1, 2, 16), **options).to(dtype).eval()
    model.threshold.normal_()
    return model


def both_ways(model, x, mask):
    with torch.no_grad():
        by_kernel = model.embed(x, mask=mask)
    return by_kernel, model.embed(x, mask=mask)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("frames", [1, 3, 8, 61])
def test_summaries_of_whole_sequences_agree_with_their_definition(dtype, frames):
    by_kernel, defined = both_ways(bank(dtype), torch.randn(4, frames, 3, dtype=dtype), None)
    assert torch.allclose(by_kernel, defined, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12)


def test_summaries_of_sequences_with_missing_frames_agree_with_their_definition():
    x, mask = torch.randn(5, 40, 3, dtype=torch.double), torch.rand(5, 40) < 0.7
    mask[1], mask[2, 9:], mask[3, :30] = False, False, False
    by_kernel, defined = both_ways(bank(segments=(1, 4, 3)), x.masked_fill(~mask.unsqueeze(2), torch.nan), mask)
    assert torch.allclose(by_kernel, defined, rtol=0, atol=1e-12)
    assert not by_kernel[1, : -25 * 8].any()


def test_autograd_and_other_devices_take_the_definition(monkeypatch):
    x = torch.randn(2, 9, 3)
    assert not has_filters(x)
    with torch.no_grad():
        assert has_filters(x)
        assert not has_filters(x.half())
        assert not has_filters(x, x.double())
        found = bank(torch.float32).embed(x)
        monkeypatch.setattr(filters, "kernels_for", lambda device: torch)
        assert torch.allclose(bank(torch.float32).embed(x), found, rtol=0, atol=1e-5)


def test_threads_change_nothing():
    x, taps, known = torch.randn(64, 200, 6), torch.randn(2, 4, 9), torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with torch.no_grad():
            results.append((filter_frames(x, taps, [1, 3]), bank(torch.float32).embed(x[..., :3])))
    torch.set_num_threads(known)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
