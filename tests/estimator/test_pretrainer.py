"""Pretraining without labels, and classifiers that start from it."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

import lgrin.training.pretrain
from lgrin.datasets import from_arrays
from lgrin.sklearn import LGrINClassifier, LGrINPretrainer
from lgrin.training.blend import without_bank

SMALL = {"branch_channels": (8, 4), "epochs": 2, "random_state": 0}
FEW = {"epochs": 2, "random_state": 0}
PEOPLE = np.arange(24) // 4
Y = np.arange(24) % 2


def signals(count=24, channels=2, length=20, seed=0):
    X = np.random.default_rng(seed).normal(size=(count, channels, length))
    X[np.arange(count) % 2 == 1, 0] += np.linspace(-3, 3, length)
    return X


def pretrained(**options):
    return LGrINPretrainer(**SMALL, transductive=True, **options).fit(signals(seed=5))


def same_state(one, other):
    other = other.state_dict()
    return all(torch.equal(value, other[name]) for name, value in one.state_dict().items())


@pytest.fixture
def seen(monkeypatch):
    """How many sequences each pretraining has seen."""
    counts = []
    original = lgrin.training.pretrain.pretrain

    def counting(model, sequences, *rest, **how):
        counts.append(len(sequences))
        return original(model, sequences, *rest, **how)

    monkeypatch.setattr("lgrin.sklearn.pretrainer.pretrain", counting)
    return counts


@pytest.mark.parametrize("layout", ["array", "list", "matrix", "tables", "long", "dataset"])
def test_every_layout_of_the_classifier_is_read(layout):
    X = signals().astype(np.float32)
    columns = [pd.DataFrame(x.T, columns=["east", "north"]) for x in X]
    given, options = {
        "array": (X, {}),
        "list": (list(X), {}),
        "matrix": (X.reshape(24, -1), {"n_channels": 2}),
        "tables": (columns, {"layout": "time_first"}),
        "long": (pd.concat([one.assign(clip=index) for index, one in enumerate(columns)]), {"id": "clip"}),
        "dataset": (from_arrays([x.T for x in X], labels=["calm"] * 24), {}),
    }[layout]
    expected = LGrINPretrainer(**SMALL).fit(X)
    assert same_state(LGrINPretrainer(**SMALL, **options).fit(given).classifier_, expected.classifier_)


def test_the_network_starts_from_weights_graph_normalisation_and_frames():
    start = pretrained(num_nodes=16, thin="mean")
    fitted = LGrINClassifier(pretrained=start, lr=0.0, weight_decay=0.0, **FEW).fit(signals(length=31) + 9, Y)
    network = without_bank(fitted.classifier_)
    assert fitted.adjacency_ == pytest.approx(start.adjacency_, rel=1e-6)  # which the average of the weights rounds
    assert fitted.adjacency_.shape == (16, 16)
    assert torch.equal(network.normalize.mean, start.classifier_.normalize.mean)
    assert network.hparams["transform"]["how"] == "mean"
    for name, value in network.model.layers.named_parameters():
        assert torch.allclose(value, dict(start.classifier_.model.layers.named_parameters())[name], rtol=1e-5), name
    assert network.model.num_classes == 2
    assert fitted.classifier_.model.bank is not None


def test_without_pretraining_nothing_changes_and_with_it_the_start_does():
    X = signals()
    plain, with_none = (LGrINClassifier(**SMALL, **one).fit(X, Y) for one in ({}, {"pretrained": None}))
    assert same_state(plain.classifier_, with_none.classifier_)
    assert not np.array_equal(
        LGrINClassifier(pretrained=pretrained(), **FEW).fit(X, Y).predict_proba(X), plain.predict_proba(X)
    )


def test_one_that_is_not_fitted_sees_the_training_sequences_alone_and_stays_as_it_is(seen):
    X, unfitted = signals(), LGrINPretrainer(branch_channels=(8, 4), epochs=2)
    fitted = LGrINClassifier(pretrained=unfitted, **FEW)
    cross_val_score(fitted, X, Y, cv=GroupKFold(3), groups=PEOPLE)
    assert seen == [16, 16, 16]
    weight = (np.arange(24) < 10).astype(float)
    one = fitted.fit(X, Y, sample_weight=weight).predict_proba(X)
    assert seen[3:] == [10]
    assert not hasattr(unfitted, "classifier_")
    assert not hasattr(fitted.pretrained, "classifier_")
    assert np.array_equal(clone(fitted).fit(X, Y, sample_weight=weight).predict_proba(X), one)
    start = LGrINPretrainer(**SMALL, transductive=True).fit(X[:10])
    both = [LGrINClassifier(pretrained=p, **FEW).fit(X[:10], Y[:10]).predict_proba(X) for p in (start, unfitted)]
    assert np.array_equal(*both)


def test_a_fitted_one_survives_clone_and_search(seen):
    X, start = signals(), pretrained()
    fitted = LGrINClassifier(pretrained=start, **FEW)
    copied = clone(fitted)
    assert same_state(copied.pretrained.classifier_, start.classifier_)
    assert np.array_equal(copied.fit(X, Y).predict_proba(X), fitted.fit(X, Y).predict_proba(X))
    grid = {"pretrained": [None, start], "dropout": [0.2, 0.5]}
    search = GridSearchCV(LGrINClassifier(**SMALL), grid, cv=2, error_score="raise").fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    assert seen == [24]
    inner = LGrINClassifier(pretrained=LGrINPretrainer(branch_channels=(8, 4)), **FEW)
    GridSearchCV(inner, {"pretrained__epochs": [1, 2]}, cv=2, refit=False, error_score="raise").fit(X, Y)
    assert seen[1:] == [12] * 4
    assert inner.set_params(pretrained__epochs=3).get_params()["pretrained__epochs"] == 3


def test_a_parameter_that_was_changed_after_the_fit_is_named():
    with pytest.raises(ValueError, match="epochs of pretrained was changed after it was fitted"):
        LGrINClassifier(pretrained=pretrained().set_params(epochs=3), **FEW).fit(signals(), Y)


def test_what_may_be_tested_on_is_refused():
    X, others = signals(), signals(seed=1)
    unknown = LGrINPretrainer(**SMALL).fit(X)
    with pytest.raises(ValueError, match=r"pretrained was fitted without groups.*transductive=True"):
        LGrINClassifier(pretrained=unknown, **FEW).fit(X, Y, groups=PEOPLE)
    known = LGrINPretrainer(**SMALL).fit(X, groups=PEOPLE)
    fitted = LGrINClassifier(pretrained=known, **FEW)
    with pytest.raises(ValueError, match="groups is None"):
        fitted.fit(X, Y)
    with pytest.raises(ValueError, match="pretrained has seen 0, 1, 2 and 1 more of these groups, and 4, 5 beside"):
        fitted.fit(X[:16], Y[:16], groups=PEOPLE[:16])
    fitted.fit(X, Y, groups=PEOPLE)
    fitted.fit(others, Y, groups=PEOPLE + 10)
    known.check_held_out(PEOPLE + 10)
    with pytest.raises(ValueError, match="groups holds 5, which pretraining has seen"):
        known.check_held_out([5, 6])
    known.set_params(transductive=True).check_held_out([5, 6])
    fitted.fit(X[:16], Y[:16])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_nodes": 12}, r"num_nodes is 12, but pretrained has 20"),
        ({"branch_channels": [8, 8]}, r"branch_channels is \(8, 8\), but pretrained has \(8, 4\)"),
        ({"input_norm": True}, r"input_norm is True, but pretrained has 'both'"),
        ({"thin": "max"}, r"thin is 'max', but pretrained has 'nearest'"),
        ({"recipe": "any_length"}, r"recipe is 'any_length', but pretrained has 'recommended'"),
        ({"pretrained": "weights.pt"}, r"pretrained is a str; it may be a LGrINPretrainer or None"),
    ],
)
def test_other_networks_are_refused_by_name(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        LGrINClassifier(**{"pretrained": pretrained(), **FEW, **options}).fit(signals(), Y)


def test_the_same_network_may_be_asked_for():
    options = {"num_nodes": np.int64(20), "branch_channels": [8, 4], "input_norm": "both", "thin": "nearest"}
    LGrINClassifier(pretrained=pretrained(), dropout=0.1, **options, **FEW).fit(signals(), Y)


def test_other_channels_are_refused_by_name():
    with pytest.raises(ValueError, match="X has 3 channels, but pretrained has 2"):
        LGrINClassifier(pretrained=pretrained(), **FEW).fit(signals(channels=3), Y)
    tables = [pd.DataFrame(x.T, columns=["east", "north"]) for x in signals()]
    start = LGrINPretrainer(**SMALL, transductive=True, layout="time_first").fit(tables)
    turned = [one[["north", "east"]] for one in tables]
    with pytest.raises(ValueError, match=r"X has the channels \['north', 'east'\], but pretrained has"):
        LGrINClassifier(pretrained=start, layout="time_first", **FEW).fit(turned, Y)


def test_files_hold_what_they_need(tmp_path):
    X = signals()
    start = LGrINPretrainer(**SMALL).fit(X, groups=PEOPLE)
    start.save(tmp_path / "start.pt")
    loaded = LGrINPretrainer.load(tmp_path / "start.pt")
    assert same_state(loaded.classifier_, start.classifier_)
    assert loaded.get_params() == start.get_params()
    with pytest.raises(ValueError, match="groups holds 5"):
        loaded.check_held_out([5])
    first = LGrINClassifier(pretrained=start, **FEW).fit(X, Y, groups=PEOPLE)
    second = LGrINClassifier(pretrained=loaded, **FEW).fit(X, Y, groups=PEOPLE)
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    for kept in (first, LGrINClassifier(pretrained=LGrINPretrainer(**SMALL), **FEW).fit(X, Y)):
        kept.save(tmp_path / "fitted.pt")
        back = LGrINClassifier.load(tmp_path / "fitted.pt")
        expected = kept.predict_proba(X)
        assert np.array_equal(back.predict_proba(X), expected)
        assert hasattr(back.pretrained, "classifier_") == hasattr(kept.pretrained, "classifier_")
        assert np.array_equal(
            back.fit(X, Y, groups=PEOPLE).predict_proba(X), kept.fit(X, Y, groups=PEOPLE).predict_proba(X)
        )
    with pytest.raises(ValueError, match=r"was not written by LGrINPretrainer\.save"):
        LGrINPretrainer.load(tmp_path / "fitted.pt")


def test_a_warm_start_goes_on_from_the_last_fit_and_not_from_pretraining(seen):
    X = signals()
    fitted = LGrINClassifier(pretrained=LGrINPretrainer(**SMALL), warm_start=True, **FEW).fit(X, Y)
    before = fitted.adjacency_.copy()
    fitted.set_params(lr=0.0, weight_decay=0.0).fit(X, Y)
    assert seen == [24]
    assert fitted.adjacency_ == pytest.approx(before, rel=1e-6)


def test_it_takes_the_recipe_for_any_length_and_missing_values():
    X = [x[:, : 12 + index % 5] for index, x in enumerate(signals())]
    X[3][:, 2:4] = np.nan
    start = LGrINPretrainer(recipe="any_length", transductive=True, **SMALL)
    fitted = LGrINClassifier(pretrained=start, recipe="any_length", **FEW).fit(X, Y)
    assert fitted.network_.num_nodes is None
    assert np.isfinite(fitted.predict_proba(X)).all()
