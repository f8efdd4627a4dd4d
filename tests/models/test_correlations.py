"""Correlations of channels against NumPy, and as summaries of a bank."""

import numpy as np
import pytest
import torch

from lgrin.export import load, to_onnx
from lgrin.models import FilterBank, from_config
from lgrin.models.correlations import EACH, correlations, pairs_of
from lgrin.models.functionals import LAGS


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.double)


def reference(x, pair):
    """The correlations of one sequence, computed one by one."""
    u = (x - x.mean(0)) / x.std(0)
    rows = [[np.mean(u[:, a] * u[:, b]) for a, b in pair]]
    for lag in LAGS:
        rows += [[(u[lag:, a] * u[:-lag, b]).sum() / len(u) for a, b in pair]]
        rows += [[(u[lag:, b] * u[:-lag, a]).sum() / len(u) for a, b in pair]]
    return np.array(rows)


@pytest.mark.parametrize("length", [2, 9, 100])
def test_they_are_those_of_numpy(length):
    x, pair = draw(1, length, 4), pairs_of(4, 5)
    found = correlations(x, torch.ones(1, length, dtype=torch.bool), pair)[0]
    assert found.shape == (EACH, 5)
    assert np.allclose(found, reference(x[0].numpy(), pair.tolist()))


def test_padding_and_absent_frames_do_not_count():
    x, pair, present = draw(2, 30, 3), pairs_of(3, 3), torch.ones(2, 30, dtype=torch.bool)
    present[1, 12:] = False
    present[0, [4, 17]] = False
    found = correlations(x.masked_fill(~present.unsqueeze(-1), 0), present, pair)
    assert torch.allclose(found[1:], correlations(x[1:, :12], present[1:, :12], pair))
    left = x[0, present[0]].numpy()
    assert np.allclose(found[0, 0], reference(left, pair.tolist())[0])


@pytest.mark.parametrize("length", [0, 1, 40])
def test_what_does_not_move_goes_with_nothing(length):
    present = torch.arange(40).unsqueeze(0) < length
    x = (torch.full((1, 40, 2), 2.7) + 1e-6 * draw(1, 40, 2).float()).masked_fill(~present.unsqueeze(-1), 0)
    x.requires_grad_()
    found = correlations(x, present, pairs_of(2, 1))
    assert torch.allclose(found, torch.zeros(1, EACH, 1), atol=1e-6)
    found.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(("channels", "count"), [(1, 5), (2, 5), (7, 21), (7, 10), (300, 90)])
def test_pairs_are_different_pairs_of_different_channels(channels, count):
    pair = pairs_of(channels, count)
    assert len({tuple(one) for one in pair.tolist()}) == len(pair) == min(count, channels * (channels - 1) // 2)
    assert ((pair[:, 0] < pair[:, 1]) & (pair[:, 1] < channels) & (pair[:, 0] >= 0)).all()


def bank():
    torch.manual_seed(0)
    return FilterBank(3, 4, mixes=4, heads=2, functionals=2, pairs=9, segments=(1, 2))


def test_a_bank_reads_them_between_ranks_and_functionals():
    model, x = bank().double(), draw(20, 3)
    assert model.config["pairs"] == 3, "three channels have no more"
    first = sum(list(model.blocks.values())[:5])
    assert list(model.blocks)[5] == "correlation"
    assert model.embed_channels == model.embed(x).size(1) == first + 3 * EACH + model.blocks["functional"]
    found = model.embed(x)[0, first : first + 3 * EACH].view(EACH, 3)
    assert np.allclose(found, reference(x.numpy(), [(0, 1), (0, 2), (1, 2)]))
    before = model.embed(x)[:, : -model.blocks["functional"]]
    model.drop("functional")
    assert torch.equal(model.embed(x), before)


def test_a_bank_is_built_again_and_one_without_pairs_has_no_new_entry_in_its_file():
    model, x = bank(), draw(20, 3).float()
    again = from_config({"name": "FilterBank", **model.config})
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x), model(x))
    without = FilterBank(3, 4, mixes=4, heads=2, functionals=2, segments=(1, 2))
    assert without.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(without.state_dict()[name], model.state_dict()[name]) for name in ("mix", "contour"))


def test_file_and_module_agree(tmp_path):
    model = bank().eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    to_onnx(model, tmp_path / "bank.onnx", classes=["a", "b", "c", "d"])
    classify = load(tmp_path / "bank.onnx")
    for length in (1, 3, 40):
        x = draw(length, 3).float()
        expected = model(x).softmax(-1).detach().numpy()
        assert np.allclose(classify(x.unsqueeze(0).numpy()).probabilities, expected, atol=1e-4)
