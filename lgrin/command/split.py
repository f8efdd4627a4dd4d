"""Which sequences a run trains on, and which it tests."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch_geometric.data import Data

from lgrin.command.parser import did_you_mean
from lgrin.files import write_atomically
from lgrin.text import one_line
from lgrin.training import hold_out, outer_folds
from lgrin.training.results import groups_of

MOST_NAMES = 12  # of groups in an error
EACH = "groups"  # the value of --folds that tests each group once
CHOICE = "split.json"  # the options below, for --resume
OPTIONS = ("test_groups", "folds", "no_test")


class Part(NamedTuple):
    """One training.

    Attributes:
        train: The sequences to train on.
        test: Those to test; none where nothing is tested.
    """

    train: Sequence[Data]
    test: Sequence[Data]


class Split(NamedTuple):
    """What a run trains and tests.

    Attributes:
        folds: Trainings whose tests together are the score of the run; none where the model itself is tested.
        model: The training of the model that the run keeps.
    """

    folds: list[Part]
    model: Part

    @property
    def tested(self) -> list[Data]:
        """The sequences that are tested, fold by fold."""
        return [data for part in (self.folds or [self.model]) for data in part.test]


def split(options: argparse.Namespace, dataset: Any, own: tuple[Sequence[Data], Sequence[Data]] | None = None) -> Split:
    """Splits a data set as the options of ``lgrin train`` say.

    Args:
        options: ``test_groups``, ``folds``, ``no_test`` and ``seed``.
        dataset: The sequences; ``groups`` names their groups.
        own: The split that the makers of the data set have chosen, if they have.

    Returns:
        The split. Without an option it is their own, or holds out a fifth of the groups.

    Raises:
        ValueError: If an option does not fit the data, with what it may be.

    Example:
        >>> from lgrin.datasets import from_arrays
        >>> data = from_arrays([[[1.0]]] * 8, labels=["calm", "glad"] * 4, groups=["anna"] * 4 + ["bert"] * 4)
        >>> options = argparse.Namespace(test_groups=None, folds="groups", no_test=False, seed=0)
        >>> [(len(part.train), len(part.test)) for part in (*split(options, data).folds, split(options, data).model)]
        [(4, 4), (4, 4), (8, 0)]
    """
    if not (options.no_test or options.folds or options.test_groups):
        return Split([], Part(*map(list, own or hold_out(dataset, seed=options.seed))))
    everything = [*own[0], *own[1]] if own else list(dataset)
    groups = list(getattr(dataset, "groups", ()))
    if options.no_test:
        return Split([], Part(everything, []))
    if options.folds:
        return Split(_folds(everything, groups, options.folds, options.seed), Part(everything, []))
    return Split([], _without(everything, groups, options.test_groups))


def _folds(sequences: list[Data], groups: list[str], wanted: int | str, seed: int) -> list[Part]:
    """One training for each group, or for each of so many parts, of whole groups where there are two or more."""
    if wanted == EACH and len(groups) < 2:
        count = "one group" if groups else "no groups"
        raise ValueError(f"--folds is {EACH!r}, but the data have {count}; give the number of folds, such as --folds 5")
    units = f"{len(groups)} groups" if len(groups) > 1 else f"{len(sequences)} sequences"
    most = len(groups) if len(groups) > 1 else len(sequences)
    if wanted != EACH and int(wanted) > most:
        raise ValueError(f"--folds is {wanted}, but there are {units}; it may be 2 to {most}")
    if len(groups) < 2:
        made = outer_folds("recording", sequences, int(wanted), seed)
    elif wanted in (EACH, most):
        made = outer_folds("group", sequences, seed=seed)
    else:
        made = outer_folds("group-kfold", sequences, int(wanted), seed)
    return [Part([sequences[i] for i in one.train], [sequences[i] for i in one.test]) for one in made]


def _without(sequences: list[Data], groups: list[str], wanted: Sequence[str]) -> Part:
    """Holds out the groups that were named."""
    if not groups:
        raise ValueError(
            "--test-groups names groups, but the data have none; a folder for each group lies below that of the class, "
            "such as angry/anna/clip.wav"
        )
    for name in wanted:
        if name not in groups:
            more = f" and {len(groups) - MOST_NAMES} more" if len(groups) > MOST_NAMES else ""
            known = f"{', '.join(map(one_line, groups[:MOST_NAMES]))}{more}"
            raise ValueError(f"--test-groups names {name!r}; the groups are {known}{did_you_mean(name, groups)}")
    names = groups_of(sequences, groups)
    held = [one for one, name in zip(sequences, names, strict=True) if name in wanted]
    train = [one for one, name in zip(sequences, names, strict=True) if name not in wanted]
    if not held:
        raise ValueError(f"--test-groups names {', '.join(wanted)}, of which no sequence is left; name another group")
    if lost := {int(one.y) for one in held} - {int(one.y) for one in train}:
        raise ValueError(
            f"--test-groups leaves no training sequence of class {min(lost)}; name fewer groups"
            if train
            else "--test-groups names every group, which leaves nothing to train on; name fewer"
        )
    return Part(train, held)


def fold_folder(number: int) -> str:
    """The folder of a fold below that of its run.

    Example:
        >>> fold_folder(1)
        'folds/1'
    """
    return f"folds/{number}"


def has_begun(out: Path) -> bool:
    """Whether a folder holds a run, or folds of one.

    Example:
        >>> has_begun(Path("/nowhere"))
        False
    """
    names = ("checkpoints/last.ckpt", "checkpoints/best.ckpt", "folds/*/checkpoints/last.ckpt")
    return any(any(out.glob(name)) for name in names)


def remember(options: argparse.Namespace, out: Path) -> None:
    """Notes which option chose what is tested, for :func:`check_same`.

    Args:
        options: The options of ``lgrin train``.
        out: The folder of the run.
    """
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_chosen(options)) + "\n"
    write_atomically(out / CHOICE, lambda name: Path(name).write_text(text, encoding="utf-8"))


def check_same(options: argparse.Namespace, out: Path) -> None:
    """Raises if a run to resume was started with another option for what is tested.

    Args:
        options: The options of ``lgrin train``.
        out: The folder of the run.

    Raises:
        ValueError: If it was, with the option.
    """
    if not has_begun(out) or not (out / CHOICE).exists():
        return
    before = json.loads((out / CHOICE).read_text(encoding="utf-8"))
    if before != _chosen(options):
        raise ValueError(
            f"{out} was started with {_typed(before)}; resume it with the same, or name another folder by --out DIR"
        )


def _chosen(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in OPTIONS}


def _typed(chosen: dict[str, Any]) -> str:
    """Options as they were typed."""
    for name, value in chosen.items():
        if value:
            words = [] if value is True else value if isinstance(value, list) else [value]
            return " ".join([f"--{name.replace('_', '-')}", *map(str, words)])
    return "a fifth held out, which is the default"
