"""The default classifier beside what one would take instead: the same folds, frames and scaling.

    python -m examples.reproduce accuracy [--emodb DIR] [--datasets NAME ...] [--rows TITLE ...] [--seeds 5]

EmoDB: one speaker is left out at a time, features are scaled by the training speakers. With ``--transductive`` those of
each speaker are scaled by the speaker's own clips, which reads unlabelled clips of the speaker that is tested: all of
them, or 1, 5, 10 or all but the clip that is scored. The archive's sets have splits of their own. Every row trains on
all training sequences to the end, nothing is chosen on the way, and a run that is done is not repeated.
"""

import argparse
import functools
import hashlib
import json
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
from examples.reproduce.corpora import add_arguments, opened
from lgrin import LGrIN
from lgrin.baselines import BLSTM, CNN, GCN
from lgrin.features.speech import SAMPLING_RATE, read_audio
from lgrin.models.lgrin import RECOMMENDED_ADJACENCY
from lgrin.nn import LearnableAdjacency
from lgrin.training import Candidate, cross_validate, normalize_groups, recommended, write_results
from lgrin.training.statistics import compare_over_groups, interval_over_groups, scores, scores_by_group
from lgrin.transforms import Standardize
from lgrin.visualization import plot_sweep, save_figure

ENROLMENT = (1, 5, 10, None)  # clips of the tested speaker that scale another clip of the same; None: all others


def line(num_nodes):
    """The binary line graph."""
    index = torch.arange(num_nodes)
    return ((index - index.unsqueeze(-1)).abs() == 1).float()


def without_edges(num_nodes):
    """No edge at all."""
    return torch.zeros(num_nodes, num_nodes)


def fixed(matrix):
    """A graph that nothing trains."""
    return LearnableAdjacency(len(matrix), init=matrix).requires_grad_(False)


def start(num_nodes):
    """What the default starts from."""
    return LearnableAdjacency(num_nodes, **RECOMMENDED_ADJACENCY)().detach()


GRAPHS = {
    "on the graph it starts from": start,
    "on the line": line,
    "on the identity": torch.eye,
    "without edges": without_edges,
}
DEFAULT = "L-GrIN, the default"
NETWORKS = (DEFAULT, *(f"L-GrIN {graph}" for graph in GRAPHS), "GCN", "CNN", "BLSTM")
ROCKETS = ("MiniRocket", "MultiRocket-Hydra")
SVM = "SVM on IS09 functionals of whole clips"


def candidate(title):
    """A network by its title; what is recommended is decided inside the training sequences of each fold."""
    if title in ("GCN", "CNN", "BLSTM"):
        return Candidate(title, {"GCN": GCN, "CNN": CNN, "BLSTM": BLSTM}[title])
    if title == DEFAULT:
        return Candidate(title, LGrIN, choose=recommended)
    return Candidate(title, functools.partial(on_graph, title.removeprefix("L-GrIN ")), choose=recommended)


def on_graph(name, in_channels, num_nodes, num_classes, **chosen):
    """What is recommended, but on a graph that nothing trains."""
    adjacency = fixed(GRAPHS[name](num_nodes))
    return LGrIN(in_channels, num_nodes, num_classes, **{**chosen, "adjacency": adjacency})


def enrol(sequences, count, data):
    """A clip, scaled by so many other clips of its speaker."""
    others = [one for one in sequences if one.group == data.group and one.number != data.number]
    if count is not None:
        drawn = np.random.default_rng(data.number).choice(len(others), count, replace=False)
        others = [others[index] for index in drawn]
    data.x = Standardize(data.num_features).fit(others)(sequences[data.number].x)
    return data


def run_network(title, corpus, options, out):
    """Trains a network on every fold with every seed by the recommended recipe."""
    variants = {}
    if options.transductive:
        variants = {
            "all other" if count is None else str(count): functools.partial(enrol, corpus.sequences, count)
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
    """The sequences, scaled by speaker in the transductive track."""
    return normalize_groups(sequences) if options.transductive else sequences


def run_rocket(title, corpus, options, out):
    """Fits an estimator of aeon's on the same frames."""
    from aeon.classification import convolution_based

    kind = getattr(convolution_based, f"{title.replace('-', '')}Classifier")
    X = torch.stack([data.x.T for data in as_asked(corpus.sequences, options)]).numpy()
    return fit_all(lambda seed: kind(random_state=seed), X, corpus, options, out)


def run_svm(title, corpus, options, out):
    """Fits an SVM on functionals of whole clips."""
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.IS09, opensmile.FeatureLevel.Functionals)
    whole = []
    for path, data in zip(tqdm(corpus.files, desc="functionals"), corpus.sequences, strict=True):
        found = smile(read_audio(path)[None], SAMPLING_RATE).reshape(1, -1)
        whole.append(Data(x=torch.from_numpy(found), y=data.y, group=data.group))
    X = torch.cat([data.x for data in as_asked(whole, options)]).numpy()
    return fit_all(lambda seed: make_pipeline(StandardScaler(), SVC(C=3)), X, corpus, options, out)


def fit_all(make, X, corpus, options, out):
    """What an estimator predicts on every fold with every seed, kept like the runs of networks."""
    labels, runs = np.array([int(data.y) for data in corpus.sequences]), []
    groups = [int(data.group) if corpus.grouped else None for data in corpus.sequences]
    content = hashlib.sha256(np.ascontiguousarray(X).tobytes() + labels.tobytes()).hexdigest()[:12]
    for seed, fold in tqdm([(seed, fold) for seed in range(options.seeds) for fold in corpus.folds], desc=out.name):
        short = hashlib.sha256(repr([content, fold, groups, make(seed)]).encode()).hexdigest()[:12]
        path = out / f"{fold.name}-seed{seed}-{short}.json"
        if not path.exists():
            mean, deviation = over_frames(X[fold.train])
            start, estimator = time.perf_counter(), make(seed)
            estimator.fit((X[fold.train] - mean) / deviation, labels[fold.train])
            seconds = time.perf_counter() - start
            predicted = estimator.predict((X[fold.test] - mean) / deviation).tolist()
            told = {"target": labels[fold.test].tolist(), "group": [groups[index] for index in fold.test]}
            write_results(
                path,
                seed=seed,
                seconds=seconds,
                predicted=predicted,
                parameters=count_weights(estimator),
                variants={},
                **told,
            )
        runs.append(json.loads(path.read_text()))
    return runs


def count_weights(estimator):
    """The numbers that a linear classifier has learned on top of features that are drawn or given; 0 without one."""
    linear = [one for one in vars(estimator).values() if hasattr(one, "coef_") and not hasattr(one, "steps")]
    return sum(one.coef_.size + one.intercept_.size for one in linear)


def over_frames(X):
    """Mean and deviation of each channel of ``[n, channels, time]``, or of each column of a matrix."""
    axes = (0, *range(2, X.ndim))
    deviation = X.std(axes, keepdims=True)
    return X.mean(axes, keepdims=True), np.where(deviation == 0, 1, deviation)


def outcome(runs, num_classes, variant=None):
    """Accuracy and recall of all sequences, mean over seeds, and accuracy by group ``[seeds, groups]``."""
    seeds, pooled, by_group = sorted({one["seed"] for one in runs}), [], []
    for seed in seeds:
        mine = [one for one in runs if one["seed"] == seed]
        answers = [one["predicted"] if variant is None else one["variants"][variant] for one in mine]
        target, predicted = np.concatenate([one["target"] for one in mine]), np.concatenate(answers)
        pooled.append(scores(target, predicted, num_classes))
        group = np.concatenate([one["group"] for one in mine])
        if group[0] is not None:
            by_group.append(scores_by_group(target, predicted, group, num_classes)["accuracy"])
    return pooled, np.array(by_group)


def row(title, runs, num_classes, first=None, variant=None):
    """One line of the table, and its accuracy by group."""
    pooled, by_group = outcome(runs, num_classes, variant)
    accuracy, recall = ([one[key] for one in pooled] for key in ("accuracy", "uar"))
    line = {"method": title, "accuracy": float(np.mean(accuracy)), "UAR": float(np.mean(recall))}
    line["seeds, lowest to highest"] = f"{min(accuracy):.3f} to {max(accuracy):.3f}" if len(pooled) > 1 else "one seed"
    if len(by_group):
        found = interval_over_groups(by_group)
        line["mean over speakers"] = f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})"
        line["against the default"] = "-" if first is None else versus(by_group, first)
    line["parameters"] = f"{runs[0]['parameters']:,}" if runs[0]["parameters"] else "-"
    line["training, s"] = f"{np.median([one['seconds'] for one in runs]):.1f}"
    return line, by_group


def versus(values, first):
    """A difference of means over groups, its interval and p-value, not corrected."""
    found = compare_over_groups(values, first)
    return f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}), p {found.p_value:.3f}"


def draw_enrolment(runs, num_classes):
    """The default's accuracy, mean over speakers, against the clips that scaled a clip."""
    curve = {name: interval_over_groups(outcome(runs, num_classes, name)[1]) for name in runs[0]["variants"]}
    ax = plot_sweep(curve)
    ax.set_xlabel("unlabelled clips of the speaker")
    return ax


def tables(corpus, options):
    """All rows on one corpus, the default first, then what enrolment does to it."""
    rows, track = [], "transductive" if options.transductive else "inductive"
    first = None
    for title in options.rows:
        if title == SVM and not corpus.files:
            continue
        run = run_svm if title == SVM else run_rocket if title in ROCKETS else run_network
        name = "".join(letter if letter.isalnum() else "-" for letter in title)
        runs = run(title, corpus, options, Path(options.out) / "accuracy" / f"{corpus.name}-{track}" / name)
        line, by_group = row(title, runs, len(corpus.classes), first)
        print(line, flush=True)
        rows.append(line)
        first = by_group if title == DEFAULT and len(by_group) else first
        if title == DEFAULT and runs[0]["variants"]:
            ax = draw_enrolment(runs, len(corpus.classes))
            save_figure(ax, Path(options.out) / "accuracy" / "enrolment.png")
        for variant in runs[0]["variants"]:
            rows.append(row(f"{title}, scaled by {variant} clips", runs, len(corpus.classes), first, variant)[0])
    write_results(Path(options.out) / "accuracy" / f"{corpus.name}-{track}.json", rows=rows, options=vars(options))
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
