"""The study of sequences of other lengths than those of training."""

import json

import numpy as np

from examples.reproduce.__main__ import main
from examples.reproduce.lengths import FREQUENCIES, RATE, record


def test_a_class_is_a_frequency():
    recordings = record(6, (2_000, 2_000), np.array([0.95, 1.05]), np.random.default_rng(0))
    for x, label, who in zip(*recordings, strict=True):
        strength = np.abs(np.fft.rfft(x)).sum(0)
        strongest = strength[1:].argmax() + 1
        expected = FREQUENCIES[label] * (0.95, 1.05)[who]
        assert abs(strongest * RATE / 2_000 - expected) < RATE / 2_000


def test_the_study_runs_from_end_to_end(tmp_path):
    options = ["--recordings", "30", "--tested", "3", "--epochs", "1", "--out", str(tmp_path)]
    main(["lengths", *options])
    rows = json.loads((tmp_path / "lengths.json").read_text())["rows"]
    assert [row["recipe"] for row in rows] == ["any_length", "recommended"]
    assert all("50 frames" in row and "5,000 frames" in row for row in rows)
