"""Few labels with and without pretraining, on training sequences alone: no test split is looked at.

    python -m examples.reproduce pretraining [--emodb DIR] [--root DIR] [--tasks PATTERN ...]

Tasks are those of ``python -m examples.reproduce suite``: those with 2 or 4 labels a class, the first draw of each, and
those of people. A network starts from scratch, or from pretraining on the labelled sequences, on these and half of the
others, or, transductively, on all. The half that the others leave is tested in every row. Of people, five sequences a
class are labelled, their further ones are the others, and other people are tested.
"""

import argparse
import fnmatch
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.bank import network_alone
from examples.reproduce.suite import add_options, tasks
from lgrin.sklearn import LGrINClassifier, LGrINPretrainer
from lgrin.training import write_results

SCRATCH, METHODS = "none", ("network and bank", "network")
FEW = ("*/2 labels/0", "*/4 labels/0", "watch/*", "EmoDB*")  # of the tasks
LABELS = 5  # a class, where people are apart


class Parts(NamedTuple):
    """Sequences of one task by what they are used for, and the classes of those that have one.

    Attributes:
        labelled: Trained on.
        other: Without labels.
        tested: Tested.
        y: Classes of the labelled ones.
        truth: Classes of the tested ones.
    """

    labelled: list[np.ndarray]
    other: list[np.ndarray]
    tested: list[np.ndarray]
    y: np.ndarray
    truth: np.ndarray


def parts(task):
    """Splits a task: half of what it tests, or what it trains on beyond five labels a class, has no label here."""
    random, train, test = np.random.default_rng(0), task.train, task.test
    if task.groups is None:
        other, test = np.array_split(random.permutation(test), 2)
    else:
        of_class = [random.permutation(train[task.y[train] == one])[:LABELS] for one in np.unique(task.y[train])]
        train, other = np.concatenate(of_class), np.setdiff1d(train, np.concatenate(of_class))
    labelled, other, tested = ([task.X[index] for index in indices] for indices in (train, other, test))
    return Parts(labelled, other, tested, task.y[train], task.y[test])


def run(task, seed):
    """Fits one task from each start; accuracies, and the seconds of pretraining."""
    found, rows = parts(task), []
    starts = {
        SCRATCH: None,
        "labelled": found.labelled,
        "labelled and other": [*found.labelled, *found.other],
        "all (transductive)": [*found.labelled, *found.other, *found.tested],
    }
    for name, sequences in starts.items():
        start = time.process_time()
        pretrained = None
        if sequences is not None:
            pretrained = LGrINPretrainer(transductive=True, random_state=seed).fit(sequences)
        seconds = time.process_time() - start
        both = LGrINClassifier(pretrained=pretrained, random_state=seed).fit(found.labelled, found.y)
        row = {"task": task.name, "pretrained on": name, "seconds": seconds}
        for method, classifier in zip(METHODS, (both, network_alone(both)), strict=True):
            row[method] = float((classifier.predict(found.tested) == found.truth).mean())
        rows.append(row)
    return rows


def summary(rows):
    """Means over tasks, and how often pretraining is better, as good and worse than none."""
    shown, scratch = [], [row for row in rows if row["pretrained on"] == SCRATCH]
    for name in dict.fromkeys(row["pretrained on"] for row in rows):
        own = [row for row in rows if row["pretrained on"] == name]
        line = {"pretrained on": name, "tasks": len(own)}
        for method in METHODS:
            gains = np.array([one[method] - before[method] for one, before in zip(own, scratch, strict=True)])
            counts = [int(found.sum()) for found in (gains > 0, gains == 0, gains < 0)]
            line[method] = float(np.mean([one[method] for one in own]))
            line[f"{method}: better, as good, worse"] = ", ".join(map(str, counts))
        line["seconds"] = float(np.mean([one["seconds"] for one in own]))
        shown.append(line)
    return shown


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--tasks", nargs="+", default=FEW, metavar="PATTERN", help="tasks by name (default: %(default)s)"
    )
    add_options(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    chosen = [task for task in tasks(options) if any(fnmatch.fnmatch(task.name, one) for one in options.tasks)]
    for task in tqdm(chosen, unit="task"):
        rows += run(task, options.seed)
        write_results(Path(options.out) / study / "rows.json", rows=rows, options=vars(options))
    print_table("Few labels, by what the network was pretrained on", summary(rows))
