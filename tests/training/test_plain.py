"""A warning where a plain method classifies left-out training sequences better than the bank of filters."""

import warnings

import numpy as np
import pytest
import torch
from aeon.datasets import load_classification
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from torch_geometric.data import Data

from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.training import plain
from lgrin.training.plain import CONSTANT, PLAIN, Sample, find_better, largest_class, nearest_neighbor, ridge_on_levels

BANK = FilterBankClassifier(random_state=0)
NETWORK = LGrINClassifier(epochs=1, branch_channels=(8, 4), random_state=0)


def pulses(count=40, classes=4, noise=1.0, seed=0):
    """The class is the place of a short pulse."""
    random, y = np.random.default_rng(seed), np.arange(count) % classes
    X = noise * random.standard_normal((count, 1, 48))
    for x, label in zip(X, y, strict=True):
        x[0, 3 + 2 * label : 5 + 2 * label] += 3
    return X, y


def signs(count=40, noise=0.3, seed=0):
    """Three pulses at known places, each up or down; the class is the product of their signs, which no sum tells."""
    random = np.random.default_rng(seed)
    sign, X = random.choice([-1, 1], (count, 3)), noise * random.standard_normal((count, 1, 48))
    for pulse, start in enumerate((4, 22, 41)):
        X[:, 0, start : start + 3] += 2 * sign[:, pulse : pulse + 1]
    return X, (sign.prod(1) > 0).astype(int)


def nodes(X, y):
    frames = torch.as_tensor(X, dtype=torch.float).mT
    return [Data(x=x.clone(), y=torch.tensor([label])) for x, label in zip(frames, y, strict=True)]


def scores(correct, labels, classes=2):
    """Scores that are highest for the right class where they are to be."""
    labels = torch.as_tensor(labels)
    return torch.nn.functional.one_hot(torch.where(torch.as_tensor(correct), labels, (labels + 1) % classes), classes)


@pytest.mark.parametrize("classifier", [BANK, NETWORK], ids=["bank", "network and bank"])
def test_fit_warns_where_a_neighbour_is_better_and_names_both_accuracies(classifier):
    X, y = signs()
    with pytest.warns(UserWarning, match="may be the wrong tool") as caught:
        classifier.fit(X, y)
    neighbour = (cross_val_predict(KNeighborsClassifier(1), X[:, 0], y, cv=LeaveOneOut()) == y).mean()
    said = str(caught[0].message)
    assert caught[0].filename == __file__, "the line of the user"
    assert f"the nearest neighbour of stretched sequences classifies {neighbour:.3f} correctly" in said
    assert "sklearn.neighbors.KNeighborsClassifier(1)" in said


def test_the_warning_comes_before_the_network_is_trained(monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lgrin.sklearn.classifier.fit_in_memory", stop)
    with pytest.warns(UserWarning, match="may be the wrong tool"), pytest.raises(KeyboardInterrupt):
        NETWORK.fit(*signs())


def test_what_is_said_of_training_sequences_holds_for_new_ones():
    (X, y), (new, truth) = signs(), signs(400, seed=1)
    with pytest.warns(UserWarning, match="may be the wrong tool"):
        bank = BANK.fit(X, y).score(new, truth)
    assert KNeighborsClassifier(1).fit(X[:, 0], y).score(new[:, 0], truth) > bank + 0.2


@pytest.mark.parametrize("name", ["JapaneseVowels", "BasicMotions"])
@pytest.mark.parametrize("classifier", [BANK, NETWORK], ids=["bank", "network and bank"])
def test_nothing_is_said_of_sets_that_filters_suit(name, classifier):
    X, y = load_classification(name, split="train")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.fit(X, y)


def test_nothing_is_said_of_noise_by_chance():
    random, said = np.random.default_rng(0), 0
    for _ in range(200):
        X, y = random.standard_normal((30, 2, 8)), np.arange(30) % 3
        said += find_better(scores(random.random(30) < 1 / 3, y, 3), nodes(X, y)) is not None
    assert said <= 10


def test_a_level_among_many_channels_is_told_by_a_ridge():
    random, y = np.random.default_rng(0), np.arange(80) % 2
    X = random.standard_normal((80, 20, 30))
    X[:, 0] += 0.8 * y[:, None]
    better = find_better(scores(random.random(80) < 0.6, y), nodes(X, y))
    assert better.plain.predict is ridge_on_levels
    assert better.accuracy > 0.9
    assert 0.4 < better.of_bank < 0.75


def test_left_out_levels_are_those_of_a_ridge_fitted_without_the_sequence():
    random, y = np.random.default_rng(0), np.arange(24) % 2
    X = random.standard_normal((24, 3, 9)) + 0.3 * y[:, None, None]
    frames, labels = [torch.from_numpy(x.T) for x in X], torch.from_numpy(y)
    found = ridge_on_levels(Sample(frames, labels, 2, torch.ones(24, dtype=torch.double)))
    features = torch.from_numpy(np.concatenate([X.mean(2), X.std(2)], axis=1))
    whole = plain.fit_ridge(features, labels, 2, torch.ones(24), torch.full((6,), 6**-0.5))
    features = (features - features.mean(0)) / features.std(0, correction=0) / 6**0.5
    for index in range(24):
        others = torch.arange(24) != index
        z, target = features[others], 2 * torch.nn.functional.one_hot(labels[others], 2).double() - 1
        center, mean = z.mean(0), target.mean(0)
        gram = (z - center).T @ (z - center) / 24 + whole.penalty * torch.eye(6, dtype=torch.double)
        beta = torch.linalg.solve(gram, (z - center).T @ (target - mean) / 24)
        assert int((mean + (features[index] - center) @ beta).argmax()) == int(found[index])


def test_a_neighbour_is_of_another_group():
    random, people = np.random.default_rng(0), np.repeat(np.arange(10), 4)
    own = random.standard_normal((10, 2, 12))
    X, y = own[people] + 0.01 * random.standard_normal((40, 2, 12)), np.arange(40) % 2
    same, other = (
        nearest_neighbor(Sample([torch.from_numpy(x.T) for x in X], torch.arange(40), 40, torch.ones(40), groups))
        for groups in (None, torch.from_numpy(people))
    )
    assert (people[same] == people).all()
    assert (people[other] != people).all()
    assert find_better(scores(np.zeros(40, bool), y), nodes(X, y), groups=torch.zeros(40).long()) is None


def test_groups_count_and_not_their_sequences():
    random, y = np.random.default_rng(0), np.arange(60) % 2
    X = random.standard_normal((60, 1, 9)) + 4 * y[:, None, None]
    left_out = scores(np.zeros(60, bool), y)
    assert find_better(left_out, nodes(X, y)).accuracy == 1
    few, many = torch.arange(60) // 15, torch.arange(60) // 10
    assert find_better(left_out, nodes(X, y), groups=few) is None
    assert find_better(left_out, nodes(X, y), groups=many).accuracy == 1


def test_the_largest_class_is_that_of_the_others():
    sample = Sample([], torch.tensor([0, 0, 1, 1, 1]), 2, torch.ones(5))
    assert largest_class(sample).tolist() == [1, 1, 0, 0, 0]
    heavy = sample._replace(weight=torch.tensor([3.0, 3.0, 1.0, 1.0, 1.0]))
    assert largest_class(heavy).tolist() == [0, 0, 0, 0, 0]
    assert largest_class(sample._replace(groups=torch.tensor([0, 1, 1, 1, 1]))).tolist() == [1, 0, 0, 0, 0]


def test_a_bank_that_is_worse_than_one_class_is_told():
    random, y = np.random.default_rng(0), (np.arange(100) < 20).astype(int)
    X = random.standard_normal((100, 1, 9))
    better = find_better(scores(random.random(100) < 0.5, y), nodes(X, y))
    assert (better.plain, better.accuracy) == (CONSTANT, 0.8)
    weight = torch.where(torch.from_numpy(y) == 1, 4.0, 1.0)  # classes count alike, so neither is larger
    assert find_better(scores(random.random(100) < 0.5, y), nodes(X, y), weight) is None


def test_a_method_has_to_be_better_than_one_class_too(monkeypatch):
    y = np.arange(40) % 2
    X = np.random.default_rng(0).standard_normal((40, 1, 9))
    guess = PLAIN[0]._replace(predict=lambda sample: sample.labels ^ (torch.arange(40) % 5 < 2))
    monkeypatch.setattr(plain, "PLAIN", (guess,))
    assert find_better(scores(np.zeros(40, bool), y), nodes(X, y)) is None
    guess = guess._replace(predict=lambda sample: sample.labels)
    monkeypatch.setattr(plain, "PLAIN", (guess,))
    assert find_better(scores(np.zeros(40, bool), y), nodes(X, y)).plain is guess


def test_of_many_sequences_a_part_is_looked_at_and_the_warning_says_so(monkeypatch):
    monkeypatch.setattr(plain, "MOST", 40)
    X, y = pulses(120, noise=0.1)
    with pytest.warns(UserWarning, match=r"that are left out, 40 of 120, the nearest neighbour"):
        plain.warn_of_better(scores(np.zeros(120, bool), y, 4), nodes(X, y))


def test_missing_frames_reach_nothing():
    X, y = pulses(noise=0.5)
    one, other = nodes(X, y), nodes(X, y)
    for first, second in zip(one, other, strict=True):
        first.mask = second.mask = torch.arange(48) % 7 > 0
        second.x[~second.mask] = 1e6
    left_out = scores(np.zeros(40, bool), y, 4)
    assert find_better(left_out, one) == find_better(left_out, other)


@pytest.mark.parametrize("predict", [nearest_neighbor, ridge_on_levels])
def test_a_channel_that_some_sequences_lack_is_filled(predict):
    random, y = np.random.default_rng(0), torch.arange(30) % 2
    frames = [torch.from_numpy(random.standard_normal((7, 2)) + 3 * int(label)) for label in y]
    frames[3][:, 1] = torch.nan
    assert (predict(Sample(frames, y, 2, torch.ones(30, dtype=torch.double))) == y).all()
