import pickle
import subprocess
import sys

import pytest
import torch
from torch.nn import BatchNorm1d, SyncBatchNorm
from torch.optim.swa_utils import AveragedModel, update_bn

from lgrin import LGrIN
from lgrin.models import fold
from lgrin.nn import GraphInception, MaskedBatchNorm
from lgrin.nn.norm import normalize_side_by_side


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
            assert torch.allclose(normalize_side_by_side(together, x, mask), expected, atol=1e-12)
            for first, second in zip(together, alone, strict=True):
                for name, value in first.state_dict().items():
                    assert torch.allclose(value, second.state_dict()[name]), name


def test_a_frozen_norm_stays_frozen_beside_others():
    norms = [MaskedBatchNorm(2), MaskedBatchNorm(2).eval()]
    x = torch.randn(5, 4) + 3
    out = normalize_side_by_side(norms, x)
    assert torch.allclose(out[:, 2:], x[:, 2:], atol=1e-4)
    assert norms[1].running_mean.tolist() == [0, 0]
    assert norms[0].num_batches_tracked == 1


def test_update_bn_takes_the_statistics_of_all_batches_again():
    torch.manual_seed(0)
    data = [torch.randn(count, 6, 3) + 100 * count for count in (4, 2, 7)]
    model = AveragedModel(LGrIN(3, 6, 2, branch_channels=(4, 2)))
    model.module.input_norm(data[0])
    expected = BatchNorm1d(3)
    update_bn(data, model)
    update_bn([one.flatten(0, 1) for one in data], expected)
    found = model.module.input_norm
    torch.testing.assert_close(found.running_mean, expected.running_mean)
    torch.testing.assert_close(found.running_var, expected.running_var)
    assert {int(v) for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")} == {3}
    assert all(one.momentum == 0.1 for one in model.modules() if isinstance(one, MaskedBatchNorm))


@pytest.mark.parametrize("together", [True, False])
def test_without_momentum_every_batch_with_a_present_node_weighs_the_same(together):
    torch.manual_seed(0)
    norms = [MaskedBatchNorm(2, momentum=None).double(), MaskedBatchNorm(3, momentum=None).double()]
    norms[1](torch.randn(4, 3).double())  # one batch ahead of the other
    norms[1].reset_running_stats()
    expected = BatchNorm1d(5, momentum=None).double()
    for count in (5, 0, 2, 0, 9):
        x, mask = torch.randn(9, 5).double(), torch.arange(9) < count
        if together:
            normalize_side_by_side(norms, x, mask)
        else:
            [norm(part, mask) for norm, part in zip(norms, x.split((2, 3), -1), strict=True)]
        if count:
            expected(x[:count])
    for name in ("running_mean", "running_var"):
        found = torch.cat([getattr(norm, name) for norm in norms])
        torch.testing.assert_close(found, getattr(expected, name))
    assert [int(norm.num_batches_tracked) for norm in norms] == [3, 3]


def test_norms_that_have_seen_unequally_many_batches_average_each_their_own():
    torch.manual_seed(0)
    together, alone = ([MaskedBatchNorm(2, momentum=None) for _ in range(2)] for _ in range(2))
    ahead = torch.randn(4, 2) + 9
    together[0](ahead), alone[0](ahead)
    x = torch.randn(6, 4)
    normalize_side_by_side(together, x), [norm(part) for norm, part in zip(alone, x.split(2, -1), strict=True)]
    for found, expected in zip(together, alone, strict=True):
        assert torch.equal(found.running_mean, expected.running_mean)


@pytest.mark.parametrize("masked", [True, False])
def test_without_statistics_every_batch_is_normalised_by_itself(masked):
    torch.manual_seed(0)
    layer = torch.func.replace_all_batch_norm_modules_(GraphInception(3, (4, 2)))
    assert layer.branches[0].norms[0].running_mean is None
    norm = torch.func.replace_all_batch_norm_modules_(MaskedBatchNorm(3).double())
    x, mask = torch.randn(9, 3).double() + 5, torch.arange(9) < 6 if masked else None
    rows = x[:6] if masked else x
    expected = (rows - rows.mean(0)) / (rows.var(0, correction=0) + norm.eps).sqrt()
    for training in (True, False):
        torch.testing.assert_close(norm.train(training)(x, mask)[: len(rows)], expected)
        assert layer.train(training)(x.float(), torch.rand(9, 9)).isfinite().all()
    with pytest.raises(TypeError, match=r"branches.0.norms.0 keeps no statistics"):
        fold(GraphInceptionHolder(layer))


class GraphInceptionHolder(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.branches = layer.branches


def test_statistics_that_are_not_to_be_tracked_stay_as_they_are():
    norm = MaskedBatchNorm(2)
    norm.track_running_stats = False
    norm(torch.randn(5, 2) + 9), norm(torch.randn(5, 2), torch.arange(5) < 3)
    assert norm.running_mean.tolist() == [0, 0]
    assert norm.num_batches_tracked == 0


def test_the_state_is_that_of_torch_s_norm_and_loads_with_and_without_a_version():
    for affine in (True, False):
        norm, torchs = MaskedBatchNorm(3, affine=affine), BatchNorm1d(3, affine=affine)
        assert list(norm.state_dict()) == list(torchs.state_dict())
        norm(torch.randn(5, 3))
        for state in (norm.state_dict(), dict(norm.state_dict())):
            restored = MaskedBatchNorm(3, affine=affine)
            restored.load_state_dict(state)
            assert all(torch.equal(state[name], value) for name, value in restored.state_dict().items())


@pytest.mark.parametrize("affine", [True, False])
def test_a_norm_pickled_before_it_was_one_of_torch_s_runs_and_is_found(affine):
    norm = MaskedBatchNorm(3, affine=affine)
    x = torch.randn(5, 3)
    norm(x)
    del norm.affine, norm.track_running_stats
    restored = pickle.loads(pickle.dumps(norm))
    norm.track_running_stats = True
    assert torch.equal(restored.eval()(x), norm.eval()(x))
    assert SyncBatchNorm.convert_sync_batchnorm(restored).affine == affine


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("input_norm", [True, False])
def test_a_model_with_norms_that_take_no_mask_says_how_to_synchronise(input_norm, training):
    model = SyncBatchNorm.convert_sync_batchnorm(LGrIN(3, 6, 2, input_norm=input_norm)).train(training)
    name = "input_norm" if input_norm else r"norms\[0\] of a GStarConv"
    with pytest.raises(TypeError, match=rf"{name} is a SyncBatchNorm.*MaskedBatchNorm.synchronize\(model\)"):
        model(torch.randn(4, 6, 3))
    with pytest.raises(TypeError, match=r"layers.0.branches.0.norms.0 is a SyncBatchNorm"):
        fold(model)


@pytest.mark.parametrize("norm", [BatchNorm1d(4), torch.nn.Sequential(BatchNorm1d(4))])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_layer_refuses_batch_norms_that_take_no_mask(layer, norm):
    inception = GraphInception(3, (4, 2))
    inception.branches[0].norms[layer] = norm
    with pytest.raises(
        TypeError, match=rf"norms\[{layer}\] of a GStarConv is a BatchNorm1d, a batch norm that takes no"
    ):
        inception(torch.randn(2, 5, 3), torch.rand(5, 5))


def test_a_wrapped_norm_keeps_its_mask():
    class Wrapped(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, *args):
            return self.inner(*args)

    torch.manual_seed(0)
    layer, x = GraphInception(3, (4, 2)), torch.randn(2, 5, 3)
    adj, mask = torch.rand(5, 5), torch.rand(2, 5) > 0.4
    expected = layer(x, adj, mask=mask)
    layer.branches[0].norms[0] = Wrapped(layer.branches[0].norms[0])
    layer.branches[1].norms[1] = Wrapped(layer.branches[1].norms[1])
    torch.testing.assert_close(layer(x, adj, mask=mask), expected)


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


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mask", [torch.ones(4, 2).bool(), torch.ones(4, 3), torch.ones(3).bool()])
def test_a_mask_that_does_not_fit_the_nodes_is_refused_and_counts_nothing(mask, training):
    norm = MaskedBatchNorm(2).train(training)
    with pytest.raises(ValueError, match=r"mask is .* for x \[4, 3, 2\] it has to be torch\.bool \[4, 3\]"):
        norm(torch.rand(4, 3, 2), mask)
    assert int(norm.num_batches_tracked) == 0
