import copy
import pickle

import numpy as np
import pytest
import torch

from lgrin.sklearn import LGrINClassifier, inference
from lgrin.sklearn.inputs import read_sequences, to_nodes

SMALL = {"num_nodes": 6, "branch_channels": (4, 3), "epochs": 2, "random_state": 0, "bank": False}


@pytest.fixture(scope="module")
def X():
    X = np.random.default_rng(0).normal(size=(12, 2, 9)).astype(np.float32)
    X[3, :, 2] = np.nan  # a missing frame
    return X


@pytest.fixture
def fitted(X):
    return LGrINClassifier(**SMALL).fit(X, np.arange(12) % 3)


def unfolded(estimator, X):
    """The probabilities of the network as it was trained, in float64."""
    classifier = copy.deepcopy(estimator.classifier_).double()
    resample = inference.from_settings(classifier.hparams["transform"])
    nodes = [resample(data) for data in to_nodes(read_sequences(estimator, X))]
    x = classifier.normalize(torch.stack([data.x for data in nodes]).double())
    mask = torch.stack([data.mask for data in nodes]) if "mask" in nodes[0] else None
    return classifier.model(x, mask=mask).softmax(-1).detach().numpy()


def test_predictions_are_those_of_the_trained_network(fitted, X):
    np.testing.assert_allclose(fitted.predict_proba(X), unfolded(fitted, X), rtol=0, atol=1e-12)
    np.testing.assert_allclose(fitted.predict_proba(X[5:6]), fitted.predict_proba(X)[5:6], rtol=0, atol=1e-12)


def test_with_a_bank_they_are_those_of_network_and_bank_as_they_were_trained(X):
    fitted = LGrINClassifier(**{**SMALL, "bank": True}).fit(X, np.arange(12) % 3)
    classifier = copy.deepcopy(fitted.classifier_).double()
    nodes = to_nodes(read_sequences(fitted, X))
    logits = [classifier.model(classifier.normalize(one.x.double()), mask=one.mask) for one in nodes]
    expected = torch.cat(logits).softmax(-1).detach().numpy()
    np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=0, atol=1e-12)


def test_the_network_is_folded_once_for_all_predictions(fitted, X, monkeypatch):
    made = []
    original = inference.fold
    monkeypatch.setattr(inference, "fold", lambda model: made.append(model) or original(model))
    for one in X:
        fitted.predict_proba([one])
    fitted.embed(X)
    assert len(made) == 1


@pytest.mark.parametrize("kind", ["value", "tensor", "module"])
def test_a_classifier_that_was_changed_predicts_as_it_is_now(fitted, X, kind):
    before, head = fitted.predict_proba(X), fitted.classifier_.model.head
    with torch.no_grad():
        if kind == "value":
            head[-1].weight.mul_(-1)
        elif kind == "tensor":
            head[-1].weight.data = -head[-1].weight
        else:
            head[-1] = torch.nn.Linear(*head[-1].weight.T.shape)
    after = fitted.predict_proba(X)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, unfolded(fitted, X), rtol=0, atol=1e-12)


def test_a_network_that_cannot_be_folded_predicts_as_it_is(fitted, X):
    expected = fitted.predict_proba(X)
    fitted.classifier_.model.layers[0].branches[0].lins[0].register_forward_hook(lambda *call: None)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=0, atol=1e-12)


def test_predicting_adds_nothing_to_what_is_pickled(fitted, X):
    before = len(pickle.dumps(fitted))
    fitted.predict(X)
    assert len(pickle.dumps(fitted)) == before
