"""Compares the default classifier with other methods on the same folds, frames and scaling.

    python -m examples.reproduce accuracy [--emodb DIR] [--datasets NAME ...] [--rows TITLE ...] [--seeds 5]

EmoDB: one speaker is left out at a time, and features are scaled by the training speakers. ``--transductive`` scales
the features of each speaker by the speaker's own clips. This uses unlabelled clips of the test speaker: all of them,
or 1, 5, 10 or all but the clip that is scored. The archive's sets have their own splits. Every row trains on all
training sequences to the last epoch, nothing is chosen on the way, and finished runs are not repeated.
"""

import argparse
import functools
import hashlib
import itertools
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.compare import of_variant, over_groups, pooled_scores, show, versus
from examples.reproduce.corpora import add_arguments, opened
from examples.reproduce.fixed_graphs import empty, fixed, line
from examples.reproduce.tables import COMPETITORS
from lgrin import LGrIN
from lgrin.checksum import read_kept
from lgrin.features.speech import SAMPLING_RATE, read_audio
from lgrin.models.lgrin import RECOMMENDED_ADJACENCY
from lgrin.nn import LearnableAdjacency
from lgrin.text import file_name
from lgrin.training import Candidate, cross_validate, normalize_groups, recommended, write_results
from lgrin.training.results import read_checked_results, write_checked_results
from lgrin.training.statistics import compare_over_groups, interval_over_groups
from lgrin.transforms import Standardize
from lgrin.visualization import plot_sweep, save_figure

ENROLMENT = (1, 5, 10, None)  # how many other clips of the test speaker scale a clip; None: all others


def start(num_nodes):
    """The initial graph of the default."""
    return LearnableAdjacency(num_nodes, **RECOMMENDED_ADJACENCY)().detach()


GRAPHS = {
    "on the graph it starts from": start,
    "on the line": line,
    "on the identity": torch.eye,
    "without edges": empty,
}
DEFAULT = "L-GrIN, the default"
NETWORKS = (DEFAULT, *(f"L-GrIN {graph}" for graph in GRAPHS), "GCN", "CNN", "BLSTM")
ROCKETS = ("MiniRocket", "MultiRocket-Hydra")
SVM = "SVM on IS09 functionals of whole clips"


def candidate(title):
    """A network by its title; the recommended options are decided by the training sequences of each fold."""
    if title in COMPETITORS:
        return Candidate(title, COMPETITORS[title])
    if title == DEFAULT:
        return Candidate(title, LGrIN, choose=recommended)
    return Candidate(title, functools.partial(on_graph, title.removeprefix("L-GrIN ")), choose=recommended)


def on_graph(name, in_channels, num_nodes, num_classes, **chosen):
    """The recommended network on a fixed graph."""
    adjacency = fixed(GRAPHS[name](num_nodes))
    return LGrIN(in_channels, num_nodes, num_classes, **{**chosen, "adjacency": adjacency})


def scale_by_speaker(sequences, count, data):
    """Scales a clip by a number of other clips of its speaker, drawn at random; ``None`` takes all others."""
    others = [one for one in sequences if one.group == data.group and one.number != data.number]
    if count is not None:
        drawn = np.random.default_rng(data.number).choice(len(others), count, replace=False)
        others = [others[index] for index in drawn]
    data.x = Standardize(data.num_features).fit(others)(sequences[data.number].x)
    return data


def run_network(title, corpus, options, out):
    """Trains a network by the recommended recipe on every fold with every seed."""
    variants = {}
    if options.transductive:
        variants = {
            "all other" if count is None else str(count): functools.partial(scale_by_speaker, corpus.sequences, count)
            for count in ENROLMENT
        }
    return cross_validate(
        candidate(title),
        as_asked(corpus.sequences, options),
        corpus.folds,
        corpus.training,
        out,
        seeds=range(options.seeds),
        variants=variants,
        workers=options.workers,
    )


def as_asked(sequences, options):
    """The sequences, scaled by speaker if ``--transductive``."""
    return normalize_groups(sequences) if options.transductive else sequences


def run_rocket(title, corpus, options, out):
    """Fits an estimator of aeon's on the same frames."""
    from aeon.classification import convolution_based

    kind = getattr(convolution_based, f"{title.replace('-', '')}Classifier")
    data = as_asked(corpus.sequences, options)
    return fit_all(
        lambda seed: kind(random_state=seed), lambda fold: channels(data, fold, corpus), corpus, options, out
    )


def channels(sequences, fold, corpus):
    """The sequences as networks see them on a fold, ``[n, channels, time]``."""
    training = corpus.training
    num_nodes = training.plan([sequences[index] for index in fold.train]).num_nodes
    return torch.stack([data.x.T for data in training.of_one_length(sequences, num_nodes)]).numpy()


def run_svm(title, corpus, options, out):
    """Fits an SVM on functionals of whole clips."""
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.IS09, opensmile.FeatureLevel.Functionals)
    whole = []
    for path, data in zip(tqdm(corpus.files, desc="functionals"), corpus.sequences, strict=True):
        found = smile(read_audio(path)[None], SAMPLING_RATE).reshape(1, -1)
        whole.append(Data(x=torch.from_numpy(found), y=data.y, group=data.group))
    X = torch.cat([data.x for data in as_asked(whole, options)]).numpy()
    return fit_all(lambda seed: make_pipeline(StandardScaler(), SVC(C=3)), lambda fold: X, corpus, options, out)


def fit_all(make, features, corpus, options, out):
    """Fits an estimator to the features of every fold with every seed; keeps results as those of networks."""
    labels, runs = np.array([int(data.y) for data in corpus.sequences]), []
    groups = [int(data.group) if corpus.grouped else None for data in corpus.sequences]
    for fold, seed in tqdm(list(itertools.product(corpus.folds, range(options.seeds))), desc=out.name):
        X = features(fold)
        content = hashlib.sha256(np.ascontiguousarray(X).tobytes() + labels.tobytes()).hexdigest()[:12]
        short = hashlib.sha256(repr([content, fold, groups, make(seed)]).encode()).hexdigest()[:12]
        path = out / f"{fold.name}-seed{seed}-{short}.json"
        result = read_kept([path], read_checked_results, "results of folds").get(path)
        if result is None:
            known = {"seed": seed, "group": [groups[index] for index in fold.test], "variants": {}}
            result = write_checked_results(path, **known, **fit(make(seed), X, labels, fold))
        runs.append(result)
    return runs


def fit(estimator, X, labels, fold):
    """Fits an estimator on one fold, each channel scaled by the training sequences, and tests it."""
    mean, deviation = over_frames(X[fold.train])
    start = time.perf_counter()
    estimator.fit((X[fold.train] - mean) / deviation, labels[fold.train])
    seconds = time.perf_counter() - start
    return {
        "target": labels[fold.test].tolist(),
        "predicted": estimator.predict((X[fold.test] - mean) / deviation).tolist(),
        "parameters": count_weights(estimator),
        "seconds": seconds,
    }


def count_weights(estimator):
    """The number of weights of the linear classifiers in an estimator; 0 without one."""
    linear = [one for one in vars(estimator).values() if hasattr(one, "coef_") and not hasattr(one, "steps")]
    return sum(one.coef_.size + one.intercept_.size for one in linear)


def over_frames(X):
    """Mean and deviation of each channel of ``[n, channels, time]``, or of each column of a matrix."""
    axes = (0, *range(2, X.ndim))
    deviation = X.std(axes, keepdims=True)
    return X.mean(axes, keepdims=True), np.where(deviation == 0, 1, deviation)


def row(title, runs, corpus, first=None):
    """One row of the table, and the accuracy by group ``[seeds, groups]``, ``None`` where there are no groups."""
    pooled = pooled_scores(runs, len(corpus.classes))
    accuracy, recall = ([one[key] for one in pooled] for key in ("accuracy", "uar"))
    found = {"method": title, "accuracy": float(np.mean(accuracy)), "UAR": float(np.mean(recall))}
    found["seeds, lowest to highest"] = f"{min(accuracy):.3f} to {max(accuracy):.3f}" if len(pooled) > 1 else "one seed"
    by_group = over_groups(runs, len(corpus.classes))["accuracy"] if corpus.grouped else None
    if corpus.grouped:
        found["mean over speakers"] = show(interval_over_groups(by_group))
        test = None if first is None else compare_over_groups(by_group, first)
        found["against the default"] = "-" if test is None else versus(test, test.p_value)
    found["parameters"] = f"{runs[0]['parameters']:,}" if runs[0]["parameters"] else "-"
    found["training, s"] = f"{np.median([one['seconds'] for one in runs]):.1f}"
    return found, by_group


def draw_enrolment(runs, num_classes):
    """Plots the default's accuracy, mean over speakers, against the number of clips that scale a clip."""
    ax = plot_sweep(
        {
            name: interval_over_groups(over_groups(of_variant(runs, name), num_classes)["accuracy"])
            for name in runs[0]["variants"]
        }
    )
    ax.set_xlabel("unlabelled clips of the speaker")
    return ax


def tables(corpus, options):
    """Prints and writes all rows on one corpus; with ``--transductive``, also a row for each number of clips."""
    rows, track = [], "transductive" if options.transductive else "inductive"
    out, first = Path(options.out) / "accuracy", None
    for title in options.rows:
        if title == SVM and not corpus.files:
            continue
        run = run_svm if title == SVM else run_rocket if title in ROCKETS else run_network
        runs = run(title, corpus, options, out / f"{corpus.name}-{track}" / file_name(title))
        found, by_group = row(title, runs, corpus, first)
        print(found, flush=True)
        rows.append(found)
        if title == DEFAULT:
            first = by_group
            if runs[0]["variants"]:
                save_figure(draw_enrolment(runs, len(corpus.classes)), out / "enrolment.png")
        for name in runs[0]["variants"]:
            rows.append(row(f"{title}, scaled by {name} clips", of_variant(runs, name), corpus, first)[0])
    write_results(out / f"{corpus.name}-{track}.json", rows=rows, options=vars(options))
    print_table(f"{corpus.name}, {track}, {options.seeds} seeds", rows)


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    add_arguments(parser, (*NETWORKS, *ROCKETS, SVM), seeds=5)
    parser.add_argument("--transductive", action="store_true", help="scale features by speaker (needs --emodb)")
    options = parser.parse_args(arguments)
    if options.transductive and not options.emodb:
        parser.error("--transductive needs speakers: give --emodb DIR")
    if options.transductive:
        options.datasets = ()
    for corpus in opened(options):
        tables(corpus, options)
