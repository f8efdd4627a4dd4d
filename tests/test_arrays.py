"""Features are real numbers: masks are read, complex numbers and dates refused, in every kind of array."""

import datetime

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from lgrin.aeon import LGrINAeonClassifier
from lgrin.datasets import from_arrays
from lgrin.sklearn import LGrINClassifier
from lgrin.sklearn.inputs import read_sequences

SMALL = {"branch_channels": (4,), "epochs": 2, "random_state": 0}
X = np.random.default_rng(0).normal(size=(6, 2, 8)).astype(np.float32)
Y = np.arange(6) % 2
GONE = np.zeros(X.shape, bool)
GONE[:, 1, 3:5] = True
HOLED = np.where(GONE, np.nan, X)
FILLED = np.where(GONE, X[:, :1], X)  # of a data set, whose frames are the rows: the value of the frame before


def as_sequences(given):
    return np.stack(read_sequences(LGrINClassifier(n_channels=2), given))


def as_dataset(given):
    return np.stack([data.x.numpy() for data in from_arrays(given, Y)])


MASKED = np.ma.array(np.where(GONE, -9999.0, X), mask=GONE)
OBJECTS = np.empty(6, object)
OBJECTS[:] = list(MASKED)
MASKS = {
    "array": MASKED,
    "list": list(MASKED),
    "objects": OBJECTS,
    "list of lists": [list(one) for one in MASKED],
    "infinite below the mask": np.ma.array(np.where(GONE, np.inf, X), mask=GONE),
    "None": np.where(GONE, None, X),
    "NA": np.where(GONE, pd.NA, X),
    "nested None": np.where(GONE, None, X).tolist(),
}


@pytest.mark.parametrize(("read", "expected"), [(as_sequences, HOLED), (as_dataset, FILLED)])
@pytest.mark.parametrize("name", MASKS)
def test_what_is_masked_is_missing(name, read, expected):
    assert np.array_equal(read(MASKS[name]), expected, equal_nan=True)


def test_what_is_masked_in_a_matrix_is_missing():
    matrix = MASKED.reshape(6, -1)
    for given in (matrix, list(matrix)):
        assert np.array_equal(as_sequences(given), HOLED, equal_nan=True)
    whole = np.ma.array(np.arange(32).reshape(2, 16), mask=np.arange(32).reshape(2, 16) == 1)
    assert np.isnan(as_sequences(whole)).sum() == 1


def test_estimators_hear_nothing_of_what_is_masked():
    expected = LGrINClassifier(**SMALL).fit(HOLED, Y).predict_proba(HOLED)
    fitted = LGrINClassifier(**SMALL).fit(MASKED, Y)
    assert np.array_equal(fitted.predict_proba(MASKED), expected)
    assert np.array_equal(fitted.predict_proba(list(MASKED)), expected)
    assert not np.array_equal(fitted.predict_proba(MASKED.data), expected)
    matrix = LGrINClassifier(n_channels=2, **SMALL).fit(MASKED.reshape(6, -1), Y)
    assert np.array_equal(matrix.predict_proba(MASKED.reshape(6, -1)), expected)
    for given in (MASKED, list(MASKED)):
        aeons = LGrINAeonClassifier(**SMALL).fit(given, Y)
        assert np.array_equal(aeons.predict_proba(given), expected)


DATES = np.arange(96).reshape(6, 2, 8).astype("M8[D]")
NO_NUMBERS = {
    "complex": X * 1j,
    "complex64": (X * 1j).astype(np.complex64),
    "complex list": list(X * 1j),
    "complex nested": (X * 1j).tolist(),
    "complex objects": (X * 1j).astype(object),
    "complex tensor": torch.tensor(X * 1j),
    "masked complex": np.ma.array(X * 1j, mask=GONE),
    "dates": DATES,
    "dates list": list(DATES),
    "dates nested": DATES.tolist(),
    "dates nested in NumPy's": [[list(row) for row in one] for one in DATES],
    "date objects": DATES.astype("M8[s]").astype(object),
    "datetime64 objects": np.array([[[np.datetime64(0, "s")] * 8] * 2] * 6 + [[[None] * 8] * 2], object)[:6],
    "time differences": DATES - DATES[0, 0, 0],
    "masked dates": np.ma.array(DATES, mask=GONE),
    "tables of dates": [pd.DataFrame(one.astype("M8[ns]")) for one in DATES],
    "dictionaries": np.full((6, 2, 8), {}, object),
    "words": np.full((6, 2, 8), "calm"),
    "fields": np.zeros((6, 2, 8), dtype=[("a", float), ("b", float)]),
    "sparse tensor": torch.tensor(X).to_sparse(),
    "sparse list": [sparse.csr_matrix(one) for one in X],
    "meta tensor": torch.zeros(6, 2, 8, device="meta"),
    "too large": [[[10**400] * 8] * 2] * 6,
    "unlike lengths": [[[1.0, 2.0], [3.0]]] * 6,
}


@pytest.mark.parametrize("read", [as_sequences, as_dataset])
@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_is_no_real_number_is_named(name, read):
    with pytest.raises((TypeError, ValueError), match=r"^(X|X\[0\]|arrays\[0\]) is no (array|matrix|\[T, P\] array) "):
        read(NO_NUMBERS[name])


MATRICES = {
    "complex": (X * 1j).reshape(6, -1),
    "dates": DATES.reshape(6, -1),
    "dates nested": DATES.reshape(6, -1).tolist(),
    "dates nested in NumPy's": [list(row) for row in DATES.reshape(6, -1)],
    "date objects": DATES.reshape(6, -1).astype(object),
    "datetime64 objects": np.array([[np.datetime64(0, "s")] * 16] * 6 + [[None] * 16], object)[:6],
    "table of dates": pd.DataFrame(DATES.reshape(6, -1).astype("M8[ns]")),
    "table with dates": pd.DataFrame({"a": range(6), "b": pd.to_datetime(["2020-01-01"] * 6)}),
    "table with time differences": pd.DataFrame({"a": range(6), "b": pd.to_timedelta([1] * 6)}),
    "time differences": (DATES - DATES[0, 0, 0]).reshape(6, -1),
    "words": np.array([["calm", "glad"]] * 6),
    "too large": [[10**400, 1]] * 6,
}


@pytest.mark.parametrize("name", MATRICES)
def test_what_is_no_real_number_in_a_matrix_is_named(name):
    with pytest.raises((TypeError, ValueError), match="X is no matrix of numbers"):
        as_sequences(MATRICES[name])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.array(3.0), "X is array.*, which has no dimension; it may be an array"),
        (torch.tensor(3.0), "X is array.*, which has no dimension"),
        (np.array(None, object), "X is array.*, which has no dimension"),
        (np.arange(4.0), "Expected 2D array, got 1D array"),
        (sparse.csr_matrix(X.reshape(6, -1)), "Sparse data was passed for X, but dense data is required"),
        (sparse.csr_array(X.reshape(6, -1)), "Sparse data was passed for X"),
        (torch.tensor(X.reshape(6, -1)).to_sparse_csr(), "X is no array of numbers: it is a sparse tensor; pass"),
        ((one for one in X), "X is a generator; it may be an array"),
        (map(abs, X), "X is a map; it may be"),
        (bytearray(b"abcd"), "X is a bytearray; it may be"),
    ],
    ids=lambda given: type(given).__name__ if not isinstance(given, str) else "",
)
def test_what_holds_no_sequences_is_named_by_the_estimator(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        as_sequences(given)


@pytest.mark.parametrize(
    "given",
    [
        None,
        3,
        "calm",
        (one for one in X),
        map(abs, X),
        dict(enumerate(X)),
        {1, 2},
        np.array(3.0),
        torch.tensor(3.0),
        sparse.csr_matrix(X.reshape(6, -1)),
        pd.DataFrame(X[0]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_holds_no_sequences_is_named_by_the_dataset(given):
    with pytest.raises(TypeError, match=r"^arrays is (None|a \w+); (it may be|give) a list"):
        from_arrays(given, Y)


@pytest.mark.parametrize("read", [as_sequences, as_dataset])
@pytest.mark.parametrize(
    "given",
    [
        torch.tensor(X, dtype=torch.float64, requires_grad=True),
        list(torch.tensor(X)),
        torch.nested.nested_tensor(list(torch.tensor(X))),
        torch.tensor(X).mul(1j).imag,
        torch.tensor(X).mul(-1j).conj().imag,
        [pd.DataFrame(one) for one in X],
        [pd.DataFrame(one).astype("Float32") for one in X],
        X.astype(object),
        X.astype(">f8"),
        X[::-1][::-1],
        X.astype(np.longdouble),
    ],
    ids=lambda given: f"{type(given).__name__} {getattr(given, 'dtype', '')}",
)
def test_all_kinds_of_real_numbers_are_taken(given, read):
    assert np.array_equal(read(given), X)


def test_dates_of_python_are_no_numbers_either():
    with pytest.raises(ValueError, match=r"arrays\[0\] is no \[T, P\] array of real numbers"):
        from_arrays([[[datetime.datetime(2020, 1, 1)]]], ["a"])
