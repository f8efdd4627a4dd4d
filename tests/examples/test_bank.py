"""The study of the filter bank, on data made by code."""

import json

import numpy as np

from examples.reproduce import bank
from examples.reproduce.__main__ import main


def test_the_study_has_a_row_a_method_and_reads_sets_from_files(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(20, 2, 16)), np.arange(20) % 2
    X[y == 1, 0] += 2
    names = np.array(["calm", "glad"])[y]
    np.savez(tmp_path / "Toy.npz", X_train=X[:12], y_train=names[:12], X_test=X[12:], y_test=names[12:])
    command = ["bank", "--datasets", "Toy", "--rows", bank.BANK, "MiniRocket", "--seeds", "2"]
    main([*command, "--root", str(tmp_path), "--out", str(tmp_path)])
    own, other = json.loads((tmp_path / "bank/rows.json").read_text())["rows"]
    assert (own["set"], own["method"], other["method"]) == ("Toy", bank.BANK, "MiniRocket")
    assert own["accuracy"] == 1
    assert 0 < own["log loss"] < 0.5
    assert (own["lowest to highest"], other["lowest to highest"]) == ("1.000 to 1.000", "one seed")


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
