import pytest
import torch

from lgrin.nn import MaskedBatchNorm


@pytest.mark.parametrize("affine", [True, False])
def test_equals_batch_norm_on_the_present_rows(affine):
    torch.manual_seed(0)
    ours = MaskedBatchNorm(3, affine=affine).double()
    theirs = torch.nn.BatchNorm1d(3, affine=affine).double()
    if affine:
        ours.weight.data.normal_()
        ours.bias.data.normal_()
    theirs.load_state_dict(ours.state_dict())
    for _ in range(4):
        x, mask = torch.randn(5, 7, 3).double(), torch.rand(5, 7) > 0.4
        expected = theirs(x[mask])
        assert torch.allclose(ours(x.masked_fill(~mask[..., None], torch.nan), mask)[mask], expected, atol=1e-12)
    for name, value in theirs.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], value, atol=1e-12), name
    ours.eval(), theirs.eval()
    assert torch.allclose(ours(x, mask)[mask], theirs(x[mask]), atol=1e-12)


def test_nobody_present_changes_no_statistic():
    norm = MaskedBatchNorm(2)
    out = norm(torch.full((3, 2), torch.nan), torch.zeros(3, dtype=torch.bool))
    assert out.isfinite().all()
    assert norm.running_mean.tolist() == [0, 0]
    assert norm.running_var.tolist() == [1, 1]


def test_a_single_row_is_the_same_with_and_without_a_mask():
    x = torch.tensor([[3.0, -1.0]])
    plain, masked = MaskedBatchNorm(2), MaskedBatchNorm(2)
    assert torch.equal(plain(x), masked(torch.cat([x, x]), torch.tensor([True, False]))[:1])
    assert torch.equal(plain.running_var, masked.running_var)
    assert plain.running_var.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_statistics_of_many_rows_stay_finite_in_16_bits(dtype):
    torch.manual_seed(0)
    norm, mask = MaskedBatchNorm(2).to(dtype), torch.ones(70_000, dtype=torch.bool)
    x = (torch.randn(70_000, 2) + 3).to(dtype)
    out = norm(x, mask)
    assert out.dtype == dtype
    assert abs(float(out.float().mean())) < 0.02
    assert norm.running_var.isfinite().all()


def test_wrong_channels_are_refused():
    with pytest.raises(ValueError, match="x has 4 channels, but this norm was built for num_features=3"):
        MaskedBatchNorm(3)(torch.randn(2, 4))
