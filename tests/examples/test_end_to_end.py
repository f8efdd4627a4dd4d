import json

import numpy as np
import pytest
import soundfile

from examples import end_to_end

pytest.importorskip("librosa")


def test_it_runs_to_its_metrics_on_speakers_that_training_never_saw(tmp_path, monkeypatch):
    for speaker in range(5):
        for letter, pitch in {"W": 300, "T": 120}.items():
            for take in "ab":
                path = tmp_path / "emodb" / "wav" / f"{speaker + 3:02}a01{letter}{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = np.random.default_rng(speaker).normal(0, 0.01, 4_000)
                soundfile.write(path, 0.1 * np.sin(2 * np.pi * pitch * np.arange(4_000) / 16_000) + noise, 16_000)
    seen = {}
    original = end_to_end.train_and_test

    def watch(model, train, test, *rest, **options):
        seen.update(train={int(data.group) for data in train}, test={int(data.group) for data in test})
        return original(model, train, test, *rest, **options)

    monkeypatch.setattr(end_to_end, "train_and_test", watch)
    command = ["--root", str(tmp_path / "emodb"), "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]
    metrics = end_to_end.main([*command, "--frames", "8", "--width", "8", "--epochs", "1", "--no-progress"])
    assert not seen["train"] & seen["test"]
    assert metrics["encoder_parameters"] < 50_000
    assert 0 <= metrics["accuracy"] <= 1
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    assert (tmp_path / "run" / "adjacency.png").read_bytes().startswith(b"\x89PNG")
