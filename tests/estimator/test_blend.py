"""The estimator's network beside its bank of filters, and what sequences count."""

from copy import copy

import numpy as np
import pytest
import torch

from lgrin.export import load, to_onnx
from lgrin.models import Blend
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.training.bank import BUDGET
from lgrin.training.blend import without_bank

FEW = {"epochs": 3, "branch_channels": (8, 4), "random_state": 0}


def data(count=40, classes=2, channels=3, seed=0):
    random = np.random.default_rng(seed)
    X = [random.normal(size=(channels, random.integers(20, 60))) for _ in range(count)]
    y = np.arange(count) % classes
    for x, label in zip(X, y, strict=True):
        x[0] += 1.5 * label
    return X, y


def test_without_a_bank_it_is_the_network_that_is_trained_with_one():
    X, y = data()
    both, alone = (LGrINClassifier(**FEW, bank=bank).fit(X, y) for bank in (True, False))
    assert isinstance(both.classifier_.model, Blend)
    network = without_bank(both.classifier_)
    assert both.network_ is network.model
    assert alone.network_ is alone.classifier_.model
    for name, value in alone.classifier_.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    assert network.hparams["transform"] == alone.classifier_.hparams["transform"]
    assert np.array_equal(both.adjacency_, alone.adjacency_)
    assert np.array_equal(both.graph(X), alone.graph(X))
    assert np.array_equal(both.embed(X), alone.embed(X))


def test_probabilities_are_those_of_the_parts():
    X, y = data()
    both = LGrINClassifier(**FEW).fit(X, y)
    alone = LGrINClassifier(**FEW, bank=False).fit(X, y).predict_proba(X)
    blend = both.classifier_.model
    bank = both.classifier_.normalize.double()
    logits = [blend.bank.double()(bank(torch.from_numpy(x.astype(np.float32).T).double())) for x in X]
    expected = (torch.cat(logits) + blend.weight * torch.from_numpy(alone).log()).softmax(-1).detach().numpy()
    assert np.abs(both.predict_proba(X) - expected).max() < 1e-6


def test_the_network_counts_the_more_the_more_labels_and_channels_there_are():
    weights = []
    for count, channels in ((8, 1), (8, 3), (40, 3), (40, 9)):
        X, y = data(count, channels=channels)
        weights.append(LGrINClassifier(epochs=1, random_state=0).fit(X, y).classifier_.model.weight)
    assert weights == [pytest.approx(one) for one in (0.01 / 2, 0.15 / 2, 0.15, 0.3)]


@pytest.mark.parametrize("channels", [1, 30])
def test_both_together_have_120_000_numbers_at_the_most(channels):
    X, y = data(24, classes=6, channels=channels)
    model = LGrINClassifier(epochs=1, random_state=0).fit(X, y).classifier_.model
    bank = sum(one.numel() for one in (*model.bank.head.parameters(), *model.bank.scale.buffers()))
    network = sum(one.numel() for one in model.network.parameters())
    assert network + bank + model.bank.threshold.numel() <= BUDGET


def test_missing_frames_at_the_end_belong_to_a_sequence_as_for_the_network_alone():
    X, y = data()
    longer = [np.concatenate([x, np.full((3, 60 - x.shape[1]), np.nan)], axis=1) for x in X]
    both, alone = (LGrINClassifier(**FEW, bank=bank).fit(longer, y) for bank in (True, False))
    assert both.classifier_.model.network.num_nodes == 60
    assert np.array_equal(both.graph(longer), alone.graph(longer))
    assert np.array_equal(both.embed(longer), alone.embed(longer))
    one_by_one = np.concatenate([both.predict_proba([x]) for x in longer])
    assert np.abs(both.predict_proba(longer) - one_by_one).max() < 1e-12
    mixed = [*longer[:20], *X[20:]]
    one_by_one = np.concatenate([both.predict_proba([x]) for x in mixed])
    assert np.abs(both.predict_proba(mixed) - one_by_one).max() < 1e-12


def test_files_hold_both(tmp_path):
    X, y = data()
    fitted = LGrINClassifier(**FEW).fit(X, y)
    fitted.save(tmp_path / "a.pt")
    assert np.array_equal(LGrINClassifier.load(tmp_path / "a.pt").predict_proba(X), fitted.predict_proba(X))
    assert to_onnx(fitted, tmp_path / "a.onnx").network == "Blend"
    exported = load(tmp_path / "a.onnx")
    for x, expected in zip(X[:4], fitted.predict_proba(X), strict=False):
        assert np.abs(exported(x.T[None]).probabilities[0] - expected).max() < 1e-5


@pytest.mark.parametrize("thin", ["mean", "max", "lowpass"])
def test_files_thin_by_themselves(tmp_path, thin):
    X, y = data()
    fitted = LGrINClassifier(**FEW, thin=thin, num_nodes=16).fit(X, y)
    to_onnx(fitted, tmp_path / "a.onnx")
    exported, rng = load(tmp_path / "a.onnx"), np.random.default_rng(0)
    series = [rng.normal(size=(3, length)) for length in (1, 15, 16, 17, 32, 75, 400)]
    series[-1][:, 40:90] = np.nan  # whole frames, and more than a segment
    for x, expected in zip(series, fitted.predict_proba(series), strict=True):
        found = exported(x.T[None], ~np.isnan(x).all(0)[None]).probabilities[0]
        assert np.abs(found - expected).max() < 1e-6


def test_a_sequence_of_weight_0_is_as_good_as_removed():
    X, y = data(classes=3)
    kept = y < 2
    one = LGrINClassifier(**FEW).fit(X, y, sample_weight=kept.astype(float))
    other = LGrINClassifier(**FEW).fit([x for x, keep in zip(X, kept, strict=True) if keep], y[kept])
    assert one.classes_.tolist() == [0, 1]
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_only_the_proportions_of_weights_matter():
    X, y = data()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    one, other = (LGrINClassifier(**FEW).fit(X, y, sample_weight=factor * weight) for factor in (1, 8))
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))
    plain = LGrINClassifier(**FEW).fit(X, y)
    assert np.array_equal(LGrINClassifier(**FEW).fit(X, y, sample_weight=3.0).predict_proba(X), plain.predict_proba(X))
    assert not np.allclose(one.predict_proba(X), plain.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("bank", [False, True])
def test_a_class_that_counts_more_is_predicted_more_often(bank):
    (X, y), (others, _) = data(60, classes=3), data(90, classes=3, seed=1)
    for x in (*X, *others):
        x[0] *= 0.3  # hard to tell
    options = {**FEW, "epochs": 20, "bank": bank}
    plain, leaning = (LGrINClassifier(**options, class_weight=one).fit(X, y) for one in (None, {2: 20.0}))
    assert (leaning.predict(others) == 2).sum() > (plain.predict(others) == 2).sum()
    balanced = LGrINClassifier(**options, class_weight="balanced").fit(X, y)
    assert np.array_equal(balanced.predict_proba(X), plain.predict_proba(X))  # there are as many of each


def test_balanced_batches_let_a_rare_class_count_in_the_network_and_leave_the_bank():
    X, y = data(60)
    (others, truth), y = data(100, seed=1), np.where(np.arange(60) < 8, y, 0)  # 4 of 60
    for x in (*X, *others):
        x[0] *= 0.3  # hard to tell
    for x, label, shown in zip(X, np.arange(60) % 2, y, strict=True):
        x[0] -= 0.45 * (label - shown)  # as the class says
    plain, balanced = (
        LGrINClassifier(epochs=30, random_state=0, branch_channels=(8, 4), sampling=one).fit(X, y)
        for one in ("shuffled", "balanced")
    )
    first, second = (one.classifier_.model.bank.state_dict() for one in (plain, balanced))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    recalls = []
    for fitted in (plain, balanced):
        network = copy(fitted)
        network.classifier_ = without_bank(fitted.classifier_)
        recalls.append(np.mean(network.predict(others)[truth == 1] == 1))
    assert recalls[1] > recalls[0] + 0.2
    with pytest.raises(ValueError, match="sampling is 'even'; it may be 'shuffled', 'balanced'"):
        LGrINClassifier(sampling="even").fit(X, y)


def test_wrong_weights_are_named():
    X, y = data(8)
    for kind in (LGrINClassifier, FilterBankClassifier):
        with pytest.raises(ValueError, match=r"sample_weight\[1\] is -1.0"):
            kind().fit(X, y, sample_weight=[1, -1, *[1] * 6])
        with pytest.raises(ValueError, match=r"sample_weight has shape \[2\]; X holds 8 sequences"):
            kind().fit(X, y, sample_weight=[1, 2])
        with pytest.raises(ValueError, match="class_weight has \\['5'\\]"):
            kind(class_weight={5: 2.0}).fit(X, y)
