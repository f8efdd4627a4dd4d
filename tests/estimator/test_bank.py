"""The filter bank: its fit in closed form against fits one by one, and its estimator."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch_geometric.data import Data

from lgrin.models import FilterBank
from lgrin.sklearn import FilterBankClassifier, inference
from lgrin.training import bank as bank_fit
from lgrin.training import fit_bank
from lgrin.training.bank import BUDGET, _Gain, bank_sizes, differ_in_scale
from lgrin.training.ridge import PENALTIES, fit_ridge

WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "leaving one of several copies out keeps the others, so that "
    "repeated sequences choose another penalty than one of the same weight"
}


@parametrize_with_checks([FilterBankClassifier(random_state=0)], expected_failed_checks=lambda _: WEIGHTS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def waves(count=24, channels=2, seed=0, length=(30, 60)):
    """Two classes that differ in frequency alone, at random phases."""
    random, y = np.random.default_rng(seed), np.arange(count) % 2
    X = []
    for label in y:
        time = np.arange(random.integers(*length))
        phase = random.uniform(0, 2 * np.pi, (channels, 1))
        X.append(np.sin((0.5, 0.8)[label] * time + phase) + 0.3 * random.standard_normal((channels, len(time))))
    return X, np.array(["slow", "fast"])[y]


@pytest.fixture(scope="module")
def fitted():
    return FilterBankClassifier(random_state=0).fit(*waves())


def test_it_tells_frequencies_at_random_phases(fitted):
    X, y = waves(60, seed=1)
    assert fitted.score(X, y) > 0.95
    assert fitted.score(X, np.where(y == "slow", "fast", "slow")) < 0.05
    assert set(fitted.predict(waves(6, length=(5, 9))[0])) <= {"fast", "slow"}


def ridge_problem(n=14, width=30, classes=3):
    random = torch.Generator().manual_seed(0)
    features = torch.randn(n, width, generator=random, dtype=torch.double)
    return features, torch.arange(n) % classes, torch.rand(n, generator=random, dtype=torch.double) + 0.5


@pytest.mark.parametrize("width", [5, 30])
def test_the_ridge_is_the_solution_of_its_normal_equations(width):
    features, labels, weight = ridge_problem(width=width)
    ridge = fit_ridge(features, labels, 3, weight, torch.ones(width))
    share = weight / weight.sum()
    z = features - share @ features
    z = z / (share @ z.square()).sqrt()
    target = 2.0 * torch.nn.functional.one_hot(labels).double() - 1
    left = z.T @ (weight.unsqueeze(1) * z) + ridge.penalty * weight.sum() * torch.eye(width)
    beta = torch.linalg.solve(left, z.T @ (weight.unsqueeze(1) * (target - share @ target)))
    expected = z @ beta + share @ target
    found = features @ ridge.weight.T + ridge.bias
    ratio = (found / expected).flatten()
    assert torch.allclose(ratio, ratio[:1].expand_as(ratio), rtol=1e-6), "equal but for the temperature"
    assert ratio[0] > 0


@pytest.mark.parametrize("groups", [None, torch.arange(14) // 3])
def test_left_out_scores_are_those_of_a_fit_without(groups, monkeypatch):
    features, labels, weight = ridge_problem()
    share = weight / weight.sum()
    features = (features - share @ features) / (share @ (features - share @ features).square()).sqrt()
    monkeypatch.setattr("lgrin.training.ridge.PENALTIES", PENALTIES[12:13])
    ridge = fit_ridge(features, labels, 3, weight, torch.ones(30), groups)
    out = (torch.arange(14) if groups is None else groups) == 1
    target = (2.0 * torch.nn.functional.one_hot(labels).double() - 1)[~out]
    rest = weight[~out] / weight[~out].sum()
    center, z = rest @ features[~out], features[~out] - rest @ features[~out]
    left = z.T @ (weight[~out].unsqueeze(1) * z) + ridge.penalty * weight.sum() * torch.eye(30)
    beta = torch.linalg.solve(left, z.T @ (weight[~out].unsqueeze(1) * (target - rest @ target)))
    expected = (features[out] - center) @ beta + rest @ target
    ratio = (ridge.left_out[out] / expected).flatten()
    assert torch.allclose(ratio, ratio[:1].expand_as(ratio), rtol=1e-5), "equal but for the temperature"


def test_weight_0_is_as_good_as_removed():
    X, y = waves(30)
    weight = np.ones(30)
    weight[[0, 3, 4, 7]] = 0
    classifier = FilterBankClassifier(random_state=0, class_weight="balanced")
    weighted = classifier.fit(X, y, sample_weight=weight)
    kept = [index for index in range(30) if weight[index]]
    removed = clone(classifier).fit([X[index] for index in kept], y[kept])
    assert np.array_equal(weighted.predict_proba(X), removed.predict_proba(X))
    assert np.isnan(weighted.left_out_proba_).all(1).nonzero()[0].tolist() == [0, 3, 4, 7]


def test_whole_weights_agree_with_repetition_for_one_penalty(monkeypatch):
    monkeypatch.setattr("lgrin.training.ridge.PENALTIES", PENALTIES[8:9])
    monkeypatch.setattr("lgrin.training.ridge.TEMPERATURES", torch.ones(1, dtype=torch.double))
    X, y = waves(20)
    twice = np.arange(20) < 7
    weighted = FilterBankClassifier(random_state=0).fit(X, y, sample_weight=1.0 + twice)
    repeated = FilterBankClassifier(random_state=0).fit(
        [*X, *(X[index] for index in range(7))], np.concatenate([y, y[:7]])
    )
    assert np.allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-4)


def test_balanced_classes_weigh_alike():
    X, y = waves(40)
    rare = [index for index in range(40) if y[index] == "slow" or index < 8]
    X, y = [X[index] for index in rare], y[rare]
    balanced = FilterBankClassifier(random_state=0, class_weight="balanced").fit(X, y)
    by_hand = FilterBankClassifier(random_state=0, class_weight={"slow": 24 / 40, "fast": 24 / 8}).fit(X, y)
    assert np.allclose(balanced.predict_proba(X), by_hand.predict_proba(X))
    plain = FilterBankClassifier(random_state=0).fit(X, y)
    assert not np.allclose(balanced.predict_proba(X), plain.predict_proba(X))


def test_it_says_what_is_wrong_with_weights():
    X, y = waves(6)
    for options, weight, message in (
        ({}, [1, 1], "sample_weight has shape"),
        ({}, [1, 1, 1, 1, 1, -1], r"sample_weight\[5\]"),
        ({}, np.zeros(6), "zero for every"),
        ({"class_weight": "even"}, None, "class_weight is 'even'"),
        ({"class_weight": {"glad": 2}}, None, "glad"),
        ({"class_weight": {"slow": -2}}, None, "above 0"),
        ({}, [1, 0, 1, 0, 1, 0], "one class"),
    ):
        with pytest.raises(ValueError, match=message):
            FilterBankClassifier(**options).fit(X, y, sample_weight=weight)


def test_missing_frames_reach_nothing(fitted):
    X, _ = waves(4, seed=2)
    for one in X:
        one[:, 5:9] = np.nan
    nodes = [Data(x=torch.tensor(one.T).nan_to_num(1e6), mask=torch.tensor(~np.isnan(one[0]))) for one in X]
    assert np.array_equal(fitted.predict_proba(X), fitted.predict_proba(nodes))


def test_a_seed_repeats_and_a_file_gives_the_same(fitted, tmp_path):
    X, y = waves()
    again = clone(fitted).fit(X, y)
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    other = FilterBankClassifier(random_state=1).fit(X, y)
    assert not np.allclose(other.predict_proba(X), fitted.predict_proba(X))
    fitted.save(tmp_path / "bank.pt")
    loaded = FilterBankClassifier.load(tmp_path / "bank.pt")
    assert np.array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert loaded.classes_.tolist() == ["fast", "slow"]
    with pytest.raises(NotFittedError):
        FilterBankClassifier().save(tmp_path / "none.pt")
    (tmp_path / "bank.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"FilterBankClassifier\.save"):
        FilterBankClassifier.load(tmp_path / "bank.pt")


def test_left_out_probabilities_know_no_group_mate():
    X, _ = waves(20)
    labels = np.random.default_rng(0).integers(0, 2, 10).repeat(2)  # by chance, the same for both of a pair
    X = [X[index // 2 * 2] for index in range(20)]  # pairs are copies
    alone = FilterBankClassifier(random_state=0).fit(X, labels).left_out_proba_
    grouped = FilterBankClassifier(random_state=0).fit(X, labels, groups=np.arange(20) // 2).left_out_proba_
    assert (alone.argmax(1) == labels).mean() == 1, "each has its copy"
    assert (grouped.argmax(1) == labels).mean() < 0.9


@pytest.mark.parametrize("budget", [BUDGET, BUDGET // 10])
@pytest.mark.parametrize("classes", [2, 100])
@pytest.mark.parametrize("channels", [1, 300])
@pytest.mark.parametrize("length", [1, 8, 5000])
def test_the_fitted_numbers_stay_within_the_budget(classes, channels, length, budget):
    data = [
        Data(x=torch.randn(min(length, 8), channels), y=torch.tensor([index % classes])) for index in range(classes)
    ]
    sizes = bank_sizes(length, channels, classes, 200, budget)
    for kind in ("place", "functional"):  # a bank has one kind or the other
        bank = FilterBank(channels, classes, **sizes)
        bank.drop(kind)
        assert fitted_numbers(bank) <= budget
    if length == 8:
        bank, _ = fit_bank(data, classes, budget=budget)
        assert (len(bank.dilations), bank.heads, bank.mixes) == (
            len(sizes["dilations"]),
            sizes["heads"],
            sizes["mixes"],
        )
        assert fitted_numbers(bank) <= budget
    assert max(sizes["dilations"]) <= max(1, length)


def fitted_numbers(bank):
    return sum(one.numel() for one in [*bank.head.parameters(), *bank.scale.buffers(), bank.threshold])


def test_a_fit_leaves_the_generator_of_pytorch_as_it_was():
    X, y = waves()
    state = torch.get_rng_state()
    fitted = FilterBankClassifier(random_state=0).fit(X, y)
    assert fitted.model_.head.in_features == fitted.model_.embed_channels
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_of_classes_by_name_are_kept_in_a_file(tmp_path):
    X, y = waves()
    fitted = FilterBankClassifier(class_weight={"slow": np.float64(2), "fast": 1}, random_state=0).fit(X, y)
    fitted.save(tmp_path / "weighted.pt")
    loaded = FilterBankClassifier.load(tmp_path / "weighted.pt")
    assert loaded.class_weight == {"slow": 2, "fast": 1}
    assert np.array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


def test_a_small_signal_on_a_large_offset_is_seen(tmp_path):
    X, y = waves()
    classifier = FilterBankClassifier(random_state=0).fit([one + 1e9 for one in X], y)
    other, labels = waves(40, seed=1)
    assert classifier.score([one + 1e9 for one in other], labels) > 0.95
    classifier.save(tmp_path / "offset.pt")
    loaded = FilterBankClassifier.load(tmp_path / "offset.pt")
    assert loaded.score([one + 1e9 for one in other], labels) > 0.95


def test_a_bank_is_copied_once_for_all_predictions_and_again_when_it_has_changed(monkeypatch):
    X, y = waves()
    fitted = FilterBankClassifier(random_state=0).fit(X, y)
    before, made, original = fitted.predict_proba(X), [], inference.deepcopy
    monkeypatch.setattr(inference, "deepcopy", lambda model: made.append(model) or original(model))
    for x in X:
        fitted.predict([x])
    assert not made
    with torch.no_grad():
        fitted.model_.head.weight.mul_(-1)
    after = fitted.predict_proba(X)
    assert made == [fitted.model_]
    assert np.abs(after - before).max() > 0.1
    assert len(pickle.dumps(fitted)) < 2 * sum(4 * one.numel() for one in fitted.model_.state_dict().values())


def test_sequences_whose_scales_differ_are_read_in_their_own_scale_too():
    X, y = waves(60)
    random = np.random.default_rng(3)
    loud = [one * 10 ** random.uniform(-3, 3) for one in X]
    assert FilterBankClassifier(random_state=0).fit(X, y).model_.config["own_scale"] is False
    classifier = FilterBankClassifier(random_state=0).fit(loud, y)
    assert classifier.model_.config["own_scale"] is True
    other, labels = waves(60, seed=1)
    assert classifier.score([one * 10 ** random.uniform(-3, 3) for one in other], labels) > 0.95


def test_what_is_coded_by_the_place_in_a_sequence_is_read_there():
    random = np.random.default_rng(0)
    X, y = random.standard_normal((160, 2, 48)), np.arange(160) % 2
    for x, label in zip(X, y, strict=True):
        x[0, 20:40:4] += 1.2 * (2 * label - 1) * (-1) ** np.arange(5)  # no shape, no order, no level tells
    classifier = FilterBankClassifier(random_state=0).fit(X[:80], y[:80])
    assert classifier.model_.config["places"] == 48
    assert classifier.score(X[80:], y[80:]) > 0.9
    assert FilterBankClassifier(random_state=0).fit(*waves(60)).model_.config["places"] == 0


def test_some_of_many_sequences_choose_and_all_are_fitted(monkeypatch):
    X, names = waves(90, length=(40, 41))
    y = torch.from_numpy(np.unique(names, return_inverse=True)[1])
    data = [Data(x=torch.from_numpy(one.T.copy()), y=label.view(1)) for one, label in zip(X, y, strict=True)]
    expected, of_all = fit_bank(data, 2)
    counts, fit = [], bank_fit.fit_ridges
    monkeypatch.setattr(bank_fit, "fit_ridges", lambda x, *others: counts.append(len(x)) or fit(x, *others))
    monkeypatch.setattr(bank_fit, "ENOUGH_TO_CHOOSE", 60)
    bank, ridge = fit_bank(data, 2)
    assert counts == [60]
    assert bank.config == expected.config
    assert torch.allclose(bank.head.weight, expected.head.weight)
    assert torch.allclose(ridge.left_out, of_all.left_out)


def test_what_few_sequences_say_is_chance_up_to_larger_gains():
    assert _Gain(2.6, 1.0, 1000.0).is_beyond(2.5)
    assert not _Gain(2.6, 1.0, 8.0).is_beyond(2.5)
    assert _Gain(3.5, 1.0, 8.0).is_beyond(2.5)
    assert not _Gain(9.0, 0.0, 1.0).is_beyond(2.5)


def test_a_channel_that_is_missing_or_flat_says_nothing_of_scales():
    quiet, loud = torch.randn(6, 40, 2), 1000 * torch.randn(2, 40, 2)
    quiet[:2, :, 1], quiet[2:4, :, 0] = torch.nan, 5.0
    data = [Data(x=one) for one in (*quiet, *loud)]
    assert not differ_in_scale(data, torch.tensor([1.0] * 6 + [0.5] * 2))
    assert differ_in_scale(data, torch.tensor([1.0] * 6 + [9.0] * 2)), "weights count as often"
    assert not differ_in_scale([Data(x=torch.ones(9, 2))] * 4, torch.ones(4))


def test_one_glitch_leaves_the_scale_as_it_was():
    X, y = waves(40)
    scale = FilterBankClassifier(random_state=0).fit(X, y).model_.scale.std
    glitch = [one.copy() for one in X]
    glitch[5][0, 7] = 300.0
    classifier = FilterBankClassifier(random_state=0).fit(glitch, y)
    assert torch.allclose(classifier.model_.scale.std, scale, rtol=0.1)
    other, labels = waves(60, seed=1)
    other[3][1, 4] = -300.0
    assert classifier.score(other, labels) > 0.95


def shapes(count, seed):
    """Two classes of one shape each, at any pace, in sequences of 60 to 160 frames."""
    random, y = np.random.default_rng(seed), np.arange(count) % 2
    X = []
    for label in y:
        place = np.linspace(0, 1, random.integers(60, 160)) ** random.uniform(0.8, 1.25)
        wave = np.sin(4 * np.pi * place) + 0.7 * np.sin((12, 15)[label] * np.pi * place)
        X.append((wave + 0.3 * random.standard_normal(len(place)))[None])
    return X, y


def test_sequences_are_stretched_where_left_out_ones_gain_by_it(tmp_path):
    classifier = FilterBankClassifier(random_state=0).fit(*shapes(50, seed=0))
    lengths = sorted(one.shape[1] for one in shapes(50, seed=0)[0])
    assert lengths[24] <= classifier.model_.config["num_frames"] <= lengths[25]
    X, y = shapes(80, seed=1)
    assert classifier.score(X, y) > 0.9
    classifier.save(tmp_path / "stretched.pt")
    loaded = FilterBankClassifier.load(tmp_path / "stretched.pt")
    assert np.array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    in_time = FilterBankClassifier(random_state=0).fit(*waves(50))  # the pace is what tells these classes
    assert in_time.model_.config["num_frames"] is None
