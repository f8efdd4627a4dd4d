"""What several ridges have in common, and how each finds its temperature, against one by one."""

import pytest
import torch

from lgrin.training import ridge as module
from lgrin.training.bank import _quantiles
from lgrin.training.ridge import TEMPERATURES, _choose, average, fit_pairs, fit_ridge, fit_ridges


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


def pairs_by_definition(z, labels, weight, penalty, kept, x):
    """Scores of x by one ridge of the kept rows for each pair of three classes, solved by their normal equations."""
    scores = torch.zeros(len(x), 3, dtype=torch.double)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        pair = (labels == first) | (labels == second)
        rows = pair & kept
        share = weight[rows] / weight[rows].sum()
        target = torch.where(labels[rows] == first, 1.0, -1.0).double()
        center, mean = share @ z[rows], share @ target
        inner = z[rows] - center
        ridge = penalty * weight[pair].sum() / weight[rows].sum() * torch.eye(z.size(1), dtype=torch.double)
        normal = inner.mT @ (inner * share.unsqueeze(1)) + ridge
        score = (x - center) @ torch.linalg.solve(normal, inner.mT @ (share * (target - mean))) + mean
        scores[:, first] += score / 2
        scores[:, second] -= score / 2
    return scores


@pytest.mark.parametrize("width", [4, 40])
@pytest.mark.parametrize("grouped", [False, True])
def test_pairs_of_classes_are_ridges_of_their_sequences_alone(width, grouped, monkeypatch):
    monkeypatch.setattr(module, "TEMPERATURES", torch.ones(1, dtype=torch.double))
    torch.manual_seed(3)
    labels = torch.arange(24) % 3
    features = torch.randn(24, width, dtype=torch.double)
    features[:, 0] += labels
    weight = torch.rand(24, dtype=torch.double) + 0.5
    groups = torch.arange(24) // 4 if grouped else None
    found = fit_pairs(features, labels, 3, weight, torch.ones(width), groups)
    share = weight / weight.sum()
    center = share @ features
    z = (features - center) / (share @ (features - center).square()).sqrt()
    expected = pairs_by_definition(z, labels, weight, found.penalty, torch.full((24,), True), z)
    assert torch.allclose(features @ found.weight.mT + found.bias, expected)
    for out in (torch.arange(24) if groups is None else groups).unique():
        here = torch.arange(24) == out if groups is None else groups == out
        without = pairs_by_definition(z, labels, weight, found.penalty, ~here, z[here])
        assert torch.allclose(found.left_out[here], without)


def test_of_two_classes_the_pair_is_all():
    torch.manual_seed(4)
    features, labels, weight = torch.randn(20, 30), torch.arange(20) % 2, torch.rand(20) + 0.5
    features[:, 0] += labels
    one, pair = (fit(features, labels, 2, weight, torch.ones(30)) for fit in (fit_ridge, fit_pairs))
    both = average(one, pair, labels)
    for ridge in (pair, both):
        assert ridge.penalty == one.penalty
        for name in ("weight", "bias", "left_out", "losses"):
            assert torch.allclose(getattr(ridge, name), getattr(one, name), atol=1e-10)


def test_classes_without_a_sequence_have_scores_in_pairs():
    torch.manual_seed(5)
    features, labels = torch.randn(12, 5), torch.arange(12) % 2
    features[:, 0] += 4 * labels
    found = fit_pairs(features, labels, 4, torch.ones(12), torch.ones(5))
    scores = features.double() @ found.weight.mT + found.bias
    assert scores.isfinite().all()
    assert scores.argmax(1).tolist() == labels.tolist()
