"""A fitted estimator goes straight into a file, a folder of the Hub, or a picture."""

import numpy as np
import pytest

from lgrin.export import load, to_onnx
from lgrin.hub import PretrainedClassifier
from lgrin.sklearn import LGrINClassifier
from lgrin.visualization import plot_adjacency


@pytest.fixture(scope="module")
def fitted():
    X = np.random.default_rng(0).normal(size=(12, 2, 9))
    return LGrINClassifier(epochs=1, branch_channels=(4,), random_state=0).fit(X, ["calm", "glad"] * 6), X


def test_an_estimator_is_exported(fitted, tmp_path):
    estimator, X = fitted
    assert to_onnx(estimator, tmp_path / "model.onnx").classes == ["calm", "glad"]
    probabilities = load(tmp_path / "model.onnx")(X.transpose(0, 2, 1)).probabilities
    np.testing.assert_allclose(probabilities, estimator.predict_proba(X), atol=1e-6)


def test_an_estimator_is_saved_as_a_pretrained_classifier(fitted, tmp_path):
    estimator, _ = fitted
    PretrainedClassifier.of(estimator).save_pretrained(tmp_path)
    weights = PretrainedClassifier.from_pretrained(tmp_path).state_dict()
    assert all(weight.equal(weights[name]) for name, weight in estimator.classifier_.state_dict().items())


def test_the_graph_of_an_estimator_is_drawn(fitted):
    estimator, _ = fitted
    drawn = plot_adjacency(estimator).images[0].get_array()
    np.testing.assert_array_equal(drawn, estimator.adjacency_)


def test_an_estimator_that_was_not_fitted_is_refused(tmp_path):
    new = LGrINClassifier()
    with pytest.raises(TypeError, match="of a fitted LGrINClassifier"):
        to_onnx(new, tmp_path / "model.onnx")
    with pytest.raises(TypeError, match="of a fitted LGrINClassifier"):
        PretrainedClassifier.of(new)
    with pytest.raises(TypeError, match="adjacency is a LGrINClassifier"):
        plot_adjacency(new)
