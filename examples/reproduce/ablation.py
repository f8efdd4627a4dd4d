"""Weighs parts of the recipe inside training data: every row is trained on a part of it and scored on another part.

    python -m examples.reproduce ablation [--emodb DIR] [--seeds 1] [--rows TITLE ...]

JapaneseVowels and BasicMotions: five folds of the training split; the test split is never read. EmoDB: five times two
speakers are left out altogether, as if they were tested, two others are scored and six are trained on; ``watch``
(``--datasets watch``): likewise, four people of twenty. No row stops early: each trains to its last epoch, so nothing
is chosen but the row itself.
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

lazy = functools.partial(LGrIN, adjacency={"init": "lazy", "normalize": "row"})
banded = functools.partial(LGrIN, adjacency=BAND)
both = functools.partial(banded, input_norm="both")


def given(make, in_channels, num_nodes, num_classes):
    """Every sequence by itself, too, on a graph that nothing trains."""
    return LGrIN(in_channels, num_nodes, num_classes, adjacency=fixed(make(num_nodes)), input_norm="both")


ROWS = {
    "widths 128 and 64, sequences unchanged": (
        functools.partial(banded, branch_channels=(128, 64)),
        {"augment": {}},
    ),
    "widths 64 and 32, sequences unchanged": (banded, {"augment": {}}),
    "widths 64 and 32, windows and levels change": (banded, {}),
    "that, each frame hears itself by a half: recommended where levels tell": (lazy, {}),
    "that, each sequence by itself, too: recommended where they do not": (
        functools.partial(lazy, input_norm="both"),
        {},
    ),
    "that, averages over the frames that are there": (functools.partial(LGrIN, input_norm="both"), {}),
    "each sequence by itself, too, from the band": (both, {}),
    "that, windows alone change": (both, {"augment": {"crop": 0.3}}),
    "that, levels alone change": (both, {"augment": {"shift": 0.3}}),
    "that, rate halved every 50 epochs": (both, {"halve_every": 50}),
    "that, weight decay 0.3": (both, {"weight_decay": 0.3}),
    "that, no structure loss": (both, {"loss": {"lambda_distance": 0.0, "lambda_frobenius": 0.0}}),
    "that, A from N(0, 1), not normalised (the paper's)": (
        functools.partial(both, adjacency={"init": "normal"}),
        {},
    ),
    "that, on the line": (functools.partial(given, line), {}),
    "that, on the identity": (functools.partial(given, torch.eye), {}),
    "that, without edges": (functools.partial(given, empty), {}),
}


def inside_training(corpus, options):
    """A corpus with folds inside its training data."""
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
    """Folds that leave the people of one part out altogether and score those of the next."""
    made = []
    for number, unread in enumerate(parts):
        scored = parts[(number + 1) % len(parts)]
        seen = sorted(set(range(len(corpus.sequences))) - {*unread, *scored})
        made.append(Fold(f"part {number}", seen, [], scored))
    return corpus._replace(folds=made)


def score(title, corpus, options):
    """One row of the table: what models that have not seen a sequence say of it, averaged over seeds."""
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
    parser.add_argument("--folds", type=int, default=5, metavar="N")
    options = parser.parse_args(arguments)
    rows = []
    for corpus in (inside_training(one, options) for one in opened(options)):
        for title in options.rows:
            rows.append(score(title, corpus, options))
            print(rows[-1], flush=True)
            write_results(Path(options.out) / "ablation.json", rows=rows, folds=options.folds, seeds=options.seeds)
    print_table("inside the training data", rows)
