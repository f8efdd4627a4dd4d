"""What each part of the bank is worth, on the tasks that settings are chosen on.

    python -m examples.reproduce bank-parts [--emodb DIR] [--root DIR] [--tasks PATTERN] [--seed N]

The bank is fitted to each task (``python -m examples.reproduce suite --help``) as it is, and without one of its parts:
a kind of summaries, the choice among several ways to share the variance, or the ridges of pairs of classes. Filters
stay the same, and the other kinds get the variance of the one that is left out. No test split is looked at.
"""

import argparse
import contextlib
import fnmatch
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.bank import score
from examples.reproduce.suite import add_options, tasks
from lgrin.sklearn import FilterBankClassifier
from lgrin.training import bank, write_results

WHOLE = "the bank"


def left(shares, kind):
    """The variances without those of a kind of summaries, which the other kinds get."""
    total = sum(shares.values())
    return {
        name: 0.0 if name == kind else share * total / (total - shares.get(kind, 0.0)) for name, share in shares.items()
    }


def without(kind):
    """The ways to share the variance without a kind of summaries; one that puts this kind in front is left out."""
    kept = [(shares, errors) for shares, errors in bank.READINGS if max(shares, key=shares.get) != kind]
    return {"READINGS": tuple((left(shares, kind), errors) for shares, errors in kept)}


PARTS = {
    WHOLE: {},
    "ranks": without("rank"),
    "places": without("place"),
    "functionals": without("functional"),
    "levels": without("level"),
    "correlations": without("correlation"),
    "the choice among ways": {"READINGS": bank.READINGS[:1]},
    "pairs of classes": {"ENOUGH_FOR_PAIRS": float("inf")},
}


def run(task, changes, seed):
    """Fits the bank with other constants to a task; its accuracy and log loss."""
    groups = None if task.groups is None else task.groups[task.train]
    with contextlib.ExitStack() as stack:
        for name, value in changes.items():
            stack.enter_context(mock.patch.object(bank, name, value))
        classifier = FilterBankClassifier(random_state=seed)
        classifier.fit([task.X[index] for index in task.train], task.y[task.train], groups=groups)
    correct, losses = score(classifier, [task.X[index] for index in task.test], task.y[task.test])
    return {"accuracy": float(correct.mean()), "log loss": float(losses.mean())}


def summary(rows):
    """One row for each part: the means without it, and on how many tasks the whole bank is better or worse."""
    names = "accuracy", "log loss"
    values = {part: {name: _of_part(rows, part, name) for name in names} for part in PARTS}
    whole, table = values[WHOLE], []
    for part, found in values.items():
        gain, saved = whole["accuracy"] - found["accuracy"], found["log loss"] - whole["log loss"]
        table.append(
            {
                "without": "nothing" if part == WHOLE else part,
                "accuracy": float(found["accuracy"].mean()),
                "log loss": float(found["log loss"].mean()),
                "the part gains": f"{gain.mean():+.3f}",
                "it helps, harms on tasks": f"{(gain > 0).sum()}, {(gain < 0).sum()}",
                "it lowers, raises the log loss on": f"{(saved > 0).sum()}, {(saved < 0).sum()}",
            }
        )
    return table


def _of_part(rows, part, name):
    return np.array([row[name] for row in rows if row["without"] == part])


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", default="*", metavar="PATTERN", help="only tasks with such names (default: all)")
    add_options(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = [task for task in tasks(options) if fnmatch.fnmatch(task.name, options.tasks)]
    rows = [
        {"task": task.name, "without": part, **run(task, changes, options.seed)}
        for task in tqdm(found, unit="task")
        for part, changes in PARTS.items()
    ]
    write_results(Path(options.out) / study / "rows.json", rows=rows, options=vars(options))
    print_table(f"The bank on {len(found)} tasks from training data alone", summary(rows))
