"""Labels are told apart by their exact values; what only looks alike is refused, and so is what is no label."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
import torch

from lgrin.datasets import from_arrays
from lgrin.sklearn.inputs import encode_labels


def dataset(labels):
    made = from_arrays([np.zeros((3, 2))] * 4, labels)
    return made.classes, made.y.tolist()


def groups(labels):
    made = from_arrays([np.zeros((3, 2))] * 4, [0, 1, 0, 1], groups=labels)
    return made.groups, made.group.tolist()


def estimator(labels):
    classes, numbers = encode_labels(labels, "labels", 4)
    return [str(label) for label in classes], numbers.tolist()


READERS = pytest.mark.parametrize("read", [dataset, groups, estimator])
BIG = 2**53

TOLD_APART = {
    "nul": (["a", "a\0"] * 2, ["a", "a\0"]),
    "nul in an array of objects": (np.array(["a", "a\0"] * 2, object), ["a", "a\0"]),
    "composed": (["\u00e9", "e\u0301"] * 2, ["e\u0301", "\u00e9"]),
    "space": (["a ", "a"] * 2, ["a", "a "]),
    "large": ([BIG, BIG + 1] * 2, [str(BIG), str(BIG + 1)]),
    "large tensor": (torch.tensor([BIG, BIG + 1] * 2), [str(BIG), str(BIG + 1)]),
    "large and a float": ([float(BIG), BIG + 1] * 2, [f"{BIG}.0", str(BIG + 1)]),
    "large of two dtypes": ([np.int64(BIG), np.uint64(BIG + 1)] * 2, [str(BIG), str(BIG + 1)]),
    "large and negative": ([2**63, 2**63 + 1, -1, -1], ["-1", str(2**63), str(2**63 + 1)]),
    "beyond 64 bits": ([2**70, 2**70 + 1] * 2, [str(2**70), str(2**70 + 1)]),
    "large nullable": (pd.Series([BIG, BIG + 1] * 2, dtype="Int64"), [str(BIG), str(BIG + 1)]),
    "nullable bools": (pd.Series([False, True] * 2, dtype="boolean"), ["False", "True"]),
    "categorical": (pd.Series(["b", "a"] * 2, dtype="category"), ["a", "b"]),
    "strings of pandas": (pd.Series(["b", "a"] * 2, dtype="string", index=[3, 2, 1, 0]), ["a", "b"]),
    "numbers by value": ([10, 9, 10, 9], ["9", "10"]),
    "signs of zero": ([0.0, -0.0, 1.0, 1.0], ["0.0", "1.0"]),
    "equal numbers": ([1, 1.0, 2, 2.0], ["1.0", "2.0"]),
    "equal numbers, floats first": ([1.0, 1, 2.0, 2], ["1.0", "2.0"]),
    "tensors": ([torch.tensor(3), torch.tensor(1)] * 2, ["1", "3"]),
    "bfloat16": (torch.tensor([0, 1, 0, 1], dtype=torch.bfloat16), ["0.0", "1.0"]),
}


@READERS
@pytest.mark.parametrize("name", TOLD_APART)
def test_labels_are_told_apart_by_their_exact_values(name, read):
    labels, expected = TOLD_APART[name]
    names, numbers = read(labels)
    assert names == expected
    plain = [entry.item() if hasattr(entry, "item") else entry for entry in labels]
    for one, number in zip(plain, numbers, strict=True):
        for other, another in zip(plain, numbers, strict=True):
            assert (one == other) == (number == another)


MIXED = {
    "1 and '1'": [1, "1"] * 2,
    "1 and '1' in an array of objects": np.array([1, "1"] * 2, object),
    "1 and '1' in a categorical": pd.Series([1, "1"] * 2, dtype="category"),
    "True and 1": [True, 1] * 2,
    "True and 1.0": [True, 1.0] * 2,
    "True and 'True'": [True, "True"] * 2,
    "numpy's True and 1": [np.bool_(True), np.int64(1)] * 2,
    "'a' and b'a'": ["a", b"a"] * 2,
    "bytes": np.array([b"a", b"b"] * 2),
    "decimals": [decimal.Decimal("1"), decimal.Decimal("1.0")] * 2,
    "dates": [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)] * 2,
    "datetime64": np.array([0, 1] * 2, "M8[ns]"),
    "timedelta64": np.array([0, 1] * 2, "m8[ns]"),
    "fields": np.array([(1, 2)] * 4, dtype=[("a", int), ("b", int)]),
    "arrays": [np.arange(2), np.arange(3)] * 2,
}


@READERS
@pytest.mark.parametrize("name", MIXED)
def test_labels_that_only_look_alike_or_are_none_are_refused(name, read):
    with pytest.raises((TypeError, ValueError), match=r"(labels|groups|setting an array element)"):
        read(MIXED[name])


MISSING = {
    "None": ["a", None, "a", "b"],
    "NaN": [0.0, float("nan"), 0.0, 1.0],
    "NaN beside its name": ["nan", float("nan"), "a", "b"],
    "NA": pd.Series([1, None, 2, 1], dtype="Int64"),
    "NA of strings": pd.Series(["a", None, "b", "a"], dtype="string"),
    "no category": pd.Series(["a", None, "b", "a"], dtype="category"),
    "masked": np.ma.array([0, 1, 0, 1], mask=[False, True, False, False]),
    "masked strings": np.ma.array(["a", "b", "a", "b"], mask=[False, True, False, False]),
    "masked in a list": [0, np.ma.masked, 0, 1],
    "NaT": [np.datetime64(0, "s"), np.datetime64("NaT"), np.datetime64(0, "s"), np.datetime64(1, "s")][1:] * 2,
}


@READERS
@pytest.mark.parametrize("name", MISSING)
@pytest.mark.filterwarnings("ignore:Warning. converting a masked element to nan")
def test_a_missing_label_is_named(name, read):
    with pytest.raises((TypeError, ValueError), match=r"(labels|groups)"):
        read(MISSING[name])


@READERS
@pytest.mark.parametrize("labels", [[0.1, 0.2, 0.3, 0.4], [0, float("inf"), 0, 1], np.float32([1, 1.5, 1, 2])], ids=str)
def test_a_continuous_target_is_named(labels, read):
    with pytest.raises(ValueError, match=r"\[\d\] is .*divide a continuous target into classes first"):
        read(labels)


@pytest.mark.parametrize(
    "labels",
    [None, (one for one in [0, 1, 0, 1]), {0, 1, 2, 3}, {0: 1, 1: 2, 2: 3, 3: 4}, "abab", b"abab", 3, np.array("a")],
    ids=lambda labels: type(labels).__name__,
)
def test_what_is_no_list_of_labels_is_named(labels):
    with pytest.raises(TypeError, match=r"^labels is (None|a \w+); it may be a list, a tuple, an array"):
        dataset(labels)
    with pytest.raises(ValueError, match="labels should be a 1d array"):
        estimator(labels)


def test_classes_of_the_estimator_keep_their_dtype():
    for labels in (np.array([3, 1] * 2, np.int16), np.array(["b", "a"] * 2), np.array([True, False] * 2)):
        classes, _ = encode_labels(labels, "y", 4)
        assert classes.dtype == labels.dtype
        assert np.array_equal(classes, np.unique(labels))
    column = pd.DataFrame({"label": pd.Series([BIG, BIG + 1] * 2, dtype="Int64")})
    with pytest.warns(UserWarning, match="column-vector"):
        classes, numbers = encode_labels(column, "y", 4)
    assert (classes.tolist(), numbers.tolist()) == ([BIG, BIG + 1], [0, 1, 0, 1])
