"""Values that are missing: filled where sequences come in, and channels that a recording lacks are used around."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import cross_val_score

from lgrin.datasets import TableFolder, from_arrays
from lgrin.export import load, to_onnx
from lgrin.gaps import fill_gaps, missing_share
from lgrin.hub import PretrainedClassifier
from lgrin.models import LGrIN
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.training import SequenceClassifier, predict
from lgrin.training.loop import fit_in_memory
from lgrin.transforms import Resample, Standardize

KINDS = {
    "network": lambda: LGrINClassifier(num_nodes=16, branch_channels=(4, 3), epochs=3, random_state=0),
    "bank": lambda: FilterBankClassifier(random_state=0),
}
Y = np.arange(16) % 2


def waves():
    X = np.random.default_rng(0).normal(size=(16, 3, 16)) + np.array([5.0, -2.0, 0.0])[:, None]
    X[Y == 1, 0] += 2
    return X


def holed():
    X, gone = waves().astype(np.float32), np.random.default_rng(1).random((16, 3, 16)) < 0.2
    gone[:, 0] &= ~gone.all(1)  # no frame loses all
    X[gone] = np.nan
    return X


def by_pandas(X):
    tables = [pd.DataFrame(x.T.astype(float)).interpolate(limit_direction="both") for x in X]
    return np.stack([table.to_numpy().T for table in tables]).astype(np.float32)


def means(fitted):
    scale = fitted.model_.scale if hasattr(fitted, "model_") else fitted.classifier_.normalize
    return scale.mean.numpy()


@pytest.fixture(params=KINDS)
def make(request):
    return KINDS[request.param]


@pytest.mark.filterwarnings("ignore:.*are missing in frames that have others")
def test_single_values_are_filled_in_time(make):
    X = holed()
    filled = by_pandas(X)
    assert not np.isnan(filled).any()
    one, other = make().fit(X, Y), make().fit(filled, Y)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(filled), atol=1e-6)
    assert not np.allclose(one.predict_proba(X), one.predict_proba(waves()), atol=1e-3)
    alone = one.predict_proba(X[3:4])  # no other sequence matters
    np.testing.assert_allclose(alone, one.predict_proba(X)[3:4], rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*are missing in frames that have others")
def test_a_channel_that_is_missing_takes_its_mean_in_training(make, tmp_path):
    X = waves()
    X[3, 1], X[4, 2] = np.nan, np.nan
    fitted = make().fit(X, Y)
    np.testing.assert_allclose(means(fitted), np.nanmean(X, (0, 2)), rtol=1e-5)
    by_hand = np.where(np.isnan(X), means(fitted)[:, None], X)
    np.testing.assert_allclose(fitted.predict_proba(X), fitted.predict_proba(by_hand), atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba(X[3:4]), fitted.predict_proba(X)[3:4], rtol=0, atol=1e-12)
    fitted.save(tmp_path / "fitted.pt")
    np.testing.assert_array_equal(type(fitted).load(tmp_path / "fitted.pt").predict_proba(X), fitted.predict_proba(X))
    to_onnx(getattr(fitted, "model_", fitted), tmp_path / "fitted.onnx")
    found = load(tmp_path / "fitted.onnx")(X.transpose(0, 2, 1)).probabilities
    np.testing.assert_allclose(found, fitted.predict_proba(X), atol=1e-4)
    if hasattr(fitted, "classifier_"):
        PretrainedClassifier.of(fitted).save_pretrained(tmp_path / "folder")
        network = PretrainedClassifier.from_pretrained(tmp_path / "folder")
        logits = network.model(network.normalize(torch.tensor(X, dtype=torch.float32).mT))
        np.testing.assert_allclose(logits.softmax(-1).detach(), fitted.predict_proba(X), atol=1e-5)


def test_the_share_that_is_missing_and_the_channels_are_said(make):
    X = waves()
    fitted = make().fit(X, Y)
    X[3, 1], X[4, 2, 0] = np.nan, np.nan
    share = rf"{17 / X.size:.1%} of the values of X are missing"
    with pytest.warns(UserWarning, match=rf"{share}.*channel '1' is missing in X\[3\], and takes the mean"):
        fitted.predict_proba(X)
    with pytest.warns(UserWarning, match=rf"{share}.*Frames without any value are left out"):
        make().fit(X, Y)


def test_missing_values_are_said_once_for_each_line_of_the_user(make):
    X = waves()
    X[::3, 1, 2] = np.nan
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        first = sys._getframe().f_lineno
        cross_val_score(make(), X, Y, cv=2)
        make().fit(X, Y).predict(X)
    said = [(one.filename, one.lineno - first) for one in seen if "are missing" in str(one.message)]
    assert said == [(__file__, 1), (__file__, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for _ in range(2):
            with pytest.raises(UserWarning, match="are missing"):
                make().fit(X, Y)


def test_a_channel_that_is_always_missing_is_named(make):
    tables = [pd.DataFrame(x.T, columns=["x", "y", "z"]).assign(y=np.nan) for x in waves()]
    with pytest.raises(ValueError, match=r"channel 'y' is missing in every sequence of X.*leave it out"):
        make().fit(tables, Y)


@pytest.mark.filterwarnings("ignore:.*are missing in frames that have others")
def test_a_table_that_lacks_a_column_is_told_how_to_go_without_it(make):
    tables = [pd.DataFrame(x.T, columns=["x", "y", "z"]) for x in waves()]
    fitted = make().fit(tables, Y)
    lacking = tables[5].drop(columns="y")
    with pytest.raises(ValueError, match=r"table\.reindex\(columns=\['x', 'y', 'z'\]\)"):
        fitted.predict([lacking])
    by_hand = tables[5].assign(y=means(fitted)[1])
    found = fitted.predict_proba([lacking.reindex(columns=["x", "y", "z"])])
    np.testing.assert_allclose(found, fitted.predict_proba([by_hand]), atol=1e-6)


def test_a_channel_without_a_value_in_weighted_sequences_is_named():
    X = waves()
    X[1:, 1] = np.nan
    with (
        pytest.raises(ValueError, match="channel 1 is missing in every sequence that has a weight"),
        pytest.warns(UserWarning, match="are missing"),
    ):
        FilterBankClassifier().fit(X, Y, sample_weight=[0, *[1] * 15])


def test_gaps_are_bridged_from_the_sequence_itself():
    x = np.array([[np.nan, 1], [2, 1], [np.nan, 1], [np.nan, np.nan], [8, 1], [np.nan, 1]], np.float32)
    assert fill_gaps(x)[:, 0].tolist()[:3] == [2, 2, 4]
    np.testing.assert_array_equal(fill_gaps(x), [[2, 1], [2, 1], [4, 1], [np.nan] * 2, [8, 1], [8, 1]])
    assert fill_gaps(x).dtype == np.float32
    assert np.isnan(x[0, 0])  # what was given stays
    assert missing_share([x, np.ones((1, 2))]) == 3 / 12
    assert fill_gaps(np.ones((2, 2)))[0, 0] == 1
    lone = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    assert fill_gaps(lone) is lone


def test_standardisation_counts_a_channel_where_it_is():
    generator = np.random.default_rng(0)
    arrays = [generator.normal(3, 2, size=(length, 2)).astype(np.float32) for length in (5, 9, 7)]
    arrays[0][:, 1] = np.nan
    dataset = from_arrays(arrays, [0, 1, 0])
    scale = Standardize(2).fit(dataset)
    known = [np.concatenate([x[:, channel] for x in arrays]) for channel in range(2)]
    np.testing.assert_allclose(scale.mean, [np.nanmean(one) for one in known], rtol=1e-6)
    np.testing.assert_allclose(scale.std, [np.nanstd(one) for one in known], rtol=1e-6)
    assert scale(dataset[0].x)[:, 1].tolist() == [0.0] * 5
    with pytest.raises(ValueError, match="channel 1 is missing in every sequence"):
        Standardize(2).fit([dataset[0]])


def test_tables_in_a_folder_may_lack_cells_and_channels(tmp_path):
    generator = np.random.default_rng(0)
    for index in range(8):
        label = ("run", "walk")[index % 2]
        (tmp_path / "corpus" / label).mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(generator.normal(size=(12, 2)), columns=["x", "y"])
        if index == 0:
            table.loc[[0, 4], "x"] = np.nan
        table = table.assign(y=np.nan) if index == 3 else table
        table.to_csv(tmp_path / "corpus" / label / f"{index}.csv", index=False)
    dataset = TableFolder(tmp_path / "corpus", progress=False)
    assert dataset.missing_values == 14 / (8 * 12 * 2)
    by_name = {data.name: data.x for data in dataset}
    assert not by_name["run/0.csv"].isnan().any()
    assert by_name["walk/3.csv"].isnan().all(0).tolist() == [False, True]
    dataset.transform = Resample(6)
    signal = {"features": dataset.features.settings, "transform": Resample(6).settings, "classes": dataset.classes}
    classifier = SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(4,)), num_sequences=8, **signal)
    run = fit_in_memory(classifier, dataset, dataset, epochs=2, batch_size=4)
    assert np.isfinite([*run.losses, run.validation_loss]).all()
    assert predict(classifier, tmp_path / "corpus" / "walk" / "3.csv").probabilities.isfinite().all()
    by_estimator = LGrINClassifier(epochs=1, random_state=0, num_nodes=6)
    with pytest.warns(UserWarning, match="is missing in X"):
        assert np.isfinite(by_estimator.fit(dataset).predict_proba(dataset)).all()


def test_a_file_without_means_says_so(tmp_path):
    to_onnx(LGrIN(2, 4, 2, branch_channels=(3,)), tmp_path / "bare.onnx")
    x = np.ones((2, 4, 2), np.float32)
    x[1, :, 0] = np.nan
    with pytest.raises(ValueError, match=r"x\[1\] lacks channel 0, and this file holds no mean"):
        load(tmp_path / "bare.onnx")(x)
