"""Missing values in the frames that an exported file is given, against the estimator that it was made of."""

import numpy as np
import onnxruntime
import pytest
from sklearn.base import clone

from lgrin import LGrIN
from lgrin.export import load, to_onnx
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.transforms import CyclicPad

CLASSES = np.array(["calm", "glad"])
ESTIMATORS = {
    "network and bank": LGrINClassifier(epochs=1, branch_channels=(4,), random_state=0),
    "network, resampled": LGrINClassifier(epochs=1, branch_channels=(4,), bank=False, num_nodes=12, random_state=0),
    "network, thinned": LGrINClassifier(epochs=1, branch_channels=(4,), bank=False, num_nodes=12, thin="mean"),
    "any length": LGrINClassifier(recipe="any_length", epochs=1, branch_channels=(4,), bank=False, random_state=0),
    "bank": FilterBankClassifier(random_state=0),
}
pytestmark = pytest.mark.filterwarnings("ignore:.*of the values of X are missing")


def recordings(offset=0.0):
    random = np.random.default_rng(0)
    X = [random.normal(size=(3, random.integers(15, 40))).cumsum(1) + offset for _ in range(24)]
    for index, x in enumerate(X):
        x[0] += 3 * (index % 2)
    return X


def with_gaps(X):
    """Copies of a single cell, a stretch of one channel, whole frames, a lost channel, and all of these."""
    cells, stretch, frames, channel, every = (x.copy() for x in X[:5])
    cells[1, [0, 4, 9]] = stretch[2, 3:9] = frames[:, 5:8] = channel[1] = np.nan
    every[0, 2:5] = every[1, 7] = every[:, 10:12] = every[:, -1] = every[2] = np.nan
    return [cells, stretch, frames, channel, every]


KINDS = [*((kind, 0.0) for kind in ESTIMATORS), ("network, resampled", 1e8), ("bank", 1e8)]


@pytest.fixture(scope="module", params=KINDS, ids=str)
def exported(request, tmp_path_factory):
    kind, offset = request.param
    estimator = clone(ESTIMATORS[kind]).fit(recordings(offset), CLASSES[np.arange(24) % 2])
    path = tmp_path_factory.mktemp("gaps") / "model.onnx"
    to_onnx(estimator, path)
    return estimator, path, recordings(offset)


def test_gaps_are_filled_as_the_estimator_fills_them(exported):
    estimator, path, X = exported
    model = load(path)
    assert list(model.description.classes) == CLASSES.tolist()
    for x in (*X[:2], *with_gaps(X)):
        (expected,) = estimator.predict_proba([x])
        assert np.abs(model(x.T[None]).probabilities[0] - expected).max() < 1e-6


def test_what_the_mask_hides_fills_no_gap(exported):
    estimator, path, X = exported
    hidden, mask = X[3].copy(), np.ones(X[3].shape[1], bool)
    mask[4:7] = False
    hidden[0, 3] = np.nan
    missing = np.where(mask, hidden, np.nan)
    found = load(path)(hidden.T[None], mask[None]).probabilities[0]
    assert np.abs(found - estimator.predict_proba([missing])[0]).max() < 1e-6


def test_a_file_by_itself_answers_gaps_with_nan_and_keeps_the_other_sequences(exported):
    _, path, X = exported
    model, session = load(path), onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    frames = model.description.num_nodes or 15
    x = np.stack([x[:, :frames].T for x in X[:6]]) - (model.description.offset or 0.0)
    x = x.astype(np.float32)
    mask = np.ones(x.shape[:2], bool)
    whole = session.run(["probabilities"], {"x": x, "mask": mask})[0]
    x[1, 3, 0] = x[2, 4] = x[3, :, 1] = x[4] = np.nan
    found = session.run(["probabilities"], {"x": x, "mask": mask})[0]
    assert np.isnan(found).all(1).tolist() == [False, True, True, False, True, False]
    assert np.array_equal(found[[0, 5]], whole[[0, 5]])
    mask[2, 4] = False  # a missing frame that is marked
    assert np.isfinite(session.run(["probabilities"], {"x": x, "mask": mask})[0][2]).all()


def test_sequences_of_any_length_get_to_the_length_of_the_network(tmp_path):
    network = LGrIN(3, 12, 2, branch_channels=(4,), input_norm=True)
    to_onnx(network, tmp_path / "cyclic.onnx", transform=CyclicPad(12).settings)
    x = recordings()[0].T[:7].astype(np.float32)
    model = load(tmp_path / "cyclic.onnx")
    assert np.array_equal(model(x[None]).logits, model(np.resize(x, (12, 3))[None]).logits)
    with pytest.raises(ValueError, match=r"data\.x has 13 frames, more than num_nodes=12"):
        model(np.zeros((1, 13, 3), np.float32))
    with pytest.raises(ValueError, match="sequence 0 has no present frame"):
        model(np.full((1, 7, 3), np.nan, np.float32))
