"""A warm start goes on from the last fit."""

import numpy as np
import pytest
import torch

from lgrin.sklearn import LGrINClassifier
from lgrin.training.blend import without_bank

SMALL = {"branch_channels": (8, 4), "random_state": 0}
Y = np.arange(24) % 2


def signals(seed, length=20, channels=2):
    X = np.random.default_rng(seed).normal(size=(24, channels, length))
    X[Y == 1, 0] += np.linspace(-3, 3, length)
    return X


@pytest.mark.parametrize("bank", [False, True])
def test_it_goes_on_from_the_weights_at_a_tenth_of_the_rate(bank):
    first = LGrINClassifier(epochs=30, warm_start=True, bank=bank, **SMALL).fit(signals(0), Y)
    before, lr = first.classifier_, first.classifier_.hparams["lr"]
    state = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    first.set_params(epochs=1).fit(signals(1, length=31) + 0.5, Y)
    fitted, before, after = before, without_bank(before), without_bank(first.classifier_)
    assert after.hparams["lr"] == pytest.approx(lr / 10)
    assert torch.equal(after.normalize.mean, state["normalize.mean"])
    assert after.model.num_nodes == 20
    assert all(torch.equal(tensor, state[name]) for name, tensor in fitted.state_dict().items())
    old = before.state_dict()
    moved = [(new - old[f"model.{name}"]).abs().max() for name, new in after.model.named_parameters()]
    assert 0 < max(moved) < 0.01
    assert first.score(signals(2), Y) > 0.9
    cold = LGrINClassifier(epochs=1, **SMALL).fit(signals(1), Y)
    assert cold.loss_curve_[0] > first.loss_curve_[0]


def test_without_it_a_further_fit_starts_anew():
    again = LGrINClassifier(epochs=2, **SMALL).fit(signals(1), Y).fit(signals(0), Y)
    once = LGrINClassifier(epochs=2, **SMALL).fit(signals(0), Y)
    warm = LGrINClassifier(epochs=2, warm_start=True, **SMALL).fit(signals(0), Y)
    for other in (again, warm):
        assert np.array_equal(other.predict_proba(signals(2)), once.predict_proba(signals(2)))


def test_other_classes_and_channels_are_refused(tmp_path):
    fitted = LGrINClassifier(epochs=2, warm_start=True, **SMALL).fit(signals(0), Y)
    expected = fitted.predict_proba(signals(2))
    with pytest.raises(ValueError, match=r"y holds the classes \[1, 2\], and warm_start=True goes on with \[0, 1\]"):
        fitted.fit(signals(0), Y + 1)
    with pytest.raises(ValueError, match=r"X\[0\] has 3 channels, but LGrINClassifier is expecting 2"):
        fitted.fit(signals(0, channels=3), Y)
    assert np.array_equal(fitted.predict_proba(signals(2)), expected)
    fitted.save(tmp_path / "fitted.pt")
    loaded = LGrINClassifier.load(tmp_path / "fitted.pt").fit(signals(0), Y)
    assert loaded.classifier_.hparams["lr"] == pytest.approx(0.0003)
