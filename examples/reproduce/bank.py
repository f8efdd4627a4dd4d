"""Compares the filter bank, which is fitted in closed form, with MiniRocket and MultiRocket-Hydra.

    python -m examples.reproduce bank [--datasets NAME ...] [--emodb DIR] [--root DIR] [--seeds 5] [--rocket-seeds 1]

Sets of the archive have their own split; ``DIR/NAME.npz`` with ``X_train``, ``y_train``, ``X_test`` and ``y_test`` is
read where it is there. Watches, EmoDB and the periodic world are split by person. The bank gets sequences at their own
lengths, the rockets, which need one length, at the longest, 200 frames at most. Seconds are those of one thread of a
processor, without waiting.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.accuracy import ROCKETS, count_weights, over_frames
from examples.reproduce.corpora import Corpus, archive, emodb, watch, whole_folds
from lgrin.options import check_option
from lgrin.sklearn import FilterBankClassifier
from lgrin.training import Fold, write_results
from lgrin.transforms import Resample

BANK = "filter bank, ridge"
SETS = ("ERing", "RacketSports", "Epilepsy", "JapaneseVowels", "BasicMotions", "watch", "periodic")
RATE, NOISE, FREQUENCIES, SUBJECTS = 25, 0.5, (1.0, 1.6, 2.4), 10
LONGEST = 200  # frames that the rockets get


def periodic(count=60, seed=0):
    """Recordings of three frequencies, six channels of random phase and amplitude, by ten people in five folds."""
    random, data = np.random.default_rng(seed), []
    factor = random.uniform(0.95, 1.05, SUBJECTS)
    for index in range(count):
        label, person = index % len(FREQUENCIES), index // len(FREQUENCIES) % SUBJECTS
        length = random.integers(80, 301)
        angle = 2 * np.pi * FREQUENCIES[label] * factor[person] * np.arange(length) / RATE
        waves = [random.uniform(0.5, 1.5) * np.sin(angle + random.uniform(0, 2 * np.pi)) for _ in range(6)]
        x = np.stack(waves, 1) + NOISE * random.standard_normal((length, 6))
        x, y, group = torch.from_numpy(x).float(), torch.tensor([label]), torch.tensor([person])
        data.append(Data(x=x, y=y, group=group))
    return Corpus("periodic", tuple(map(str, FREQUENCIES)), data, whole_folds("group-kfold", data))


def stored(path):
    """A set with its own split from a file of NumPy's."""
    content = np.load(path)
    names = np.unique(content["y_train"])
    parts = [(content[f"X_{part}"], content[f"y_{part}"]) for part in ("train", "test")]
    data = [
        Data(x=torch.from_numpy(x.T.astype(np.float32)), y=torch.tensor([int(np.searchsorted(names, y))]))
        for xs, ys in parts
        for x, y in zip(xs, ys, strict=True)
    ]
    train = len(parts[0][0])
    fold = Fold("test split", list(range(train)), [], list(range(train, len(data))))
    return Corpus(path.stem, tuple(map(str, names)), data, [fold])


def opened(options):
    """Yields the corpora that were asked for."""
    for name in options.datasets:
        path = Path(options.root) / f"{name}.npz"
        if name in ("watch", "periodic"):
            yield watch() if name == "watch" else periodic()
        else:
            yield stored(path) if path.exists() else archive(name, options.root)
    if options.emodb:
        yield emodb(options.emodb, options.cache, options.layout)


def run_bank(corpus, fold, seed):
    """Fits the bank to a fold; accuracy, log loss, seconds, numbers."""
    X = [as_channels(data) for data in corpus.sequences]
    y = np.array([int(data.y) for data in corpus.sequences])
    groups = np.array([int(data.group) for data in corpus.sequences])[fold.train] if corpus.grouped else None
    classifier, start = FilterBankClassifier(random_state=seed), time.process_time()
    classifier.fit([X[index] for index in fold.train], y[fold.train], groups=groups)
    seconds = time.process_time() - start
    probabilities = classifier.predict_proba([X[index] for index in fold.test])
    places = np.searchsorted(classifier.classes_, y[fold.test])
    loss = -np.log(probabilities[np.arange(len(places)), places])
    model = classifier.model_
    fitted = sum(one.numel() for one in (*model.head.parameters(), *model.scale.buffers(), model.threshold))
    numbers = sum(one.numel() for one in model.state_dict().values())
    return {"correct": probabilities.argmax(1) == places, "loss": loss, "seconds": seconds} | {
        "fitted": fitted,
        "kB": round(numbers * 4 / 1000),
    }


def as_channels(data):
    """The frames of a sequence, ``[channels, time]``, NaN where they are absent."""
    x = data.x.clone()
    if data.get("mask") is not None:
        x[~data.mask] = torch.nan
    return x.T.numpy()


def run_rocket(title, corpus, fold, seed):
    """Fits an estimator of aeon's to a fold."""
    from aeon.classification import convolution_based

    longest = min(LONGEST, max(len(data.x) for data in corpus.sequences))
    X = torch.stack([Resample(longest)(data.clone()).x.T for data in corpus.sequences]).numpy()
    y = np.array([int(data.y) for data in corpus.sequences])
    mean, deviation = over_frames(X[fold.train])
    X = (X - mean) / deviation
    classifier = getattr(convolution_based, f"{title.replace('-', '')}Classifier")(random_state=seed)
    start = time.process_time()
    classifier.fit(X[fold.train], y[fold.train])
    seconds = time.process_time() - start
    correct = classifier.predict(X[fold.test]) == y[fold.test]
    weights = count_weights(classifier)
    return {"correct": correct, "loss": None, "seconds": seconds, "fitted": weights, "kB": None}


def row(title, corpus, seeds):
    """One row of the table."""
    accuracies, runs = [], []
    for seed in tqdm(range(seeds), desc=f"{corpus.name}, {title}"):
        found = [
            run_bank(corpus, fold, seed) if title == BANK else run_rocket(title, corpus, fold, seed)
            for fold in corpus.folds
        ]
        accuracies.append(float(np.concatenate([one["correct"] for one in found]).mean()))
        runs += found
    losses = None if title != BANK else float(np.concatenate([one["loss"] for one in runs]).mean())
    return {
        "set": corpus.name,
        "method": title,
        "accuracy": float(np.mean(accuracies)),
        "lowest to highest": f"{min(accuracies):.3f} to {max(accuracies):.3f}" if seeds > 1 else "one seed",
        "log loss": "-" if losses is None else losses,
        "fitted numbers": f"{runs[0]['fitted']:,}",
        "kB": runs[0]["kB"] or "-",
        "fit, s": f"{np.median([one['seconds'] for one in runs]):.1f}",
    }


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--datasets", nargs="*", default=SETS, metavar="NAME", help="sets of the archive, watch, periodic"
    )
    parser.add_argument("--emodb", metavar="DIR", help="folder of EmoDB, which is added if given")
    parser.add_argument("--layout", default="paper", metavar="NAME", help="of EmoDB's features (default: %(default)s)")
    parser.add_argument("--rows", nargs="+", default=(BANK, *ROCKETS), metavar="TITLE", help="methods")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="fits of the bank (default: %(default)s)")
    parser.add_argument("--rocket-seeds", type=int, default=1, metavar="N", help="fits of the others (default: 1)")
    parser.add_argument("--root", default="data", metavar="DIR", help="folder of the archive (default: %(default)s)")
    parser.add_argument("--cache", default="data/processed", metavar="DIR", help="folder of features")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder of results")
    options = parser.parse_args(arguments)
    for title in options.rows:
        check_option("rows", title, (BANK, *ROCKETS))
    torch.set_num_threads(1)
    rows = []
    for corpus in opened(options):
        for title in options.rows:
            rows.append(row(title, corpus, options.seeds if title == BANK else options.rocket_seeds))
            print(rows[-1], flush=True)
    write_results(Path(options.out) / study / "rows.json", rows=rows, options=vars(options))
    print_table(f"Filter bank, {options.seeds} seeds", rows)
