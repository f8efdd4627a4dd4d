"""Predictions of one sequence by the estimator, compared with a copy of the network in float64 at every call."""

from copy import deepcopy

import numpy as np
import torch
from aeon.datasets import load_classification

from benchmarks.measure import row, times
from lgrin.sklearn import LGrINClassifier
from lgrin.sklearn.inputs import read_sequences, to_nodes, to_one_length
from lgrin.transforms import from_settings


def measure() -> list[dict]:
    torch.set_num_threads(1)
    X, y = load_classification("JapaneseVowels", split="train")
    alone, both = (LGrINClassifier(epochs=1, random_state=0, bank=bank).fit(X, y) for bank in (False, True))
    one = [X[0]]
    assert np.allclose(alone.predict_proba(one), copied(alone, one), rtol=0, atol=1e-8)
    calls = {"network": lambda: alone.predict(one), "both": lambda: both.predict(one)}
    taken = times({**calls, "copied": lambda: copied(alone, one)}, 25, calls=4)
    rows = []
    for name, what in (("network", "the network alone"), ("both", "network and bank")):
        what = f"predict of one sequence, JapaneseVowels, one thread, {what}: with a copied network at every call"
        ms = {"ms": 1e3 * taken[name], "theirs": 1e3 * taken["copied"]}
        rows.append(row(what, taken[name] / taken["copied"], "times as long", 0.1, **ms))
    return rows


@torch.no_grad()
def copied(estimator: LGrINClassifier, X: list) -> np.ndarray:
    """The probabilities of the classes, as a copy of the network that is not folded computes them."""
    classifier = estimator.classifier_
    model, scale = deepcopy(classifier.model).double(), deepcopy(classifier.normalize).double()
    nodes = to_nodes(read_sequences(estimator, X, model.in_channels))
    to_one_length(nodes, from_settings(classifier.hparams["transform"]))
    x = scale(torch.stack([data.x for data in nodes]).double())
    return model(x).softmax(-1).numpy()
