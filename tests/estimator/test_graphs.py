"""The graphs that a fitted estimator shows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lgrin.sklearn import LGrINClassifier
from lgrin.training import RECIPES, AdjacencyHistory, SequenceClassifier
from lgrin.visualization import plot_adjacency, plot_heads


def sequences(missing=False):
    X, y = np.random.default_rng(0).normal(size=(20, 3, 12)), np.arange(20) % 2
    X[y == 1, 0] += 2
    if missing:
        X[3, :, 5] = X[4, :, 0] = np.nan
    return X, y


@pytest.fixture
def attention(monkeypatch):
    def network(survey):
        return {"input_norm": True, "adjacency": {"name": "AttentionAdjacency", "topk": 3}}

    monkeypatch.setitem(RECIPES, "attention", replace(RECIPES["recommended"], network=network))
    X, y = sequences(missing=True)
    return LGrINClassifier(recipe="attention", epochs=2, random_state=0).fit(X, y)


def test_the_graph_of_all_sequences_is_that_of_each_where_no_frame_is_missing():
    X, y = sequences()
    classifier = LGrINClassifier(epochs=2, random_state=0).fit(X, y)
    found = classifier.graph(X[:3])
    np.testing.assert_allclose(found, np.broadcast_to(classifier.adjacency_, (3, 12, 12)), atol=1e-6)
    X[0, :, 4] = np.nan
    A = classifier.graph(X[:1])[0]
    assert not A[4].any()
    assert not A[:, 4].any()
    np.testing.assert_allclose(np.delete(A.sum(1), 4), 1)


def test_graphs_that_differ_by_sequence_are_asked_for_by_sequence(attention, tmp_path):
    X, _ = sequences(missing=True)
    A = attention.graph(X)
    assert A.shape == (20, 12, 12)
    assert not A[3, 5].any()
    assert not A[4, :, 0].any()
    assert ((A > 0).sum(-1) <= 3).all()
    assert not np.allclose(A[0], A[1])
    with pytest.raises(AttributeError, match=r"graph of AttentionAdjacency differs by sequence; .* graph\(X\)"):
        attention.adjacency_  # noqa: B018
    attention.save(tmp_path / "classifier.pt")
    np.testing.assert_array_equal(LGrINClassifier.load(tmp_path / "classifier.pt").graph(X), A)


def test_a_picture_is_that_of_one_sequence(attention):
    X, _ = sequences()
    assert plot_adjacency(attention.graph(X)[0]).images
    with pytest.raises(ValueError, match=r"whose graph differs by sequence; pass that of one, .*graphs\(x\)\[0\]"):
        plot_adjacency(attention.classifier_.model.adjacency)


def test_a_history_of_graphs_that_differ_by_sequence_is_refused_before_training():
    network = {"in_channels": 3, "num_nodes": 5, "num_classes": 2, "adjacency": {"name": "AttentionAdjacency"}}
    classifier = SequenceClassifier({**network, "neighborhood": "line"}, num_sequences=9)
    message = "the graph of AttentionAdjacency differs by sequence; leave this callback out"
    with pytest.raises(ValueError, match=message):
        AdjacencyHistory().on_fit_start(None, classifier)


def test_a_history_of_kernels_holds_matrices_that_show_every_weight():
    classifier = SequenceClassifier({"in_channels": 3, "num_nodes": None, "num_classes": 2}, num_sequences=9)
    history, adjacency = AdjacencyHistory(), classifier.model.adjacency
    history.on_fit_start(None, classifier)
    assert history.history[0].shape == (4, 9, 9)
    torch.testing.assert_close(history.history[0][:, 4], adjacency.kernel().detach())
    assert len(plot_heads(adjacency)) == 4


@pytest.fixture(scope="module")
def any_length():
    """A classifier without a length, and what it was fitted on: 3 channels, 20 to 59 frames, some missing."""
    random = np.random.default_rng(0)
    X = [random.normal(size=(3, length)) + label for length, label in zip(range(20, 60), [0, 1] * 20, strict=True)]
    X[3][:, 5] = np.nan
    classifier = LGrINClassifier(recipe="any_length", epochs=2, random_state=0)
    return classifier.fit(X, [0, 1] * 20), X


def test_a_classifier_without_a_length_stretches_nothing(any_length, tmp_path):
    classifier, X = any_length
    assert classifier.classifier_.model.num_nodes is None
    assert classifier.adjacency_.shape == (8, 25)
    alone = np.concatenate([classifier.predict_proba([one]) for one in X])
    np.testing.assert_allclose(classifier.predict_proba(X), alone, atol=1e-10)
    long = np.concatenate([X[0]] * 50, axis=1)
    assert np.isfinite(classifier.predict_proba([long])).all()
    classifier.save(tmp_path / "any.lgrin")
    assert np.array_equal(LGrINClassifier.load(tmp_path / "any.lgrin").predict_proba(X), classifier.predict_proba(X))
    assert classifier.graph(X[:3]).shape == (3, 8, 22, 22)


def test_a_classifier_without_a_length_becomes_a_file(any_length, tmp_path):
    pytest.importorskip("onnxruntime")
    from lgrin.export import load, to_onnx

    classifier, X = any_length
    to_onnx(classifier.classifier_, tmp_path / "any.onnx")
    found = load(tmp_path / "any.onnx")(X[0].T[None].astype(np.float32)).probabilities
    np.testing.assert_allclose(found, classifier.predict_proba(X[:1]), atol=1e-5)
