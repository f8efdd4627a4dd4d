"""Tasks from training data alone, on which settings are chosen: no test sequence is ever looked at.

    python -m examples.reproduce suite [--emodb DIR] [--root DIR] [--tasks PATTERN] [--resume]

Each task splits training sequences of one set again: 2, 4, 10 or 20 labels a class, two channels, three classes, every
fourth frame, or the first third. Watches and EmoDB are split by person, EmoDB among speakers 03, 08, 09, 10 and 11;
planted worlds are made by code. ``--root`` holds ``ERing.npz``, ``RacketSports.npz`` and ``Epilepsy.npz``; those that
are not there are left out. Every task that is finished is kept in ``--out``, from where ``--resume`` goes on; without
it, all tasks are run anew.
"""

import argparse
import fnmatch
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.bank import PARTS, network_alone, score
from examples.reproduce.corpora import CHOSEN_ON, emodb, speakers, watch
from examples.reproduce.sets import as_channels, periodic, stored
from lgrin.checksum import read_kept
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.training.results import read_checked_results, write_checked_results

ARCHIVE = ("ERing", "RacketSports", "Epilepsy")
SHIPPED = (
    "JapaneseVowels",
    "BasicMotions",
    "ArrowHead",
    "GunPoint",
    "ItalyPowerDemand",
    "OSULeaf",
    "PickupGestureWiimoteZ",
    "ACSF1",
)
LABELS = {2: 2, 4: 2, 10: 1, 20: 1}  # labels a class, and how often they are drawn
MOST_TESTED = 200


class Task(NamedTuple):
    """One split of training sequences.

    Attributes:
        name: The set, and what was done to it.
        X: Sequences ``[channels, time]``.
        y: Their classes.
        train: Indices of those that are trained on.
        test: Indices of those that are tested.
        groups: The person of each, or ``None``.
    """

    name: str
    X: list[np.ndarray]
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    groups: np.ndarray | None = None


def drawn(name, X, y, labels, random):
    """Trains on so many sequences of each class, and tests on the others."""
    train = np.concatenate([random.permutation(np.flatnonzero(y == one))[:labels] for one in np.unique(y)])
    test = random.permutation(np.setdiff1d(np.arange(len(y)), train))[:MOST_TESTED]
    return Task(name, X, y, train, test)


def of_set(name, X, y):
    """The tasks of one set."""
    fewest = np.bincount(y).min()
    for labels, draws in LABELS.items():
        for draw in range(draws if labels < 0.8 * fewest else 0):
            yield drawn(f"{name}/{labels} labels/{draw}", X, y, labels, np.random.default_rng([labels, draw]))
    labels, random = max(2, min(10, int(0.6 * fewest))), np.random.default_rng(5)
    if labels >= fewest:
        return
    length = np.median([one.shape[1] for one in X])
    if len(X[0]) > 2:
        two = random.choice(len(X[0]), 2, replace=False)
        yield drawn(f"{name}/two channels", [one[two] for one in X], y, labels, random)
    if length > 40:
        yield drawn(f"{name}/every fourth frame", [one[:, ::4] for one in X], y, labels, random)
    yield drawn(f"{name}/first third", [one[:, : max(5, one.shape[1] // 3)] for one in X], y, labels, random)
    if y.max() > 3:
        three = np.flatnonzero(np.isin(y, random.choice(y.max() + 1, 3, replace=False)))
        classes = np.unique(y[three], return_inverse=True)[1]
        yield drawn(f"{name}/three classes", [X[index] for index in three], classes, labels, random)


PLANTED = ("place", "order", "pulse", "lag", "level", "bursts", "scales", "pace")


def planted(kind, random, count=160):
    """Two classes of noise with something planted.

    It is a place, the order of two, a rare pulse, a lag, a level, a lag in noise with extreme values, a frequency in
    sequences whose scales differ by orders of magnitude, or a shape at any pace.
    """
    X, y = [], np.arange(count) % 2
    for label in y:
        length = random.integers(60, 140)
        x = random.standard_normal((3, length))
        if kind == "place":
            start = int(length * (0.6 if label else 0.1) + random.integers(0, int(0.25 * length)))
            x[0, start : start + 6] += 2.5
        elif kind == "order":
            starts = sorted(random.choice(length - 12, 2, replace=False))
            for start, height in zip(starts, (1.5, 3.0) if label else (3.0, 1.5), strict=True):
                x[0, start : start + 8] += height
        elif kind == "pulse" and label:
            start = random.integers(0, length - 5)
            x[1, start : start + 5] += (1, 3, -4, 3, -1)
        elif kind == "lag":
            wave = np.sin(0.3 * np.arange(length) + random.uniform(0, 2 * np.pi))
            x[0] += wave
            x[1] += np.roll(wave, 0 if label else 5)
        elif kind == "level":
            x[2] += 0.35 * label
        elif kind == "bursts":
            x = random.standard_t(1.5, (3, length))
            x[1] = np.roll(x[0], 2 if label else 5) + 0.3 * x[1]
        elif kind == "scales":
            x = np.sin((0.8 if label else 0.5) * np.arange(length) + random.uniform(0, 2 * np.pi)) + 0.5 * x
            x *= 10 ** random.uniform(-3, 3)
        elif kind == "pace":
            place = np.linspace(0, 1, length) ** random.uniform(0.6, 1.6)
            x = np.sin(4 * np.pi * place) + 0.7 * np.sin((15 if label else 12) * np.pi * place) + 0.4 * x[:1]
        X.append(x.astype(np.float32))
    return X, y


def by_person(name, data, train, test):
    """A task whose sequences belong to people."""
    X, y = [as_channels(one) for one in data], np.array([int(one.y) for one in data])
    return Task(name, X, y, np.array(train), np.array(test), np.array([int(one.group) for one in data]))


def tasks(options):
    """Yields all tasks."""
    from aeon.datasets import load_classification

    for name in ARCHIVE:
        path = Path(options.root) / f"{name}.npz"
        if path.exists():
            corpus = stored(path)
            chosen = [corpus.sequences[index] for index in corpus.folds[0].train]
            yield from of_set(name, [as_channels(one) for one in chosen], np.array([int(one.y) for one in chosen]))
    for name in SHIPPED:
        X, y = load_classification(name, split="train")
        yield from of_set(name, [np.asarray(one, np.float32) for one in X], np.unique(y, return_inverse=True)[1])
    for kind in PLANTED:
        random = np.random.default_rng(1)
        yield drawn(f"planted/{kind}", *planted(kind, random), 20, random)
    data = periodic(60, seed=77).sequences
    people = np.array([int(one.group) for one in data])
    yield by_person("planted/periodic", data, np.flatnonzero(people < 8), np.flatnonzero(people >= 8))
    yield from of_watches()
    if options.emodb:
        for layout in ("paper", "compare"):
            yield from of_speakers(emodb(options.emodb, options.cache, layout))


def of_watches():
    """The training people of the first fold, two halves of them tested in turn, every tenth frame."""
    corpus = watch()
    chosen = [corpus.sequences[index] for index in corpus.folds[0].train]
    for one in chosen:
        one.x = one.x[::10]
    people = np.array([int(one.group) for one in chosen])
    for half in range(2):
        tested = np.isin(people, np.unique(people)[half::4])
        yield by_person(f"watch/people {half}", chosen, np.flatnonzero(~tested), np.flatnonzero(tested))


def of_speakers(corpus):
    """Five speakers of EmoDB, one tested at a time."""
    chosen = np.flatnonzero(np.isin(speakers(corpus), CHOSEN_ON))
    data, speaker = [corpus.sequences[index] for index in chosen], speakers(corpus)[chosen]
    for name in CHOSEN_ON:
        yield by_person(f"{corpus.name}/{name}", data, np.flatnonzero(speaker != name), np.flatnonzero(speaker == name))


def run(task, seed):
    """Fits the default and the bank to a task; accuracy and log loss of both, and of the network alone."""
    groups = None if task.groups is None else task.groups[task.train]
    X, y = [task.X[index] for index in task.train], task.y[task.train]
    both, bank = (kind(random_state=seed).fit(X, y, groups=groups) for kind in (LGrINClassifier, FilterBankClassifier))
    rows = []
    for title, classifier in zip(PARTS, (both, network_alone(both), bank), strict=True):
        correct, losses = score(classifier, [task.X[index] for index in task.test], task.y[task.test])
        found = {"accuracy": float(correct.mean()), "log loss": float(losses.mean())}
        rows.append({"task": task.name, "method": title, **found})
    return rows


def summary(rows):
    """Means over the tasks of each set, and of all."""
    sets = defaultdict(list)
    for row in rows:
        for name in (row["task"].split("/")[0], "all"):
            sets[name, row["method"]].append(row)
    shown = []
    for name in dict.fromkeys(name for name, _ in sets):
        found = {title: sets[name, title] for title in PARTS}
        line = {"set": name, "tasks": len(found[PARTS[0]])}
        for title in PARTS:
            line[title] = float(np.mean([row["accuracy"] for row in found[title]]))
            line[f"log loss of {title}"] = float(np.mean([row["log loss"] for row in found[title]]))
        shown.append(line)
    return [line for line in shown if line["set"] != "all"] + [line for line in shown if line["set"] == "all"]


def finished(path, seed):
    """The rows that an earlier run with this seed has left."""
    kept = read_kept([path], read_checked_results, "rows of tasks").get(path)
    return kept["rows"] if kept and kept["options"]["seed"] == seed else []


def add_options(parser):
    """Adds the options of a study on tasks: where they come from, and the seed."""
    parser.add_argument("--emodb", metavar="DIR", help="folder of EmoDB, which is added if given")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of every fit (default: 0)")
    parser.add_argument("--root", default="data", metavar="DIR", help="folder of the archive (default: %(default)s)")
    parser.add_argument("--cache", default="data/processed", metavar="DIR", help="folder of features")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder of results")


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", default="*", metavar="PATTERN", help="only tasks with such names (default: all)")
    add_options(parser)
    parser.add_argument("--resume", action="store_true", help="leave out tasks that --out holds with this seed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    path = Path(options.out) / study / "rows.json"
    rows = finished(path, options.seed) if options.resume else []
    names = {row["task"] for row in rows}
    found = [task for task in tasks(options) if fnmatch.fnmatch(task.name, options.tasks) and task.name not in names]
    for task in tqdm(found, unit="task"):
        rows += run(task, options.seed)
        write_checked_results(path, rows=rows, options=vars(options))
    print_table("Tasks from training data alone, accuracy and log loss", summary(rows))
