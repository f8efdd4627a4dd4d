import pytest
import torch

from lgrin.nn import MaskedInstanceNorm


def test_each_sequence_is_standardised_by_its_own_present_nodes():
    torch.manual_seed(0)
    x, mask = torch.randn(4, 6, 3).double(), torch.rand(4, 6) > 0.3
    out = MaskedInstanceNorm(3, eps=0.01)(x.masked_fill(~mask[..., None], torch.nan), mask=mask)
    for one, here, found in zip(x, mask, out, strict=True):
        expected = (one[here] - one[here].mean(0)) / (one[here].var(0, correction=0) + 0.01).sqrt()
        assert torch.allclose(found[here], expected, atol=1e-12)
    assert (out[~mask] == 0).all()


def test_flat_sequences_are_the_same_as_rows():
    x = torch.randn(3, 5, 2, dtype=torch.float64)
    norm, batch = MaskedInstanceNorm(2), torch.arange(3).repeat_interleave(5)
    assert torch.allclose(norm(x.flatten(0, 1), batch, batch_size=3), norm(x).flatten(0, 1), atol=1e-12)
    assert torch.equal(norm(x[0]), norm(x[:1])[0])


def test_what_is_constant_or_alone_becomes_0():
    norm = MaskedInstanceNorm(1)
    assert norm(torch.full((2, 4, 1), 7.0)).abs().max() == 0
    assert norm(torch.tensor([[[3.0], [5.0]]]), mask=torch.tensor([[True, False]])).abs().max() == 0
    assert norm(torch.tensor([[[3.0]]]), mask=torch.tensor([[False]])).isfinite().all()


def test_a_sequence_moved_and_scaled_comes_out_the_same():
    x = torch.randn(2, 30, 3, dtype=torch.float64)
    norm = MaskedInstanceNorm(3, eps=0.0)
    assert torch.allclose(norm(x * torch.tensor([2.0, 0.1, 5.0]) + 4), norm(x), atol=1e-10)


def test_wrong_channels_are_refused():
    with pytest.raises(ValueError, match="x has 4 channels, but this norm was built for num_features=3"):
        MaskedInstanceNorm(3)(torch.randn(2, 5, 4))
