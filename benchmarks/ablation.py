"""Weighs parts of a recipe inside training data: every row is trained on a part of it and scored on another part.

    python -m benchmarks.ablation [--emodb DIR] [--seeds 1] [--rows TITLE ...]

JapaneseVowels and BasicMotions: five folds of the training split; the test split is never read. EmoDB: five times two
speakers are left out altogether, as if they were tested, two others are scored and six are trained on. No row stops
early: each trains to its last epoch, so nothing is chosen but the row itself.
"""

import argparse
import functools
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold

from benchmarks.graphs import fixed, line
from benchmarks.table import print_table
from lgrin import LGrIN
from lgrin.datasets import UEA, EmoDB
from lgrin.training import Candidate, Fold, Training, cross_validate, write_results
from lgrin.training.experiment import enough_epochs
from lgrin.training.statistics import scores
from lgrin.transforms import MaskTail, Resample

PAIRS = [("03", "08"), ("11", "09"), ("10", "13"), ("12", "14"), ("15", "16")]  # a man and a woman, nearly
ARCHIVE = ("JapaneseVowels", "BasicMotions")
FALLING = {"halve_every": None}
SMALL = {"branch_channels": (64, 32)}
CHANGED = {**FALLING, "augment": {"crop": 0.3, "shift": 0.3}}


def given(make, in_channels, num_nodes, num_classes, **options):
    """An L-GrIN on a graph that nothing trains."""
    return LGrIN(in_channels, num_nodes, num_classes, adjacency=fixed(make(num_nodes)), **options)


BOTH = {**SMALL, "input_norm": "both"}
ROWS = {
    "widths 128 and 64": (LGrIN, FALLING),
    "widths 64 and 32": (functools.partial(LGrIN, **SMALL), FALLING),
    "the same, changed in training": (functools.partial(LGrIN, **SMALL), CHANGED),
    "the same, each sequence by itself, too": (functools.partial(LGrIN, **BOTH), CHANGED),
    "the last, A from N(0, 1), not normalised (the paper's)": (
        functools.partial(LGrIN, **BOTH, adjacency={"init": "normal"}),
        CHANGED,
    ),
    "the last, on the line": (functools.partial(given, line, **BOTH), CHANGED),
    "the last, on the identity": (functools.partial(given, torch.eye, **BOTH), CHANGED),
    "the last, without edges": (functools.partial(given, lambda size: torch.zeros(size, size), **BOTH), CHANGED),
}


def archive(name, options):
    """The training split of a set and its folds."""
    train = UEA(options.root, name, "train")
    resample, labels = Resample(train.num_frames), np.array([int(data.y) for data in train])
    parts = StratifiedKFold(options.folds, shuffle=True, random_state=0).split(labels, labels)
    made = [Fold(f"part {number}", seen.tolist(), [], unseen.tolist()) for number, (seen, unseen) in enumerate(parts)]
    return [resample(train.get(index)) for index in train.indices()], train, made


def emodb(name, options):
    """The clips, and folds that leave two speakers out altogether and score two others."""
    corpus = EmoDB(options.emodb, cache=Path(options.cache) / "emodb")
    mask, resample = MaskTail(), Resample(corpus.num_frames)
    speakers = [corpus.groups[int(corpus.get(index).group)] for index in corpus.indices()]
    made = []
    for number, unread in enumerate(PAIRS):
        scored = PAIRS[(number + 1) % len(PAIRS)]
        seen = [index for index, one in enumerate(speakers) if one not in (*unread, *scored)]
        unseen = [index for index, one in enumerate(speakers) if one in scored]
        made.append(Fold(" and ".join(scored), seen, [], unseen))
    return [resample(mask(corpus.get(index))) for index in corpus.indices()], corpus, made


def score(title, name, opened, options):
    """One row of the table: what models that have not seen a sequence say of it, averaged over seeds."""
    sequences, dataset, made = opened
    build, settings = ROWS[title]
    training = Training(dataset.num_frames, dataset.classes, epochs=enough_epochs(len(made[0].train)), refit=True)
    out = Path(options.out) / "ablation" / name
    runs = cross_validate(Candidate(title, build, settings), sequences, made, training, out, seeds=range(options.seeds))
    by_seed = []
    for seed in range(options.seeds):
        mine = [one for one in runs if one["seed"] == seed]
        target, predicted = (np.concatenate([one[key] for one in mine]) for key in ("target", "predicted"))
        found = scores(target, predicted, len(dataset.classes))
        surprise = np.average([one["cross_entropy"] for one in mine], weights=[len(one["target"]) for one in mine])
        by_seed.append([found["accuracy"], found["uar"], surprise])
    accuracy, uar, surprise = np.mean(by_seed, axis=0).tolist()
    return {
        "data": name,
        "recipe": title,
        "accuracy": accuracy,
        "UAR": uar,
        "cross-entropy": surprise,
        "parameters": runs[0]["parameters"],
    }


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__.split("\n\n")[0])
    parser.add_argument("--datasets", nargs="+", default=list(ARCHIVE), metavar="NAME")
    parser.add_argument("--emodb", metavar="DIR", help="folder of EmoDB, scored too if it is given")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="TITLE")
    parser.add_argument("--folds", type=int, default=5, metavar="N")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--root", default="data", metavar="DIR")
    parser.add_argument("--cache", default="data/processed", metavar="DIR")
    parser.add_argument("--out", default="runs/benchmarks", metavar="DIR")
    options = parser.parse_args()
    rows = []
    for name in [*options.datasets, *(["emodb"] if options.emodb else [])]:
        opened = (emodb if name == "emodb" else archive)(name, options)
        for title in options.rows:
            rows.append(score(title, name, opened, options))
            print(rows[-1], flush=True)
            write_results(Path(options.out) / "ablation.json", rows=rows, folds=options.folds, seeds=options.seeds)
    print_table("inside the training data", rows)


if __name__ == "__main__":
    main()
