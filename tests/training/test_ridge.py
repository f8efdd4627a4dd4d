"""What several ridges have in common, and how each finds its temperature, against one by one."""

import pytest
import torch

from lgrin.training.bank import _quantiles
from lgrin.training.ridge import TEMPERATURES, _choose, fit_ridge, fit_ridges


@pytest.mark.parametrize("width", [7, 60])
def test_several_scales_give_what_each_gives_alone(width):
    torch.manual_seed(0)
    features, labels = torch.randn(25, width) * torch.rand(width), torch.arange(25) % 3
    features[:, 2] = 4.0
    weight = torch.rand(25) + 0.5
    blocks = torch.ones(width), torch.arange(width) // 4 % 2 + 0.3, torch.rand(width)
    together = fit_ridges(features, labels, 3, weight, blocks)
    for scale, ridge in zip(blocks, together, strict=True):
        alone = fit_ridge(features, labels, 3, weight, scale)
        assert ridge.penalty == alone.penalty
        for one, other in ((ridge.weight, alone.weight), (ridge.bias, alone.bias), (ridge.losses, alone.losses)):
            assert torch.allclose(one, other, rtol=1e-7, atol=1e-10)
        assert not ridge.weight[:, 2].any(), "a constant feature counts for nothing"


def test_the_temperature_is_the_best_of_all_that_are_looked_at():
    torch.manual_seed(1)
    scores, labels, share = torch.randn(17, 30, 4, dtype=torch.double), torch.arange(30) % 4, torch.rand(30).double()
    scores[:, torch.arange(30), labels] += torch.logspace(-3, 1, 17).double().unsqueeze(1)
    share /= share.sum()
    spread = 1 / 34
    wanted = spread + (1 - 4 * spread) * torch.nn.functional.one_hot(labels).double()
    every = -((TEMPERATURES.view(-1, 1, 1, 1) * scores).log_softmax(-1) * wanted).sum(-1) @ share
    best, temperature, losses = _choose(scores, labels, share)
    assert (float(losses @ share), temperature) == pytest.approx(
        (float(every.min()), float(TEMPERATURES[every.argmin() // 17]))
    )
    assert best == every.argmin() % 17
    for index in range(17):
        alone = _choose(scores[index : index + 1], labels, share)[1]
        assert alone == TEMPERATURES[every[:, index].argmin()]


def test_quantiles_of_equal_weights_are_those_of_any_others():
    torch.manual_seed(2)
    x, wanted = torch.randn(50, 6).round(decimals=1), torch.rand(3, 6)
    equal = torch.full((50,), 0.7, dtype=torch.double)
    nearly = equal + 1e-14 * torch.arange(50)
    assert torch.equal(_quantiles(x, equal, wanted), _quantiles(x, nearly, wanted))
    assert torch.equal(_quantiles(x, equal, torch.tensor([[0.0], [0.5], [1.0]]).expand(3, 6))[2], x.amax(0))
