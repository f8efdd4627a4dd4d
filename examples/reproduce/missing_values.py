"""Single values that go missing: filled, filled and flagged by extra channels, or their frames left out.

    python -m examples.reproduce missing-values [--datasets JapaneseVowels RacketSports] [--root DIR] [--repeats 2]

Values are removed from training sequences alone, and the filter bank is tested on four inner folds of them. ``random``
loses 20% of all values, ``blocks`` a third of each channel in one piece, ``dead`` one channel of every second recording
and ``clipped`` the highest fifth of each channel, so that the loss says something about the value.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold

from benchmarks.table import print_table
from examples.reproduce.sets import as_channels, opened
from lgrin.sklearn import FilterBankClassifier
from lgrin.training import write_results

SETS = ("JapaneseVowels", "RacketSports")
FOLDS = 4


def lose_random(x, level, random):
    return random.random(x.shape) < 0.2


def lose_blocks(x, level, random):
    length = max(1, x.shape[1] // 3)
    start = random.integers(x.shape[1] - length + 1, size=(len(x), 1))
    return (np.arange(x.shape[1]) >= start) & (np.arange(x.shape[1]) < start + length)


def lose_channel(x, level, random):
    return np.tile(np.arange(len(x))[:, None] == random.integers(len(x)), x.shape[1]) & (random.random() < 0.5)


def lose_high(x, level, random):
    return x > level[:, None]


LOSSES = {"random": lose_random, "blocks": lose_blocks, "dead": lose_channel, "clipped": lose_high}


def fill(x):
    return x


def flag(x):
    """Adds a channel for each that is 1 where its value is missing."""
    return np.concatenate([x, np.isnan(x)])


def leave_out(x):
    return np.where(np.isnan(x).any(0), np.nan, x)


WAYS = {"filled": fill, "filled and flagged": flag, "frames left out": leave_out}


def accuracy(X, y, seed):
    """The accuracy over the inner folds; ``None`` where a sequence has no frame left."""
    if any(np.isnan(x).all() for x in X):
        return None
    correct = []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(X, y):
        classifier = FilterBankClassifier(random_state=0).fit([X[index] for index in train], y[train])
        correct.append(classifier.predict([X[index] for index in test]) == y[test])
    return float(np.concatenate(correct).mean())


def rows(corpus, repeats):
    """One row for each loss."""
    train = [corpus.sequences[index] for index in corpus.folds[0].train]
    X, y = [as_channels(data) for data in train], np.array([int(data.y) for data in train])
    level = np.quantile(np.concatenate(X, 1), 0.8, axis=1)
    yield {"set": corpus.name, "lost": "nothing", **dict.fromkeys(WAYS, accuracy(X, y, 0))}
    for name, lose in LOSSES.items():
        found = {way: [] for way in WAYS}
        for seed in range(repeats):
            random = np.random.default_rng(seed)
            holed = [np.where(lose(x, level, random), np.nan, x) for x in X]
            for way, change in WAYS.items():
                found[way].append(accuracy([change(x) for x in holed], y, seed))
        yield {
            "set": corpus.name,
            "lost": name,
            **{way: "-" if None in scores else float(np.mean(scores)) for way, scores in found.items()},
        }


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--datasets", nargs="*", default=SETS, metavar="NAME", help="sets of the archive")
    parser.add_argument("--repeats", type=int, default=2, metavar="N", help="draws of losses (default: %(default)s)")
    parser.add_argument("--root", default="data", metavar="DIR", help="folder of the archive (default: %(default)s)")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder of results")
    parser.set_defaults(emodb=None)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*are missing in frames that have others")
    found = []
    for corpus in opened(options):
        for row in rows(corpus, options.repeats):
            found.append(row)
            print(row, flush=True)
    write_results(Path(options.out) / study / "rows.json", rows=found, options=vars(options))
    print_table(f"Missing values, filter bank, {FOLDS} inner folds, {options.repeats} draws", found)
