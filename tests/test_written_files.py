"""Files that earlier versions wrote: they are read for good, and say what they said."""

import json
import shutil
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from files import make

from lgrin.hub import PretrainedClassifier
from lgrin.sklearn import LGrINClassifier

VERSIONS = sorted(path for path in Path(make.__file__).parent.iterdir() if (path / "expected.npz").exists())
READERS = {
    **{f"{name}.ckpt": lambda path: make.logits(make.open_checkpoint(path), path.stem) for name in make.BUILD},
    "estimator.pt": lambda path: LGrINClassifier.load(path).predict_proba(make.draw("unseen", 3, make.CHANNELS, 9)),
    "hub": lambda path: make.logits(PretrainedClassifier.from_pretrained(path), "hub"),
    "model.onnx": make.exported,
    "8bit.onnx": make.exported,
}

UNMARKED = ("hub", "model.onnx", "8bit.onnx")  # the others are archives, which have a checksum of each part


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def written(request, tmp_path):
    """The files of a version, where nothing that a reader does to them is kept."""
    return shutil.copytree(request.param, tmp_path / "written")


@contextmanager
def one_line_that_says(words):
    """Warnings of lgrin, which are one or none."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    told = [str(warning.message) for warning in said if "checksum" in str(warning.message)]
    assert len(told) == (words is not None), told
    assert all(words in line for line in told), told


def expected(written, name):
    with np.load(written / "expected.npz") as values:
        return values[name]


@pytest.mark.parametrize("name", READERS)
def test_models_of_earlier_versions_say_what_they_said(written, name):
    with one_line_that_says("carries no checksum" if name in UNMARKED else None):
        found = READERS[name](written / name)
    np.testing.assert_allclose(found, expected(written, name), rtol=1e-5, atol=1e-6)


def test_features_of_earlier_versions_are_not_made_again(written, monkeypatch):
    monkeypatch.delattr(make.WordLengths, "read")
    with one_line_that_says("cached features carry no checksum"):
        x, mask, frame_rate = make.features(written)
    np.testing.assert_array_equal(x, expected(written, "features.x"))
    np.testing.assert_array_equal(mask, expected(written, "features.mask"))
    assert frame_rate == 2


def test_sets_of_earlier_versions_are_not_processed_again(written, monkeypatch):
    monkeypatch.delattr(make.Two, "process")
    with one_line_that_says("processed files carry no checksum"):
        dataset = make.Two(str(written))
    for index, data in enumerate(dataset):
        np.testing.assert_array_equal(data.x, expected(written, f"processed.{index}"))
    assert (dataset.classes, dataset.groups, dataset.num_frames) == (make.CLASSES, ["anna", "bert"], 4)
    assert dataset.failures == {"c": "it is empty"}
    assert [(data.name, data.text, int(data.y), int(data.group)) for data in dataset] == [
        ("a", "kids", 0, 1),
        ("b", "dogs", 1, 0),
    ]
    assert torch.equal(dataset[0].mask, torch.tensor([True, False, True, True]))


def test_folds_that_earlier_versions_ran_are_not_run_again(written, tmp_path):
    make.fold_of(tmp_path / "out")
    (path,) = (tmp_path / "out").iterdir()
    shutil.copyfile(written / "fold.json", path)  # what the name stands for may change
    with one_line_that_says("results of folds carry no checksum"):
        found = make.fold_of(tmp_path / "out")
    assert found == json.loads((written / "fold.json").read_text())
