"""Labelled sequences that are read from a file one by one, and so may be larger than memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data, OnDiskDataset
from torch_geometric.data.database import SQLiteDatabase

from lgrin import validate
from lgrin.checksum import load_tensors, save_tensors
from lgrin.datasets.sequences import sequence
from lgrin.files import write_atomically
from lgrin.options import check_path

TABLE = "sequences"
PART = 64  # sequences that are in memory while a file is written
ABOUT = {"features", "dtype", "count", "missing", "classes", "groups", "num_frames"}


class OnDiskSequences(OnDiskDataset):
    """Labelled sequences in a SQLite file, of which only those that are asked for are in memory.

    The rows of the file hold numbers and names alone, whose kinds a schema says; nothing in it is ever unpickled. The
    file is made by :meth:`write`. Parts, such as ``corpus[100:]``, read from the same file.

    Each ``Data`` has ``x [L, P]``, ``frame [L]`` (0..L-1), ``y [1]`` and ``name``; ``group [1]`` where the sequences
    were written with groups, and ``mask [L]`` where any frame is missing.

    Args:
        root: Folder that :meth:`write` has filled.
        transform: Applied to each sequence that is read, for example :class:`lgrin.transforms.Resample`.

    Attributes:
        classes: The names of the classes, in the order of their labels.
        groups: The names of the groups, in the order of their numbers; empty if unknown.
        num_frames: The length of the longest sequence.

    Raises:
        FileNotFoundError: If the folder holds no such file.
        ValueError: If the file is damaged.

    Example:
        >>> import tempfile
        >>> sequences = (Data(x=torch.full((length, 3), 1.0), y=torch.tensor([length % 2])) for length in (4, 9))
        >>> corpus = OnDiskSequences.write(tempfile.mkdtemp(), sequences, classes=["calm", "glad"])
        >>> len(corpus), corpus[1].x.shape, corpus.num_frames
        (2, torch.Size([9, 3]), 9)
    """

    def __init__(self, root: str | Path, transform: Callable[[Data], Data] | None = None) -> None:
        folder = check_path("root", root).expanduser()
        about = load_tensors(folder / "about.pt", "description of sequences", "write the sequences again")
        if not isinstance(about, dict) or about.keys() != ABOUT or not (folder / "sequences.db").is_file():
            raise ValueError(f"{folder} does not hold what OnDiskSequences.write has written; write it again")
        self.classes, self.groups = about["classes"], about["groups"]
        self.num_frames, self.missing = about["num_frames"], about["missing"]
        super().__init__(str(folder), transform, schema=_schema(about["dtype"], about["features"]), log=False)
        if len(self) != about["count"]:
            raise ValueError(f"{self.path} holds {len(self)} of {about['count']} sequences; write it again")

    @classmethod
    def write(
        cls, root: str | Path, sequences: Iterable[Data], classes: Sequence[str], groups: Sequence[str] = ()
    ) -> "OnDiskSequences":
        """Writes sequences one after the other, and opens what was written.

        Args:
            root: The folder; what was written there before is replaced once all is written.
            sequences: With ``x [L, P]``, ``y [1]``, and perhaps ``mask [L]``, ``group [1]`` and ``name``. A generator
                makes each when its turn comes.
            classes: The names of the classes, in the order of their labels.
            groups: The names of the groups, in the order of their numbers.

        Returns:
            The sequences in the file.

        Raises:
            OSError: If the folder cannot be written to, or the disk is full.
            TypeError: If a label is no whole number.
            ValueError: If a sequence cannot be trained on, with its index, or there is none.
        """
        folder = check_path("root", root).expanduser()
        about: dict[str, Any] = {}
        (folder / "about.pt").unlink(missing_ok=True)  # it describes the file of before
        write_atomically(folder / "sequences.db", lambda name: about.update(_fill(name, sequences, len(classes))))
        save_tensors({**about, "classes": list(classes), "groups": list(groups)}, folder / "about.pt")
        return cls(folder)

    @property
    def path(self) -> str:
        """The file."""
        return os.path.join(self.root, "sequences.db")

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.classes)

    @property
    def db(self) -> SQLiteDatabase:
        """The open file."""
        database: SQLiteDatabase | None = vars(self)["_db"]
        if database is None:
            database = self._db = SQLiteDatabase(self.path, TABLE, self.schema)
        return database

    def deserialize(self, data: Any) -> Data:
        """Makes a sequence of a row, in memory of its own."""
        x, mask = data["x"].clone(), data["mask"].clone()
        if self.missing and not len(mask):
            mask = torch.ones(len(x), dtype=torch.bool)
        group = data["group"].tolist()
        return sequence(
            x, mask if self.missing else None, int(data["y"]), group[0] if group else None, name=data["name"]
        )

    def __getitems__(self, indices: list[int]) -> list[Data]:
        """The sequences of a batch; PyG's own method takes no notice of which part of the data set this is."""
        return [self[index] for index in indices]

    def __getstate__(self) -> dict[str, Any]:
        """What another process gets, which opens the file itself."""
        return {**self.__dict__, "_db": None}


def _schema(dtype: torch.dtype, features: int) -> dict[str, Any]:
    """What the columns of a row hold; an empty mask or group says that there is none."""
    return {
        "x": {"dtype": dtype, "size": (-1, features)},
        "y": {"dtype": torch.long, "size": (1,)},
        "mask": {"dtype": torch.bool, "size": (-1,)},
        "group": {"dtype": torch.long, "size": (-1,)},
        "name": str,
    }


def _row(data: Data) -> dict[str, Any]:
    mask, group = data.get("mask"), data.get("group")
    return {
        "x": data.x.contiguous(),
        "y": data.y.long(),
        "mask": torch.empty(0, dtype=torch.bool) if mask is None else mask.contiguous(),
        "group": torch.empty(0, dtype=torch.long) if group is None else group.long(),
        "name": data.get("name") or "",
    }


def _fill(path: str, sequences: Iterable[Data], num_classes: int) -> dict[str, Any]:
    """Writes the rows, and says what they have in common."""
    rows = iter(validate.checked(sequences, None, num_classes, may_lack=True))
    first = next(rows, None)
    if first is None:
        raise ValueError("there is no sequence to write; give one at least")
    about: dict[str, Any] = {"features": first.x.size(1), "dtype": first.x.dtype}
    about |= {"count": 0, "missing": False, "num_frames": 0}
    with closing(SQLiteDatabase(path, TABLE, _schema(about["dtype"], about["features"]))) as database:
        for part in _parts(first, rows):
            for index, data in enumerate(part, start=about["count"]):
                _check_alike(index, data, about)
                about["missing"] |= data.get("mask") is not None and not bool(data.mask.all())
                about["num_frames"] = max(about["num_frames"], len(data.x))
            database.multi_insert(range(about["count"], about["count"] + len(part)), list(map(_row, part)))
            about["count"] += len(part)
    return about


def _parts(first: Data, rows: Iterator[Data]) -> Iterator[list[Data]]:
    part = [first, *islice(rows, PART - 1)]
    while part:
        yield part
        part = list(islice(rows, PART))


def _check_alike(index: int, data: Data, about: dict[str, Any]) -> None:
    if data.x.dim() != 2 or (data.x.size(1), data.x.dtype) != (about["features"], about["dtype"]):
        raise ValueError(
            f"sequences[{index}] has x {list(data.x.shape)} of {data.x.dtype}, but the first has {about['features']} "
            f"features a frame, of {about['dtype']}; sequences of one file have the same"
        )
