"""Classifiers that scale by group, and are adapted to people without labels."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch_geometric.data import Data

from lgrin.sklearn import FilterBankClassifier, LGrINClassifier, LGrINPretrainer
from lgrin.training import fit_bank, normalize_groups
from lgrin.training.bank import summaries
from lgrin.training.groups import adapt_bank

CLASSIFIERS = {
    "bank": lambda **options: FilterBankClassifier(random_state=0, normalize="group", **options),
    "both": lambda **options: LGrINClassifier(random_state=0, normalize="group", epochs=3, **options),
    "network": lambda **options: LGrINClassifier(random_state=0, normalize="group", bank=False, epochs=3, **options),
}


def people(count=6, each=12, channels=3, frames=30, seed=0):
    """Sequences whose classes differ in a level, by people who differ more in level and size."""
    random, y = np.random.default_rng(seed), np.tile(np.arange(3), count * each // 3)
    group = np.repeat(np.arange(count), each)
    X = random.standard_normal((len(y), channels, frames))
    X[:, 0] += y[:, None]
    return X * (1 + group % 3)[:, None, None] + 5 * group[:, None, None], np.array(list("abc"))[y], group


@pytest.fixture(params=CLASSIFIERS)
def make(request):
    return CLASSIFIERS[request.param]


@pytest.mark.parametrize("name", ["bank", "both"])
def test_a_classifier_that_is_adapted_to_a_person_knows_classes_that_people_hide(name):
    X, y, group = people()
    seen, new = group < 4, group == 4
    classifier = CLASSIFIERS[name]().fit(X[seen], y[seen], groups=group[seen])
    alike = clone(classifier).set_params(normalize="train").fit(X[seen], y[seen], groups=group[seen])
    adapted = classifier.adapt(X[new])
    assert adapted.score(X[new], y[new]) > max(0.8, alike.score(X[new], y[new]) + 0.2)
    assert not np.allclose(adapted.predict_proba(X), classifier.predict_proba(X))


def test_levels_and_sizes_of_a_persons_channels_do_not_matter_once_a_classifier_is_adapted(make):
    X, y, group = people()
    classifier = make().fit(X, y, groups=group)
    mine = X[group == 2]
    other = mine * np.array([3.0, 0.5, 20.0]).reshape(1, 3, 1) + np.array([100.0, -7.0, 0.0]).reshape(1, 3, 1)
    there = classifier.adapt(other).predict_proba(other)
    assert np.allclose(classifier.adapt(mine).predict_proba(mine), there, atol=1e-5)


def test_before_it_is_adapted_a_classifier_takes_all_training_sequences_for_one_group(make):
    X, y, group = people()
    classifier = make().fit(X, y, groups=group)
    assert np.allclose(classifier.adapt(X).predict_proba(X), classifier.predict_proba(X), atol=1e-6)
    mine = X[group == 1]
    twice = classifier.adapt(X[group == 4]).adapt(mine)  # what it was adapted to before does not matter
    assert np.allclose(twice.predict_proba(mine), classifier.adapt(mine).predict_proba(mine), atol=1e-5)


def test_adapting_leaves_the_classifier_as_it_is_and_gives_one_that_can_be_saved_and_streams(make, tmp_path):
    X, y, group = people()
    classifier = make().fit(X, y, groups=group)
    before, mine = classifier.predict_proba(X), X[group == 3]
    adapted = classifier.adapt(mine)
    assert np.array_equal(classifier.predict_proba(X), before)
    adapted.save(tmp_path / "mine.pt")
    loaded = type(adapted).load(tmp_path / "mine.pt")
    assert loaded.normalize == "group"
    assert np.array_equal(loaded.predict_proba(mine), adapted.predict_proba(mine))
    other = X[group == 0]
    assert np.allclose(
        loaded.adapt(other).predict_proba(other), classifier.adapt(other).predict_proba(other), atol=1e-5
    )
    stream = adapted.stream()
    for block in np.split(mine[0], 3, axis=1):
        probabilities = stream.push(block)
    assert np.allclose(probabilities, adapted.predict_proba(mine[:1])[0], atol=1e-5)


def test_the_mean_logit_of_the_sequences_that_a_bank_is_centred_on_is_its_bias():
    X, y, group = people()
    labels = np.unique(y, return_inverse=True)[1]
    data = [
        Data(x=torch.from_numpy(x.T).float(), y=torch.tensor([label]), group=torch.tensor([one]))
        for x, label, one in zip(X, labels, group, strict=True)
    ]
    scaled, groups = normalize_groups(data), torch.from_numpy(group)
    bank, _ = fit_bank(scaled, 3, groups=groups, centered=groups)
    bias = bank.head.bias.detach().double().clone()
    features = summaries(bank, scaled).double()
    assert torch.equal(bank.scale.mean, torch.zeros(3))  # sequences are scaled already
    center = torch.zeros(3)
    for one in groups.unique():
        mine = [data for data in scaled if int(data.group) == one]
        center = adapt_bank(bank, mine, center)
        logits = features[groups == one] @ bank.head.weight.double().T + bank.head.bias.double()
        assert torch.allclose(logits.mean(0), bias, atol=1e-4)


def test_weights_say_how_much_a_sequence_counts_for_the_centre():
    X, y, group = people()
    weight = np.random.default_rng(1).integers(0, 3, len(y))
    kept = weight > 0
    weighted = FilterBankClassifier(random_state=0, normalize="group").fit(X, y, group, sample_weight=weight)
    left_out = FilterBankClassifier(random_state=0, normalize="group").fit(
        X[kept], y[kept], group[kept], sample_weight=weight[kept]
    )
    even = FilterBankClassifier(random_state=0, normalize="group").fit(X[kept], y[kept], group[kept])
    assert np.array_equal(weighted.predict_proba(X), left_out.predict_proba(X))
    assert not np.allclose(weighted.center_, even.center_)


def test_channels_that_a_person_lacks_are_the_mean_of_everybody_else():
    X, y, group = people()
    X[group == 2, 1] = np.nan
    X[3, 2] = np.nan
    classifier = FilterBankClassifier(random_state=0, normalize="group").fit(X, y, groups=group)
    for one in range(3):
        mine = X[group == one]
        assert np.isfinite(classifier.adapt(mine).predict_proba(mine)).all()
    nodes = [
        Data(x=torch.from_numpy(x.T), y=torch.tensor([ord(label)]), group=torch.tensor([one]))
        for x, label, one in zip(X, y, group, strict=True)
    ]
    scaled = normalize_groups(nodes)
    assert all(torch.isfinite(one.x).all() for one in scaled)
    assert all((one.x[:, 1] == 0).all() for one in scaled if int(one.group) == 2)


def test_people_may_differ_by_more_than_float32_resolves():
    X, y, group = people()
    classifier = FilterBankClassifier(random_state=0, normalize="group").fit(X, y, groups=group)
    far = X + 1e8 + 1e6 * group[:, None, None]
    there = FilterBankClassifier(random_state=0, normalize="group").fit(far, y, groups=group)
    mine = group == 2
    same = classifier.adapt(X[mine]).predict_proba(X[mine])
    assert np.allclose(there.adapt(far[mine]).predict_proba(far[mine]), same, atol=1e-4)


def test_what_cannot_be_scaled_by_group_is_refused_with_the_way_out(make):
    X, y, group = people(count=3)
    with pytest.raises(NotFittedError):
        make().adapt(X)
    with pytest.raises(ValueError, match=r"groups is None; say who each sequence is of: fit\(X, y, groups\)"):
        make().fit(X, y)
    with pytest.raises(ValueError, match="each group has a single class, which scaling by group would tell"):
        make().fit(X, y, groups=y)
    with pytest.raises(ValueError, match="normalize is 'people'"):
        make().set_params(normalize="people").fit(X, y, groups=group)
    plain = make().fit(X, y, groups=group).set_params(normalize="train").fit(X, y, groups=group)
    assert not hasattr(plain, "center_")
    with pytest.raises(ValueError, match=r"normalize is 'train'; only a classifier .* with normalize='group'"):
        plain.adapt(X)
    with pytest.raises(ValueError, match="channels"):
        make().fit(X, y, groups=group).adapt(X[:, :2])


@pytest.mark.parametrize("given", [{"warm_start": True}, {"pretrained": LGrINPretrainer(epochs=1)}])
def test_weights_that_expect_other_scales_are_refused(given):
    X, y, group = people(count=3)
    with pytest.raises(ValueError, match=f"normalize is 'group', and {next(iter(given))} is given"):
        CLASSIFIERS["network"](**given).fit(X, y, groups=group)


def test_a_handful_of_sequences_is_called_few(make):
    X, y, group = people(count=3)
    classifier = make().fit(X, y, groups=group)
    with pytest.warns(UserWarning, match="X holds 3 sequences; .* give 10 or more"):
        classifier.adapt(X[:3])
