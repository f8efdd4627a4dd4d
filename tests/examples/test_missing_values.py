"""The study of missing values, on a set that is drawn here."""

import json

import numpy as np

from examples.reproduce.missing_values import LOSSES, flag, leave_out, main


def test_losses_remove_what_they_say():
    random = np.random.default_rng(0)
    x = random.normal(size=(4, 30))
    assert abs(LOSSES["random"](np.zeros((40, 500)), None, random).mean() - 0.2) < 0.01
    assert LOSSES["blocks"](x, None, random).sum(1).tolist() == [10] * 4
    dead = [LOSSES["dead"](x, None, random).all(1).sum() for _ in range(200)]
    assert set(dead) == {0, 1}
    assert np.array_equal(LOSSES["clipped"](x, np.zeros(4), random), x > 0)
    holed = np.where(LOSSES["clipped"](x, np.ones(4), random), np.nan, x)
    assert np.array_equal(flag(holed)[4:], np.isnan(holed))
    assert np.isnan(leave_out(holed)).any(0).tolist() == np.isnan(leave_out(holed)).all(0).tolist()


def test_every_loss_has_a_row(tmp_path):
    random, y = np.random.default_rng(0), np.arange(16) % 2
    X = random.normal(size=(16, 2, 12)) + 4 * y[:, None, None]
    np.savez(tmp_path / "Toy.npz", X_train=X, y_train=y, X_test=X, y_test=y)
    main("missing-values", ["--datasets", "Toy", "--root", str(tmp_path), "--repeats", "1", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "missing-values" / "rows.json").read_text())["rows"]
    assert [row["lost"] for row in rows] == ["nothing", *LOSSES]
    assert all(row["filled"] >= 0.8 for row in rows)
