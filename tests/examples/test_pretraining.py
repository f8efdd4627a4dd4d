"""The study of pretraining, on a toy set."""

import json

import numpy as np

from examples.reproduce import pretraining
from examples.reproduce.__main__ import main
from examples.reproduce.suite import Task, drawn


def sequences(count=24):
    X, y = np.random.default_rng(0).normal(size=(count, 2, 16)), np.arange(count) % 2
    X[y == 1, 0] += 2
    return list(X), y


def test_what_is_tested_has_no_other_use():
    X, y = sequences()
    people = np.arange(24) // 4
    of_people = Task("Toy/people", X, y, np.flatnonzero(people < 4), np.flatnonzero(people >= 4), people)
    for task in (drawn("Toy/2 labels/0", X, y, 2, np.random.default_rng(0)), of_people):
        found = pretraining.parts(task)
        used = [{id(one) for one in part} for part in (found.labelled, found.other, found.tested)]
        assert all(used)
        assert not used[0] & used[1]
        assert not (used[0] | used[1]) & used[2]
        assert np.bincount(found.y).tolist() == ([5, 5] if task.groups is not None else [2, 2])
        assert len(found.truth) == len(found.tested)


def test_a_row_for_each_start_and_the_differences_to_none(tmp_path, monkeypatch, capsys):
    task = drawn("Toy/2 labels/0", *sequences(), 2, np.random.default_rng(0))
    monkeypatch.setattr(pretraining, "tasks", lambda options: [task, task._replace(name="Toy/first third")])
    for kind in ("LGrINClassifier", "LGrINPretrainer"):
        made = getattr(pretraining, kind)
        monkeypatch.setattr(pretraining, kind, lambda made=made, **options: made(epochs=1, **options))
    main(["pretraining", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "pretraining/rows.json").read_text())["rows"]
    assert [row["pretrained on"] for row in rows] == ["none", "labelled", "labelled and other", "all (transductive)"]
    assert "labelled and other" in capsys.readouterr().out
    for row, network in zip(rows, (0.5, 0.75, 0.5, 0.25), strict=True):
        row["network"] = network
    counts = [line["network: better, as good, worse"] for line in pretraining.summary(rows)]
    assert counts == ["0, 1, 0", "1, 0, 0", "0, 1, 0", "0, 0, 1"]
