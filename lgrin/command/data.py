"""From the options of a command to a data set."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lgrin import datasets, features
from lgrin.command.options import CORPORA as CLASSES
from lgrin.command.options import FEATURES, FOLDERS
from lgrin.command.parser import did_you_mean
from lgrin.command.quiet import shows_progress
from lgrin.datasets import UEA, Sequences
from lgrin.extras import optional

CORPORA: dict[str, Callable[..., Any]] = {name: getattr(datasets, kind) for name, kind in CLASSES.items()}


def is_corpus(name: str) -> bool:
    """Whether a name is a corpus of recordings, and not a set of the archive.

    Args:
        name: The name.

    Returns:
        The answer.

    Example:
        >>> is_corpus("emodb"), is_corpus("JapaneseVowels")
        (True, False)
    """
    return name in CORPORA


def check_dataset(options: argparse.Namespace) -> None:
    """Raises unless the name of a data set is known, before anything is read.

    Args:
        options: ``dataset`` and ``root``.

    Raises:
        ValueError: If neither a corpus nor the archive has the name, with names like it.

    Example:
        >>> check_dataset(argparse.Namespace(dataset="JapaneseVowel", root="data"))
        Traceback (most recent call last):
        ...
        ValueError: --dataset is 'JapaneseVowel', which is neither ... did you mean JapaneseVowels?
    """
    name = options.dataset
    if is_corpus(name):
        return
    with optional("train"):
        from aeon.datasets import tsc_datasets
    lists = (value for key, value in vars(tsc_datasets).items() if not key.startswith("_"))
    known = {one for value in lists if isinstance(value, list | set | tuple | dict) for one in value}
    if name in known or (name and (Path(options.root) / name).is_dir()):
        return
    raise ValueError(
        f"--dataset is {name!r}, which is neither a corpus ({', '.join(CORPORA)}) nor a set of the UEA and UCR archives"
        f"{did_you_mean(name, [*CORPORA, *known])}"
    )


def open_corpus(options: argparse.Namespace, progress: bool = True) -> Any:
    """Opens a corpus of recordings, at their own lengths.

    Args:
        options: ``dataset``, ``root``, ``cache``, ``features``, ``time`` and ``skip_broken``.
        progress: Whether to show a progress bar, where the output is a terminal.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: As the data set.
    """
    kind, arguments = FEATURES.get(options.features, (None, ()))
    extractor = None if kind is None else getattr(features, kind)(*arguments)
    if options.dataset == "table":
        extractor = features.Table(time=options.time)
    return CORPORA[options.dataset](
        options.root,
        extractor,
        cache=Path(options.cache) / options.dataset,
        on_error="skip" if options.skip_broken else "raise",
        progress=shows_progress(progress),
    )


def open_archive(options: argparse.Namespace) -> tuple[Sequences, Sequences]:
    """Opens both splits of a set of the archive, at their own lengths.

    Args:
        options: ``dataset`` and ``root``.

    Returns:
        The sequences to train on and those to test on.
    """
    return UEA(options.root, options.dataset, "train"), UEA(options.root, options.dataset, "test")


def most_frames(dataset: object) -> int | None:
    """The number of frames that a corpus has in the paper; ``None`` where its recordings decide.

    Args:
        dataset: The data set.

    Returns:
        The number.
    """
    return getattr(dataset, "default_num_frames", None)


def data_name(options: argparse.Namespace) -> str:
    """Names the data of a run: the data set, or the folder where that is the user's own.

    Args:
        options: ``dataset`` and ``root``.

    Returns:
        The name.

    Example:
        >>> data_name(argparse.Namespace(dataset="audio", root="recordings/birds"))
        'birds'
    """
    own = Path(options.root).resolve().name if options.dataset in FOLDERS else ""
    return own or str(options.dataset)


def run_name(options: argparse.Namespace) -> str:
    """Names the folder of a run after its data.

    Args:
        options: ``dataset``, ``root`` and ``seed``.

    Returns:
        The name of the folder of the run.

    Example:
        >>> run_name(argparse.Namespace(dataset="audio", root="recordings/birds", seed=3))
        'birds-seed3'
    """
    return f"{data_name(options)}-seed{options.seed}"
