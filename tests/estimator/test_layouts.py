"""What the estimator takes: arrays of either layout, tables, panels and data sets."""

import warnings

import numpy as np
import pandas as pd
import pytest

from lgrin.datasets import from_arrays
from lgrin.sklearn import LGrINClassifier

SMALL = {"branch_channels": (4,), "epochs": 2, "random_state": 0}
Y = np.arange(12) % 2
IDS = [f"clip{(7 * index) % 12:02}" for index in range(12)]  # not in the order of their names


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    return [pd.DataFrame(rng.normal(size=(length, 3)), columns=["z", "x", "y"]) for length in range(15, 27)]


@pytest.fixture(scope="module")
def arrays(tables):
    return [table.to_numpy().T for table in tables]


@pytest.fixture(scope="module")
def expected(arrays):
    return LGrINClassifier(**SMALL).fit(arrays, Y).predict_proba(arrays)


@pytest.fixture(scope="module")
def long(tables):
    parts = [table.assign(clip=name, t=np.arange(len(table))) for table, name in zip(tables, IDS, strict=True)]
    return pd.concat(parts)


def fit(X, y=Y, **options):
    return LGrINClassifier(**SMALL, **options).fit(X, y)


def test_a_table_of_a_list_has_a_row_for_each_time(tables, expected):
    fitted = fit(tables)
    assert (fitted.n_features_in_, list(fitted.feature_names_in_)) == (3, ["z", "x", "y"])
    assert np.array_equal(fitted.predict_proba(tables), expected)


def test_columns_are_matched_by_name(tables, expected, tmp_path):
    fit(tables).save(tmp_path / "fitted.pt")
    loaded = LGrINClassifier.load(tmp_path / "fitted.pt")
    shuffled = [table[["y", "z", "x"]] for table in tables]
    assert np.array_equal(loaded.predict_proba(shuffled), expected)
    with pytest.raises(ValueError, match=r"X\[1\] lacks the column 'x'; it has \['z', 'y'\]"):
        loaded.predict([tables[0], tables[1].drop(columns="x")])
    with pytest.raises(ValueError, match=r"X\[0\] has the column 'w', which is no channel; the channels are"):
        loaded.predict([tables[0].assign(w=1.0)])
    with pytest.raises(ValueError, match=r"X\[0\] has two columns 'x'"):
        loaded.predict([pd.concat([tables[0], tables[0][["x"]]], axis=1)])


@pytest.mark.parametrize(("column", "kind"), [(pd.Timestamp("2026-01-01"), ValueError), ("calm", ValueError)])
def test_a_column_without_numbers_is_named(tables, column, kind):
    with pytest.raises(kind, match=r"column 'w' of X\[0\] is no channel of numbers"):
        fit([table.assign(w=column) for table in tables])


def test_a_meaning_that_changed_is_said_only_where_the_old_one_would_fit(tables):
    alike = [table[:15] for table in tables]
    with pytest.warns(FutureWarning, match=r"read as \[time, columns\].*lgrin 0\.1 read it as \[channels, time\]"):
        fitted = fit(alike)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(alike)
        fit(tables)
        assert fit(alike, layout="time_first").n_features_in_ == 3
        assert fit(alike, layout="channels_first").n_features_in_ == 15
    numbered = [pd.DataFrame(table.to_numpy()) for table in alike]
    with pytest.warns(FutureWarning, match="its columns have no names"):
        assert fit(numbered).n_features_in_ == 15


def test_a_long_table_holds_a_sequence_for_each_id(long, expected):
    shuffled = long.sample(frac=1, random_state=0)
    labels = pd.Series(Y, index=IDS)
    for table in (long, shuffled):
        order = list(dict.fromkeys(table["clip"]))
        fitted = fit(table, labels.sort_index(), id="clip", time="t")
        in_order = [IDS.index(name) for name in order]
        reference = fit([long[long["clip"] == name][["z", "x", "y"]] for name in order], Y[in_order])
        assert np.array_equal(fitted.predict_proba(table), reference.predict_proba(_lists(long, order)))
    assert np.array_equal(fit(long, Y, id="clip", time="t").predict_proba(long), expected)
    with pytest.raises(ValueError, match=rf"y has one value for each of the {len(long)} rows of X, .* 12 sequences"):
        fit(long, np.zeros(len(long)), id="clip", time="t")
    with pytest.raises(ValueError, match=r"id is 'who', and X has no such column; it has"):
        fit(long, Y, id="who")
    with pytest.raises(ValueError, match=r"X\[0\] has two rows at t=0; a time occurs once"):
        fit(pd.concat([long, long[:1]]), Y, id="clip", time="t")


def _lists(long, order):
    return [long[long["clip"] == name][["z", "x", "y"]] for name in order]


def test_a_panel_goes_through_the_converter_of_aeon(long):
    panel, order = long.set_index(["clip", "t"]), sorted(IDS)
    fitted = fit(panel, pd.Series(Y, index=IDS))
    lists = [table[["x", "y", "z"]] for table in _lists(long, order)]
    reference = fit(lists, Y[[IDS.index(name) for name in order]])
    assert list(fitted.feature_names_in_) == ["x", "y", "z"]
    assert np.array_equal(fitted.predict_proba(panel), reference.predict_proba(lists))
    assert np.array_equal(fitted.predict_proba(panel.loc[order[:3]]), reference.predict_proba(lists[:3]))


def test_one_table_with_a_row_for_each_label_stays_a_matrix():
    matrix = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 8)), columns=list("abcdefgh"))
    assert np.array_equal(
        fit(matrix, n_channels=2).predict_proba(matrix), fit(matrix.to_numpy(), n_channels=2).predict_proba(matrix)
    )


@pytest.mark.parametrize(
    "convert", [np.stack, list, lambda X: np.stack(X).reshape(12, -1)], ids=["array", "list", "matrix"]
)
def test_arrays_may_have_time_first(convert):
    X = np.random.default_rng(0).normal(size=(12, 3, 20))
    expected = fit(X).predict_proba(X)
    given = convert(list(X.transpose(0, 2, 1)))
    fitted = fit(given, layout="time_first", n_channels=3)
    assert np.array_equal(fitted.predict_proba(given), expected)


def test_arrays_that_look_transposed_are_said_to():
    X = np.random.default_rng(0).normal(size=(12, 20, 6))
    with pytest.warns(UserWarning, match=r"20 channels and 6 frames, more channels than frames.*layout='time_first'"):
        fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(X, layout="channels_first")
        fit(X, layout="time_first")
        fit(X.transpose(0, 2, 1))
    with pytest.raises(ValueError, match=r"X\[1\] has 19 channels.*all have 6 columns: if they are \[time, channels\]"):
        fit([one[index:] for index, one in enumerate(X)])
    with pytest.raises(ValueError, match="layout is 'rows'; it may be 'auto', 'channels_first', 'time_first'"):
        fit(X, layout="rows")


def test_a_data_set_brings_its_classes_and_groups(arrays, expected):
    holed = [array.copy() for array in arrays]
    holed[3][1, 2] = np.nan
    for X, reference in ((arrays, expected), (holed, fit(holed).predict_proba(holed))):
        dataset = from_arrays([one.T for one in X], np.array(["calm", "glad"])[Y], groups=Y)
        fitted = LGrINClassifier(**SMALL).fit(dataset)
        assert fitted.classes_.tolist() == ["calm", "glad"]
        assert np.array_equal(fitted.predict_proba(dataset), reference)
        assert np.array_equal(LGrINClassifier(**SMALL).fit(list(dataset), Y).predict_proba(list(dataset)), reference)


def test_sequences_of_which_most_frames_would_be_left_out_are_named():
    X = np.random.default_rng(0).normal(size=(12, 1, 100))
    with pytest.warns(UserWarning, match=r"up to 100 frames, of which the network sees 40, every 2\.5th"):
        fit(X, num_nodes=40, bank=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(X, num_nodes=50, bank=False)
        fit(X, recipe="any_length", bank=False)
        fit(X, num_nodes=40)  # the bank sees all of them
