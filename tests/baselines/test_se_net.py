import sys
from types import SimpleNamespace

import pytest
import torch
from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, Linear, Sequential

from lgrin.baselines import PAPER, SENet


def picture_network(architecture, num_classes):
    """Stands for timm's, which needs a torchvision that fits torch."""
    assert architecture == "seresnet50"
    return Sequential(Conv2d(3, 4, 3), AdaptiveAvgPool2d(1), Flatten(), Linear(4, num_classes))


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=picture_network))
    return SENet(in_channels=3 * 8 * 8, num_nodes=5, num_classes=2).double()


def test_logits_are_the_average_over_present_frames(model):
    x = torch.randn(3, 5, 192, dtype=torch.float64)
    mask = torch.tensor([[True] * 5, [True, False, True, False, False], [False] * 5])
    filled = x.masked_fill(~mask.unsqueeze(-1), torch.nan).requires_grad_()
    logits = model(filled, mask=mask)
    for sequence, present, found in zip(x[:2], mask, logits, strict=False):
        pictures = sequence[present].view(-1, 3, 8, 8)
        assert torch.allclose(found, model.network(pictures).mean(0), rtol=1e-10)
    assert not logits[2].any()
    logits.sum().backward()
    assert not filled.grad[~mask].any()
    batch, frame = mask.nonzero(as_tuple=True)
    flat = model(x[mask], frame=frame, batch=batch, batch_size=3)
    assert torch.allclose(flat, logits, rtol=1e-10)


def test_the_config_builds_the_model_again(model):
    assert SENet(**model.config).config == {"in_channels": 192, "num_nodes": 5, "num_classes": 2}


def test_pictures_are_square():
    with pytest.raises(ValueError, match="in_channels is 136; a square picture has 3 \\* S \\* S values"):
        SENet(136, 90, 6)


def test_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r'timm is not installed.*"lgrin\[baselines\]"'):
        SENet(192, 5, 2)


def test_the_network_of_timm_has_the_parameters_of_table_1():
    pytest.importorskip("timm", reason="timm comes with an extra")
    model = SENet(3 * 32 * 32, 2, 6)
    printed = PAPER["table1"]["rows"]["SENet"][-1]
    assert abs(sum(p.numel() for p in model.parameters()) - printed) <= 0.15 * printed
    assert model(torch.randn(2, 2, 3 * 32 * 32)).shape == (2, 6)
