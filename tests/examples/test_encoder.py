"""The study of an encoder that was trained on series made by code."""

import json

import numpy as np
import pytest
import torch

from examples.reproduce import encoder
from examples.reproduce.__main__ import main
from examples.reproduce.series import KINDS, LENGTH, series
from examples.reproduce.suite import drawn


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_series_is_finite_moves_and_comes_from_the_seed(kind):
    for seed in range(20):
        x = kind(np.random.default_rng(seed))
        assert x.shape == (LENGTH,)
        assert np.isfinite(x).all()
        assert x.std() > 0
        assert np.array_equal(x, kind(np.random.default_rng(seed)))


def test_series_have_mean_0_and_deviation_1():
    found = np.stack([series(np.random.default_rng(seed)) for seed in range(20)])
    assert np.abs(found.mean(1)).max() < 1e-4
    assert found.std(1) == pytest.approx(1, abs=1e-3)


def test_the_encoder_is_small_and_sees_no_level_no_scale_and_no_order_of_channels():
    model = encoder.network().eval()
    assert sum(one.numel() for one in model.state_dict().values()) < 100_000
    X = [np.random.default_rng(seed).normal(size=(3, 20 + 30 * seed)) for seed in range(3)]
    found = encoder.encoded(model, X)
    assert found.shape == (3, 4 * model.embed_channels)
    moved = encoder.encoded(model, [50 * x[::-1].copy() + 7 for x in X])
    assert torch.allclose(found, moved, atol=0.02)


def test_training_brings_crops_of_a_series_together():
    torch.manual_seed(0)
    random = np.random.default_rng(1)
    known = np.stack([series(random) for _ in range(64)])

    def hits(model):
        with torch.no_grad():
            one, other = (
                torch.nn.functional.normalize(model.embed(encoder.crops(known, 100, random)), dim=1) for _ in range(2)
            )
        return float(((one @ other.mT).argmax(1) == torch.arange(64)).float().mean())

    encoder_before = encoder.network().eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "SERIES", 300)
        trained = encoder.train(60)
    assert not trained.training
    assert hits(trained) > hits(encoder_before)


def test_a_row_for_each_method_and_gains_over_the_bank(tmp_path, monkeypatch, capsys):
    random = np.random.default_rng(0)
    X, y = [random.normal(size=(2, 30)) for _ in range(24)], np.arange(24) % 2
    for x, label in zip(X, y, strict=True):
        x[0] += 2 * label * np.sin(np.arange(30))
    monkeypatch.setattr(encoder, "tasks", lambda options: [drawn("Toy/4 labels/0", X, y, 4, random)])
    monkeypatch.setattr(encoder, "SERIES", 70)
    main(["encoder", "--steps", "2", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "encoder/rows.json").read_text())["rows"]
    assert [row["method"] for row in rows] == list(encoder.METHODS)
    assert "bank and encoder" in capsys.readouterr().out
    assert torch.load(tmp_path / "encoder/encoder.pt").keys() == encoder.network().state_dict().keys()
    for row, accuracy in zip(rows, (0.5, 0.75, 0.5, 0.25), strict=True):
        row["accuracy"] = accuracy
    assert [line["gain"] for line in encoder.summary(rows)] == [0, 0.25, 0, -0.25]
