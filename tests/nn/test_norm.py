import subprocess
import sys

import pytest
import torch

from lgrin.nn import MaskedBatchNorm
from lgrin.nn.norm import normalize


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


def test_norms_side_by_side_are_each_their_own():
    torch.manual_seed(0)
    sizes = (3, 2, 4)
    together, alone = ([MaskedBatchNorm(size).double() for size in sizes] for _ in range(2))
    for first, second in zip(together, alone, strict=True):
        first.weight.data.normal_()
        second.load_state_dict(first.state_dict())
    for training in (True, False):
        for masked in (True, False):
            for norms in (together, alone):
                [norm.train(training) for norm in norms]
            x, mask = torch.randn(6, 9).double(), (torch.rand(6) > 0.3 if masked else None)
            expected = torch.cat([n(p, mask) for n, p in zip(alone, x.split(sizes, -1), strict=True)], -1)
            assert torch.allclose(normalize(together, x, mask), expected, atol=1e-12)
            for first, second in zip(together, alone, strict=True):
                for name, value in first.state_dict().items():
                    assert torch.allclose(value, second.state_dict()[name]), name


def test_a_frozen_norm_stays_frozen_beside_others():
    norms = [MaskedBatchNorm(2), MaskedBatchNorm(2).eval()]
    x = torch.randn(5, 4) + 3
    out = normalize(norms, x)
    assert torch.allclose(out[:, 2:], x[:, 2:], atol=1e-4)
    assert norms[1].running_mean.tolist() == [0, 0]
    assert norms[0].num_batches_tracked == 1


PROCESSES = """
import sys, torch, torch.distributed as dist
from lgrin.nn import MaskedBatchNorm
dist.init_process_group("gloo")
rank = dist.get_rank()
data = torch.load(sys.argv[1])
x, mask = data["x"], data["mask"]
mine = slice(0, 3) if rank == 0 else slice(3, None)
norm = MaskedBatchNorm(4).double()
MaskedBatchNorm.synchronize(norm)
part = x[mine].clone().requires_grad_()
out = norm(part, mask[mine] if data["masked"] else None)
(out * data["weight"][mine]).sum().backward()
torch.save({"out": out.detach(), "grad": part.grad, "state": norm.state_dict()}, f"{sys.argv[2]}{rank}")
dist.destroy_process_group()
"""


@pytest.mark.parametrize("masked", [True, False])
def test_two_processes_have_the_statistics_and_gradients_of_one(tmp_path, masked):
    torch.manual_seed(0)
    data = {"x": torch.randn(8, 5, 4).double() + 2, "mask": torch.rand(8, 5) > 0.4, "masked": masked}
    data["weight"] = torch.randn(8, 5, 4).double()
    torch.save(data, tmp_path / "data")
    (tmp_path / "program.py").write_text(PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [str(tmp_path / name) for name in ("program.py", "data", "result")]
    result = subprocess.run(command + arguments, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    parts = [torch.load(tmp_path / f"result{rank}") for rank in (0, 1)]

    norm, x = MaskedBatchNorm(4).double(), data["x"].requires_grad_()
    out = norm(x, data["mask"] if masked else None)
    (out * data["weight"]).sum().backward()
    present = data["mask"] if masked else torch.ones_like(data["mask"])
    found = torch.cat([part["out"] for part in parts])
    assert torch.allclose(found[present], out.detach()[present], atol=1e-12)
    assert torch.allclose(torch.cat([part["grad"] for part in parts]), x.grad, atol=1e-12)
    for part in parts:
        for name, value in norm.state_dict().items():
            assert torch.allclose(part["state"][name], value, atol=1e-12), name
