import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lgrin import LGrIN
from lgrin.baselines import BLSTM
from lgrin.datasets import AudioFolder
from lgrin.features import Frames, Mocap, SignalError, Speech
from lgrin.training import SequenceClassifier, predict, train_and_test
from lgrin.training.experiment import RECIPE
from lgrin.transforms import CyclicPad, Resample

ROOT = Path(__file__).parents[2]
EMODB = Path(os.environ.get("LGRIN_EMODB", ROOT.parent / "shared" / "data" / "emodb"))


def hum(path, pitch, seed, seconds=0.5):
    time = np.arange(round(16_000 * seconds)) / 16_000
    signal = sum(np.cos(2 * np.pi * pitch * order * time) / order for order in range(1, 9))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * signal + np.random.default_rng(seed).normal(0, 0.01, len(time)), 16_000)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier of low and high hums of four speakers, and the folder of its run."""
    root, out = tmp_path_factory.mktemp("hums"), tmp_path_factory.mktemp("run") / "run"
    for index in range(24):
        label, pitch = (("low", 110), ("high", 240))[index % 2]
        hum(root / label / f"speaker{index // 6}" / f"{index}.wav", pitch + index, index)
    dataset = AudioFolder(root, workers=1, progress=False)
    dataset.transform = Resample(20)
    signal = {"features": dataset.features.settings, "transform": dataset.transform.settings}
    classifier, evaluation = train_and_test(
        LGrIN(34, 20, 2, branch_channels=(16, 8)),
        dataset,
        dataset,
        out,
        classes=dataset.classes,
        options={**RECIPE, **signal},
        epochs=30,
        progress=False,
    )
    assert evaluation.accuracy > 0.9
    return classifier, out, dataset


def test_a_checkpoint_classifies_files_as_training_did(trained, tmp_path):
    classifier, out, dataset = trained
    loaded = SequenceClassifier.load_from_checkpoint(out / "checkpoints" / "best.ckpt", weights_only=True)
    for index in (0, 7, 20):
        data = dataset[index]
        with torch.no_grad():
            expected = classifier.model(classifier.normalize(data.x).unsqueeze(0))[0].softmax(-1)
        prediction = predict(loaded, dataset.source / data.name)
        assert torch.allclose(prediction.probabilities, expected, atol=1e-6)
        assert prediction.classes == ["high", "low"]
    assert predict(loaded, hum(tmp_path / "new.wav", 125, 99)).probabilities.argmax() == 1


@pytest.mark.parametrize(
    ("transform", "frames", "places"),
    [
        (Resample(20), 48, {0: 0, 7: 17, 19: 47}),
        (CyclicPad(20), 13, {0: 0, 7: 7, 19: 6}),
        (CyclicPad(20, "crop"), 48, {0: 0, 7: 7, 19: 19}),
        (CyclicPad(20, "resample"), 48, {0: 0, 7: 17, 19: 47}),
    ],
    ids=repr,
)
def test_the_salient_time_is_that_of_the_file(tmp_path, transform, frames, places, monkeypatch):
    path = hum(tmp_path / "a.wav", 120, 0, seconds=0.026 + 0.01 * (frames - 1))
    assert len(Speech()(path).x) == frames
    settings = {"features": Speech().settings, "transform": transform.settings}
    classifier = SequenceClassifier({"in_channels": 34, "num_nodes": 20, "num_classes": 2}, 1, **settings)
    for node, frame in places.items():
        monkeypatch.setattr(LGrIN, "salient_frames", lambda self, x, mask, node=node: torch.tensor([node]))
        assert predict(classifier, path).seconds == pytest.approx(frame / 100)


def test_models_that_were_told_what_is_spontaneous_ask_for_it(tmp_path):
    path = hum(tmp_path / "a.wav", 120, 0)
    settings = {"features": Speech().settings, "transform": Resample(20).settings}
    classifier = SequenceClassifier({"in_channels": 35, "num_nodes": 20, "num_classes": 2}, 1, **settings)
    with pytest.raises(
        ValueError, match=r"34 features a frame, but in_channels=35; give spontaneous=True or False to a"
    ):
        predict(classifier, path)
    told = [predict(classifier, path, spontaneous=answer).probabilities for answer in (True, False)]
    assert not torch.equal(*told)


def test_what_cannot_be_predicted_says_why(trained, tmp_path):
    classifier, *_ = trained
    with pytest.raises(FileNotFoundError, match=r"gone\.wav"):
        predict(classifier, tmp_path / "gone.wav")
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(SignalError, match="cannot be read as audio"):
        predict(classifier, tmp_path / "text.wav")
    bare = SequenceClassifier({"in_channels": 34, "num_nodes": 20, "num_classes": 2}, 1)
    with pytest.raises(ValueError, match="classifier does not know how its features are made; train it with"):
        predict(bare, tmp_path / "text.wav")


def test_frames_that_a_transform_loses_are_no_prediction(tmp_path, monkeypatch):
    def one_frame(self, path):
        mask = torch.zeros(400, dtype=torch.bool)
        mask[133] = True
        return Frames(torch.ones(400, 34), mask, 100.0)

    monkeypatch.setattr(Speech, "read", one_frame)
    settings = {"features": Speech().settings, "transform": Resample(20).settings}
    classifier = SequenceClassifier({"in_channels": 34, "num_nodes": 20, "num_classes": 2}, 1, **settings)
    with pytest.raises(SignalError, match=r"none of its 1 frames is left after Resample\(20\)"):
        predict(classifier, hum(tmp_path / "a.wav", 120, 0))


def test_competitors_predict_without_a_salient_frame(tmp_path):
    settings = {"features": Speech().settings, "transform": Resample(20).settings}
    path = hum(tmp_path / "a.wav", 120, 0)
    prediction = predict(SequenceClassifier(BLSTM(34, 20, 2), 1, **settings), path)
    assert prediction.seconds is None
    assert float(prediction.probabilities.sum()) == pytest.approx(1)
    settings["features"] = Mocap(joints=1).settings
    classifier = SequenceClassifier({"in_channels": 6, "num_nodes": 20, "num_classes": 2}, 1, **settings)
    with pytest.raises(ValueError, match="spontaneous is True, but Mocap takes no spontaneous; leave it out"):
        predict(classifier, path, spontaneous=True)


def run(*command):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_prints_classes_and_the_salient_time(trained, tmp_path):
    _, out, _ = trained
    shown = run("examples/predict.py", out / "checkpoints" / "best.ckpt", hum(tmp_path / "a.wav", 120, 0))
    rows = re.findall(r"^  (high|low) +(0\.\d{3}|1\.000)$", shown, re.MULTILINE)
    assert {name for name, _ in rows} == {"high", "low"}
    assert sum(float(probability) for _, probability in rows) == pytest.approx(1, abs=0.002)
    assert re.search(r"most salient frame at 0\.\d\d s", shown)


@pytest.mark.skipif(not EMODB.exists(), reason="needs the 535 clips of EmoDB")
def test_the_main_job_trains_on_emodb_and_classifies_a_clip(tmp_path):
    command = ["examples/train.py", "--dataset", "emodb", "--root", EMODB, "--cache", tmp_path / "cache"]
    shown = run(*command, "--out", tmp_path / "run", "--epochs", 1, "--no-progress")
    assert "EmoDB: 535 sequences, 7 classes, 34 features a frame" in shown
    assert "emodb: accuracy" in shown
    shown = run("examples/predict.py", tmp_path / "run" / "checkpoints" / "best.ckpt", EMODB / "wav" / "03a01Fa.wav")
    assert all(name in shown for name in ("anger", "boredom", "disgust", "fear", "joy", "sadness", "neutral"))
