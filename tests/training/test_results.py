"""What a report of an evaluation states."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch_geometric.data import Data

from lgrin.training.results import Evaluation, interval_to_show, pool, summarize

TARGET = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
PREDICTED = [0, 0, 1, 0, 1, 1, 1, 2, 1, 0]
GROUPS = [0, 1, 2, 0, 0, 1, 2, 2, 1, 0]


def evaluation():
    confusion = torch.zeros(3, 3, dtype=torch.long)
    for true, found in zip(TARGET, PREDICTED, strict=True):
        confusion[true, found] += 1
    return Evaluation(0.7, 0.708, confusion, torch.eye(3)[PREDICTED])


def sequences(groups=GROUPS):
    return [
        Data(y=torch.tensor([label]), **({} if groups is None else {"group": torch.tensor([groups[index]])}))
        for index, label in enumerate(TARGET)
    ]


def test_classes_groups_and_interval_are_those_counted_by_hand():
    said = summarize(
        evaluation(), sequences(), SimpleNamespace(classes=["a", "b", "c"], groups=["ann", "bob", "cat", "dan"])
    )
    assert said["n"] == 10
    assert said["recall"] == {"a": 0.75, "b": pytest.approx(4 / 6), "c": None}
    assert said["support"] == {"a": 4, "b": 6, "c": 0}
    each = {"ann": 3 / 4, "bob": 1.0, "cat": 1 / 3}
    assert {name: one["accuracy"] for name, one in said["test_groups"].items()} == pytest.approx(each)
    assert {name: one["n"] for name, one in said["test_groups"].items()} == {"ann": 4, "bob": 3, "cat": 3}
    values = list(each.values())
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    interval = said["intervals"]["accuracy"]
    assert (interval["low"], interval["high"]) == pytest.approx((low, high))
    assert interval["method"] == "95% t interval over 3 groups"


def test_without_groups_recordings_are_drawn_again():
    said = summarize(evaluation(), sequences(None), SimpleNamespace(classes=["a", "b", "c"]))
    assert said["test_groups"] == {}
    assert said["intervals"]["accuracy"]["estimate"] == 0.7
    assert "over 10 recordings" in said["intervals"]["uar"]["method"]
    one = Evaluation(1.0, 1.0, torch.tensor([[1, 0], [0, 0]]), torch.tensor([[1.0, 0.0]]))
    lone = summarize(one, sequences(None)[:1], SimpleNamespace(classes=["a", "b"]))
    assert lone["intervals"] == {"accuracy": None, "uar": None}


def all_right(counts, groups=None):
    """An evaluation without a mistake, with so many sequences of each class, and its sequences."""
    target = np.repeat(np.arange(len(counts)), counts)
    data = [Data(y=torch.tensor([label])) for label in target]
    for one, group in zip(data, groups or (), strict=False):
        one.group = torch.tensor([group])
    return Evaluation(1.0, 1.0, torch.diag(torch.tensor(counts)), torch.eye(len(counts))[target]), data


def test_a_score_without_a_mistake_is_no_certainty():
    names = SimpleNamespace(classes=["a", "b", "c"])
    said = summarize(*all_right([8, 8, 8]), names)
    for interval in said["intervals"].values():  # the chance p at which all of 24 are right in 2.5% of cases
        assert (interval["low"], interval["high"]) == (pytest.approx(0.025 ** (1 / 24)), 1)
        assert interval["method"] == "95% exact interval over 24 recordings"
    assert interval_to_show(said)["low"] == said["intervals"]["accuracy"]["low"]
    assert said["cautions"] == ["24 test sequences are few"]
    wrong = Evaluation(0.0, 0.0, torch.tensor([[0, 30], [30, 0]]), torch.eye(2)[[1] * 30 + [0] * 30])
    data = [Data(y=torch.tensor([label])) for label in [0] * 30 + [1] * 30]
    said = summarize(wrong, data, SimpleNamespace(classes=["a", "b"]))
    assert said["intervals"]["accuracy"]["high"] == pytest.approx(1 - 0.025 ** (1 / 60))
    assert said["intervals"]["accuracy"]["low"] == 0
    guesses = Evaluation(0.5, 0.5, torch.tensor([[30, 0], [30, 0]]), torch.eye(2)[[0] * 60])
    said = summarize(guesses, data, SimpleNamespace(classes=["a", "b"]))
    assert said["intervals"]["uar"]["low"] < 0.5 < said["intervals"]["uar"]["high"], "a recall of 1 and one of 0"
    assert "accuracy of 0.500" in said["cautions"][0]


@pytest.mark.parametrize("count", [1, 2, 4, 5, 8])
def test_few_groups_have_no_interval_to_show(count):
    groups = [index % count for index in range(80)]
    names = SimpleNamespace(classes=["a", "b"], groups=[f"voice{number}" for number in range(9)])
    found, data = all_right([40, 40], groups)
    said = summarize(found, data, names)
    assert list(said["test_groups"]) == names.groups[:count]
    if count < 5:
        assert interval_to_show(said) is None
        few = "one group of 9 was tested, and another may score otherwise"
        assert said["cautions"] == [
            few if count == 1 else f"{count} groups are too few for an interval; look at the score of each"
        ]
    else:
        assert interval_to_show(said)["low"] == pytest.approx(0.025 ** (1 / count))
        assert (
            said["intervals"]["accuracy"]["method"] == f"95% exact interval over {count} groups, which all score "
            "the same"
        )
        assert said["cautions"] == []


def test_a_group_that_was_trained_on_and_one_without_a_name_are_said_to_be_so():
    found, data = all_right([40, 40], [0] * 80)
    alone = summarize(found, data, SimpleNamespace(classes=["a", "b"], groups=["voice0"]))
    assert alone["cautions"] == [
        "all sequences are of one group, which was trained on as well; a new one may score lower"
    ]
    unnamed = summarize(found, data, SimpleNamespace(classes=["a", "b"]))
    assert unnamed["cautions"] == ["one group was tested, and another may score otherwise"]


def test_groups_that_score_alike_in_between_have_no_interval():
    _, data = all_right([36, 12], [index % 6 for index in range(48)])
    names = SimpleNamespace(classes=["a", "b"], groups=list("abcdef"))
    half = Evaluation(0.75, 0.5, torch.tensor([[36, 0], [12, 0]]), torch.eye(2)[[0] * 48])
    said = summarize(half, data, names)
    assert said["intervals"] == {"accuracy": None, "uar": None}
    assert interval_to_show(said) is None


def test_an_interval_is_shown_within_0_and_1():
    values = [1.0, 1.0, 1.0, 1.0, 0.5]
    data = [Data(y=torch.tensor([0]), group=torch.tensor([index // 2])) for index in range(10)]
    found = Evaluation(0.9, 0.9, torch.tensor([[9, 1], [0, 0]]), torch.eye(2)[[0] * 9 + [1]])
    said = summarize(found, data, SimpleNamespace(classes=["a", "b"], groups=list("abcde")))
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert said["intervals"]["accuracy"]["high"] == pytest.approx(high)
    assert high > 1 == interval_to_show(said)["high"]
    assert interval_to_show(said)["low"] == pytest.approx(low)


def test_the_scores_of_folds_are_those_of_all_sequences():
    parts = [(TARGET[:4], PREDICTED[:4]), (TARGET[4:], PREDICTED[4:])]
    folds = []
    for target, predicted in parts:
        confusion = torch.zeros(3, 3, dtype=torch.long)
        for true, guessed in zip(target, predicted, strict=True):
            confusion[true, guessed] += 1
        folds.append(Evaluation(0.0, 0.0, confusion, torch.eye(3)[predicted]))
    found = pool(folds)
    assert found.accuracy == 0.7
    assert found.uar == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert torch.equal(found.confusion, evaluation().confusion)
    assert torch.equal(found.probabilities, evaluation().probabilities)
