"""Compares the default classifier, network and bank, with its parts and with other libraries' methods.

    python -m examples.reproduce bank [--datasets NAME ...] [--emodb DIR] [--root DIR] [--seeds 5] [--rows TITLE ...]
    python -m examples.reproduce bank --datasets ERing RacketSports --labels 2 5 --seeds 1

Sets of the archive have their own split; ``DIR/NAME.npz`` with ``X_train``, ``y_train``, ``X_test`` and ``y_test`` is
read where it is there. Watches, EmoDB and the periodic worlds are split by person. With ``--transductive``, EmoDB is
scaled by speaker: other methods get scaled frames or functionals, and ours are adapted to the test speaker
(``LGrINClassifier.adapt``). Ours get sequences at their own lengths, methods of other libraries, which need one length,
at the longest, 200 frames at most, or 1,500 of one channel; these run ``--their-seeds`` times. Other sets come with
other libraries (``examples/reproduce/shipped.py``, ``examples/reproduce/fields.py``). Seconds are those of one thread
of a processor, without waiting. ``--labels`` trains on so many sequences of each class, drawn ``--draws`` times from
the training split. ``--resume`` reads rows that an earlier run has left in ``--out``; of a row with fewer seeds, it
runs those that are missing.

Every method is compared with the default on the same test sequences, and the network with networks on fixed graphs.
Differences are means over people, over draws, or over sequences, with t intervals and p-values of sign-flip tests, not
corrected for their number; those over sets have t intervals, too. A win (W) or a loss (L) is a difference of more than
a standard error, a tie (T) one of less.
"""

import argparse
import copy
import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.table import markdown, print_table, three_digits
from examples.reproduce.corpora import CHOSEN_ON, speakers
from examples.reproduce.fixed_graphs import empty, fixed, line
from examples.reproduce.paired import Scored, accuracies, by_set, by_unit, outcomes, over_sets, units
from examples.reproduce.rivals import OF_SPEECH, THEIRS, is_transductive
from examples.reproduce.sets import OTHERS, SETS, as_channels, opened
from lgrin import LGrIN
from lgrin.checksum import read_kept
from lgrin.files import write_atomically
from lgrin.models import Blend, FilterBank
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.text import file_name
from lgrin.training import Fold, Recipe, experiment, write_results
from lgrin.training.blend import without_bank
from lgrin.training.recipes import RECIPES
from lgrin.training.results import read_checked_results, write_checked_results


@dataclass(frozen=True)
class OnGraph(Recipe):
    """A recipe whose networks have a graph that is not trained.

    Attributes:
        make: From a plan, P and C to the adjacency module.
    """

    make: Callable | None = None

    def plan(self, train, num_classes, **given):
        """What the recipe decides, on this graph."""
        plan = super().plan(train, num_classes, **given)
        graph = self.make(plan, train[0].num_features, num_classes)
        return plan._replace(network={**plan.network, "adjacency": graph})


def start(plan, in_channels, num_classes):
    """The graph that training starts from."""
    model = experiment.draw(LGrIN, in_channels, plan.num_nodes, num_classes, seed=0, **plan.network)
    return model.adjacency.requires_grad_(False)


def on_graph(make):
    """The default's recipe on a graph that is not trained."""
    return OnGraph(**vars(RECIPES["recommended"]), make=make)


def given(matrix):
    """The same on a matrix by the number of frames."""
    return on_graph(lambda plan, *_: fixed(matrix(plan.num_nodes)))


def default(seed):
    """Network and bank."""
    return LGrINClassifier(random_state=seed)


def bank(seed):
    """The bank alone."""
    return FilterBankClassifier(random_state=seed)


def fixed_by(recipe, seed):
    """Network and bank, the network on a graph that is not trained."""
    return LGrINClassifier(random_state=seed, recipe=recipe)


def whole(classifier):
    """A classifier as it is."""
    return classifier


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
    return sum(one.numel() for one in model.parameters() if one.requires_grad)


def run_ours(make, look, corpus, fold, seed):
    """Fits a classifier of ours to a fold, and looks at it or a part of it."""
    X = [as_channels(data) for data in corpus.sequences]
    y = np.array([int(data.y) for data in corpus.sequences])
    groups = np.array([int(data.group) for data in corpus.sequences])[fold.train] if corpus.grouped else None
    key, by_group, tests = (corpus.name, fold.name, seed, make), is_transductive(corpus), [X[i] for i in fold.test]
    if key not in FITTED:
        began = time.process_time()
        classifier = make(seed).set_params(normalize="group" if by_group else "train")
        classifier.fit([X[index] for index in fold.train], y[fold.train], groups=groups)
        FITTED[key] = classifier, time.process_time() - began
    classifier, seconds = FITTED[key]
    classifier = look(classifier.adapt(tests) if by_group else classifier)
    correct, losses = score(classifier, tests, y[fold.test])
    model = classifier.classifier_.model if hasattr(classifier, "classifier_") else classifier.model_
    return {
        "correct": correct.tolist(),
        "loss": losses.tolist(),
        "seconds": seconds,
        "fitted": fitted_numbers(model),
        "kB": round(sum(one.numel() * one.element_size() for one in model.state_dict().values()) / 1000),
    }


def score(classifier, X, y):
    """Which sequences a classifier gets right, and their cross-entropies."""
    probabilities, places = classifier.predict_proba(X), np.searchsorted(classifier.classes_, y)
    return probabilities.argmax(1) == places, -np.log(probabilities[np.arange(len(y)), places].clip(1e-9))


FITTED = {}  # network and bank are fitted together, and looked at together and apart
ON_START = functools.partial(fixed_by, on_graph(start))
PARTS = ("network and bank", "network", "bank")
OURS = {
    "network and bank": functools.partial(run_ours, default, whole),
    "network": functools.partial(run_ours, default, network_alone),
    "bank": functools.partial(run_ours, bank, whole),
    "both with frozen graphs": functools.partial(run_ours, ON_START, whole),
}
ON_GRAPHS = {
    f"network {name}": functools.partial(run_ours, make, network_alone)  # trained as long as the default's
    for name, make in {
        "on its start": ON_START,
        "on the line": functools.partial(fixed_by, given(line)),
        "on the identity": functools.partial(fixed_by, given(torch.eye)),
        "without edges": functools.partial(fixed_by, given(empty)),
    }.items()
}
METHODS = {**OURS, **ON_GRAPHS, **THEIRS, **OF_SPEECH}


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


def run_all(title, corpus, seeds, done=()):
    """Runs a method on all folds; its row of the table, the accuracy of each unit and seed, and what each run gave.

    ``done`` holds what runs with the first seeds gave.
    """
    runs = [*done[:seeds]]
    for seed in tqdm(range(len(runs), seeds), desc=f"{corpus.name}, {title}"):
        runs.append([METHODS[title](corpus, fold, seed) for fold in corpus.folds])
    correct = np.stack([np.concatenate([one["correct"] for one in found]) for found in runs])
    untouched = np.concatenate([not_chosen_on(corpus)[fold.test] for fold in corpus.folds])
    accuracies, first = correct.mean(1), runs[0][0]
    known = first["loss"] is not None
    row = {
        "set": corpus.name,
        "method": title,
        "accuracy": float(accuracies.mean()),
        "lowest to highest": f"{accuracies.min():.3f} to {accuracies.max():.3f}" if seeds > 1 else "one seed",
        "people not chosen on": float(correct[:, untouched].mean()) if corpus.files else "-",
        "log loss": float(np.mean([np.concatenate([one["loss"] for one in found]) for found in runs]))
        if known
        else "-",
        "fitted numbers": f"{first['fitted']:,}" if first["fitted"] else "-",
        "kB": first["kB"],
        "fit, s": f"{np.median([one['seconds'] for found in runs for one in found]):.1f}",
    }
    return {"row": row, "accuracy": by_unit(correct, units(corpus)).tolist(), "runs": runs}


def not_chosen_on(corpus):
    """Which recordings are of speakers that no choice was made on."""
    return ~np.isin(speakers(corpus), CHOSEN_ON) if corpus.files else np.ones(len(corpus.sequences), bool)


def kept_or_run(title, corpus, seeds, path, resume):
    """The same from a file, where an earlier run has left it and it is to be gone on with."""
    kept = read_kept([path], read_checked_results, "results of a method").get(path) if resume else None
    if kept is None or kept["seeds"] != seeds:
        done = [] if kept is None else kept["runs"]
        kept = write_checked_results(path, seeds=seeds, **run_all(title, corpus, seeds, done))
    print(kept["row"], flush=True)
    return kept


def write_tables(path, scored):
    """Writes and prints the paired comparisons: the default with all, and the network with fixed graphs."""
    present = [one for one in METHODS if any(one == other.method for other in scored)]
    text = []
    for title, reference, methods in (
        ("The default and other methods", "network and bank", [one for one in present if one not in ON_GRAPHS]),
        ("The learned graph and fixed ones", "network", ["network", *(one for one in present if one in ON_GRAPHS)]),
    ):
        others = [one for one in methods if one != reference]
        if reference not in present or not others:
            continue
        kinds = outcomes, over_sets, by_set
        tables = accuracies(scored, methods), *(kind(scored, reference, others) for kind in kinds)
        text += [f"## {title}\n", *(markdown(rows, three_digits) for rows in tables)]
    if text:
        write_atomically(path, lambda name: Path(name).write_text("\n".join(text), encoding="utf-8"))
        print("\n" + "\n".join(text), end="")


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--datasets",
        nargs="*",
        default=SETS,
        metavar="NAME",
        help=f"sets of the archive, watch, periodic, periodic-300, {', '.join(OTHERS)}",
    )
    parser.add_argument("--emodb", metavar="DIR", help="folder of EmoDB, which is added if given")
    parser.add_argument("--layout", default="paper", metavar="NAME", help="of EmoDB's features (default: %(default)s)")
    parser.add_argument(
        "--rows", nargs="+", default=tuple(METHODS), choices=METHODS, metavar="TITLE", help="; ".join(METHODS)
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="fits of ours (default: %(default)s)")
    parser.add_argument("--their-seeds", type=int, default=1, metavar="N", help="fits of other methods (default: 1)")
    parser.add_argument("--labels", nargs="*", type=int, default=(), metavar="K", help="labels a class; all without")
    parser.add_argument("--draws", type=int, default=10, metavar="N", help="draws of these labels (default: 10)")
    parser.add_argument(
        "--transductive", action="store_true", help="scale EmoDB's features by speaker, test speakers too"
    )
    parser.add_argument("--resume", action="store_true", help="go on: read rows in --out, and run missing seeds")
    parser.add_argument("--root", default="data", metavar="DIR", help="folder of the archive (default: %(default)s)")
    parser.add_argument("--cache", default="data/processed", metavar="DIR", help="folder of features")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder of results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found, out = [], Path(options.out) / study
    for corpus in opened(options):
        titles = [title for title in options.rows if title not in OF_SPEECH or corpus.files]
        kinds = [few(corpus, labels, options.draws, out / "draws") for labels in options.labels] or [corpus]
        for one, title in itertools.product(kinds, titles):
            path = out / file_name(one.name) / f"{file_name(title)}.json"
            seeds = options.their_seeds if title in {**THEIRS, **OF_SPEECH} else options.seeds
            found.append(kept_or_run(title, one, seeds, path, options.resume))
    rows = [one["row"] for one in found]
    write_results(out / "rows.json", rows=rows, options=vars(options))
    print_table(f"Network and bank, {options.seeds} seeds", rows)
    scored = [Scored(one["row"]["set"], one["row"]["method"], np.array(one["accuracy"])) for one in found]
    write_tables(out / "compared.md", scored)
