"""Small signals on large offsets: what float32 would round away is subtracted in float64 first."""

import copy

import numpy as np
import pytest
import torch

from lgrin import LGrIN
from lgrin.arrays import narrow
from lgrin.datasets import from_arrays
from lgrin.export import load, to_onnx
from lgrin.hub import PretrainedClassifier
from lgrin.sklearn import LGrINClassifier
from lgrin.training import SequenceClassifier, train_and_test
from lgrin.transforms import Resample

OPTIONS = {"epochs": 60, "branch_channels": (16, 8), "random_state": 0}
Y = np.arange(60) % 2


def signals(offset):
    X = np.random.default_rng(0).normal(size=(60, 1, 20))
    X[Y == 1] += np.linspace(-3, 3, 20)
    return X + offset


@pytest.fixture(scope="module")
def fitted():
    return LGrINClassifier(**OPTIONS).fit(signals(1e9)[:40], Y[:40])


@pytest.mark.parametrize("offset", [0.0, 1e8, 1e9, -1e9, 1.7e9])
def test_an_offset_changes_nothing(offset):
    X = signals(offset)
    assert LGrINClassifier(**OPTIONS).fit(X[:40], Y[:40]).score(X[40:], Y[40:]) == 1


def test_whole_numbers_and_tensors_keep_their_signal():
    X = (1000 * signals(0)).astype(np.int64) + 10**12
    for given in (X, torch.tensor(X), X.astype(object), [torch.tensor(one) for one in X]):
        assert LGrINClassifier(**OPTIONS).fit(given[:40], Y[:40]).score(given[40:], Y[40:]) == 1


def test_one_channel_with_an_offset_leaves_the_others_alone():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 1, 20)), signals(1e9)], axis=1)
    assert LGrINClassifier(**OPTIONS).fit(X[:40], Y[:40]).score(X[40:], Y[40:]) == 1


def test_the_offset_travels_with_the_model(fitted, tmp_path):
    X = signals(1e9)[40:]
    expected = fitted.predict_proba(X)
    fitted.save(tmp_path / "fitted.pt")
    assert np.array_equal(LGrINClassifier.load(tmp_path / "fitted.pt").predict_proba(X), expected)
    PretrainedClassifier.of(fitted.classifier_).save_pretrained(tmp_path / "folder")
    of_folder = PretrainedClassifier.from_pretrained(tmp_path / "folder")
    exact = fitted.classifier_.normalize.mean
    assert exact.dtype == torch.float64
    for module in (of_folder, copy.deepcopy(fitted.classifier_).half(), copy.deepcopy(fitted.classifier_).double()):
        assert torch.equal(module.normalize.mean, exact)
    description = to_onnx(fitted.classifier_, tmp_path / "model.onnx")
    assert description.offset == exact.tolist()
    model = load(tmp_path / "model.onnx")
    np.testing.assert_allclose(model(X.transpose(0, 2, 1)).probabilities, expected, atol=1e-6)
    narrow_file = to_onnx(
        LGrINClassifier(**{**OPTIONS, "epochs": 1}).fit(signals(0), Y).classifier_, tmp_path / "b.onnx"
    )
    assert narrow_file.offset is None
    assert narrow_file.properties["lgrin.format"] == "2"


def test_data_sets_and_checkpoints_keep_the_offset(tmp_path):
    arrays = list(signals(1e9).transpose(0, 2, 1))
    train, test = from_arrays(arrays[:40], Y[:40]), from_arrays(arrays[40:], Y[40:])
    assert train[0].x.dtype == torch.float64
    train.transform = test.transform = Resample(20)
    model = LGrIN(1, 20, 2, branch_channels=(16, 8))
    classifier, evaluation = train_and_test(model, train, test, tmp_path, epochs=60, progress=False)
    assert evaluation.accuracy == 1
    kept = SequenceClassifier.load_from_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert torch.equal(kept.normalize.mean, classifier.normalize.mean)


def test_what_float32_holds_stays_float32():
    noise = np.random.default_rng(0).normal(size=(50, 2))
    assert [one.dtype for one in narrow([noise, noise + 100])] == [np.float32] * 2
    constant = np.full((50, 1), 1013.2500000001) + 1e-13 * noise[:, :1]  # rounding alone
    assert narrow([constant])[0].dtype == np.float32
    assert narrow([(noise + 1e9).astype(np.float32)])[0].dtype == np.float32
    assert narrow([noise, np.full((3, 2), np.nan)])[0].dtype == np.float32
