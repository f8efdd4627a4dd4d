"""``lgrin train``: from a data set to a trained model, its score and pictures."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.command import score
from lgrin.command.data import check_dataset, is_corpus, most_frames, open_archive, open_corpus, run_name
from lgrin.command.parser import did_you_mean
from lgrin.command.quiet import shows_progress
from lgrin.command.record import Trained, salient_places, shown, tested_groups, write
from lgrin.command.split import Part, Split, check_same, fold_folder, has_begun, remember, split
from lgrin.extras import optional
from lgrin.training.bank import left_out_together
from lgrin.training.blend import add_bank
from lgrin.training.checkpoints import write_classifier
from lgrin.training.experiment import train_network
from lgrin.training.hardware import check_device
from lgrin.training.recipe import Plan
from lgrin.training.recipes import RECIPES
from lgrin.training.results import evaluate

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
    dataset, own = _load(options)
    parts = split(options, dataset, own)
    if not _only_helps():
        remember(options, out)
    folds = [
        _fold(options, out / fold_folder(number), dataset, part, f"Fold {number} of {len(parts.folds)}")
        for number, part in enumerate(parts.folds, 1)
    ]
    if folds:
        _say(f"The model is trained on all {len(parts.model.train)} sequences")
    model = _train(options, out, dataset, parts.model)
    if model is None:
        return None  # one process writes for all
    tested = [fold for fold in folds if fold is not None]
    metrics = write(options, out, dataset, parts, model, tested, time.perf_counter() - start)
    print("\n".join(score.lines(metrics, out)))
    return metrics


def _fold(options: argparse.Namespace, out: Path, dataset: Any, part: Part, title: str) -> Trained | None:
    """Trains and tests a fold, as a run in a folder of its own."""
    start = time.perf_counter()
    print(
        f"{title} tests {score.names(tested_groups(part.test, dataset)) or f'{len(part.test)} sequences'}", flush=True
    )
    found = _train(options, out, dataset, part)
    if found is not None:
        metrics = write(options, out, dataset, Split([], part), found, [], time.perf_counter() - start)
        _say(f"{title}: accuracy {metrics['accuracy']:.3f}, UAR {metrics['uar']:.3f}")
    return found


def _train(options: argparse.Namespace, out: Path, dataset: Any, part: Part) -> Trained | None:
    """Trains a model and tests it; ``None`` in processes that only help."""
    recipe, longest = RECIPES[options.recipe], most_frames(dataset)
    plan = recipe.plan(
        part.train, dataset.num_classes, longest=longest, bank=not options.no_bank, epochs=options.epochs
    )
    whole, (train, test) = _prepare(plan, part.train, part.test)
    torch.manual_seed(options.seed)
    network = LGrIN(dataset.num_features, plan.num_nodes, dataset.num_classes, **plan.network)
    before = shown(network.adjacency)
    bar = shows_progress(not options.no_progress)
    classifier, _ = train_network(
        network,
        train,
        [],
        out,
        options={**plan.options, **_signal(plan, dataset), "classes": dataset.classes},
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
    if _only_helps():
        return None
    places, tested = salient_places(classifier, test), test
    if plan.network_weight is None:
        (out / "checkpoints" / MODEL).unlink(missing_ok=True)
    else:
        classifier = add_bank(classifier, whole[0], plan.network_weight, groups=_groups(train), seed=options.seed)
        write_classifier(classifier, out / "checkpoints" / MODEL)
        tested = whole[1]
    return Trained(classifier, evaluate(classifier, tested) if tested else None, places, before, plan.num_nodes)


def _say(text: str) -> None:
    """Prints at once, and once where there are several processes."""
    if not _only_helps():
        print(text, flush=True)


def _only_helps() -> bool:
    """Whether this is a process of several that is not the first."""
    return bool(rank_zero_only.rank)  # type: ignore[attr-defined]


def _signal(plan: Plan, dataset: Any) -> dict[str, Any]:
    """How the features of recordings were made, for a checkpoint that takes files; empty for sets of the archive."""
    if not hasattr(dataset, "features"):
        return {}
    transform = {} if plan.transform is None else {"transform": plan.transform.settings}
    return {"features": dataset.features.settings, **transform}


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
    if _only_helps():
        return
    if has_begun(out) and not options.resume:
        raise FileExistsError(
            f"{out} holds a run already; go on with it by --resume, or name another folder by --out DIR"
        )
    check_same(options, out)


def _load(options: argparse.Namespace) -> tuple[Any, tuple[Sequence[Data], Sequence[Data]] | None]:
    """Gives sequences at their own lengths, and the training and test sets of their makers if there are such."""
    if not is_corpus(options.dataset):
        own = open_archive(options)
        return own[0], own
    dataset = open_corpus(options, progress=not options.no_progress)
    print(f"{dataset}\n  num_frames is the length of the longest; the network sees those beyond its graph thinned")
    if len(dataset.classes) < 2:
        raise ValueError(
            f"{options.root} has one class, {dataset.classes[0]!r}, and a classifier tells two or more apart; give "
            f"each class a folder of its own"
        )
    return dataset, None


def _prepare(plan: Plan, *parts: Sequence[Data]) -> tuple[list[list[Data]], list[list[Data]]]:
    """Reads sequences once, and gives them at their own lengths and at the frames of the graph."""
    whole = [list(part) for part in parts]
    if plan.transform is None:
        return whole, whole
    return whole, [[plan.transform(data) for data in part] for part in whole]


def _groups(sequences: Sequence[Data]) -> Tensor | None:
    """The groups of sequences, whole ones of which the bank leaves out in turn; ``None`` where there are none."""
    if len(sequences) == 0 or sequences[0].get("group") is None:
        return None
    return left_out_together(*(np.array([int(one[name]) for one in sequences]) for name in ("group", "y")))


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
