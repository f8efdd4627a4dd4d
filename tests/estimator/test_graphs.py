"""The graphs that a fitted estimator shows."""

from dataclasses import replace

import numpy as np
import pytest

from lgrin.sklearn import LGrINClassifier
from lgrin.training import RECIPES, AdjacencyHistory, SequenceClassifier
from lgrin.visualization import plot_adjacency


def sequences(missing=False):
    X, y = np.random.default_rng(0).normal(size=(20, 3, 12)), np.arange(20) % 2
    X[y == 1, 0] += 2
    if missing:
        X[3, 1, 5] = X[4, 0, 0] = np.nan
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


@pytest.mark.parametrize(("name", "num_nodes"), [("AttentionAdjacency", 5), ("StationaryAdjacency", None)])
def test_a_history_of_graphs_that_differ_by_sequence_is_refused_before_training(name, num_nodes):
    network = {"in_channels": 3, "num_nodes": num_nodes, "num_classes": 2, "adjacency": {"name": name}}
    classifier = SequenceClassifier({**network, "neighborhood": "line"}, num_sequences=9)
    with pytest.raises(ValueError, match=rf"the graph of {name} differs by sequence; leave this callback out"):
        AdjacencyHistory().on_fit_start(None, classifier)
