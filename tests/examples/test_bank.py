"""The study of network and bank, and the tasks that settings are chosen on, on data made by code."""

import functools
import json

import numpy as np
import pytest

from examples.reproduce import bank, suite
from examples.reproduce.__main__ import main
from lgrin.sklearn import LGrINClassifier


def toy(root):
    """A set with its own split, as a file of NumPy's."""
    X, y = np.random.default_rng(0).normal(size=(20, 2, 16)), np.arange(20) % 2
    X[y == 1, 0] += 2
    names = np.array(["calm", "glad"])[y]
    np.savez(root / "Toy.npz", X_train=X[:12], y_train=names[:12], X_test=X[12:], y_test=names[12:])


def run(tmp_path, *words):
    toy(tmp_path)
    main(["bank", "--datasets", "Toy", "--seeds", "2", "--root", str(tmp_path), "--out", str(tmp_path), *words])
    return json.loads((tmp_path / "bank/rows.json").read_text())["rows"]


def test_the_study_has_a_row_a_method_and_reads_sets_from_files(tmp_path):
    own, other = run(tmp_path, "--rows", "bank", "MiniRocket")
    assert (own["set"], own["method"], other["method"]) == ("Toy", "bank", "MiniRocket")
    assert own["accuracy"] == 1
    assert 0 < own["log loss"] < 0.5
    assert (own["lowest to highest"], other["lowest to highest"]) == ("1.000 to 1.000", "one seed")


def test_network_and_bank_are_fitted_once_and_the_network_is_looked_at_alone(tmp_path, monkeypatch):
    fits, fit = [], LGrINClassifier.fit
    monkeypatch.setattr(
        LGrINClassifier, "fit", lambda self, *data, **more: fits.append(self) or fit(self, *data, **more)
    )
    monkeypatch.setattr(bank, "LGrINClassifier", functools.partial(LGrINClassifier, epochs=2))
    monkeypatch.setattr(bank, "FITTED", {})
    both, alone = run(tmp_path, "--rows", "network and bank", "network")
    assert len(fits) == 2  # two seeds
    assert int(both["fitted numbers"].replace(",", "")) > int(alone["fitted numbers"].replace(",", ""))


def test_draws_of_few_labels_come_from_the_training_split_and_are_kept(tmp_path):
    (row,) = run(tmp_path, "--rows", "bank", "--labels", "2", "--draws", "3")
    assert row["set"] == "Toy, 2 labels a class"
    draws = [json.loads((tmp_path / f"bank/draws/Toy-2-{index}.json").read_text()) for index in range(3)]
    for draw in draws:
        assert len(draw["train"]) == 4
        assert max(draw["train"]) < 12
        assert draw["test"] == list(range(12, 20))
    assert len({tuple(draw["train"]) for draw in draws}) == 3


def test_people_of_the_periodic_world_stay_apart():
    corpus = bank.periodic()
    people = np.array([int(data.group) for data in corpus.sequences])
    assert len(corpus.folds) == 5
    for fold in corpus.folds:
        assert not set(people[fold.train]) & set(people[fold.test])
        assert {int(corpus.sequences[index].y) for index in fold.test} == {0, 1, 2}


def test_absent_frames_are_nan():
    data = bank.periodic().sequences[0]
    data.mask = data.x[:, 0] > 0
    assert (np.isnan(bank.as_channels(data)).all(0) == ~data.mask.numpy()).all()
    assert not data.x.isnan().any()


def test_tasks_share_no_sequence_between_training_and_test():
    X, y = [np.full((3, 60), index, float) for index in range(60)], np.arange(60) % 5
    found = list(suite.of_set("Toy", X, y))
    assert [task.name for task in found] == [
        *("Toy/2 labels/0", "Toy/2 labels/1", "Toy/4 labels/0", "Toy/4 labels/1"),
        *("Toy/two channels", "Toy/every fourth frame", "Toy/first third", "Toy/three classes"),
    ]
    for task in found:
        assert not set(task.train) & set(task.test)
        assert len(task.X) == len(task.y)
        assert set(task.y[task.train]) == set(task.y[task.test]) == set(task.y)
    assert np.bincount(found[2].y[found[2].train]).tolist() == [4] * 5
    shapes = {task.name.split("/")[1]: task.X[0].shape for task in found}
    assert (shapes["two channels"], shapes["every fourth frame"]) == ((2, 60), (3, 15))
    assert shapes["first third"] == (3, 20)


@pytest.mark.parametrize("kind", ["place", "order", "pulse", "lag", "level"])
def test_what_is_planted_tells_two_classes_of_the_same_noise(kind):
    X, y = suite.planted(kind, np.random.default_rng(0))
    assert np.bincount(y).tolist() == [80, 80]
    assert {len(x) for x in X} == {3}
    noise = suite.planted("nothing", np.random.default_rng(0))[0]
    assert not np.array_equal(X[1], noise[1])
