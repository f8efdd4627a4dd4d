"""How many sequences of a new person a classifier needs to be adapted: the five speakers that settings are chosen on.

    python -m examples.reproduce adaptation --emodb DIR [--layout compare] [--both] [--seeds 1]

Each speaker is classified by a bank of filters fitted to the other four (``--both`` adds the network): scaled by the
training speakers, or adapted to 2, 5, 10 or 20 clips, drawn five times, which are not tested then, to all clips that
are tested, or to the clips of the most frequent emotion alone. The other five speakers are for tests, and not used.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.bank import score
from examples.reproduce.corpora import emodb
from examples.reproduce.suite import of_speakers
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.training import write_results

CLIPS, DRAWS = (2, 5, 10, 20), 5


def picks(y):
    """Which sequences a classifier is adapted to, and which are tested: a title and two arrays of indices each."""
    everything = np.arange(len(y))
    for count in CLIPS:
        for draw in range(DRAWS):
            chosen = np.random.default_rng(draw).permutation(len(y))[:count]
            yield f"adapted to {count} clips", chosen, np.setdiff1d(everything, chosen)
    yield "adapted to all clips", everything, everything
    of_one = np.flatnonzero(y == np.bincount(y).argmax())
    yield "adapted to one emotion", of_one, np.setdiff1d(everything, of_one)


def run(kind, task, seed):
    """Yields a title, what is right and the cross-entropies, for each way to scale a speaker."""
    X, y, groups = [task.X[i] for i in task.train], task.y[task.train], task.groups[task.train]
    tests, labels = [task.X[i] for i in task.test], task.y[task.test]
    yield "scaled by training speakers", *score(kind(random_state=seed).fit(X, y, groups=groups), tests, labels)
    classifier = kind(random_state=seed, normalize="group").fit(X, y, groups=groups)
    yield "not adapted", *score(classifier, tests, labels)
    for title, chosen, tested in picks(labels):
        adapted = classifier.adapt([tests[i] for i in chosen])
        yield title, *score(adapted, [tests[i] for i in tested], labels[tested])


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--emodb", metavar="DIR", required=True, help="folder of EmoDB")
    parser.add_argument("--layout", default="compare", metavar="NAME", help="of the features (default: %(default)s)")
    parser.add_argument("--both", action="store_true", help="network and bank, not the bank alone")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="fits (default: %(default)s)")
    parser.add_argument("--cache", default="data/processed", metavar="DIR", help="folder of features")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder of results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found, kind = defaultdict(list), LGrINClassifier if options.both else FilterBankClassifier
    tasks = list(of_speakers(emodb(options.emodb, options.cache, options.layout)))
    for seed in range(options.seeds):
        for task in tqdm(tasks, unit="speaker"):
            for title, correct, losses in run(kind, task, seed):
                found[title].append((correct, losses))
    rows = []
    for title, scored in found.items():
        correct, losses = (np.concatenate(part) for part in zip(*scored, strict=True))
        rows.append({"speakers": title, "accuracy": float(correct.mean()), "log loss": float(losses.mean())})
    write_results(Path(options.out) / study / "rows.json", rows=rows, options=vars(options))
    print_table(f"{kind.__name__}, five speakers, {options.seeds} seeds", rows)
