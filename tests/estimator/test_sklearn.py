import pickle
import random
import re
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch_geometric.data import Data

import lgrin.sklearn.classifier as module
from lgrin import LGrIN
from lgrin.datasets import from_arrays
from lgrin.sklearn import LGrINClassifier
from lgrin.training import train_and_test
from lgrin.transforms import Resample

SMALL = {"branch_channels": (8, 4), "epochs": 2, "random_state": 0}


def toy(count=12, channels=3, length=20):
    X = np.random.default_rng(0).normal(size=(count, channels, length))
    y = np.array(["calm", "glad"])[np.arange(count) % 2]
    X[y == "glad", 0] += 2
    return X, y


@pytest.fixture(scope="module")
def fitted():
    return LGrINClassifier(**SMALL).fit(*toy())


def test_it_learns_what_can_be_learned():
    X, y = toy(40)
    classifier = LGrINClassifier(branch_channels=(8, 4), epochs=60, random_state=0).fit(X[:30], y[:30])
    assert classifier.score(X[30:], y[30:]) == 1
    assert classifier.score(X[30:], np.full(10, "sad")) == 0


def test_it_is_the_recipe_of_the_training_examples(tmp_path):
    X, y = toy(20)
    classifier = LGrINClassifier(epochs=3, random_state=5, bank=False).fit(X, y)
    dataset = from_arrays([one.T.astype(np.float32) for one in X], labels=list(y))
    dataset.transform = Resample(20)
    torch.manual_seed(5)
    expected, _ = train_and_test(LGrIN(3, 20, 2), dataset, dataset, tmp_path, seed=5, epochs=3, progress=False)
    weights = classifier.classifier_.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in expected.state_dict().items())


def test_array_list_and_matrix_are_the_same_sequences(fitted):
    X, y = toy()
    matrix = X.reshape(12, -1)
    expected = fitted.predict_proba(X)
    for classifier, same in (
        (LGrINClassifier(**SMALL).fit(list(X), y), list(X)),
        (LGrINClassifier(**SMALL).fit(X.tolist(), y.tolist()), torch.tensor(X)),
        (LGrINClassifier(n_channels=3, **SMALL).fit(matrix, y), matrix),
    ):
        assert np.array_equal(classifier.predict_proba(same), expected)
    assert (fitted.n_features_in_, classifier.n_features_in_) == (3, 60)
    assert np.array_equal(classifier.predict_proba(X), expected), "fitted on a matrix, asked about an array"


def test_sequences_of_any_length_are_taken():
    draw = np.random.default_rng(1).normal
    X = [draw(size=(2, length)) for length in (7, 1, 30, 300, 12, 9)]
    classifier = LGrINClassifier(**SMALL).fit(X, [0, 1] * 3)
    assert classifier.predict([draw(size=(2, 4000)), draw(size=(2, 1))]).shape == (2,)
    assert classifier.adjacency_.shape == (200, 200)


@pytest.mark.parametrize(("channels", "classes", "frames"), [(2, 2, 200), (350, 6, 200), (450, 8, 165), (550, 6, 127)])
def test_the_graph_grows_to_200_frames_or_until_the_network_has_120_000_parameters(channels, classes, frames):
    X = np.random.default_rng(0).normal(size=(classes, channels, 500))
    classifier = LGrINClassifier(epochs=1, random_state=0).fit(X, np.arange(classes))
    assert classifier.adjacency_.shape == (frames, frames)
    assert sum(weight.numel() for weight in classifier.classifier_.parameters()) <= 120_000
    widths = classifier.network_.config["branch_channels"]
    assert tuple(widths) == ((64, 32) if channels == 2 else (32, 32))
    with_one_more = LGrIN(channels, frames + 1, classes, branch_channels=widths)
    assert frames == 200 or sum(weight.numel() for weight in with_one_more.parameters()) > 108_000  # without the bank


def test_on_one_channel_a_network_beside_a_bank_is_small():
    X = np.random.default_rng(0).normal(size=(4, 1, 500))
    small = LGrINClassifier(random_state=0).fit(X, [0, 1, 0, 1])
    assert (small.adjacency_.shape, tuple(small.network_.config["branch_channels"])) == ((64, 64), (16, 16))
    assert len(small.loss_curve_) == 75  # an eighth of 600 epochs
    alone = LGrINClassifier(epochs=1, bank=False).fit(X, [0, 1, 0, 1])
    assert (alone.adjacency_.shape, tuple(alone.network_.config["branch_channels"])) == ((200, 200), (64, 32))


def test_many_channels_leave_32_frames_or_as_many_as_asked_for():
    X = np.random.default_rng(0).normal(size=(4, 1345, 90))
    assert LGrINClassifier(epochs=1).fit(X, [0, 1, 2, 3]).adjacency_.shape == (32, 32)
    assert LGrINClassifier(epochs=1, num_nodes=90).fit(X, [0, 1, 2, 3]).adjacency_.shape == (90, 90)


def test_a_frame_without_a_value_is_missing_whatever_stands_there(fitted):
    X, y = toy()
    X[3, :, 5:9], X[7, :, 0] = np.nan, np.nan
    masks = torch.tensor(~np.isnan(X[:, 0]))
    other = [Data(x=torch.tensor(x.T).nan_to_num(1e6), mask=mask) for x, mask in zip(X, masks, strict=True)]
    one, two = (LGrINClassifier(**SMALL).fit(content, y) for content in (X, other))
    assert np.array_equal(one.predict_proba(X), two.predict_proba(other))
    assert np.array_equal(fitted.predict_proba(X), fitted.predict_proba(other))
    assert not np.array_equal(fitted.predict_proba(X), fitted.predict_proba(toy()[0]))


@pytest.mark.parametrize("labels", [[0, 1], "abc", "abb", range(10)], ids=str)
def test_very_few_sequences_are_enough(labels):
    X, labels = toy()[0][: len(labels)], list(labels)
    classifier = LGrINClassifier(**SMALL).fit(X, labels)
    assert set(classifier.predict(X)) <= set(classifier.classes_) == set(labels)


@pytest.fixture
def splits(monkeypatch):
    """The groups of the sequences that were trained on and validated on, fit by fit."""

    def record(classifier, train, validation, *arguments, **options):
        seen.append([[(int(data.y), int(data.group)) for data in part] for part in (train, validation)])
        return original(classifier, train, validation, *arguments, **options)

    seen, original = [], module.fit_in_memory
    monkeypatch.setattr(module, "fit_in_memory", record)
    return seen


@pytest.mark.parametrize(
    "groups", ["aabbccddeeff", "abcabcabcabc", "aaaaaabcabca", "xyxyxyxyxyxz"], ids=["pairs", "three", "large", "lone"]
)
def test_validation_holds_whole_groups_out_and_keeps_every_class(splits, groups):
    X, y = toy()
    for seed in range(4):
        LGrINClassifier(**{**SMALL, "epochs": 1, "random_state": seed}, patience=2).fit(X, y, groups=list(groups))
    for train, validation in splits:
        assert {label for label, _ in train} == {0, 1}
        assert not {group for _, group in train} & {group for _, group in validation}
        assert len(train) + len(validation) == 12


def test_numbers_of_numpy_are_taken_for_every_parameter(tmp_path):
    X, y = toy()
    options = {"crop": np.float64(0.2), "shift": np.float32(0.1), "input_norm": np.str_("both"), "lr": np.float64(0.01)}
    fitted = LGrINClassifier(**SMALL, **options).fit(X, y)
    assert (
        LGrINClassifier(**SMALL, input_norm=np.bool_(True), bank=np.bool_(False))
        .fit(X, y)
        .classifier_.model.config["input_norm"]
        is True
    )
    fitted.save(tmp_path / "fitted.pt")
    assert np.array_equal(LGrINClassifier.load(tmp_path / "fitted.pt").predict_proba(X), fitted.predict_proba(X))


def test_all_sequences_are_trained_on_unless_there_is_patience(splits):
    LGrINClassifier(**SMALL).fit(*toy(), groups=list("abcdefabcdef"))
    assert [len(part) for part in splits[0]] == [12, 0]


@pytest.mark.parametrize(("channels", "expected"), [(1, True), (30, "both")])
def test_sequences_are_seen_by_themselves_too_unless_levels_tell_the_class(channels, expected):
    fitted = LGrINClassifier(**SMALL).fit(*toy(channels=channels))
    assert fitted.classifier_.model.network.config["input_norm"] == expected
    asked = LGrINClassifier(**SMALL, input_norm="both").fit(*toy(channels=1))
    assert asked.classifier_.model.network.config["input_norm"] == "both"


def test_groups_that_are_classes_leave_nothing_to_validate_on(splits):
    X, y = toy()
    LGrINClassifier(**SMALL, patience=2).fit(X, y, groups=y)
    assert splits[0][0] == splits[0][1]
    assert len(splits[0][0]) == 12


@pytest.mark.parametrize("count", [41, 42])
def test_a_single_value_is_a_sequence_and_no_batch_is_a_single_frame(count):
    X = np.arange(float(count))[:, None]
    assert LGrINClassifier(**SMALL).fit(X, X[:, 0] > 9).predict([[3.0]]).shape == (1,)


def test_fits_repeat_and_leave_the_callers_random_numbers_alone(fitted):
    X, y = toy()
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    again = LGrINClassifier(**SMALL).fit(X, y)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert before[2] == random.getstate()
    torch.rand(7)
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    other = LGrINClassifier(**{**SMALL, "random_state": 1}).fit(X, y)
    assert not np.array_equal(other.predict_proba(X), fitted.predict_proba(X))
    drawn = [LGrINClassifier(**{**SMALL, "random_state": np.random.RandomState(3)}).fit(X, y) for _ in range(2)]
    assert np.array_equal(drawn[0].adjacency_, drawn[1].adjacency_)


def test_it_is_silent_unless_asked(capfd, monkeypatch):
    X, y = toy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LGrINClassifier(**SMALL).fit(X, y).predict(X)
    assert capfd.readouterr() == ("", "")
    LGrINClassifier(**SMALL, verbose=True).fit(X, y)
    assert capfd.readouterr() == ("", "")  # no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    LGrINClassifier(**SMALL, verbose=True).fit(X, y)
    assert "Epoch 1" in "".join(capfd.readouterr())


def test_a_fit_leaves_its_losses_and_its_time():
    X, y = toy()
    start = time.perf_counter()
    classifier = LGrINClassifier(**{**SMALL, "epochs": 40}).fit(X, y)
    assert 0 < classifier.fit_time_ < time.perf_counter() - start
    assert len(classifier.loss_curve_) == 40
    assert classifier.loss_curve_[-1] < classifier.loss_curve_[0]


def test_a_result_does_not_depend_on_what_else_is_asked(fitted):
    X, _ = toy(300)
    one_by_one = np.concatenate([fitted.predict_proba(X[index : index + 1]) for index in range(0, 300, 60)])
    assert np.allclose(fitted.predict_proba(X)[::60], one_by_one, rtol=1e-12, atol=0)


def test_the_head_sees_the_embedding():
    X, y = toy()
    fitted = LGrINClassifier(**SMALL, bank=False).fit(X, y)
    _, linear = fitted.classifier_.model.head
    logits = fitted.embed(X) @ linear.weight.detach().double().numpy().T + linear.bias.detach().double().numpy()
    odds = np.exp(logits)
    assert np.allclose(odds / odds.sum(1, keepdims=True), fitted.predict_proba(X))


def test_a_fitted_estimator_survives_pickling_and_cloning_forgets(fitted):
    X, _ = toy()
    copy = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    with pytest.raises(NotFittedError):
        clone(fitted).predict(X)


@pytest.mark.parametrize("kind", ["U4", object, int, float, bool, np.uint8])
def test_a_saved_estimator_is_the_same_when_it_is_loaded(tmp_path, kind):
    X, names = toy()
    y = names.astype(kind) if kind in ("U4", object) else (names == "glad").astype(kind)
    classifier = LGrINClassifier(**{**SMALL, "branch_channels": np.array([4, 4]), "lr": np.float64(0.01)}).fit(X, y)
    classifier.save(tmp_path / "folder" / "classifier.pt")
    loaded = LGrINClassifier.load(tmp_path / "folder" / "classifier.pt")
    assert np.array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    assert np.array_equal(loaded.adjacency_, classifier.adjacency_)
    assert loaded.classes_.dtype == classifier.classes_.dtype == y.dtype
    assert loaded.predict(X).tolist() == classifier.predict(X).tolist()
    assert loaded.n_features_in_ == 3
    assert clone(loaded).fit(X, y).predict(X).shape == (12,)


def test_names_of_columns_are_kept_in_the_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = toy(channels=1, length=4)
    frame = pandas.DataFrame(X[:, 0], columns=["a", "b", "c", "d"])
    LGrINClassifier(**SMALL).fit(frame, y).save(tmp_path / "classifier.pt")
    loaded = LGrINClassifier.load(tmp_path / "classifier.pt")
    assert loaded.predict(frame).shape == (12,)
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[["d", "c", "b", "a"]])
    assert not hasattr(loaded.fit(X, y), "feature_names_in_")


def test_a_file_that_is_cut_short_or_foreign_is_one_clear_error(fitted, tmp_path):
    path = tmp_path / "classifier.pt"
    fitted.save(path)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2], pickle.dumps({"format": 1})):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"classifier.pt is damaged or was not written by LGrINClassifier.save"):
            LGrINClassifier.load(path)
    for content in ({"state_dict": {}}, [1], LGrIN(2, 3, 2)):
        torch.save(content, path)
        with pytest.raises(ValueError, match="is damaged or was not written by"):
            LGrINClassifier.load(path)
    for absent in (tmp_path / "absent.pt", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"there is no file {re.escape(str(absent))}"):
            LGrINClassifier.load(absent)


def test_a_file_of_which_any_byte_has_changed_is_refused(fitted, tmp_path):
    path = tmp_path / "classifier.pt"
    fitted.save(path)
    whole = path.read_bytes()
    weights = fitted.classifier_.model.adjacency.weight.detach().numpy().tobytes()
    settings = whole.index(b"lgrin.sklearn")
    for place in (settings, settings + 300, whole.index(weights) + 5):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"classifier.pt is damaged or was not written by"):
            LGrINClassifier.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "lgrin.sklearn.LGrINClassifier, version 9"}, r"has format .*version 9'.* reads .*version 2'; load"),
        ({"weights": {}}, r"damaged or was not written [\s\S]*Missing key"),
        ({"parameters": {"width": 3}}, "damaged or was not written .*width"),
        ({"fitted": None}, "damaged or was not written"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_file_of_another_version_is_one_clear_error(fitted, tmp_path, changes, message):
    path = tmp_path / "classifier.pt"
    fitted.save(path)
    torch.save({**torch.load(path, weights_only=True), **changes}, path)
    with pytest.raises(ValueError, match=message):
        LGrINClassifier.load(path)


def test_a_file_is_written_whole_or_not_at_all(fitted, tmp_path, monkeypatch):
    def half(content, name):
        with open(name, "wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    path = tmp_path / "classifier.pt"
    fitted.save(path)
    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        fitted.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["classifier.pt"]
    assert LGrINClassifier.load(path).classes_.tolist() == ["calm", "glad"]


def test_classes_that_numpy_would_mix_up_survive_a_file(tmp_path):
    X, _ = toy()
    for labels in (["a", "a\0"], [2**53, 2**53 + 1], [2.0**53, 2**53 + 1], [False, True]):
        fitted = LGrINClassifier(**SMALL).fit(X, labels * 6)
        fitted.save(tmp_path / "fitted.pt")
        loaded = LGrINClassifier.load(tmp_path / "fitted.pt")
        assert loaded.classes_.tolist() == labels
        assert list(map(type, loaded.classes_.tolist())) == list(map(type, labels))
        assert np.array_equal(loaded.predict(X), fitted.predict(X))


@pytest.mark.parametrize("path", [None, 3, b"fitted.pt", ["fitted.pt"]], ids=repr)
def test_what_is_no_path_is_named(fitted, path):
    message = f"path is {re.escape(repr(path))}; it has to be a string or a pathlib.Path"
    for use in (LGrINClassifier.load, fitted.save):
        with pytest.raises(TypeError, match=message):
            use(path)


def test_what_no_file_can_hold_is_named(tmp_path):
    X, y = toy()
    classifier = LGrINClassifier(**{**SMALL, "random_state": np.random.RandomState(0)}).fit(X, y)
    with pytest.raises(TypeError, match=r"random_state is RandomState.*; it has to be a number"):
        classifier.save(tmp_path / "classifier.pt")
    assert not any(tmp_path.iterdir())


def test_asked_before_it_is_fitted_it_says_so(tmp_path):
    X, _ = toy()
    new = LGrINClassifier()
    for ask in (new.predict, new.predict_proba, new.embed, lambda _: new.adjacency_, lambda _: new.save(tmp_path)):
        with pytest.raises(NotFittedError):
            ask(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 4, 5)), r"X\[0\] has 4 channels, but LGrINClassifier is expecting 3"),
        ([np.zeros((3, 5)), np.zeros((2, 5))], r"X\[1\] has 2 channels"),
        ([np.zeros((3, 5)), np.zeros((3, 0))], r"X\[1\] has shape \[3, 0\]; .* with one frame at least"),
        (np.zeros((2, 3, 0)), r"X\[0\] has shape \[3, 0\]"),
        (np.zeros((0, 3, 5)), "X holds 0 sequences"),
        ([], "X holds 0 sequences"),
        (np.zeros((2, 3, 5, 1)), r"X\[0\] has shape \[3, 5, 1\]; a sequence is \[channels, time\]"),
        ([np.zeros((3, 5)), np.full((3, 5), np.nan)], r"X\[1\] has no frame without NaN"),
        (np.full((1, 3, 5), np.inf), r"Input X\[0\] contains infinity"),
        (
            np.zeros((2, 60)),
            "X has 60 features, but LGrINClassifier is expecting 3 .*and one sequence alone is a list of one",
        ),
        ([[[1, 2], [3]]], r"X\[0\] is no array \[channels, time\] of numbers: .*inhomogeneous"),
        ([np.full((3, 5), "a")], r"X\[0\] is no array \[channels, time\] of numbers: could not convert"),
    ],
)
def test_sequences_that_cannot_be_classified_are_named(fitted, X, message):
    with pytest.raises(ValueError, match=message):
        fitted.predict(X)


@pytest.mark.parametrize(
    "X", [None, 3, "calm", {"a": [1]}, {1, 2}, (one for one in "ab")], ids=lambda X: type(X).__name__
)
def test_what_holds_no_sequences_is_named(fitted, X):
    with pytest.raises(
        TypeError, match=rf"X is a {type(X).__name__}; it may be an array \[n, channels, time\], a list of"
    ):
        fitted.predict(X)


@pytest.mark.parametrize("gap", [None, "calm", {"a": 1}], ids=repr)
@pytest.mark.parametrize("place", [0, 2])
def test_a_gap_in_a_list_is_named(fitted, gap, place):
    X = list(toy()[0])
    X[place] = gap
    with pytest.raises(TypeError, match=rf"X\[{place}\] is a {type(gap).__name__}; a sequence is an array"):
        fitted.predict(X)


def test_cells_of_a_table_cannot_be_sequences(fitted):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame({"left": [pandas.Series([1.0, 2.0])] * 3, "right": [pandas.Series([1.0, 2.0])] * 3})
    with pytest.raises(ValueError, match="its cells hold sequences; X may be an array"):
        LGrINClassifier(**SMALL).fit(X, [0, 1, 0])


def test_one_channel_of_any_length_may_be_lists_of_numbers():
    X, y = toy(channels=1)
    lists = [one[0, : 10 + index].tolist() for index, one in enumerate(X)]
    arrays = [np.array([one]) for one in lists]
    expected = LGrINClassifier(**SMALL).fit(arrays, y).predict_proba(arrays)
    assert np.array_equal(LGrINClassifier(**SMALL).fit(lists, y).predict_proba(lists), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int32, torch.float64])
def test_tensors_are_read_with_and_without_gradients(fitted, dtype):
    X = (4 * torch.tensor(toy()[0])).to(dtype)
    expected = fitted.predict_proba(X.double().numpy())
    X.requires_grad_(X.is_floating_point())
    assert np.array_equal(fitted.predict_proba(X), expected)
    assert np.array_equal(fitted.predict_proba(list(X)), expected)


def test_arrays_that_may_not_be_written_to_are_only_read(fitted):
    X, y = toy()
    for dtype in (np.float16, np.float32, np.int8):
        whole = X.astype(dtype)
        before = whole.copy()
        whole.flags.writeable = False
        LGrINClassifier(**SMALL).fit(whole, y).predict(list(whole))
        assert np.array_equal(whole, before)


@pytest.mark.parametrize("name", ["y", "groups"])
@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        (["a", 1] * 6, TypeError, "holds int and str, which cannot be sorted; make them all numbers or all"),
        (np.array(["a", 1] * 6, object), TypeError, "holds int and str, which cannot be sorted"),
        (["a", None] * 6, ValueError, r"\[1\] is None; every sequence needs a name or a number"),
        (np.array([None] * 12, object), ValueError, r"\[0\] is None; every sequence needs a name"),
    ],
    ids=["list", "array", "gaps", "nothing"],
)
def test_labels_that_cannot_be_sorted_are_named(name, labels, kind, message):
    X, y = toy()
    with pytest.raises(kind, match=f"{name} ?{message}"):
        LGrINClassifier(**SMALL).fit(**{"X": X, "y": y, name: labels})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": ["calm"] * 12}, "y holds one class, 'calm'; a classifier needs two or more"),
        ({"y": ["calm", "glad"]}, "y has 2 values, but X holds 12 sequences"),
        ({"groups": [1, 2]}, "groups has 2 values, but X holds 12 sequences"),
        ({"groups": [np.nan] * 12}, r"groups\[0\] is nan; every sequence needs a name or a number"),
        ({"X": np.zeros((12, 7)), "n_channels": 2}, r"X\[0\] has 7 values, which n_channels=2 channels cannot share"),
        ({"n_channels": 0, "X": np.zeros((12, 7))}, "n_channels is 0"),
        ({"n_channels": -3}, "n_channels is -3; it has to be a whole number, 1 or larger"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"num_nodes": 0}, "num_nodes is 0"),
        ({"random_state": -1}, "random_state is -1; it has to be a whole number from 0 to 4294967295"),
        ({"random_state": 2**40}, "random_state is 1099511627776; it has to be a whole number from 0 to 4294967295"),
        ({"random_state": "luck"}, "random_state is 'luck'; it may be None, a whole number from 0 to 4294967295, or a"),
        ({"random_state": np.random.default_rng(0)}, r"random_state is Generator.*; it may be None"),
        ({"y": np.linspace(0, 1, 12)}, r"y\[1\] is 0.09.*divide a continuous target into classes first"),
        ({"y": None}, r"y should be a 1d array, got an array of shape \(\)"),
        ({"groups": np.zeros((12, 2))}, r"groups should be a 1d array, got an array of shape \(12, 2\)"),
        ({"branch_channels": (8, 0)}, r"branch_channels\[1\] is 0; it has to be a whole number, 1 or larger"),
        ({"dropout": None}, "dropout is None; it has to be a number from 0 to 1"),
        ({"lr": "fast"}, "lr is 'fast'; it has to be a number of 0 or more"),
        ({"weight_decay": -1}, "weight_decay is -1; it has to be a number of 0 or more"),
        ({"device": "mars"}, "device is 'mars'; it may be 'auto', 'cpu', 'cuda'"),
    ],
)
def test_what_cannot_be_fitted_is_named(changes, message):
    X, y = toy()
    data = {"X": X, "y": y, **{name: changes.pop(name) for name in ("X", "y", "groups") if name in changes}}
    with pytest.raises(ValueError, match=message):
        LGrINClassifier(**{**SMALL, **changes}).fit(**data)


def test_it_works_in_searches_folds_and_pipelines():
    X, y = toy(24)
    assert cross_val_score(LGrINClassifier(**SMALL), X, y, cv=2).shape == (2,)
    shift = FunctionTransformer(lambda series: [one[:, 2:] for one in series])
    assert make_pipeline(shift, LGrINClassifier(**SMALL)).fit(list(X), y).predict(list(X)).shape == (24,)
    scaled = make_pipeline(StandardScaler(), LGrINClassifier(n_channels=3, **SMALL)).fit(X.reshape(24, -1), y)
    assert scaled.predict_proba(X.reshape(24, -1)).shape == (24, 2)
    grid = {"lr": np.array([0.001, 0.01])}
    search = GridSearchCV(LGrINClassifier(**SMALL), grid, cv=2, n_jobs=2).fit(list(X), y)
    again = clone(search.best_estimator_).fit(X, y)
    assert np.array_equal(search.predict_proba(list(X)), again.predict_proba(X))


def test_groups_reach_it_through_metadata_routing(splits):
    X, y = toy(24)
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = LGrINClassifier(**SMALL).set_fit_request(groups=True)
        groups = np.repeat(np.arange(6), 4)
        GridSearchCV(classifier, {"lr": [0.01]}, cv=GroupKFold(2)).fit(X, y, groups=groups)
    assert len(splits) == 3
    for train, validation in splits:
        assert not {group for _, group in train} & {group for _, group in validation}


def test_it_needs_no_aeon():
    program = "import sys, lgrin.sklearn; print('aeon' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_long_sequences_are_thinned_as_one_says_and_a_warning_says_what_is_left_out(tmp_path):
    rng, y = np.random.default_rng(0), np.arange(24) % 2
    X = rng.normal(0, 0.1, size=(24, 1, 900))
    for index in np.flatnonzero(y):
        start = rng.integers(100, 800)
        X[index, 0, start : start + 2] += 8
    options = {"epochs": 30, "branch_channels": (8, 4), "random_state": 0, "bank": False}
    with pytest.warns(UserWarning, match=r"of which the network sees 200, every 4\.5th; .*thin='max' keeps"):
        LGrINClassifier(**{**options, "epochs": 1}).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        thinned = LGrINClassifier(**options, thin="max").fit(X, y)
    assert thinned.score(X, y) > 0.9
    thinned.save(tmp_path / "a.pt")
    again = LGrINClassifier.load(tmp_path / "a.pt")
    assert np.array_equal(again.predict_proba(X), thinned.predict_proba(X))
    assert again.classifier_.hparams["transform"] == {"name": "Resample", "num_nodes": 200, "how": "max"}
    with pytest.raises(ValueError, match="thin is 'median'; it may be 'auto', 'nearest', 'mean', 'max', 'lowpass'"):
        LGrINClassifier(thin="median").fit(X, y)
