"""``lgrin train``: from a data set to a trained model, its score and pictures."""

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.command.data import check_dataset, is_corpus, most_frames, open_archive, open_corpus, run_name
from lgrin.command.parser import did_you_mean
from lgrin.command.quiet import shows_progress
from lgrin.extras import optional
from lgrin.files import write_atomically
from lgrin.nn import Adjacency, StationaryAdjacency
from lgrin.training import SequenceClassifier, hold_out, write_results
from lgrin.training.bank import left_out_together
from lgrin.training.blend import add_bank
from lgrin.training.checkpoints import write_classifier
from lgrin.training.experiment import train_network
from lgrin.training.hardware import check_device
from lgrin.training.recipe import Plan
from lgrin.training.recipes import RECIPES
from lgrin.training.results import Evaluation, evaluate, groups_of, summarize
from lgrin.visualization import plot_adjacency, plot_change, plot_confusion, plot_heads, plot_kernel, save_figure

with optional("train"):
    from lightning import LightningModule, Trainer, seed_everything
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.utilities import rank_zero_only

MODEL = "model.ckpt"  # network and bank
LINES = 10  # of a run whose output is no terminal


def run(options: argparse.Namespace) -> dict[str, Any] | None:
    """Trains and tests a model, and writes what it found.

    Args:
        options: The options of ``lgrin train``.

    Returns:
        The metrics; ``None`` in processes that only help.

    Raises:
        FileExistsError: If the folder holds a run already and is not to be resumed.
        ValueError: If an option is unknown, or the data cannot be trained on.
    """
    out = Path(options.out or f"runs/{run_name(options)}")
    _check(options, out)
    start = time.perf_counter()
    seed_everything(options.seed, verbose=False)
    train, test, dataset, features = _load(options)
    recipe, longest = RECIPES[options.recipe], most_frames(dataset)
    plan = recipe.plan(train, dataset.num_classes, longest=longest, bank=not options.no_bank, epochs=options.epochs)
    whole, (train, test) = _prepare(plan, train, test)
    frames = [data.num_nodes for part in whole for data in part]
    signal = {} if features is None else {"features": features}
    if signal and plan.transform is not None:
        signal["transform"] = plan.transform.settings
    model = LGrIN(dataset.num_features, plan.num_nodes, dataset.num_classes, **plan.network)
    before = _shown(model.adjacency)
    bar = shows_progress(not options.no_progress)
    classifier, _ = train_network(
        model,
        train,
        [],
        out,
        options={**plan.options, **signal, "classes": dataset.classes},
        seed=options.seed,
        **plan.lengths,
        device=options.device,
        devices=options.devices,
        hosts=options.hosts,
        precision=options.precision,
        compile=options.compile,
        resume=options.resume,
        progress=bar,
        callbacks=[] if bar or options.no_progress else [FewLines()],
    )
    if rank_zero_only.rank:  # type: ignore[attr-defined]
        return None  # one process writes for all
    places, tested = _salient_places(classifier, test), test
    if plan.network_weight is None:
        (out / "checkpoints" / MODEL).unlink(missing_ok=True)
    else:
        classifier = add_bank(classifier, whole[0], plan.network_weight, groups=_groups(train), seed=options.seed)
        write_classifier(classifier, out / "checkpoints" / MODEL)
        tested = whole[1]
    evaluation = evaluate(classifier, tested)
    graph = _shown(classifier.model.adjacency)
    save_figure(plot_confusion(evaluation.confusion, dataset.classes), out / "confusion.png")
    _write_graphs(out, classifier.model.adjacency, before, graph)
    _write_predictions(out / "predictions.csv", places, evaluation, test, dataset)
    metrics = write_results(
        out / "metrics.json",
        dataset=options.dataset,
        recipe=options.recipe,
        seed=options.seed,
        accuracy=evaluation.accuracy,
        uar=evaluation.uar,
        parameters=sum(p.numel() for p in classifier.model.parameters() if p.requires_grad),
        density=None if graph is None else float((graph > 0).float().mean()),
        seconds=time.perf_counter() - start,
        threads=torch.get_num_threads(),
        classes=list(dataset.classes),
        confusion=evaluation.confusion.tolist(),
        data=_describe(dataset, frames, train, test),
        **summarize(evaluation, test, dataset),
    )
    print(
        f"{options.dataset}: accuracy {metrics['accuracy']:.3f}{_said(metrics['intervals'])}, "
        f"UAR {metrics['uar']:.3f}, {metrics['parameters']:,} parameters, {metrics['seconds']:.0f} s; see {out}"
    )
    return metrics


def _check(options: argparse.Namespace, out: Path) -> None:
    """Finds mistakes in the options before anything is read."""
    check_dataset(options)
    if options.recipe not in RECIPES:
        known = f"it may be {', '.join(RECIPES)}{did_you_mean(options.recipe, RECIPES)}"
        raise ValueError(f"--recipe is {options.recipe!r}, which is not known; {known}")
    try:
        check_device(options.device)
    except ValueError as error:
        raise ValueError(f"--{error}") from error
    held = any((out / "checkpoints" / name).exists() for name in ("last.ckpt", "best.ckpt"))
    if held and not options.resume and not rank_zero_only.rank:  # type: ignore[attr-defined]
        raise FileExistsError(
            f"{out} holds a run already; go on with it by --resume, or name another folder by --out DIR"
        )


def _load(options: argparse.Namespace) -> tuple[Sequence[Data], Sequence[Data], Any, dict[str, Any] | None]:
    """Gives training and test sequences at their own lengths, what they are, and how their features were made."""
    if not is_corpus(options.dataset):
        train, test = open_archive(options)
        return train, test, train, None
    dataset = open_corpus(options, progress=not options.no_progress)
    print(dataset)
    if len(dataset.classes) < 2:
        raise ValueError(
            f"{options.root} has one class, {dataset.classes[0]!r}, and a classifier tells two or more apart; give "
            f"each class a folder of its own"
        )
    return *hold_out(dataset, seed=options.seed), dataset, dataset.features.settings


def _prepare(plan: Plan, *parts: Sequence[Data]) -> tuple[list[list[Data]], list[list[Data]]]:
    """Reads sequences once, and gives them at their own lengths and at the frames of the graph."""
    whole = [list(part) for part in parts]
    if plan.transform is None:
        return whole, whole
    return whole, [[plan.transform(data) for data in part] for part in whole]


def _describe(dataset: Any, frames: list[int], train: list[Data], test: list[Data]) -> dict[str, Any]:
    """Describes the data, for the page of the run."""
    train_labels, test_labels = ([int(data.y) for data in part] for part in (train, test))
    return {
        "features": train[0].x.size(-1),
        "frames": {"shortest": min(frames), "median": sorted(frames)[len(frames) // 2], "longest": max(frames)},
        "train": [train_labels.count(label) for label in range(len(dataset.classes))],
        "test": [test_labels.count(label) for label in range(len(dataset.classes))],
        "groups": len(getattr(dataset, "groups", ())),
        "left_out": dict(getattr(dataset, "failures", {})),
    }


def _groups(sequences: Sequence[Data]) -> Tensor | None:
    """The groups of sequences, whole ones of which the bank leaves out in turn; ``None`` where there are none."""
    if len(sequences) == 0 or sequences[0].get("group") is None:
        return None
    return left_out_together(*(np.array([int(one[name]) for one in sequences]) for name in ("group", "y")))


def _said(intervals: dict[str, Any]) -> str:
    """The interval of the accuracy, for the last line of a run."""
    found = intervals["accuracy"]
    return "" if found is None else f" ({found['low']:.3f} to {found['high']:.3f}, {found['method']})"


def _shown(adjacency: torch.nn.Module) -> Tensor | None:
    """The matrix of a graph that all sequences share, or one for each head; ``None`` for other graphs."""
    if not isinstance(adjacency, Adjacency) or adjacency.reads_features:
        return None
    return adjacency.shown().detach().cpu().clone()


def _write_graphs(out: Path, adjacency: torch.nn.Module, before: Tensor | None, after: Tensor | None) -> None:
    """Draws the graph and its change, and keeps the matrices before and after training as ``start``, ``learned``."""
    if before is None or after is None:
        return
    if isinstance(adjacency, StationaryAdjacency):
        save_figure(plot_kernel(adjacency), out / "adjacency.png")
    elif after.dim() == 3:
        save_figure(plot_heads(after)[0], out / "adjacency.png")
    else:
        save_figure(plot_adjacency(after), out / "adjacency.png")
        save_figure(plot_change(before, after), out / "change.png")

    def write(name: str) -> None:
        with Path(name).open("wb") as file:
            np.savez_compressed(file, start=before.numpy(), learned=after.numpy())

    write_atomically(out / "graphs.npz", write)


def _write_predictions(
    path: Path, places: list[float] | None, evaluation: Evaluation, test: Sequence[Data], dataset: Any
) -> None:
    """Writes one row for each test sequence.

    Its name, its class and the one that was predicted with its probability, the place of the salient frame from 0 to
    1, its group, and the probability of each class.
    """
    classes, groups = dataset.classes, groups_of(test, getattr(dataset, "groups", ()))
    rows = []
    for index, (data, probabilities) in enumerate(zip(test, evaluation.probabilities, strict=True)):
        chosen = int(probabilities.argmax())
        place = "" if places is None else f"{places[index]:.3f}"
        name = data.get("name") or str(index)
        rows.append([name, classes[int(data.y)], classes[chosen], f"{float(probabilities[chosen]):.4f}", place])
        rows[-1] += [groups[index] if groups else "", *(f"{float(one):.6g}" for one in probabilities)]

    def write(name: str) -> None:
        with Path(name).open("w", newline="", encoding="utf-8") as file:
            head = ["name", "true", "predicted", "probability", "salient", "group", *(f"p_{name}" for name in classes)]
            csv.writer(file).writerows([head, *rows])

    write_atomically(path, write)


@torch.no_grad()
def _salient_places(classifier: SequenceClassifier, test: Sequence[Data]) -> list[float] | None:
    """Where in each sequence the salient frame lies; ``None`` for a network without a maximum readout."""
    if not hasattr(classifier.model, "salient_frames") or len(test) == 0:
        return None
    places = []
    for data in test:
        x = classifier.normalize(data.x.to(classifier.device)).unsqueeze(0)
        mask = data.mask.to(classifier.device).unsqueeze(0) if data.get("mask") is not None else None
        places.append(int(classifier.model.salient_frames(x, mask=mask)) / max(data.num_nodes - 1, 1))
    return places


class FewLines(Callback):
    """Prints the loss of about ten epochs of a run, where the output is a file or a pipe.

    Example:
        >>> FewLines().state_dict()
        {}
    """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the loss of the first epoch, the last, and some between."""
        epoch, last = trainer.current_epoch + 1, trainer.max_epochs or 1
        if trainer.is_global_zero and (epoch in (1, last) or epoch % -(-last // LINES) == 0):
            loss = trainer.callback_metrics.get("train_loss")
            print(f"Epoch {epoch} of {last}" + ("" if loss is None else f": loss {float(loss):.3f}"), flush=True)
