"""Table VIII: transfer to another corpus, for which only a new fully-connected layer is trained.

A, p, every other layer, the statistics of the batch norms and the normalisation of the features remain those of the
source. Recordings of the target are resampled to the source's number of frames. A second column tests the source's
network without any training, on the classes that both corpora have.
"""

import copy
from argparse import Namespace

import torch
from torch.nn import Dropout, Linear, Sequential
from torch.nn.functional import cross_entropy
from torch_geometric.loader import DataLoader

from examples.reproduce.compare import show, summarize
from examples.reproduce.plan import Plan
from examples.reproduce.recipe import RECIPE, network
from examples.reproduce.single import train
from examples.sources import open_dataset
from lgrin.baselines import PAPER
from lgrin.training import SequenceClassifier, evaluate, hold_out

NAMES = {"ravdess": "RAVDESS", "rml": "RML", "enterface05": "eNTERFACE"}
PAPER_RECALL = {("RML", "RAVDESS"): {"neutral": 67.2, "calm": 73.4}}  # Sec. IV-D, for classes that RML lacks
SYNONYMS = {
    "angry": "anger",
    "calmness": "calm",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
}


def table8(plan):
    """One row for each class of the target, then two for all classes."""
    source, target = plan.setting(), open_target(plan)
    setting = target.setting(target.sequences(num_nodes=plan.dataset.num_frames))
    shared = shared_classes(plan.dataset.classes, target.dataset.classes)
    tuned, unchanged = [], []
    for seed in source.seeds:
        classifier, _ = train(network, source.training, *hold_out(source.data(), seed=seed), seed=seed)
        tuned += new_heads(classifier, setting, seed)
        unchanged += zero_shots(classifier, setting, shared, seed)
    pair = tuple(NAMES.get(name, name) for name in (plan.options.dataset, plan.options.target))
    return rows_of(pair, setting, shared, tuned, unchanged)


def open_target(plan):
    """Opens the target corpus."""
    options = plan.options
    if options.target is None:
        raise ValueError("table8 goes from --dataset to another corpus; name it: --target NAME --target-root DIR")
    chosen = Namespace(**{**vars(options), "dataset": options.target, "root": options.target_root or options.root})
    dataset = open_dataset(chosen, plan.progress)
    if dataset.num_features != plan.dataset.num_features:
        raise ValueError(
            f"--target {options.target} has {dataset.num_features} features a frame, but a network that is trained on "
            f"{options.dataset} takes {plan.dataset.num_features}; choose a corpus with the same features"
        )
    return Plan(chosen, plan.out, dataset)


def shared_classes(source, target):
    """The label in the source of each class of the target that the source has, by its name or a synonym."""
    labels = {common_name(name): label for label, name in enumerate(source)}
    return {label: labels[common_name(name)] for label, name in enumerate(target) if common_name(name) in labels}


def common_name(name):
    """One name for all synonyms of an emotion."""
    return SYNONYMS.get(name.lower(), name.lower())


def new_heads(classifier, setting, seed):
    """Predictions for the test sequences of every fold, each by a head that was trained on that fold."""
    data, runs = setting.data(), []
    for fold in setting.folds():
        learn, stop_by, test = ([data[index] for index in part] for part in fold[1:])
        tuned = fine_tune(classifier, learn, stop_by, setting.training, seed)
        runs.append(run_of(test, evaluate(tuned, test).probabilities.argmax(1), seed))
    return runs


def zero_shots(classifier, setting, shared, seed):
    """Predictions for the sequences of shared classes, without training on the target."""
    sequences = [data for data in setting.data() if int(data.y) in shared]
    if not sequences:
        return []
    logits = over_batches(classifier, sequences)[:, list(shared.values())]
    return [run_of(sequences, torch.tensor(list(shared))[logits.argmax(1)], seed)]


def run_of(sequences, predicted, seed):
    """Predictions as :func:`examples.reproduce.compare.summarize` takes them."""
    return {
        "seed": seed,
        "target": [int(data.y) for data in sequences],
        "predicted": predicted.tolist(),
        "group": [None if data.get("group") is None else int(data.group) for data in sequences],
    }


def fine_tune(classifier, learn, stop_by, training, seed=0):
    """Copies a classifier, replaces its last fully-connected layer and trains that layer alone.

    The input of the layer is computed once, in evaluation mode. The layer is trained as the other experiments are, with
    dropout before it, and restored at the epoch of the lowest validation loss.

    Args:
        classifier: The classifier; not changed.
        learn: Sequences to train on.
        stop_by: Validation sequences.
        training: The classes, and the length of training.
        seed: Draws weights, batches and dropout.

    Returns:
        The copy, in evaluation mode.
    """
    torch.manual_seed(seed)
    model, classes = copy.deepcopy(classifier.model).requires_grad_(False), training.classes
    model.head, model.num_classes = Sequential(Dropout(), Linear(model.embed_channels, len(classes))), len(classes)
    moved = SequenceClassifier(model, len(learn), classes=classes).eval()
    moved.normalize.load_state_dict(classifier.normalize.state_dict())
    embedded = [over_batches(lambda batch: embed(moved, batch), part) for part in (learn, stop_by)]
    labels = [torch.cat([data.y for data in part]) for part in (learn, stop_by)]
    train_head(model.head, *zip(embedded, labels, strict=True), training)
    return moved.eval()


def train_head(head, learn, stop_by, training):
    """Trains a head on pairs of embeddings and labels and restores its best epoch."""
    optimizer = torch.optim.AdamW(head.parameters(), **RECIPE)
    best, best_epoch, kept = torch.inf, 0, head.state_dict()
    for epoch in range(training.epochs):
        head.train()
        for part in torch.randperm(len(learn[1])).split(training.batch_size):
            optimizer.zero_grad()
            cross_entropy(head(learn[0][part]), learn[1][part]).backward()
            optimizer.step()
        with torch.no_grad():
            loss = float(cross_entropy(head.eval()(stop_by[0]), stop_by[1]))
        if loss < best:
            best, best_epoch, kept = loss, epoch, copy.deepcopy(head.state_dict())
        elif epoch - best_epoch >= training.patience:
            break
    head.load_state_dict(kept)


def embed(classifier, batch):
    """The input of the head for a batch."""
    place = {"frame": batch.get("frame"), "batch": batch.batch, "mask": batch.get("mask")}
    return classifier.model.embed(classifier.normalize(batch.x), batch_size=batch.num_graphs, **place)


@torch.no_grad()
def over_batches(function, sequences):
    """Applies a function to batches of sequences and concatenates its results."""
    return torch.cat([function(batch) for batch in DataLoader(sequences, 128)])


def rows_of(pair, setting, shared, tuned, unchanged):
    """Recall of every class, then accuracy and unweighted average recall with their intervals."""
    classes, rows = setting.training.classes, []
    column = "class of {1}, * not in {0}".format(*pair)
    paper, whole = PAPER_RECALL.get(pair, {}), PAPER["table8"]["rows"].get(pair, ("-",))
    for label, name in enumerate(classes):
        found = [recall(runs, label) for runs in (tuned, unchanged)]
        title = name if label in shared else f"{name}*"
        rows.append([title, *found, paper.get(name, "-")])
    for key, title in (("accuracy", "accuracy"), ("uar", "UAR")):
        found = [show(summarize(runs, setting)[key]) if runs else "-" for runs in (tuned, unchanged)]
        rows.append([f"all: {title}", *found, whole[0] if key == "accuracy" else "-"])
    columns = (column, "new head", "no training, shared classes", "paper, new head (%)")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def recall(runs, label):
    """The recall of a class over all runs."""
    hits = [
        predicted == label
        for run in runs
        for target, predicted in zip(run["target"], run["predicted"], strict=True)
        if target == label
    ]
    return f"{sum(hits) / len(hits):.3f}" if hits else "-"
