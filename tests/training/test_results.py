"""What a report of an evaluation states."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch_geometric.data import Data

from lgrin.training.results import Evaluation, summarize

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
