"""Compares the default classifier, network and bank, with each of the two alone and with other libraries' methods.

    python -m examples.reproduce bank [--datasets NAME ...] [--emodb DIR] [--root DIR] [--seeds 5] [--rows TITLE ...]
    python -m examples.reproduce bank --datasets ERing RacketSports --labels 2 5 --seeds 1

Sets of the archive have their own split; ``DIR/NAME.npz`` with ``X_train``, ``y_train``, ``X_test`` and ``y_test`` is
read where it is there. Watches, EmoDB and the periodic world are split by person. Ours get sequences at their own
lengths, methods of other libraries, which need one length, at the longest, 200 frames at most; these run once. Seconds
are those of one thread of a processor, without waiting. ``--labels`` trains on so many sequences of each class, drawn
``--draws`` times from the training split.
"""

import argparse
import copy
import functools
import itertools
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.svm import SVC, LinearSVC
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.accuracy import ROCKETS, count_weights, over_frames
from examples.reproduce.corpora import Corpus, archive, emodb, watch, whole_folds
from lgrin.features.speech import SAMPLING_RATE, read_audio
from lgrin.models import Blend, FilterBank
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.text import file_name
from lgrin.training import Fold, normalize_groups, write_results
from lgrin.training.blend import without_bank
from lgrin.transforms import Resample

TRANSDUCTIVE = ", scaled by speaker"
SETS = ("ERing", "RacketSports", "Epilepsy", "JapaneseVowels", "BasicMotions", "watch", "periodic")
RATE, NOISE, FREQUENCIES, SUBJECTS = 25, 0.5, (1.0, 1.6, 2.4), 10
LONGEST = 200  # frames that methods for one length get


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
        corpus = emodb(options.emodb, options.cache, options.layout)
        if options.transductive:
            scaled = normalize_groups(corpus.sequences)
            corpus = corpus._replace(name=f"{corpus.name}{TRANSDUCTIVE}", sequences=scaled)
        yield corpus


def run_ours(part, corpus, fold, seed):
    """Fits the default or the bank to a fold; accuracy, log loss, seconds, numbers."""
    X = [as_channels(data) for data in corpus.sequences]
    y = np.array([int(data.y) for data in corpus.sequences])
    groups = np.array([int(data.group) for data in corpus.sequences])[fold.train] if corpus.grouped else None
    kind = FilterBankClassifier if part == "bank" else LGrINClassifier
    key = corpus.name, fold.name, seed, kind
    if key not in FITTED:
        start = time.process_time()
        classifier = kind(random_state=seed).fit([X[index] for index in fold.train], y[fold.train], groups=groups)
        FITTED[key] = classifier, time.process_time() - start
    classifier, seconds = FITTED[key]
    if part == "network":
        classifier = network_alone(classifier)
    probabilities = classifier.predict_proba([X[index] for index in fold.test])
    places = np.searchsorted(classifier.classes_, y[fold.test])
    model = classifier.model_ if kind is FilterBankClassifier else classifier.classifier_.model
    return {
        "correct": (probabilities.argmax(1) == places).tolist(),
        "loss": (-np.log(probabilities[np.arange(len(places)), places].clip(1e-9))).tolist(),
        "seconds": seconds,
        "fitted": fitted_numbers(model),
        "kB": round(sum(one.numel() for one in model.state_dict().values()) * 4 / 1000),
    }


def network_alone(classifier):
    """A fitted classifier without its bank."""
    alone = copy.copy(classifier)
    alone.classifier_ = without_bank(classifier.classifier_)
    return alone


def fitted_numbers(model):
    """Trained and fitted numbers of a network, a bank, or both."""
    if isinstance(model, Blend):
        return fitted_numbers(model.network) + fitted_numbers(model.bank)
    if isinstance(model, FilterBank):
        return sum(one.numel() for one in (*model.head.parameters(), *model.scale.buffers(), model.threshold))
    return sum(one.numel() for one in model.parameters())


def as_channels(data):
    """The frames of a sequence, ``[channels, time]``, NaN where they are absent."""
    x = data.x.clone()
    if data.get("mask") is not None:
        x[~data.mask] = torch.nan
    return x.T.numpy()


def run_aeon(make, corpus, fold, seed):
    """Fits an estimator of aeon's to a fold, on frames of one length."""
    longest = min(LONGEST, max(len(data.x) for data in corpus.sequences))
    X = torch.stack([Resample(longest)(data.clone()).x.T for data in corpus.sequences]).numpy()
    return fit_theirs(make(seed), X, corpus, fold)


def rocket(title, seed):
    """MiniRocket or MultiRocket-Hydra."""
    from aeon.classification import convolution_based

    return getattr(convolution_based, f"{title.replace('-', '')}Classifier")(random_state=seed)


def nearest_neighbour(seed):
    """The nearest neighbour under dynamic time warping, within a tenth of the length."""
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    return KNeighborsTimeSeriesClassifier(n_neighbors=1, distance="dtw", distance_params={"window": 0.1})


def run_functionals(kind, corpus, fold, seed):
    """Fits a linear SVM to ComParE_2016's functionals of whole clips."""
    return fit_theirs(kind(C=0.001, max_iter=10_000), functionals(corpus), corpus, fold)


@functools.cache
def functionals_of(files):
    """ComParE_2016's functionals of files, ``[n, 6373]``."""
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals)
    return np.stack([smile(read_audio(path)[None], SAMPLING_RATE).ravel() for path in tqdm(files, desc="functionals")])


def functionals(corpus):
    """The same of a corpus, scaled by speaker where its frames are."""
    found = functionals_of(corpus.files)
    if not corpus.name.endswith(TRANSDUCTIVE):
        return found
    pairs = zip(found, corpus.sequences, strict=True)
    whole = [Data(x=torch.from_numpy(x[None]), y=one.y, group=one.group) for x, one in pairs]
    return torch.cat([one.x for one in normalize_groups(whole)]).numpy()


def one_against_one(C, max_iter):
    """A linear SVM for each pair of classes."""
    return SVC(kernel="linear", C=C, max_iter=max_iter)


def fit_theirs(classifier, X, corpus, fold):
    """Fits another library's estimator to features scaled by the training sequences."""
    y = np.array([int(data.y) for data in corpus.sequences])
    mean, deviation = over_frames(X[fold.train])
    X = (X - mean) / deviation
    start = time.process_time()
    classifier.fit(X[fold.train], y[fold.train])
    seconds = time.process_time() - start
    correct = classifier.predict(X[fold.test]) == y[fold.test]
    weights = count_weights(classifier) or (classifier.coef_.size if hasattr(classifier, "coef_") else 0)
    return {"correct": correct.tolist(), "loss": None, "seconds": seconds, "fitted": weights, "kB": None}


OURS = ("network and bank", "network", "bank")
FITTED = {}  # network and bank are fitted together, and looked at together and apart
METHODS = {
    **{title: functools.partial(run_ours, title) for title in OURS},
    **{title: functools.partial(run_aeon, functools.partial(rocket, title)) for title in ROCKETS},
    "1-NN DTW": functools.partial(run_aeon, nearest_neighbour),
}
OF_SPEECH = {
    "ComParE functionals, linear SVM, one against the rest": functools.partial(run_functionals, LinearSVC),
    "ComParE functionals, linear SVM, one against one": functools.partial(run_functionals, one_against_one),
}


def few(corpus, labels, draws, folder):
    """Folds that train on so many sequences of each class of the first fold; the draws are kept as files."""
    y, folds = np.array([int(data.y) for data in corpus.sequences]), []
    for draw in range(draws):
        random, fold = np.random.default_rng([labels, draw]), corpus.folds[draw % len(corpus.folds)]
        train = np.array(fold.train)
        of_class = [random.permutation(train[y[train] == one])[:labels] for one in np.unique(y)]
        chosen = sorted(int(index) for index in np.concatenate(of_class))
        path = folder / f"{file_name(corpus.name)}-{labels}-{draw}.json"
        write_results(path, train=chosen, test=[int(index) for index in fold.test])
        folds.append(Fold(f"{labels} labels, draw {draw}", chosen, [], fold.test))
    return corpus._replace(name=f"{corpus.name}, {labels} labels a class", folds=folds)


def row(title, corpus, seeds):
    """One row of the table."""
    run, accuracies, runs = {**METHODS, **OF_SPEECH}[title], [], []
    for seed in tqdm(range(seeds), desc=f"{corpus.name}, {title}"):
        found = [run(corpus, fold, seed) for fold in corpus.folds]
        accuracies.append(float(np.concatenate([one["correct"] for one in found]).mean()))
        runs += found
    losses = None if runs[0]["loss"] is None else float(np.concatenate([one["loss"] for one in runs]).mean())
    return {
        "set": corpus.name,
        "method": title,
        "accuracy": float(np.mean(accuracies)),
        "lowest to highest": f"{min(accuracies):.3f} to {max(accuracies):.3f}" if seeds > 1 else "one seed",
        "log loss": "-" if losses is None else losses,
        "fitted numbers": f"{runs[0]['fitted']:,}" if runs[0]["fitted"] else "-",
        "kB": runs[0]["kB"] or "-",
        "fit, s": f"{np.median([one['seconds'] for one in runs]):.1f}",
    }, runs


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--datasets", nargs="*", default=SETS, metavar="NAME", help="sets of the archive, watch, periodic"
    )
    parser.add_argument("--emodb", metavar="DIR", help="folder of EmoDB, which is added if given")
    parser.add_argument("--layout", default="paper", metavar="NAME", help="of EmoDB's features (default: %(default)s)")
    titles = (*METHODS, *OF_SPEECH)
    parser.add_argument("--rows", nargs="+", default=titles, choices=titles, metavar="TITLE", help="; ".join(titles))
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="fits of ours (default: %(default)s)")
    parser.add_argument("--labels", nargs="*", type=int, default=(), metavar="K", help="labels a class; all without")
    parser.add_argument("--draws", type=int, default=10, metavar="N", help="draws of these labels (default: 10)")
    parser.add_argument("--transductive", action="store_true", help="scale EmoDB's features by speaker")
    parser.add_argument("--root", default="data", metavar="DIR", help="folder of the archive (default: %(default)s)")
    parser.add_argument("--cache", default="data/processed", metavar="DIR", help="folder of features")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder of results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows, out = [], Path(options.out) / study
    for corpus in opened(options):
        titles = [title for title in options.rows if title in METHODS or corpus.files]
        kinds = [few(corpus, labels, options.draws, out / "draws") for labels in options.labels] or [corpus]
        for one, title in itertools.product(kinds, titles):
            found, runs = row(title, one, options.seeds if title in OURS else 1)
            rows.append(found)
            print(found, flush=True)
            write_results(out / file_name(one.name) / f"{file_name(title)}.json", row=found, runs=runs)
    write_results(out / "rows.json", rows=rows, options=vars(options))
    print_table(f"Network and bank, {options.seeds} seeds", rows)
