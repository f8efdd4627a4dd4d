"""Compares parts of the recommended recipe inside the training data; no test split is read.

    python -m examples.reproduce ablation [--emodb DIR] [--seeds 1] [--rows TITLE ...]

JapaneseVowels and BasicMotions: five folds of the training split. EmoDB: five times, two speakers are left out
altogether, as if they were tested, two others are scored and six are trained on. ``watch`` (``--datasets watch``):
likewise, with two people of ten. No row stops early: each trains to its last epoch, so nothing is chosen but the
row itself.
"""

import argparse
import functools
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold

from benchmarks.table import print_table
from examples.reproduce.compare import over_groups, pooled_scores
from examples.reproduce.corpora import add_arguments, opened
from examples.reproduce.fixed_graphs import empty, fixed, line
from examples.reproduce.recipe import BAND
from lgrin import LGrIN
from lgrin.training import Candidate, Fold, write_results
from lgrin.training.statistics import interval_over_groups

PAIRS = [("03", "08"), ("11", "09"), ("10", "13"), ("12", "14"), ("15", "16")]  # a man and a woman, nearly

band = functools.partial(LGrIN, adjacency=BAND)
lazy = functools.partial(LGrIN, adjacency={"init": "lazy", "normalize": "row"})
band_and_copy = functools.partial(band, input_norm="both")


def given(make, in_channels, num_nodes, num_classes):
    """A fixed graph, and the standardised copy of each sequence."""
    return LGrIN(in_channels, num_nodes, num_classes, adjacency=fixed(make(num_nodes)), input_norm="both")


ROWS = {  # each network, and how its training differs from the recommended recipe
    "wide": (functools.partial(band, branch_channels=(128, 64)), {"augment": {}}),
    "narrow": (band, {"augment": {}}),
    "augmented": (band, {}),
    "lazy": (lazy, {}),
    "copy": (functools.partial(lazy, input_norm="both"), {}),
    "averages": (functools.partial(LGrIN, input_norm="both"), {}),
    "copy, band": (band_and_copy, {}),
    "crops only": (band_and_copy, {"augment": {"crop": 0.3}}),
    "levels only": (band_and_copy, {"augment": {"shift": 0.3}}),
    "halved": (band_and_copy, {"schedule": "step"}),
    "decay 0.3": (band_and_copy, {"weight_decay": 0.3}),
    "no structure loss": (band_and_copy, {"loss": {"lambda_distance": 0.0, "lambda_frobenius": 0.0}}),
    "N(0, 1)": (functools.partial(band_and_copy, adjacency={"init": "normal"}), {}),
    "line": (functools.partial(given, line), {}),
    "identity": (functools.partial(given, torch.eye), {}),
    "no edges": (functools.partial(given, empty), {}),
}


def inside_training(corpus, options):
    """The corpus with folds inside its training data."""
    if corpus.name == "EmoDB":
        speakers = [Path(one.name).stem[:2] for one in corpus.sequences]
        return between(corpus, [[index for index, one in enumerate(speakers) if one in pair] for pair in PAIRS])
    if corpus.grouped:
        return between(corpus, [list(one.test) for one in corpus.folds])
    train = corpus.folds[0].train
    labels = np.array([int(corpus.sequences[index].y) for index in train])
    parts = StratifiedKFold(options.folds, shuffle=True, random_state=0).split(labels, labels)
    made = [Fold(f"part {number}", seen.tolist(), [], unseen.tolist()) for number, (seen, unseen) in enumerate(parts)]
    return corpus._replace(folds=made, sequences=[corpus.sequences[index] for index in train])


def between(corpus, parts):
    """Folds that leave the people of one part out altogether and score those of the next part."""
    made = []
    for number, unread in enumerate(parts):
        scored = parts[(number + 1) % len(parts)]
        seen = sorted(set(range(len(corpus.sequences))) - {*unread, *scored})
        made.append(Fold(f"part {number}", seen, [], scored))
    return corpus._replace(folds=made)


def score(title, corpus, options):
    """One row of the table: scores of models on sequences that they were not trained on, averaged over seeds."""
    build, settings = ROWS[title]
    runs = corpus.cross_validate(Candidate(title, build, settings), "ablation", options)
    pooled = pooled_scores(runs, len(corpus.classes))
    cross_entropy = np.average([one["cross_entropy"] for one in runs], weights=[len(one["target"]) for one in runs])
    interval = interval_over_groups(over_groups(runs, len(corpus.classes))["accuracy"]) if corpus.grouped else None
    return {
        "data": corpus.name,
        "recipe": title,
        "accuracy": float(np.mean([one["accuracy"] for one in pooled])),
        "over speakers": "-" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}",
        "UAR": float(np.mean([one["uar"] for one in pooled])),
        "cross-entropy": float(cross_entropy),
        "parameters": runs[0]["parameters"],
    }


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    add_arguments(parser, tuple(ROWS), seeds=1)
    parser.add_argument(
        "--folds", type=int, default=5, metavar="N", help="folds of a training split (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    rows = []
    for corpus in (inside_training(one, options) for one in opened(options)):
        for title in options.rows:
            rows.append(score(title, corpus, options))
            print(rows[-1], flush=True)
            write_results(Path(options.out) / "ablation.json", rows=rows, folds=options.folds, seeds=options.seeds)
    print_table("inside the training data", rows)
