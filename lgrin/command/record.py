"""What ``lgrin train`` writes into the folder of a run."""

import argparse
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.command.data import data_name
from lgrin.command.split import Split, fold_folder
from lgrin.files import write_atomically
from lgrin.nn import Adjacency, StationaryAdjacency
from lgrin.training import SequenceClassifier, write_results
from lgrin.training.results import Evaluation, groups_of, pool, summarize
from lgrin.visualization import plot_adjacency, plot_change, plot_confusion, plot_heads, plot_kernel, save_figure

UNTESTED: dict[str, Any] = {  # the score of a run that tests nothing
    "accuracy": None,
    "uar": None,
    "confusion": None,
    "n": 0,
    "recall": {},
    "support": {},
    "test_groups": {},
    "intervals": {"accuracy": None, "uar": None},
    "cautions": [],
}


class Trained(NamedTuple):
    """A model that was trained, and what it does on its test sequences.

    Attributes:
        classifier: Network and bank, or the network alone.
        evaluation: What it does; ``None`` where nothing is tested.
        places: Where in each test sequence the salient frame lies, 0 to 1; ``None`` without a maximum readout.
        start: The graph before training, see :func:`shown`.
        num_nodes: Frames of the graph, M; ``None`` where sequences keep their own lengths.
    """

    classifier: SequenceClassifier
    evaluation: Evaluation | None
    places: list[float] | None
    start: Tensor | None
    num_nodes: int | None


def write(
    options: argparse.Namespace,
    out: Path,
    dataset: Any,
    parts: Split,
    model: Trained,
    folds: Sequence[Trained],
    seconds: float,
) -> dict[str, Any]:
    """Writes metrics, predictions and pictures.

    Args:
        options: The options of ``lgrin train``.
        out: The folder of the run.
        dataset: The data set, with ``classes`` and perhaps ``groups`` and ``failures``.
        parts: What was trained on and tested.
        model: The model that the run keeps.
        folds: The models that were tested in its place, as ``parts`` has them.
        seconds: What the run took.

    Returns:
        The metrics.
    """
    network = model.classifier.model
    graph, sequences = shown(network.adjacency), parts.tested
    _write_graphs(out, network.adjacency, model.start, graph)
    tested = [one for one in (folds or [model]) if one.evaluation is not None]
    scores: dict[str, Any] = dict(UNTESTED)
    if tested:
        evaluation = pool([one.evaluation for one in tested if one.evaluation is not None])
        save_figure(plot_confusion(evaluation.confusion, dataset.classes), out / "confusion.png")
        places = None if tested[0].places is None else [one for each in tested for one in each.places or ()]
        _write_predictions(out / "predictions.csv", places, evaluation, sequences, dataset)
        scores = {"accuracy": evaluation.accuracy, "uar": evaluation.uar, "confusion": evaluation.confusion.tolist()}
        scores |= summarize(evaluation, sequences, dataset)
    return write_results(
        out / "metrics.json",
        dataset=data_name(options),
        kind=options.dataset,
        recipe=options.recipe,
        seed=options.seed,
        **scores,
        folds=_describe_folds(parts, folds, dataset),
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        num_nodes=model.num_nodes,
        density=None if graph is None else float((graph > 0).float().mean()),
        seconds=seconds,
        threads=torch.get_num_threads(),
        classes=list(dataset.classes),
        data=_describe(parts, dataset),
    )


def _describe(parts: Split, dataset: Any) -> dict[str, Any]:
    """Describes the data, for the page of the run."""
    train, test = ([int(data.y) for data in part] for part in (parts.model.train, parts.tested))
    whole = [*parts.model.train, *parts.model.test]
    frames = sorted(data.num_nodes for data in whole)
    return {
        "features": whole[0].x.size(-1),
        "frames": {"shortest": frames[0], "median": frames[len(frames) // 2], "longest": frames[-1]},
        "sequences": len(whole),
        "train": [train.count(label) for label in range(len(dataset.classes))],
        "test": [test.count(label) for label in range(len(dataset.classes))],
        "groups": len(getattr(dataset, "groups", ())),
        "left_out": dict(getattr(dataset, "failures", {})),
    }


def _describe_folds(parts: Split, folds: Sequence[Trained], dataset: Any) -> list[dict[str, Any]]:
    """What each fold tested, and its scores."""
    return [
        {
            "folder": fold_folder(number),
            "groups": tested_groups(part.test, dataset),
            "n": len(part.test),
            "accuracy": one.evaluation.accuracy,
            "uar": one.evaluation.uar,
        }
        for number, (part, one) in enumerate(zip(parts.folds, folds, strict=True), 1)
        if one.evaluation is not None
    ]


def tested_groups(sequences: Iterable[Data], dataset: Any) -> list[str]:
    """The names of the groups that sequences are of; empty without groups."""
    return sorted(set(groups_of(list(sequences), getattr(dataset, "groups", ()))))


def shown(adjacency: torch.nn.Module) -> Tensor | None:
    """The matrix of a graph that all sequences share, or one for each head; ``None`` for other graphs.

    Example:
        >>> from lgrin.nn import LearnableAdjacency
        >>> shown(LearnableAdjacency(3)).shape
        torch.Size([3, 3])
    """
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
def salient_places(classifier: SequenceClassifier, test: Sequence[Data]) -> list[float] | None:
    """Where in each sequence the salient frame lies; ``None`` for a network without a maximum readout."""
    if not hasattr(classifier.model, "salient_frames") or len(test) == 0:
        return None
    places = []
    for data in test:
        x = classifier.normalize(data.x.to(classifier.device)).unsqueeze(0)
        mask = data.mask.to(classifier.device).unsqueeze(0) if data.get("mask") is not None else None
        places.append(int(classifier.model.salient_frames(x, mask=mask)) / max(data.num_nodes - 1, 1))
    return places
