"""The data that accuracy is measured on: EmoDB, sets of the UEA archive, and recordings of a watch."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data

from examples.reproduce.npy import read_object
from lgrin.datasets import UEA, EmoDB
from lgrin.features import Speech
from lgrin.training import Candidate, Fold, Training, cross_validate, folds
from lgrin.transforms import MaskTail, Resample

ARCHIVE = ("JapaneseVowels", "BasicMotions")
CHOSEN_ON = ("03", "08", "09", "10", "11")  # speakers of EmoDB that settings were chosen on; the others are for tests


class Corpus(NamedTuple):
    """Sequences and how they are split.

    Attributes:
        name: Its name.
        classes: Names of the classes.
        sequences: The sequences.
        folds: What is trained on and what is tested; nothing is held out to stop by.
        files: Of recordings, the path of each.
        num_nodes: Frames of every sequence; ``None`` leaves the sequences at their own lengths, and the recipe decides
            inside each training fold.
    """

    name: str
    classes: tuple[str, ...]
    sequences: list[Data]
    folds: list[Fold]
    files: tuple[Path, ...] = ()
    num_nodes: int | None = None

    @property
    def training(self) -> Training:
        """How networks are trained: by the recommended recipe, to the last epoch."""
        return Training(self.num_nodes, self.classes, epochs=None, batch_size=None, refit=True, recipe="recommended")

    @property
    def grouped(self) -> bool:
        """Whether sequences belong to speakers or subjects."""
        return self.sequences[0].get("group") is not None

    def cross_validate(
        self, candidate: Candidate, study: str, options: Namespace, variants: Mapping[str, Callable] | None = None
    ) -> list[dict[str, Any]]:
        """Trains and tests a candidate on every fold with every seed; results land in ``<out>/<study>/<name>``."""
        return cross_validate(
            candidate,
            self.sequences,
            self.folds,
            self.training,
            Path(options.out) / study / self.name,
            seeds=range(options.seeds),
            variants=variants,
            workers=options.workers,
        )


def in_two_splits(name: str, classes: Sequence[str], train: Sequence[Data], test: Sequence[Data]) -> Corpus:
    """A set whose split is given."""
    data = [*train, *test]
    fold = Fold("test split", list(range(len(train))), [], list(range(len(train), len(data))))
    return Corpus(name, tuple(classes), data, [fold])


def archive(name: str, root: str) -> Corpus:
    """Both splits of a set."""
    train, test = (UEA(root, name, split) for split in ("train", "test"))
    return in_two_splits(name, train.classes, train, test)


def folder_of(package: str) -> Path:
    """Where a library that ships data is installed."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(f"the data that {package} ships are needed: pip install --no-deps {package}")
    return Path(found.origin).parent


def watch() -> Corpus:
    """Seven exercises of the shoulder by ten people with a watch, shipped by seglearn; a fold tests two people.

    Burns and others, "Shoulder physiotherapy exercise recognition", Physiological Measurement 2018.
    """
    content = read_object(folder_of("seglearn") / "data" / "watch_dataset.npy")
    classes = tuple(content["y_labels"])
    frames = [torch.from_numpy(np.asarray(one, np.float32)) for one in content["X"]]
    labels, people = (torch.as_tensor(np.asarray(content[name], int)) for name in ("y", "subject"))
    data = [Data(x=x, y=y, group=group) for x, y, group in zip(frames, labels[:, None], people[:, None], strict=True)]
    return Corpus("watch", classes, data, whole_folds("group-kfold", data))


def emodb(root: str, cache: str, layout: str = "paper") -> Corpus:
    """EmoDB, one speaker left out at a time; frames that repeat to the end of a clip are masked."""
    corpus = EmoDB(root, Speech(layout), cache=Path(cache) / "emodb")
    resample = Resample(corpus.num_frames)
    data = [resample(one) for one in recordings(corpus)]
    for number, one in enumerate(data):
        one.number = number
    paths = {path.stem: path for path in corpus.paths()}
    files = tuple(paths[Path(one.name).stem] for one in data)
    name = "EmoDB" if layout == "paper" else f"EmoDB, {layout}"
    return Corpus(name, tuple(corpus.classes), data, whole_folds("group", data), files, corpus.num_frames)


def speakers(corpus: Corpus) -> np.ndarray:
    """The speaker of each of EmoDB's recordings, by the start of its name."""
    return np.array([Path(one.name).stem[:2] for one in corpus.sequences])


def recordings(dataset: Any, keep_tail: bool = False) -> list[Data]:
    """The sequences of a dataset at their own lengths; masks frames that repeat to the end, unless ``keep_tail``."""
    found = [dataset.get(index).clone() for index in dataset.indices()]
    return found if keep_tail else [MaskTail()(data) for data in found]


def whole_folds(protocol: str, sequences: list[Data]) -> list[Fold]:
    """The folds of a protocol, with validation sequences added to the training sequences."""
    return [Fold(one.name, [*one.train, *one.validation], [], one.test) for one in folds(protocol, sequences)]


def opened(options: Namespace) -> Iterator[Corpus]:
    """Yields the corpora that were asked for."""
    for name in options.datasets:
        yield watch() if name == "watch" else archive(name, options.root)
    if options.emodb:
        yield emodb(options.emodb, options.cache)


def add_arguments(parser: ArgumentParser, titles: Sequence[str], seeds: int) -> None:
    """Adds the arguments that choose corpora, rows and folders."""
    parser.add_argument(
        "--datasets", nargs="*", default=ARCHIVE, metavar="NAME", help="sets of the UEA archive, or watch"
    )
    parser.add_argument("--emodb", metavar="DIR", help="folder of EmoDB, which is added if given")
    if titles:
        parser.add_argument(
            "--rows", nargs="+", default=titles, choices=titles, metavar="TITLE", help="; ".join(titles)
        )
    parser.add_argument(
        "--seeds", type=int, default=seeds, metavar="N", help="trainings of every fold (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="runs in parallel (default: one per core)")
    parser.add_argument("--root", default="data", metavar="DIR", help="folder of the archive (default: %(default)s)")
    parser.add_argument(
        "--cache", default="data/processed", metavar="DIR", help="folder of features (default: %(default)s)"
    )
    parser.add_argument(
        "--out", default="runs/reproduce", metavar="DIR", help="folder of results (default: %(default)s)"
    )
